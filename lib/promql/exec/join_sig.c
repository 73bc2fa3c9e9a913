/*
 * promql/exec/join_sig.c - what two vectors are matched by: the labels of on(), or all but those of ignoring() and the
 * metric name.
 */
#include "promql/exec/join_int.h"

#include <stdlib.h>

#include "base/vec.h"

void sigs_init(struct sigs *s, struct exec *x, const struct match_node *m, uint32_t steps)
{
	struct str *v = ARENA_ARRAY(x->arena, struct str, m->n_labels + 1);
	size_t n = 0;
	for (size_t i = 0; i < m->n_labels; i++)
		v[n++] = m->labels[i];
	if (!m->on) {
		size_t at = 0;
		while (at < n && str_cmp(v[at], LABEL_NAME) < 0)
			at++;
		if (at == n || !str_eq(v[at], LABEL_NAME)) {
			memmove(v + at + 1, v + at, (n - at) * sizeof(*v));
			v[at] = LABEL_NAME;
			n++;
		}
	}
	*s = (struct sigs){ .match = m, .names = v, .n_names = n, .steps = steps };
	map64_init(&s->index);
}

void sigs_deinit(struct sigs *s)
{
	map64_deinit(&s->index);
	free(s->list);
}

static struct sig *find(struct sigs *s, struct labels key, uint64_t h)
{
	uintptr_t at;
	if (!map64_get(&s->index, h, &at))
		return NULL;
	struct sig *g = (struct sig *)at;
	while (g && !labels_eq(g->labels, key))
		g = g->next;
	return g;
}

static struct sig *make_sig(struct sigs *s, struct exec *x, struct labels key, uint64_t h,
			    struct err *e)
{
	size_t words = BITS_WORDS(s->steps);
	uintptr_t at = 0;
	struct sig *g = ARENA_NEW(x->arena, struct sig);
	g->bits = arena_try(x->arena, x->ctx, words * 16, e);
	if (!g->bits || labels_try_dup(x->arena, x->ctx, key, &g->labels, e) < 0)
		return NULL;
	memset(g->bits, 0, words * 16);
	g->matched = g->bits + words;
	(void)map64_get(&s->index, h, &at);
	g->next = (struct sig *)at;
	map64_set(&s->index, h, (uintptr_t)g);
	if (s->n == s->cap)
		s->list = vec_grow(s->list, &s->cap, s->n + 1, sizeof(*s->list));
	s->list[s->n++] = g;
	return g;
}

int sigs_of(struct sigs *s, struct exec *x, struct labels ls, bool make, struct sig **out,
	    struct err *e)
{
	struct label few[64], *tmp = few;
	if (ls.n > ARRAY_LEN(few))
		tmp = xmalloc(ls.n * sizeof(*tmp));
	struct labels key = s->match->on ? labels_keep(tmp, ls, s->names, s->n_names)
					 : labels_drop(tmp, ls, s->names, s->n_names);
	key.hash = 0;
	uint64_t h = labels_hash(key);
	struct sig *g = find(s, key, h);
	int rc = 0;
	if (!g && make) {
		g = make_sig(s, x, key, h, e);
		rc = g ? 0 : -1;
	}
	if (tmp != few)
		free(tmp);
	*out = g;
	return rc;
}
