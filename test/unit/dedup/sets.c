#include "sets.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/vec.h"
#include "support/tst.h"

static uint64_t state = 88172645463325252ull;

void sets_seed(uint64_t seed)
{
	state = 88172645463325252ull + seed * 0x9e3779b97f4a7c15ull;
}

uint64_t sets_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 11;
}

struct labels sets_labels(struct arena *a, uint32_t max, const char * not )
{
	struct label *l = ARENA_ARRAY(a, struct label, 8);
	uint32_t n = 0;
	for (char c = 'a'; c <= 'h' && n < max; c++) {
		if (sets_random() % 2 || strchr(not, c))
			continue;
		l[n].name = str_fmt(a, "%c", c);
		l[n++].value = str_fmt(a, "%d", (int)(sets_random() % 3 + 1));
	}
	return (struct labels){ l, n, 0 };
}

static int cmp(const void *a, const void *b, void *arg)
{
	(void)arg;
	return labels_cmp(((const struct series_in *)a)->labels,
			  ((const struct series_in *)b)->labels);
}

void sets_sort(struct series_in *v, size_t n)
{
	vec_sort(v, n, sizeof *v, cmp, NULL);
}

struct series_in *sets_make(struct arena *a, size_t *n, uint32_t max_labels,
			    const char * not, uint8_t mark)
{
	struct series_in *v = ARENA_ARRAY(a, struct series_in, *n + 1);
	size_t k = 0;
	for (size_t i = 0; i < *n; i++) {
		struct chunk_view *c = ARENA_ARRAY(a, struct chunk_view, 1);
		uint8_t *byte = arena_alloc(a, 1);
		*byte = mark;
		c->mint_ms = (int64_t)(sets_random() % 3);
		c->maxt_ms = c->mint_ms + 10;
		c->part[AGGR_RAW] = (struct chunk_part){ byte, 1, CHUNK_XOR };
		v[i] = (struct series_in){ sets_labels(a, max_labels, not ), c, 1 };
	}
	sets_sort(v, *n);
	for (size_t i = 0; i < *n; i++)
		if (k == 0 || !labels_eq(v[k - 1].labels, v[i].labels))
			v[k++] = v[i];
	*n = k;
	return v;
}

char *sets_dump(struct series_set *s)
{
	const struct series_in *x;
	struct err e = ERR_INIT;
	struct buf b;
	int rc;
	buf_init(&b, 1 << 24);
	while ((rc = series_set_next(s, NULL, &x, &e)) > 0) {
		labels_text(x->labels, &b);
		for (size_t i = 0; i < x->n; i++)
			buf_fmt(&b, " %d:%c", (int)x->chunks[i].mint_ms,
				x->chunks[i].part[AGGR_RAW].p[0]);
		buf_byte(&b, '\n');
	}
	cr_assert_eq(rc, 0, "%s", err_text(&e));
	series_set_close(s);
	buf_byte(&b, 0);
	return (char *)b.p;
}
