/*
 * inspect/dump.c - the samples of a block as text.
 *
 *   {__name__="up", job="x"} 1 1789977600000            a sample, as `promtool tsdb dump` prints it
 *   {__name__="up", job="x"} 120 1789977600000 count    of a downsampled block: which aggregate
 *   {"labels":{...},"samples":[[1789977600000,"1"],...]}    a line a series; "aggregate" where there is one
 */
#include <stdlib.h>

#include "base/limits.h"
#include "inspect/inspect_int.h"
#include "tsdb/chunk/chunk.h"
#include "wire/json.h"
#include "wire/num.h"

#define PIECE	       ((size_t)64 << 10)
#define LINE_MAX_BYTES ((size_t)1 << 30)
#define TOMBSTONES_MAX ((size_t)1 << 30)

static const char *const aggr_names[AGGR_N] = { "",    "count", "sum",
						"min", "max",	"counter" };

/* ---- opening ---- */

struct parts {
	struct idx_reader *index;
	struct segments *segs;
	struct tombstones *stones;
};

static int open_segments(struct ctx *ctx, const struct inspect_place *p, struct arena *a,
			 const struct inspect_files *f, struct parts *x, struct err *e)
{
	struct range_source **v = xcalloc(f->n + 1, sizeof(struct range_source *));
	size_t n = 0;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < f->n; i++) {
		if (!str_has_prefix(f->v[i].name, STR("chunks/")))
			continue;
		const char *name = str_fmt(a, "chunks/%06zu", n + 1).p;
		rc = inspect_open(ctx, p, name, &v[n], e);
		n += rc == 0;
	}
	if (rc == 0 && n)
		rc = segments_open(ctx, v, n, &x->segs, e);
	else
		for (size_t i = 0; i < n; i++)
			range_source_unref(v[i]);
	free(v);
	return rc < 0 ? err_wrap(ctx, e, "chunks") : 0;
}

static int open_stones(struct ctx *ctx, const struct inspect_place *p,
		       const struct inspect_files *f, struct parts *x, struct err *e)
{
	struct buf b;
	if (!inspect_files_find(f, STR("tombstones")))
		return 0;
	buf_init(&b, TOMBSTONES_MAX);
	int rc = inspect_get(ctx, p, "tombstones", TOMBSTONES_MAX, &b, e);
	if (rc == 0)
		rc = tombstones_parse(ctx, buf_view(&b), &x->stones, e);
	buf_deinit(&b);
	return rc < 0 ? err_wrap(ctx, e, "tombstones") : 0;
}

static int open_parts(struct ctx *ctx, const struct inspect_place *p, struct arena *a,
		      struct block_meta *meta, struct parts *x, struct err *e)
{
	struct inspect_files files = { 0 };
	struct range_source *index = NULL;
	struct buf b;
	if (inspect_files_list(ctx, a, p, &files, e) < 0)
		return -1;
	buf_init(&b, LIMIT_META_BYTES);
	int rc = inspect_get(ctx, p, "meta.json", LIMIT_META_BYTES, &b, e);
	if (rc == 0)
		rc = block_meta_parse(ctx, a, buf_view(&b), meta, e);
	buf_deinit(&b);
	if (rc < 0)
		return err_wrap(ctx, e, "meta.json");
	rc = inspect_open(ctx, p, "index", &index, e);
	if (rc == 0)
		rc = idx_open_index(ctx, index, &x->index, e);
	range_source_unref(index);
	if (rc < 0)
		return err_wrap(ctx, e, "index");
	if (open_segments(ctx, p, a, &files, x, e) < 0)
		return -1;
	return open_stones(ctx, p, &files, x, e);
}

static int open_block(struct ctx *ctx, const struct inspect_place *p, struct block **out,
		      struct err *e)
{
	struct parts x = { 0 };
	struct block_meta meta;
	struct arena a;
	arena_init(&a, NULL);
	int rc = open_parts(ctx, p, &a, &meta, &x, e);
	if (rc == 0)
		rc = block_open_sources(ctx, &meta, x.index, x.segs, x.stones, out, e);
	if (rc < 0) {
		idx_close(x.index);
		segments_close(x.segs);
		tombstones_free(x.stones);
		if (e->code == E_NOT_FOUND)
			e->code = E_CORRUPT;
		err_wrap(ctx, e, "block %s", p->id);
	}
	arena_deinit(&a);
	return rc;
}

/* ---- writing ---- */

struct dump {
	const struct inspect_dump_opts *o;
	struct buf out, labels;
	struct arena *a;
	struct chunk_decoder *decoder;
	bool comma;
};

static int flush(struct dump *d, bool all, struct err *e)
{
	if (buf_check(&d->out, NULL, "a line", e) < 0)
		return -1;
	if (d->out.n == 0 || (!all && d->out.n < PIECE))
		return 0;
	int rc = d->o->write(d->o->arg, buf_view(&d->out), e);
	buf_reset(&d->out);
	return rc;
}

static void put_f64(struct buf *b, double v)
{
	char s[NUM_MAX];
	/* %g with the shortest digits that read back: +Inf, NaN, 1e+21 */
	buf_str(b, str_n(s, num_f64_g(s, v)));
}

