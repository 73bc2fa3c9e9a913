#include "base/err.h"

#include <errno.h>

#include "base/ctx.h"
#include "support/tst.h"

Test(err, wraps_nouns_around_the_first_text)
{
	struct err e = ERR_INIT;
	int rc = err_set(NULL, &e, E_CORRUPT, "entry %d cut short", 7);
	cr_assert_eq(rc, -1);
	cr_assert_eq(err_wrap(NULL, &e, "symbols"), -1);
	err_wrap(NULL, &e, "block %s", "01H");
	cr_assert_str_eq(err_text(&e), "block 01H: symbols: entry 7 cut short");
	cr_assert_eq(e.code, E_CORRUPT);
	cr_assert_eq(err_code_class(e.code), ERR_QUARANTINE);
	cr_assert_str_eq(err_code_text(E_LIMIT), "limit exceeded");
	err_set(NULL, &e, E_EXEC, "again: %s", err_text(&e));
	cr_assert_str_eq(err_text(&e), "again: block 01H: symbols: entry 7 cut short");
	cr_assert_eq(err_set(NULL, NULL, E_EXEC, "nobody listens"), -1);
}

Test(err, long_text_is_kept_whole_by_a_ctx)
{
	char big[2000];
	struct err e = ERR_INIT, copy;
	struct ctx ctx, other;
	ctx_init(&ctx, NULL, 0);
	ctx_init(&other, NULL, 0);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(&ctx, &e, E_EXEC, "%s", big);
	cr_assert_not_null(e.text);
	cr_assert_str_eq(err_text(&e), big);
	err_wrap(&ctx, &e, "query");
	cr_assert_eq(strlen(err_text(&e)), sizeof(big) - 1 + 7);
	err_copy(&other, &copy, &e);
	ctx_deinit(&ctx);
	cr_assert_eq(strncmp(err_text(&copy), "query: xxx", 10), 0);
	cr_assert_eq(strlen(err_text(&copy)), sizeof(big) - 1 + 7);
	cr_assert_eq(copy.code, E_EXEC);
	ctx_deinit(&other);
}

Test(err, long_text_without_a_ctx_is_cut_at_a_character)
{
	char big[600];
	struct err e = ERR_INIT;
	for (size_t i = 0; i + 2 < sizeof(big); i += 2)
		memcpy(big + i, "\xc3\xa9", 3);
	for (int shift = 0; shift < 2; shift++) {
		err_set(NULL, &e, E_EXEC, "%s%s", shift ? "a" : "", big);
		cr_assert_null(e.text);
		size_t n = strlen(err_text(&e));
		cr_assert(n <= 239 && n >= 236);
		cr_assert(str_is_utf8(str_of(err_text(&e))));
		cr_assert(str_has_suffix(str_of(err_text(&e)), STR("\xc3\xa9...")));
	}
	memset(big, 'y', 239);
	big[239] = '\0';
	err_set(NULL, &e, E_EXEC, "%s", big);
	cr_assert_str_eq(err_text(&e), big);
}

Test(err, errno_names_thing_and_reason)
{
	static const struct {
		int n;
		enum err_code code;
	} rows[] = { { ENOENT, E_NOT_FOUND }, { ENOSPC, E_NOSPACE }, { EACCES, E_DENIED },
		     { EIO, E_IO },	      { EEXIST, E_EXISTS },  { 99999, E_IO } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		err_errno(NULL, &e, rows[i].n, "open %s", "/x");
		cr_expect_eq(e.code, rows[i].code, "errno %d", rows[i].n);
		cr_assert(str_has_prefix(str_of(err_text(&e)), STR("open /x: ")));
	}
	struct err e = ERR_INIT;
	err_errno(NULL, &e, ENOENT, "open /x");
	cr_assert_str_eq(err_text(&e), "open /x: No such file or directory");
}
