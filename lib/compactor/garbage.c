/*
 * compactor/garbage.c - blocks whose samples other blocks hold, blocks whose time is over, and what aborted uploads left.
 *
 * Marks first, deletion --delete-delay later, so that stores have left a block before its objects go. A block covers
 * another only if all its files are in the bucket (blocks/fetcher.c), so that no half upload ever costs its inputs.
 */
#include "compactor/compactor_int.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"

/* ---- garbage ---- */

static int mark_garbage(struct compactor *c, struct ctx *ctx,
			const struct fetched_block *b, struct compactor_report *r,
			struct err *e)
{
	bool marked;
	if (b->deletion_time_s)
		return 0;
	if (compactor_mark(c, ctx, MARK_DELETION, &b->meta.ulid, b->known, STR(""),
			   STR("outdated block"), &marked, e) < 0)
		return -1;
	if (marked) {
		r->garbage++;
		r->marked_deletion++;
		compactor_count(c, M_GARBAGE_BLOCKS);
	}
	return 0;
}

int garbage_collect(struct compactor *c, struct ctx *ctx, const struct catalogue *cat,
		    struct compactor_report *r, struct err *e)
{
	uint64_t start_ns = time_mono_ns();
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < cat->n_duplicates; i++)
		rc = mark_garbage(c, ctx, &cat->duplicate[i], r, e);
	if (rc < 0) {
		compactor_count(c, M_GARBAGE_FAILURES);
		return err_wrap(ctx, e, "garbage");
	}
	compactor_count(c, M_GARBAGE);
	if (c->metrics)
		metric_observe(compactor_metric(c, M_GARBAGE_SECONDS),
			       (double)(time_mono_ns() - start_ns) / (double)NS_PER_S);
	return 0;
}

/* ---- marked blocks ---- */

struct deleting {
	struct compactor *c;
	struct ctx *ctx;
	struct ulid *id;
	bool *gone;
	const char *what;
};

static int delete_one(void *arg, size_t i, struct err *e)
{
	struct deleting *d = arg;
	char id[27];
	if (ctx_check(d->ctx, e) < 0)
		return -1;
	if (block_delete(d->c->o.bucket, d->ctx, &d->id[i], e) < 0) {
		compactor_count(d->c, M_CLEANUP_FAILURES);
		return -1;
	}
	compactor_count(d->c, M_CLEANED);
	d->gone[i] = true;
	ulid_format(&d->id[i], id);
	log_info(d->ctx, "block %s: deleted, %s", id, d->what);
	return 0;
}

/* Delete v[n]; returns how many went. The first failure is told, the others go on. */
static size_t delete_all(struct compactor *c, struct ctx *ctx, struct ulid *v, size_t n,
			 const char *what, struct err *first)
{
	struct deleting d = { c, ctx, v, xcalloc(n + 1, sizeof(bool)), what };
	size_t gone = 0;
	if (each_of(c->o.pool, c->o.delete_concurrency, n, delete_one, &d, true, first) <
	    0)
		log_warn(ctx, "cleanup: %s", err_text(first));
	for (size_t i = 0; i < n; i++)
		gone += d.gone[i];
	free(d.gone);
	return gone;
}

bool cleanup_is_due(const struct compactor *c, int64_t deletion_time_s)
{
	return deletion_time_s &&
	       compactor_now_ms(c) - deletion_time_s * 1000 > c->o.delete_delay_ms;
}

int cleanup_marked(struct compactor *c, struct ctx *ctx, const struct catalogue *cat,
		   struct compactor_report *r, struct err *e)
{
	struct ulid *v =
		xreallocarray(NULL, cat->n_marked + cat->metas->n + 1, sizeof(*v));
	struct err first = ERR_INIT;
	size_t n = 0;
	for (size_t i = 0; i < cat->n_marked; i++)
		if (cleanup_is_due(c, cat->marked[i].deletion_time_s))
			v[n++] = cat->marked[i].meta.ulid;
	/* Without meta.json but with a mark: a deletion that stopped half way. */
	for (size_t i = 0; i < cat->metas->n; i++) {
		const struct known *k = &cat->metas->v[i];
		if (k->state == META_NONE && k->mark[MARK_DELETION].ok &&
		    cleanup_is_due(c, k->mark[MARK_DELETION].time_s))
			v[n++] = k->id;
	}
	r->deleted += delete_all(c, ctx, v, n, "as marked", &first);
	free(v);
	if (first.code == E_OK)
		return 0;
	*e = first;
	return err_wrap(ctx, e, "deletion of marked blocks");
}

/* ---- aborted uploads ---- */

bool cleanup_is_aborted(const struct compactor *c, const struct known *k)
{
	return k->state == META_NONE && !k->mark[MARK_DELETION].seen.there &&
	       compactor_now_ms(c) - k->newest_ms > PARTIAL_AGE_MS;
}

static bool has_grown(const struct compactor *c, const struct known *k)
{
	for (size_t i = 0; i < c->n_sweep; i++) {
		const struct sweep_row *s = &c->sweep[i];
		if (ulid_cmp(&s->id, &k->id) == 0)
			return s->n_objects != k->n_objects || s->bytes != k->bytes ||
			       s->newest_ms != k->newest_ms;
	}
	return false;
}

static void remember(struct compactor *c, const struct catalogue *cat)
{
	free(c->sweep);
	c->n_sweep = 0;
	c->sweep = xreallocarray(NULL, cat->partial + 1, sizeof(*c->sweep));
	for (size_t i = 0; i < cat->metas->n; i++) {
		const struct known *k = &cat->metas->v[i];
		if (k->state == META_NONE && c->n_sweep < cat->partial)
			c->sweep[c->n_sweep++] =
				(struct sweep_row){ k->id, k->n_objects, k->bytes,
						    k->newest_ms };
	}
}

void cleanup_partial(struct compactor *c, struct ctx *ctx, const struct catalogue *cat,
		     struct compactor_report *r)
{
	struct ulid *v = xreallocarray(NULL, cat->metas->n + 1, sizeof(*v));
	struct err first = ERR_INIT;
	size_t n = 0;
	pthread_mutex_lock(&c->cleanup_mu);
	for (size_t i = 0; i < cat->metas->n; i++) {
		const struct known *k = &cat->metas->v[i];
		if (!cleanup_is_aborted(c, k) || has_grown(c, k) ||
		    compactor_is_block(c, ctx, &k->id))
			continue;
		compactor_count(c, M_PARTIAL_ATTEMPTS);
		v[n++] = k->id;
	}
	remember(c, cat);
	r->partial_deleted +=
		delete_all(c, ctx, v, n, "left by an upload that was aborted", &first);
	pthread_mutex_unlock(&c->cleanup_mu);
	compactor_count(c, M_CLEANUPS);
	free(v);
}
