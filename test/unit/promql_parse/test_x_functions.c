/*
 * Thanos' extended functions are unknown unless their feature is on.
 */
#include <stdio.h>

#include "promql/parse/ast.h"
#include "support/tst.h"

Test(x_functions, are_known_with_their_feature_only)
{
	static const char *const names[] = { "xrate", "xincrease", "xdelta" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct arena a;
		struct err e = ERR_INIT;
		struct expr *x;
		char text[64], want[80];
		arena_init(&a, NULL);
		snprintf(text, sizeof(text), "%s(up[5m])", names[i]);
		snprintf(want, sizeof(want),
			 "1:1: parse error: unknown function with name \"%s\"", names[i]);
		cr_assert_eq(promql_parse(NULL, &a, str_of(text), PROMQL_ALL, &x, &e),
			     -1);
		cr_assert_str_eq(err_text(&e), want);
		cr_assert_eq(promql_parse(NULL, &a, str_of(text), PROMQL_X_FUNCTIONS, &x,
					  &e),
			     0);
		cr_assert_str_eq(fn_sigs[x->call.fn].name, names[i]);
		arena_deinit(&a);
	}
}
