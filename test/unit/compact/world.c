#include "support/tst.h"

#include <stdio.h>
#include <stdlib.h>

#include "unit/compact/world.h"

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
