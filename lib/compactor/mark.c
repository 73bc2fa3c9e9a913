/*
 * compactor/mark.c - marks, and quarantine: a block that is bad is marked with what is wrong with it, and its group goes
 * on without it.
 */
#include "compactor/compactor_int.h"

#include <stdio.h>

#include "base/log.h"

/* A sound mark of this kind in the bucket now; the listing may be old. */
static int is_there(struct compactor *c, struct ctx *ctx, enum mark_kind kind,
		    const struct ulid *id, bool *there, struct err *e)
{
	char text[27], name[64];
	struct buf raw;
	struct arena a;
	struct block_mark m;
	struct err why = ERR_INIT;
	*there = false;
	ulid_format(id, text);
	int n = snprintf(name, sizeof(name), "%s/%s", text, mark_filename(kind));
	buf_init(&raw, 1u << 20);
	arena_init(&a, NULL);
	int rc = bucket_get(c->o.bucket, ctx, str_n(name, (size_t)n), 1u << 20, &raw,
			    &why);
	if (rc == 0)
		*there = mark_parse(ctx, &a, kind, buf_view(&raw), &m, &why) == 0;
	else if (why.code == E_NOT_FOUND || why.code == E_LIMIT)
		rc = 0;
	else
		*e = why;
	arena_deinit(&a);
	buf_deinit(&raw);
	return rc;
}

bool compactor_is_block(struct compactor *c, struct ctx *ctx, const struct ulid *id)
{
	char text[27], name[64];
	bool there = true;
	struct err none = ERR_INIT;
	ulid_format(id, text);
	int n = snprintf(name, sizeof(name), "%s/meta.json", text);
	/* Not known: it counts as one, so that nothing is deleted. */
	return bucket_exists(c->o.bucket, ctx, str_n(name, (size_t)n), &there, &none) <
		       0 ||
	       there;
}

int compactor_mark(struct compactor *c, struct ctx *ctx, enum mark_kind kind,
		   const struct ulid *id, const struct known *k, struct str reason,
		   struct str details, bool *marked, struct err *e)
{
	bool there = k && k->mark[kind].ok;
	char text[27];
	*marked = false;
	ulid_format(id, text);
	if (!there && is_there(c, ctx, kind, id, &there, e) < 0)
		return -1;
	if (there)
		return 0;
	/* The listing may be older than the block's deletion: a mark alone would lie there for --delete-delay. */
	if (kind == MARK_DELETION && !compactor_is_block(c, ctx, id))
		return 0;
	struct block_mark m = { *id, compactor_now_ms(c) / 1000, details, reason };
	if (mark_put(c->o.bucket, ctx, kind, &m, e) < 0)
		return err_wrap(ctx, e, "mark block %s", text);
	*marked = true;
	if (c->metrics)
		metric_inc(metric_at(c->metrics, M_MARKED, str_of(mark_filename(kind)),
				     reason));
	if (kind == MARK_DELETION)
		compactor_count(c, M_MARKED_DELETION);
	log_info(ctx, "block %s: %s: %.*s", text, mark_filename(kind), STR_FMT(details));
	return 0;
}

/* ---- quarantine ---- */

static const char *reason_of(enum compact_fault f)
{
	switch (f) {
	case COMPACT_FAULT_OUT_OF_ORDER_CHUNK: return "block-index-out-of-order-chunk";
	case COMPACT_FAULT_OUT_OF_ORDER_LABELS: return "block-index-out-of-order-labels";
	case COMPACT_FAULT_OUTSIDE_RANGE: return "block-chunk-outside-range";
	case COMPACT_FAULT_OVERLAP: return "block-overlapping";
	case COMPACT_FAULT_DUPLICATE_SERIES: return "block-index-duplicate-series";
	case COMPACT_FAULT_OUTPUT: return "compaction-output-wrong";
	default: return "block-unreadable";
	}
}

static int put_away(struct job *j, size_t i, const char *reason, const struct err *why,
		    struct err *e)
{
	struct run *r = j->run;
	struct gblock *b = CONTAINER_OF(j->plan.block[i], struct gblock, pb);
	enum mark_kind kind = j->to_res_ms ? MARK_NO_DOWNSAMPLE : MARK_NO_COMPACT;
	bool marked;
	char id[27];
	ulid_format(&b->meta.ulid, id);
	struct str details = str_fmt(&j->arena, "thanosc: %s", err_text(why));
	if (compactor_mark(r->c, r->ctx, kind, &b->meta.ulid, b->known, str_of(reason),
			   details, &marked, e) < 0)
		return -1;
	log_error(r->ctx, "group %s: block %s is quarantined (%s): %s", j->group->key, id,
		  reason, err_text(why));
	if (r->c->metrics)
		metric_inc(metric_at(r->c->metrics, M_QUARANTINED, str_of(reason)));
	pthread_mutex_lock(&r->mu);
	r->r->quarantined++;
	if (j->to_res_ms) {
		b->no_downsample = true;
		b->down_to_ms = 0;
	} else {
		b->pb.excluded = true;
		j->group->planned = false;
	}
	pthread_mutex_unlock(&r->mu);
	return 0;
}

int quarantine(struct job *j, enum compact_fault fault, size_t input,
	       const struct err *why, struct err *e)
{
	struct run *r = j->run;
	const struct compactor_opts *o = &r->c->o;
	bool skipped = fault == COMPACT_FAULT_OUT_OF_ORDER_CHUNK && o->skip_out_of_order;
	if (o->halt_on_error && !skipped) {
		pthread_mutex_lock(&r->mu);
		r->stop = true;
		pthread_mutex_unlock(&r->mu);
		compactor_halt(r->c);
		return err_set(r->ctx, e, why->code, "critical error: %s", err_text(why));
	}
	for (size_t i = 0; i < j->plan.n; i++)
		if ((input == SIZE_MAX || input == i) &&
		    put_away(j, i, reason_of(fault), why, e) < 0)
			return -1;
	return 0;
}
