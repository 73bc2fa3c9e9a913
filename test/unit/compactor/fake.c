/*
 * The pretended work. Lines that make it fail, each as real damage of the input that has it:
 *   BAD chunk      chunks out of order        BAD labels   label names out of order
 *   BAD read       cannot be read             BAD output   the check of the result fails
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/vec.h"
#include "world.h"

static _Atomic uint32_t fails, calls;
static _Atomic int fail_code;
static _Atomic uint64_t disk;

void fake_fail(uint32_t n, enum err_code code)
{
	fails = n;
	fail_code = (int)code;
}

void fake_need_disk(uint64_t bytes)
{
	disk = bytes;
}

uint32_t fake_calls(void)
{
	return calls;
}

static const struct {
	const char *line;
	enum compact_fault fault;
	bool all;
} bad[] = {
	{ "BAD chunk", COMPACT_FAULT_OUT_OF_ORDER_CHUNK, false },
	{ "BAD labels", COMPACT_FAULT_OUT_OF_ORDER_LABELS, false },
	{ "BAD read", COMPACT_FAULT_UNREADABLE, false },
	{ "BAD output", COMPACT_FAULT_OUTPUT, true },
};

static int by_text(const void *a, const void *b, void *arg)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

struct lines {
	struct str v[4096];
	size_t n;
};

static int add_lines(struct ctx *ctx, struct arena *a, const struct block_source *s,
		     size_t at, struct lines *l, struct compact_result *r, struct err *e)
{
	struct view v;
	struct str rest, line;
	if (s->index->size == 0)
		return 0;
	if (range_source_read1(s->index, ctx, 0, s->index->size, &v, e) < 0)
		return -1;
	rest = str_dup(a, str_n(v.p, v.n));
	view_put(&v);
	while (str_cut(&rest, '\n', &line)) {
		for (size_t i = 0; i < ARRAY_LEN(bad); i++)
			if (str_eqz(line, bad[i].line)) {
				r->fault = bad[i].fault;
				r->fault_input = bad[i].all ? SIZE_MAX : at;
				return err_set(ctx, e, E_CORRUPT, "pretended: %s",
					       bad[i].line);
			}
		cr_assert_lt(l->n, ARRAY_LEN(l->v));
		l->v[l->n++] = line;
	}
	return 0;
}

static int read_all(struct ctx *ctx, struct arena *a, const struct block_source *in,
		    size_t n, struct lines *l, struct compact_result *r, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (add_lines(ctx, a, &in[i], i, l, r, e) < 0)
			return -1;
	if (l->n > 1)
		vec_sort(l->v, l->n, sizeof(*l->v), by_text, NULL);
	size_t k = 0;
	for (size_t i = 0; i < l->n; i++)
		if (k == 0 || !str_eq(l->v[k - 1], l->v[i]))
			l->v[k++] = l->v[i];
	l->n = k;
	return 0;
}

static int by_ulid(const void *a, const void *b, void *arg)
{
	return ulid_cmp(a, b);
}

static void make_meta(struct arena *a, const struct block_source *in, size_t n,
		      int64_t res, const struct compact_opts *o, size_t n_lines,
		      struct block_meta *m)
{
	size_t k = 0;
	*m = *in[0].meta;
	m->ulid = o->ulid;
	for (size_t i = 0; i < n; i++)
		k += in[i].meta->compaction.n_sources;
	m->compaction.sources = ARENA_ARRAY(a, struct ulid, k + 1);
	m->compaction.n_sources = 0;
	for (size_t i = 0; i < n; i++) {
		const struct block_meta *x = in[i].meta;
		m->mint_ms = MIN(m->mint_ms, x->mint_ms);
		m->maxt_ms = MAX(m->maxt_ms, x->maxt_ms);
		m->compaction.level = MAX(m->compaction.level, x->compaction.level);
		for (size_t j = 0; j < x->compaction.n_sources; j++)
			m->compaction.sources[m->compaction.n_sources++] =
				x->compaction.sources[j];
	}
	vec_sort(m->compaction.sources, m->compaction.n_sources, sizeof(struct ulid),
		 by_ulid, NULL);
	if (!res)
		m->compaction.level++;
	m->stats.samples = n_lines;
	m->stats.tombstones = 0;
	m->has_thanos = true;
	m->thanos.labels = o->labels;
	m->thanos.resolution_ms = res ? res : in[0].meta->thanos.resolution_ms;
	m->thanos.source = str_of(o->source);
	m->thanos.n_files = m->thanos.n_segment_files = 0;
}

static int write_block(struct ctx *ctx, struct arena *a, const struct compact_opts *o,
		       const struct lines *l, const struct block_meta *m,
		       struct compact_result *r, struct err *e)
{
	char id[27];
	struct buf index, json;
	ulid_format(&o->ulid, id);
	char *tmp = str_dupz(a, str_fmt(a, "%s/%s.tmp-for-creation", o->dir, id));
	buf_init(&index, 1 << 20);
	buf_init(&json, LIMIT_META_BYTES);
	for (size_t i = 0; i < l->n; i++)
		buf_fmt(&index, "%.*s\n", STR_FMT(l->v[i]));
	block_meta_write(m, &json);
	const struct {
		const char *name;
		struct str text;
	} files[] = { { "chunks/000001", STR("chunks") },
		      { "index", buf_view(&index) },
		      { "meta.json", buf_view(&json) } };
	int rc = fs_mkdir_p(ctx, str_dupz(a, str_fmt(a, "%s/chunks", tmp)), e);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(files); i++)
		rc = fs_write_atomic(ctx,
				     str_dupz(a, str_fmt(a, "%s/%s", tmp, files[i].name)),
				     files[i].text, e);
	if (rc == 0)
		rc = fs_rename(ctx, tmp, str_dupz(a, str_fmt(a, "%s/%s", o->dir, id)), e);
	r->stats.index_bytes = index.n;
	r->stats.chunk_bytes = 6;
	buf_deinit(&index);
	buf_deinit(&json);
	return rc;
}

static int fake(struct ctx *ctx, struct arena *a, const struct block_source *in, size_t n,
		int64_t res, const struct compact_opts *o, struct compact_result *r,
		struct err *e)
{
	struct lines *l = ARENA_NEW(a, struct lines);
	*r = (struct compact_result){ .fault_input = SIZE_MAX };
	calls++;
	if (fails) {
		fails--;
		return err_set(ctx, e, (enum err_code)fail_code, "pretended failure");
	}
	if (ctx_check(ctx, e) < 0 || read_all(ctx, a, in, n, l, r, e) < 0)
		return -1;
	if (o->progress_bytes)
		*o->progress_bytes += 100;
	if (l->n == 0) {
		r->empty = true;
		return 0;
	}
	make_meta(a, in, n, res, o, l->n, &r->meta);
	return write_block(ctx, a, o, l, &r->meta, r, e);
}

static int fake_compact(struct ctx *ctx, struct arena *a, const struct block_source *in,
			size_t n, const struct compact_opts *o, struct compact_result *r,
			struct err *e)
{
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(in[i].meta->thanos.resolution_ms,
			     in[0].meta->thanos.resolution_ms);
	return fake(ctx, a, in, n, 0, o, r, e);
}

static int fake_downsample(struct ctx *ctx, struct arena *a,
			   const struct block_source *in, int64_t res,
			   const struct compact_opts *o, struct compact_result *r,
			   struct err *e)
{
	return fake(ctx, a, in, 1, res, o, r, e);
}

static uint64_t fake_disk(const struct block_source *in, size_t n,
			  const struct compact_opts *o)
{
	return disk;
}

const struct compactor_work fake_work = { fake_compact, fake_downsample, fake_disk,
					  NULL };
