/*
 * Frames of remote read as they are taken apart by hand, beside the tables' reading of the same bytes: whole, with fields
 * that nobody knows, and damaged at random.
 */
#include <stdlib.h>

#include "base/ctx.h"
#include "proto/store.h"
#include "store/prom_read_int.h"
#include "support/tst.h"
#include "wire/pb.h"

#define FRAMES	 3000
#define DAMAGES	 20
#define MOST	 6
#define DATA_MAX 300

static unsigned seed = 1;

static unsigned rnd(unsigned below)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 8) % below;
}

static void unknown(struct buf *b)
{
	switch (rnd(8)) {
	case 0: pb_put_varint(b, 9 + rnd(3000), rnd(1u << 20)); break;
	case 1: pb_put_bytes(b, 9 + rnd(20), STR("of a later version")); break;
	case 2: pb_put_double(b, 9 + rnd(20), 1.5); break;
	default: break;
	}
}

static int64_t any_time(void)
{
	return rnd(4) ? 1767225600000 + rnd(1000000) : (int64_t)rnd(3) - 1;
}

static void put_chunk(struct buf *b)
{
	static char data[DATA_MAX];
	uint64_t n = rnd(10) ? rnd(DATA_MAX) : 0;
	for (size_t i = 0; i < n; i++)
		data[i] = (char)rnd(256);
	if (rnd(10))
		pb_put_varint(b, 1, (uint64_t)any_time());
	if (rnd(10))
		pb_put_varint(b, 2, (uint64_t)any_time());
	unknown(b);
	pb_put_varint(b, 3, 1 + rnd(3));
	pb_put_bytes(b, 4, str_n(data, n));
	unknown(b);
}

static void put_label(struct buf *b, unsigned i)
{
	static const struct str names[MOST] = { STR("__name__"), STR("a"),   STR("ab"),
						STR("cluster"),	 STR("job"), STR("z") };
	static const struct str values[] = { STR(""), STR("eu"), STR("x"),
					     STR("a longer one") };
	pb_put_bytes(b, 1, names[rnd(8) ? i : rnd(MOST)]);
	unknown(b);
	if (rnd(10))
		pb_put_bytes(b, 2, values[rnd(4)]);
}

static void part(struct buf *to, uint32_t num, struct buf *b)
{
	pb_put_bytes(to, num, buf_view(b));
	buf_reset(b);
}

static void put_frame(struct buf *out)
{
	struct buf series, b;
	buf_init(&series, 1 << 20);
	buf_init(&b, 1 << 20);
	for (unsigned k = rnd(4); k > 0; k--) {
		for (unsigned i = 0; i < MOST; i++) {
			if (rnd(2))
				continue;
			put_label(&b, i);
			part(&series, 1, &b);
		}
		for (unsigned i = rnd(MOST); i > 0; i--) {
			put_chunk(&b);
			part(&series, 2, &b);
			unknown(&series);
		}
		part(out, 1, &series);
	}
	unknown(out);
	if (rnd(2))
		pb_put_varint(out, 2, rnd(3));
	buf_deinit(&series);
	buf_deinit(&b);
}

static const struct label eu = { STR("cluster"), STR("eu") };
static const struct prom_read_req req = { .external = { &eu, 1, 0 } };

static void same_series(struct pb_chunked_series *want, const struct series_in *got)
{
	struct labels ls;
	struct err e = ERR_INIT;
	cr_assert_eq(prom_read_labels(NULL, &req, want->labels.v, want->labels.n, &ls,
				      &e),
		     0, "%s", err_text(&e));
	cr_assert_eq(labels_cmp(ls, got->labels), 0);
	cr_assert_eq(got->n, want->chunks.n);
	const struct pb_prom_chunk *c = want->chunks.v;
	for (size_t i = 0; i < got->n; i++) {
		const struct chunk_view *v = &got->chunks[i];
		const struct chunk_part *p = &v->part[AGGR_RAW];
		cr_assert_eq(v->mint_ms, c[i].min_time_ms);
		cr_assert_eq(v->maxt_ms, c[i].max_time_ms);
		cr_assert_eq(p->enc, c[i].type);
		cr_assert_not_null(p->p);
		cr_assert(str_eq(str_n(p->p, p->n), c[i].data));
	}
}

/* Encodings that are written anew fail for the random data, or make other chunks. */
static bool is_plain(const struct pb_chunked_read_response *r)
{
	const struct pb_chunked_series *s = r->chunked_series.v;
	for (size_t i = 0; i < r->chunked_series.n; i++) {
		const struct pb_prom_chunk *c = s[i].chunks.v;
		for (size_t k = 0; k < s[i].chunks.n; k++)
			if (c[k].type < CHUNK_XOR || c[k].type > CHUNK_FLOATHIST)
				return false;
	}
	return true;
}

/* 1: read alike; 0: refused by both; -1: read by the tables, refused for what a label or chunk says. */
static int both(struct str bytes)
{
	struct frame f = { 0 };
	struct arena a;
	struct err e = ERR_INIT, e_tables = ERR_INIT;
	struct pb_chunked_read_response want;
	arena_init(&a, NULL);
	arena_init(&f.arena, NULL);
	int rc_tables =
		pf_decode(NULL, &a, &msg_chunked_read_response, bytes, &want, &e_tables);
	int rc = prom_read_frame(NULL, &req, &f, bytes, &e), out = -1;
	if (rc_tables < 0) {
		cr_assert_eq(rc, -1);
		out = 0;
	} else if (rc == 0 && is_plain(&want)) {
		struct pb_chunked_series *s = want.chunked_series.v;
		cr_assert_eq(f.n, want.chunked_series.n);
		for (size_t i = 0; i < f.n; i++)
			same_series(&s[i], &f.series[i]);
		out = 1;
	} else if (rc < 0) {
		cr_assert_eq(strstr(err_text(&e), "malformed"), NULL, "%s", err_text(&e));
	}
	arena_deinit(&f.arena);
	arena_deinit(&a);
	return out;
}

Test(prom_frame, is_read_as_the_tables_read_it)
{
	size_t alike = 0, refused = 0;
	for (int i = 0; i < FRAMES; i++) {
		struct buf b;
		buf_init(&b, 1 << 20);
		put_frame(&b);
		alike += both(buf_view(&b)) > 0;
		for (int k = 0; k < DAMAGES && b.n; k++) {
			/* cut, so that a read beyond the end is found out, and one byte changed */
			size_t n = rnd(3) ? b.n : rnd((unsigned)b.n) + 1;
			uint8_t *copy = xmalloc(n);
			memcpy(copy, b.p, n);
			copy[rnd((unsigned)n)] ^= (uint8_t)(1u << rnd(8));
			refused += both(str_n(copy, n)) == 0;
			free(copy);
		}
		buf_deinit(&b);
	}
	cr_assert_gt(alike, FRAMES / 4);
	cr_assert_gt(refused, FRAMES);
}
