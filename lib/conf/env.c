/*
 * conf/env.c - $(NAME) in a configuration text stands for an environment variable. NAME
 * is letters, digits and '_'; anything else behind "$(" is left as it is.
 */
#include "conf/flags.h"

#include <stdlib.h>

#include "base/limits.h"

#define EXPANDED_MAX (64u * LIMIT_CONFIG_BYTES) /* Prometheus' own configuration, too */

static bool is_name(char ch)
{
	uint8_t c = (uint8_t)ch, l = c | 0x20;

	return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* At "$(": the name up to ')'; empty: not a reference. */
static struct str name_at(struct str s)
{
	size_t i = 2;

	while (i < s.n && is_name(s.p[i]))
		i++;
	return i < s.n && s.p[i] == ')' ? str_n(s.p + 2, i - 2) : STR_NULL;
}

int conf_env_expand(struct ctx *ctx, struct arena *a, struct str in, struct str *out,
		    struct err *e)
{
	struct buf b;
	ptrdiff_t at;
	int rc = 0;

	if (str_find(in, STR("$(")) < 0) {
		*out = in;
		return 0;
	}
	buf_init(&b, EXPANDED_MAX);
	while (rc == 0 && (at = str_find(in, STR("$("))) >= 0) {
		buf_add(&b, in.p, (size_t)at);
		in = str_from(in, (size_t)at);
		struct str name = name_at(in);
		if (name.n == 0) {
			buf_add(&b, in.p, 2);
			in = str_from(in, 2);
			continue;
		}
		const char *v = getenv(str_dupz(a, name));
		if (v)
			buf_str(&b, str_of(v));
		else
			rc = err_set(ctx, e, E_INVALID,
				     "environment variable %.*s is not set",
				     STR_FMT(name));
		in = str_from(in, name.n + 3);
	}
	buf_str(&b, in);
	if (rc == 0)
		rc = buf_check(&b, ctx, "configuration with its environment variables",
			       e);
	if (rc == 0)
		*out = str_dup(a, buf_view(&b));
	buf_deinit(&b);
	return rc;
}
