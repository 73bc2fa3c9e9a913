/* Chunk encodings 4 to 6: a bucket's and a Prometheus' answers show them as 1 to 3, with the same samples. */
#include <stdlib.h>

#include "base/hash.h"
#include "bucket_world.h"
#include "prom_world.h"
#include "proto/store.h"
#include "support/tst.h"
#include "tsdb/chunk/recode.h"
#include "wire/wr.h"

#define NEWER "test/golden/blocks/newer/"

static const char *const ids[] = { "01M81YVCPRJ7E8180809G85TB9",
				   "01M81YVCQVK25VMXY127QDKHFZ",
				   "01M81YVCS17G3R1H0SAW7AK37A", NULL };

static struct err e;

/* The block as a sidecar would have shipped it. */
static void ship(struct world *w, const char *id)
{
	static const struct label newer = { { "cluster", 7 }, { "newer", 5 } };
	struct block *b;
	struct buf text;
	const char *dir = str_fmt(&w->arena, NEWER "%s", id).p;
	world_copy(w, dir);
	cr_assert_eq(block_open_dir(&w->ctx, dir, &b, &e), 0, "%s", err_text(&e));
	struct block_meta m = b->meta;
	m.has_thanos = true;
	m.thanos.version = 1;
	m.thanos.labels = (struct labels){ &newer, 1, 0 };
	m.thanos.source = STR("sidecar");
	buf_init(&text, 1 << 20);
	block_meta_write(&m, &text);
	cr_assert_eq(bucket_put_bytes(w->bucket, &w->ctx,
				      str_fmt(&w->arena, "%s/meta.json", id),
				      buf_view(&text), &e),
		     0);
	buf_deinit(&text);
	block_unref(b);
}

Test(newer, a_bucket_shows_encodings_that_every_client_knows)
{
	struct world w;
	struct lines got = { 0 }, want = { 0 };
	struct notes_view notes;
	world_open(&w, NULL);
	for (size_t i = 0; ids[i]; i++)
		ship(&w, ids[i]);
	world_sync(&w);
	struct store_series_req r = { .mint_ms = INT64_MIN, .maxt_ms = INT64_MAX };
	r.matchers = world_matchers(&w, "cluster=newer;zzz=", &r.n_matchers);
	cr_assert_eq(world_answer(&w, &r, &got, &e), 0, "%s", err_text(&e));
	for (size_t i = 0; i < got.n; i++) {
		struct str line = str_of(got.v[i]), part;
		for (int field = 0; field < 4; field++)
			cr_assert(str_cut(&line, '|', &part));
		cr_assert(part.n == 1 && part.p[0] >= '1' && part.p[0] <= '3', "%s",
			  got.v[i]);
	}
	/* Their samples are compared with the dumps in tsdb_block; nothing may be lost on the way from there. */
	world_expect(&w, &r, ids, &want);
	cr_assert_gt(want.n, 200);
	lines_equal(&got, &want, "newer");
	notes_view(w.ctx.notes, &w.arena, &notes);
	cr_assert_eq(notes.n_warnings, 0);
	lines_free(&got);
	lines_free(&want);
	world_close(&w);
}

/* ---- remote read ---- */

static void put_frame(struct buf *out, const struct series_in *s)
{
	struct pb_label l[16];
	struct pb_prom_chunk *c = xcalloc(s->n, sizeof(*c));
	for (uint32_t i = 0; i < s->labels.n; i++)
		l[i] = (struct pb_label){ s->labels.l[i].name, s->labels.l[i].value };
	for (size_t i = 0; i < s->n; i++) {
		const struct chunk_view *v = &s->chunks[i];
		const struct chunk_part *p = &v->part[AGGR_RAW];
		c[i] = (struct pb_prom_chunk){ v->mint_ms, v->maxt_ms, p->enc,
					       str_n(p->p, p->n) };
	}
	struct pb_chunked_series cs = { { l, s->labels.n }, { c, s->n } };
	struct pb_chunked_read_response r = { { &cs, 1 }, 0 };
	struct buf b;
	buf_init(&b, 1 << 20);
	pf_encode(&msg_chunked_read_response, &r, &b);
	wr_uvarint(out, b.n);
	wr_be32(out, crc32c(0, b.p, b.n));
	buf_add(out, b.p, b.n);
	buf_deinit(&b);
	free(c);
}

