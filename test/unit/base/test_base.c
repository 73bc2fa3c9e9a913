#include <signal.h>
#include <stdlib.h>

#include "base/ref.h"

#include "support/tst.h"

Test(base, allocations_of_nothing_are_something)
{
	void *p = xmalloc(0), *q = xcalloc(0, 8);
	cr_assert(p && q && p != q);
	p = xreallocarray(p, 0, 8);
	cr_assert_not_null(p);
	free(p);
	free(q);
	char *s = xstrdup("abc");
	cr_assert_str_eq(s, "abc");
	free(s);
}

#ifndef TST_INPROC /* these end the process, which Criterion expects of them */
Test(base, a_broken_invariant_aborts, .signal = SIGABRT)
{
	volatile int two = 2;
	BUG_ON(two == 2);
}

Test(ref, a_put_too_many_aborts, .signal = SIGABRT)
{
	struct ref r;
	ref_init(&r, NULL);
	atomic_store(&r.n, 0);
	ref_put(&r);
}
#endif

struct thing {
	int freed;
	struct ref ref;
};

static void thing_free(struct ref *r)
{
	CONTAINER_OF(r, struct thing, ref)->freed++;
}

Test(ref, the_last_put_frees_once)
{
	struct thing t = { 0 };
	ref_init(&t.ref, thing_free);
	cr_assert_eq(ref_get(&t.ref), &t.ref);
	struct view v = { (const uint8_t *)"x", 1, ref_get(&t.ref) };
	ref_put(&t.ref);
	view_put(&v);
	cr_assert_null(v.pin);
	cr_assert_eq(t.freed, 0);
	view_put(&v); /* empty now */
	cr_assert_eq(t.freed, 0);
	ref_put(&t.ref);
	cr_assert_eq(t.freed, 1);
	cr_assert_null(ref_get(NULL));
	ref_put(NULL);
}
