#include "support/tst.h"

#include <stdio.h>
#include <stdlib.h>

#include "unit/compact/world.h"
#include "wire/rd.h"

void world_begin(struct world *w)
{
	*w = (struct world){ .dir = "/tmp/compact-XXXXXX" };
	fix_begin(&w->f);
	cr_assert_not_null(mkdtemp(w->dir));
	w->o.dir = w->dir;
	ulid_new(&w->o.ulid, 1700000000000);
}

void world_end(struct world *w)
{
	for (size_t i = 0; i < w->n; i++)
		block_source_close(&w->src[i]);
	cr_assert_eq(fs_remove_all(NULL, w->dir, &w->f.e), 0);
	fix_end(&w->f);
}

void world_add(struct world *w, const char *dir)
{
	cr_assert_lt(w->n, ARRAY_LEN(w->src));
	cr_assert_eq(block_source_open_dir(&w->f.ctx, &w->f.a, dir, &w->src[w->n++],
					   &w->f.e),
		     0, "%s", err_text(&w->f.e));
}

int world_compact(struct world *w)
{
	char id[27];

	ulid_new(&w->o.ulid, 1700000000000);
	ulid_format(&w->o.ulid, id);
	snprintf(w->out, sizeof(w->out), "%s/%s", w->dir, id);
	w->f.e = ERR_INIT;
	return compact_blocks(&w->f.ctx, &w->f.a, w->src, w->n, &w->o, &w->r, &w->f.e);
}

void world_must_compact(struct world *w)
{
	cr_assert_eq(world_compact(w), 0, "%s", err_text(&w->f.e));
	cr_assert_not(w->r.empty);
}

struct str world_entry(const struct buf *index, uint32_t ref, struct index_chunk *at)
{
	size_t from = (size_t)ref * 16;
	struct rd r = rd_n(index->p + from, index->n - from);
	uint64_t len = rd_uvarint(&r);
	struct str body = rd_bytes(&r, len);
	r = rd_of(body);
	for (uint64_t n = rd_uvarint(&r) * 2; n > 0; n--)
		rd_uvarint(&r);
	size_t n = (size_t)rd_uvarint(&r);
	cr_assert_leq(n, 10);
	for (size_t i = 0; i < n; i++) {
		at[i].mint_ms =
			i ? at[i - 1].maxt_ms + (int64_t)rd_uvarint(&r) : rd_varint(&r);
		at[i].maxt_ms = at[i].mint_ms + (int64_t)rd_uvarint(&r);
		at[i].ref = i ? at[i - 1].ref + (uint64_t)rd_varint(&r) : rd_uvarint(&r);
	}
	cr_assert(!r.bad && rd_left(&r) == 0);
	return body;
}

void world_rows(struct world *w, struct rows *out)
{
	struct block *b = open_block(&w->f, w->out);
	struct block_series_req req = req_all;

	req.newer_encodings = true;
	cr_assert_eq(rows_of_block(&w->f, b, &req, out), 0, "%s", err_text(&w->f.e));
	cr_assert_eq(out->failed, 0);
	cr_assert_eq(b->meta.stats.series, out->n);
	cr_assert_eq(b->meta.stats.samples, out->samples);
	block_unref(b);
}
