/*
 * test/support/tst.h - one include for unit tests: Criterion normally; with -DTST_INPROC (the tsan
 * build, under which Criterion does not start) a small runner in one process with the same
 * `Test(suite, name)` and cr_assert family.
 */
#ifndef TEST_SUPPORT_TST_H
#define TEST_SUPPORT_TST_H

#ifndef TST_INPROC
#include <criterion/criterion.h>
#else
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <stdbool.h>

struct tst_case {
	const char *suite, *name;
	void (*fn)(void);
	struct tst_case *next;
};
void tst_add(struct tst_case *c);
void tst_fail(const char *file, int line, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define Test(s, n, ...)                                                                  \
	static void tst_##s##_##n(void);                                                 \
	__attribute__((constructor)) static void tst_add_##s##_##n(void)                 \
	{                                                                                \
		static struct tst_case c = { #s, #n, tst_##s##_##n, NULL };              \
		tst_add(&c);                                                             \
	}                                                                                \
	static void tst_##s##_##n(void)

#define TST_CHECK(cond, what, ...)                                                       \
	do {                                                                             \
		if (!(cond))                                                             \
			tst_fail(__FILE__, __LINE__, what, " " __VA_ARGS__);             \
	} while (0)
#define TST_OP(a, op, b, ...)	   TST_CHECK((a)op(b), #a " " #op " " #b, __VA_ARGS__)
#define cr_assert(cond, ...)	   TST_CHECK(cond, #cond, __VA_ARGS__)
#define cr_expect(cond, ...)	   TST_CHECK(cond, #cond, __VA_ARGS__)
#define cr_assert_not(c, ...)	   TST_CHECK(!(c), "!" #c, __VA_ARGS__)
#define cr_assert_eq(a, b, ...)	   TST_OP(a, ==, b, __VA_ARGS__)
#define cr_expect_eq(a, b, ...)	   TST_OP(a, ==, b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...)   TST_OP(a, !=, b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...)	   TST_OP(a, <, b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...)   TST_OP(a, <=, b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...)	   TST_OP(a, >, b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...)   TST_OP(a, >=, b, __VA_ARGS__)
#define cr_assert_null(p, ...)	   TST_OP(p, ==, NULL, __VA_ARGS__)
#define cr_assert_not_null(p, ...) TST_OP(p, !=, NULL, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)                                                      \
	TST_CHECK(strcmp((a), (b)) == 0, #a " eq " #b, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)                                                      \
	TST_CHECK(strcmp((a), (b)) == 0, #a " eq " #b, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...)                                                   \
	TST_CHECK(memcmp((a), (b), (n)) == 0, #a " eq " #b, __VA_ARGS__)
#define cr_assert_fail(...) tst_fail(__FILE__, __LINE__, "reached", " " __VA_ARGS__)
#define cr_log_info(...)    ((void)0)
#endif

#endif
