/*
 * promql/exec/anno.c - annotations of a query: gathered while it runs, told at the end.
 *
 * COMPAT: Prometheus 3.14 keeps a text once, whatever places it comes from, and the place that is evaluated last is the one
 * shown: operands from left to right, then the operator. In the text of the query that is: what ends later, and of two that
 * end together, what begins earlier. Threads may speak in any order; the outcome is the same.
 */
#include "promql/exec/exec_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/vec.h"

struct anno {
	char *text; /* behind a byte that tells warnings from infos */
	uint32_t at;
	uint32_t begin, end; /* of who says it */
};

void annos_init(struct annos *a)
{
	*a = (struct annos){ .mu = PTHREAD_MUTEX_INITIALIZER };
	map_init(&a->seen);
}

void annos_deinit(struct annos *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->v[i].text);
	free(a->v);
	map_deinit(&a->seen);
	pthread_mutex_destroy(&a->mu);
}

static bool later(const struct anno *a, const struct anno *b)
{
	return a->end > b->end || (a->end == b->end && a->begin <= b->begin);
}

/* Takes over new->text. */
static void add(struct annos *a, const struct anno *new)
{
	struct str key = str_of(new->text);
	pthread_mutex_lock(&a->mu);
	size_t at = (size_t)(uintptr_t)map_get(&a->seen, key);
	if (at) {
		struct anno *have = &a->v[at - 1];
		if (later(new, have)) {
			have->at = new->at;
			have->begin = new->begin;
			have->end = new->end;
		}
		free(new->text);
	} else if (a->n < LIMIT_NOTES && a->bytes + key.n <= LIMIT_NOTES_BYTES) {
		if (a->n == a->cap)
			a->v = vec_grow(a->v, &a->cap, a->n + 1, sizeof(*a->v));
		a->v[a->n++] = *new;
		a->bytes += key.n;
		map_set(&a->seen, key, (void *)(uintptr_t)a->n);
	} else {
		free(new->text);
	}
	pthread_mutex_unlock(&a->mu);
}

static void say(struct exec *x, char kind, const struct expr *by, const struct expr *at,
		const char *fmt, va_list ap) PRINTF_LIKE(5, 0);
static void say(struct exec *x, char kind, const struct expr *by, const struct expr *at,
		const char *fmt, va_list ap)
{
	char *text, *keyed;
	if (vasprintf(&text, fmt, ap) < 0)
		return;
	int n = asprintf(&keyed, "%c%s", kind, text);
	free(text);
	if (n >= 0)
		add(&x->annos, &(struct anno){ keyed, at->pos, by->pos, by->end });
}

void anno_warn(struct exec *x, const struct expr *at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(x, 'w', at, at, fmt, ap);
	va_end(ap);
}

void anno_warn_by(struct exec *x, const struct expr *by, const struct expr *at,
		  const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(x, 'w', by, at, fmt, ap);
	va_end(ap);
}

void anno_info(struct exec *x, const struct expr *at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(x, 'i', at, at, fmt, ap);
	va_end(ap);
}

void annos_tell(struct exec *x)
{
	annos_add_forced(x);
	for (size_t i = 0; i < x->annos.n; i++) {
		const struct anno *a = &x->annos.v[i];
		uint32_t line, col;
		promql_position(x->q->text, a->at, &line, &col);
		if (a->text[0] == 'w')
			notes_warn(x->ctx->notes, "PromQL warning: %s (%u:%u)",
				   a->text + 1, line, col);
		else
			notes_info(x->ctx->notes, "PromQL info: %s (%u:%u)", a->text + 1,
				   line, col);
	}
}