static void text_sample(struct dump *d, const struct columns *c, size_t i, int aggr)
{
	buf_str(&d->out, buf_view(&d->labels));
	buf_byte(&d->out, ' ');
	if (c->v)
		put_f64(&d->out, c->v[i]);
	else
		hist_text(c->h[i], &d->out);
	buf_fmt(&d->out, " %lld", (long long)c->t_ms[i]);
	if (aggr != AGGR_RAW)
		buf_fmt(&d->out, " %s", aggr_names[aggr]);
	buf_byte(&d->out, '\n');
}

static void json_sample(struct dump *d, const struct columns *c, size_t i)
{
	char s[NUM_MAX];
	buf_fmt(&d->out, "%s[%lld,", d->comma ? "," : "", (long long)c->t_ms[i]);
	if (c->v) {
		buf_byte(&d->out, '"');
		buf_str(&d->out, str_n(s, num_f64_json(s, c->v[i])));
		buf_byte(&d->out, '"');
	} else {
		hist_write_json(c->h[i], &d->out);
	}
	buf_byte(&d->out, ']');
	d->comma = true;
}

static int one_chunk(struct dump *d, struct chunk_part part, int aggr, struct err *e)
{
	struct columns c;
	int rc;
	if (chunk_decoder_reset(d->decoder, part, e) < 0)
		return -1;
	while ((rc = chunk_decoder_next(d->decoder, &c, e)) > 0)
		for (size_t i = 0; i < c.n; i++) {
			/* chunks of downsampled blocks are shown whole by the reader */
			if (c.t_ms[i] < d->o->mint_ms || c.t_ms[i] > d->o->maxt_ms)
				continue;
			if (d->o->json)
				json_sample(d, &c, i);
			else
				text_sample(d, &c, i, aggr);
			if (flush(d, false, e) < 0)
				return -1;
		}
	return rc;
}

/* A chunk that cannot be decoded is named; what was read of it stands already. */
static int one_aggregate(struct dump *d, struct ctx *ctx, const struct series_in *s,
			 int aggr, struct err *e)
{
	for (size_t i = 0; i < s->n; i++) {
		struct err why = ERR_INIT;
		if (!s->chunks[i].part[aggr].p)
			continue;
		arena_reset(d->a);
		d->decoder = chunk_decoder_new(d->a);
		if (one_chunk(d, s->chunks[i].part[aggr], aggr, &why) == 0)
			continue;
		if (why.code != E_CORRUPT) {
			*e = why;
			return -1;
		}
		notes_warn(ctx->notes, "series %.*s: chunk from %lld: %s",
			   STR_FMT(buf_view(&d->labels)), (long long)s->chunks[i].mint_ms,
			   err_text(&why));
	}
	return 0;
}

static void json_head(struct dump *d, const struct series_in *s, int aggr)
{
	struct jw w;
	jw_init(&w, &d->out);
	jw_obj(&w);
	jw_key(&w, STR("labels"));
	jw_obj(&w);
	for (uint32_t i = 0; i < s->labels.n; i++) {
		jw_key(&w, s->labels.l[i].name);
		jw_str(&w, s->labels.l[i].value);
	}
	jw_obj_end(&w);
	if (aggr != AGGR_RAW) {
		jw_key(&w, STR("aggregate"));
		jw_str(&w, str_of(aggr_names[aggr]));
	}
	jw_key(&w, STR("samples"));
	buf_byte(&d->out, '[');
	d->comma = false;
}

static bool has_part(const struct series_in *s, int aggr)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->chunks[i].part[aggr].p)
			return true;
	return false;
}

static int one_series(struct dump *d, struct ctx *ctx, const struct series_in *s,
		      struct err *e)
{
	buf_reset(&d->labels);
	labels_text(s->labels, &d->labels);
	for (int aggr = 0; aggr < AGGR_N; aggr++) {
		if (!has_part(s, aggr))
			continue;
		if (d->o->json)
			json_head(d, s, aggr);
		if (one_aggregate(d, ctx, s, aggr, e) < 0)
			return -1;
		if (d->o->json)
			buf_str(&d->out, STR("]}\n"));
	}
	return flush(d, false, e);
}

int inspect_dump(struct ctx *ctx, const struct inspect_place *p,
		 const struct inspect_dump_opts *o, struct err *e)
{
	struct block_series_req q = { .mint_ms = o->mint_ms,
				      .maxt_ms = o->maxt_ms,
				      .matchers = o->matchers,
				      .n_matchers = o->n_matchers,
				      .aggrs = UINT32_MAX,
				      .newer_encodings = true };
	struct arena a;
	struct dump d = { .o = o, .a = &a };
	struct series_set *set = NULL;
	struct block *b = NULL;
	const struct series_in *s;
	int rc;
	if (open_block(ctx, p, &b, e) < 0)
		return -1;
	arena_init(&a, NULL);
	buf_init(&d.out, LINE_MAX_BYTES);
	buf_init(&d.labels, LINE_MAX_BYTES);
	rc = block_series(b, ctx, &q, &set, e);
	while (rc == 0 && (rc = series_set_next(set, ctx, &s, e)) > 0)
		rc = one_series(&d, ctx, s, e);
	if (rc == 0)
		rc = flush(&d, true, e);
	series_set_close(set);
	block_unref(b);
	buf_deinit(&d.out);
	buf_deinit(&d.labels);
	arena_deinit(&a);
	return rc;
}
