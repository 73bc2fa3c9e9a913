/*
 * test/support/tst.c - the in-process runner of the tsan build, see tst.h. It prints a last line like
 * Criterion's and exits 1 if anything failed.
 */
#include "support/tst.h"

#ifdef TST_INPROC
#include <stdarg.h>
#include <stdatomic.h>

static struct tst_case *cases;
static _Atomic unsigned failures;

void tst_add(struct tst_case *c)
{
	c->next = cases;
	cases = c;
}

void tst_fail(const char *file, int line, const char *what, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(stderr, "%s:%d: %s: ", file, line, what);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	failures++;
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	unsigned ran = 0, failed = 0;
	for (struct tst_case *c = cases; c; c = c->next) {
		if (only && !strstr(c->name, only) && !strstr(c->suite, only))
			continue;
		unsigned before = failures;
		c->fn();
		ran++;
		if (failures != before) {
			failed++;
			fprintf(stderr, "FAILED %s::%s\n", c->suite, c->name);
		}
	}
	fprintf(stderr,
		"[====] Synthesis: Tested: %u | Passing: %u | Failing: %u | Crashing: 0\n",
		ran, ran - failed, failed);
	return failed != 0 || ran == 0;
}
#else
typedef int tst_not_empty;
#endif