static void put_block(struct prom_world *w, const char *id, bool newer, struct buf *out)
{
	struct block_series_req req = { .mint_ms = INT64_MIN,
					.maxt_ms = INT64_MAX,
					.newer_encodings = newer };
	const struct series_in *in;
	struct series_set *set;
	struct block *b;
	const char *dir = str_fmt(&w->arena, NEWER "%s", id).p;
	cr_assert_eq(block_open_dir(&w->ctx, dir, &b, &w->e), 0);
	cr_assert_eq(block_series(b, &w->ctx, &req, &set, &w->e), 0);
	while (series_set_next(set, &w->ctx, &in, &w->e) > 0)
		put_frame(out, in);
	series_set_close(set);
	block_unref(b);
}

static void same_series(const struct series_in *x, const struct series_in *y)
{
	cr_assert(labels_eq(x->labels, y->labels));
	cr_assert_eq(x->n, y->n);
	for (size_t i = 0; i < x->n; i++) {
		const struct chunk_part *p = &x->chunks[i].part[AGGR_RAW];
		cr_assert(chunk_view_eq(&x->chunks[i], &y->chunks[i]));
		cr_assert(p->enc >= CHUNK_XOR && p->enc <= CHUNK_FLOATHIST);
		cr_assert_eq(x->chunks[i].hash, hash_xx64(p->p, p->n, 0));
	}
}

static struct series_set *ask(struct prom_world *w, struct str body)
{
	static struct matcher m; /* the set reads both until it is closed */
	static struct store_series_req req = { .mint_ms = INT64_MIN,
					       .maxt_ms = INT64_MAX,
					       .matchers = &m,
					       .n_matchers = 1 };
	struct series_set *set;
	m = *prom_matchers(w, "job", "x");
	w->body = body;
	struct store *s = prom_store_store(w->prom);
	cr_assert_eq(store_series(s, &w->ctx, &req, &set, &w->e), 0, "%s",
		     err_text(&w->e));
	return set;
}

Test(newer, remote_read_shows_encodings_that_every_client_knows)
{
	struct prom_world w = { 0 };
	prom_world_open(&w, 0);
	for (size_t i = 0; ids[i]; i++) {
		struct buf newer, plain;
		const struct series_in *x = NULL, *y = NULL;
		size_t n = 0;
		buf_init(&newer, 4 << 20);
		buf_init(&plain, 4 << 20);
		put_block(&w, ids[i], true, &newer);
		put_block(&w, ids[i], false, &plain);
		struct series_set *a = ask(&w, buf_view(&newer));
		struct series_set *b = ask(&w, buf_view(&plain));
		for (;; n++) {
			int rc = series_set_next(a, &w.ctx, &x, &w.e);
			cr_assert_geq(rc, 0, "%s", err_text(&w.e));
			cr_assert_eq(rc, series_set_next(b, &w.ctx, &y, &w.e));
			if (rc == 0)
				break;
			same_series(x, y);
		}
		cr_assert_gt(n, 20);
		series_set_close(a);
		series_set_close(b);
		buf_deinit(&newer);
		buf_deinit(&plain);
	}
	prom_world_close(&w);
}

Test(newer, a_damaged_chunk_ends_a_remote_read_and_names_the_series)
{
	struct prom_world w = { 0 };
	struct buf body;
	const struct series_in *in;
	static const struct label l = { { "a", 1 }, { "b", 1 } };
	struct chunk_view v = { .part[AGGR_RAW] = { (const uint8_t *)"\0\1", 2, 4 } };
	struct series_in s = { { &l, 1, 0 }, &v, 1 };
	prom_world_open(&w, 0);
	buf_init(&body, 1 << 20);
	for (int i = 0; i < 2; i++) {
		put_frame(&body, &s);
		struct series_set *set = ask(&w, buf_view(&body));
		cr_assert_eq(series_set_next(set, &w.ctx, &in, &w.e), -1);
		cr_expect(strstr(err_text(&w.e), "series {a=\"b\"}"), "%s",
			  err_text(&w.e));
		cr_expect(strstr(err_text(&w.e),
				 i ? "encoding 7 is unknown" : "XOR2 chunk: 2 bytes"),
			  "%s", err_text(&w.e));
		series_set_close(set);
		buf_reset(&body);
		v.part[AGGR_RAW].enc = 7;
	}
	buf_deinit(&body);
	prom_world_close(&w);
}
