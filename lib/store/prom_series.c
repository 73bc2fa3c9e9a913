/*
 * store/prom_series.c - Series of a Prometheus: matchers on external labels answered here, external labels added,
 * order and shards.
 *
 *   remote read (or a list of label sets) - replica labels - external labels - shard
 *
 * Adding external labels to sorted series is streamed (dedup/relabel). Replica labels among the external ones are not
 * added in the first place; only where series have such a label of their own, the answer is read whole and sorted
 * anew. Whether they have is known from the heartbeat; a name that is newer than it ends the call with an error, for
 * what was shown before could be out of order.
 */
#include <stdlib.h>

#include "base/vec.h"
#include "dedup/dedup.h"
#include "store/prom_int.h"

struct answer {
	struct series_set base;
	struct arena arena;
	struct prom_state *state;
	struct series_set *in; /* NULL: nothing matches */
	const struct store_series_req *req;
	struct prom_read_req read; /* is pointed to by `in` */
};

static bool in_shard(const struct shard_info *sh, struct labels ls)
{
	if (sh->total <= 0)
		return true;
	uint64_t h = labels_hash_subset(ls, sh->labels, sh->n, sh->by);
	return h % (uint64_t)sh->total == (uint64_t)sh->index;
}

static int answer_next(struct series_set *base, struct ctx *ctx,
		       const struct series_in **out, struct err *e)
{
	struct answer *a = CONTAINER_OF(base, struct answer, base);
	int rc = 0;
	while (a->in && (rc = series_set_next(a->in, ctx, out, e)) > 0)
		if (in_shard(&a->req->shard, (*out)->labels))
			break;
	return rc;
}

static void answer_close(struct series_set *base)
{
	struct answer *a = CONTAINER_OF(base, struct answer, base);
	series_set_close(a->in);
	prom_state_put(a->state);
	arena_deinit(&a->arena);
	free(a);
}

static int by_labels(const void *x, const void *y, void *arg)
{
	(void)arg;
	return labels_cmp(*(const struct labels *)x, *(const struct labels *)y);
}

/* Label sets without chunks, from the series API: sorted here, external labels not among them. */
static int open_list(struct answer *a, struct prom_store *p, struct ctx *ctx,
		     struct series_set **out, struct err *e)
{
	const struct prom_selection sel = { .mint_ms = a->read.mint_ms,
					    .maxt_ms = a->read.maxt_ms,
					    .matchers = a->read.matchers,
					    .n_matchers = a->read.n_matchers,
					    .limit = a->req->limit };
	struct labels *ls;
	size_t n;
	if (prom_series_list(p, ctx, &a->arena, &sel, &ls, &n, e) < 0)
		return -1;
	if (n > 1)
		vec_sort(ls, n, sizeof(*ls), by_labels, NULL);
	struct series_in *v = arena_try(&a->arena, ctx, n * sizeof(*v) + 1, e);
	if (!v)
		return -1;
	for (size_t i = 0; i < n; i++)
		v[i] = (struct series_in){ .labels = ls[i] };
	*out = series_set_of(v, n);
	return 0;
}

static bool any_own(const struct prom_state *s, const struct str *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (prom_has_name(s, names[i]))
			return true;
	return false;
}

static int open_chain(struct answer *a, struct prom_store *p, struct ctx *ctx,
		      struct err *e)
{
	const struct store_series_req *req = a->req;
	struct labels ext = a->state->labels;
	struct label *l = ARENA_ARRAY(&a->arena, struct label, ext.n + 1);
	bool strip = req->n_without &&
		     (req->skip_chunks ||
		      any_own(a->state, req->without_replica_labels, req->n_without));
	a->read.external = ext;
	if (!strip) {
		a->read.refuse = req->without_replica_labels;
		a->read.n_refuse = req->n_without;
	}
	struct labels add =
		labels_drop(l, ext, req->without_replica_labels, req->n_without);
	struct series_set *in;
	int rc = req->skip_chunks ? open_list(a, p, ctx, &in, e)
				  : prom_read(p, ctx, &a->read, &in, e);
	if (rc == 0 && strip)
		rc = strip_open(ctx, in, req->without_replica_labels, req->n_without, &in,
				e);
	if (rc == 0)
		rc = relabel_open(ctx, in, add, &a->in, e);
	return rc;
}

int prom_series(struct store *s, struct ctx *ctx, const struct store_series_req *req,
		struct series_set **out, struct err *e)
{
	static const struct series_set_ops ops = { answer_next, answer_close };
	struct prom_store *p = CONTAINER_OF(s, struct prom_store, base);
	struct answer *a = xcalloc(1, sizeof(*a));
	struct matcher *m;
	int rc = -1;
	a->base.ops = &ops;
	a->req = req;
	arena_init(&a->arena, ctx->budget);
	if (prom_state_need(p, ctx, &a->state, e) < 0)
		goto fail;
	if (prom_match_external(&a->arena, a->state->labels, req->matchers,
				req->n_matchers, &m, &a->read.n_matchers)) {
		a->read.matchers = m;
		a->read.mint_ms = MAX(req->mint_ms, prom_mint(p, a->state));
		a->read.maxt_ms = req->maxt_ms;
		if (a->read.n_matchers == 0) {
			err_set(ctx, e, E_INVALID,
				"no matchers specified (excluding external labels)");
			goto fail;
		}
		if (a->read.mint_ms <= a->read.maxt_ms)
			rc = open_chain(a, p, ctx, e);
		else
			rc = 0;
		if (rc < 0)
			goto fail;
	}
	*out = &a->base;
	return 0;
fail:
	answer_close(&a->base);
	return -1;
}
