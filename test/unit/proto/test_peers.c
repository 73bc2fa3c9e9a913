/*
 * What others send: Series whose labels and chunks are not in order, counts beyond the budget, oneofs whose member
 * is zero, hints of an empty grouping, recorded remote reads.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/ctx.h"
#include "base/limits.h"
#include "proto/convert.h"
#include "support/tst.h"
#include "wire/codec.h"
#include "wire/pb.h"

/* ---- Series ---- */

struct frame {
	struct arena a;
	struct buf b;
	struct proto_series_frame f;
	struct err e;
};

/* Series of the labels "name=value ..." and chunks with these bounds, as an honest or other peer may send it. */
static int decode(struct frame *x, const char *labels, const int64_t *mint, size_t n)
{
	struct label l[16];
	struct chunk_view c[16] = { 0 };
	struct str rest = str_of(labels), one;
	struct series_in s = { { l, 0, 0 }, c, n };
	bool more = rest.n > 0;
	struct buf series;
	while (more) {
		more = str_cut(&rest, ' ', &one);
		l[s.labels.n].value = one;
		str_cut(&l[s.labels.n].value, '=', &l[s.labels.n].name);
		s.labels.n++;
	}
	for (size_t i = 0; i < n; i++)
		c[i] = (struct chunk_view){ .mint_ms = mint[i],
					    .maxt_ms = mint[i] + 5,
					    .hash = i + 1,
					    .part = { { (const uint8_t *)"x", 1,
							CHUNK_XOR } } };
	arena_init(&x->a, NULL);
	buf_init(&x->b, 1 << 16);
	buf_init(&series, 1 << 16);
	x->e = ERR_INIT;
	proto_series_encode(&s, false, &series);
	proto_series_frame_encode(buf_view(&series), &x->b);
	buf_deinit(&series);
	return proto_series_frame_decode(NULL, &x->a, buf_view(&x->b), &x->f, &x->e);
}

static void end(struct frame *x)
{
	buf_deinit(&x->b);
	arena_deinit(&x->a);
}

/* Series of a batch have more labels and chunks than the one before or fewer, none or many. */
Test(series, a_batch_holds_series_of_any_size)
{
	static struct chunk_view c[70];
	static struct label l[40];
	static char names[40][16];
	uint32_t seed = 1;
	for (int64_t i = 0; i < 70; i++)
		c[i] = (struct chunk_view){
			.mint_ms = 1700000000000 + i,
			.maxt_ms = 1700000000000 + i,
			.hash = (uint64_t)i * 0x9e3779b97f4a7c15,
			.part = { { (const uint8_t *)"data of a chunk", 15, CHUNK_XOR } }
		};
	for (int i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "l%02d", i);
		l[i] = (struct label){ str_of(names[i]), STR("v") };
	}
	for (int round = 0; round < 300; round++) {
		struct frame x = { 0 };
		struct buf batch, one;
		struct series_in s[12];
		buf_init(&batch, 1 << 20);
		buf_init(&one, 1 << 20);
		buf_init(&x.b, 1 << 20);
		arena_init(&x.a, NULL);
		for (int i = 0; i < 12; i++) {
			seed = seed * 1664525 + 1013904223;
			s[i] = (struct series_in){ { l, seed >> 24 & 1 ? 3 : seed % 41,
						     0 },
						   c,
						   seed >> 25 & 1 ? 8 : seed / 41 % 71 };
			buf_reset(&one);
			proto_series_encode(&s[i], false, &one);
			pb_put_bytes(&batch, 1, buf_view(&one));
		}
		pb_put_bytes(&x.b, 4, buf_view(&batch));
		cr_assert_eq(proto_series_frame_decode(NULL, &x.a, buf_view(&x.b), &x.f,
						       &x.e),
			     0, "%s", err_text(&x.e));
		cr_assert_eq(x.f.n, 12);
		for (int i = 0; i < 12; i++) {
			const struct series_in *got = &x.f.series[i];
			cr_assert(labels_eq(got->labels, s[i].labels));
			cr_assert_eq(got->n, s[i].n);
			for (size_t k = 0; k < got->n; k++)
				cr_assert(chunk_view_eq(&got->chunks[k], &c[k]) &&
					  got->chunks[k].hash == c[k].hash);
		}
		/* cut short anywhere, it is an error */
		struct str whole = buf_view(&x.b);
		cr_assert_eq(proto_series_frame_decode(NULL, &x.a,
						       str_n(whole.p,
							     whole.n - 1 - seed % 99),
						       &x.f, &x.e),
			     -1);
		end(&x);
		buf_deinit(&batch);
		buf_deinit(&one);
	}
}

/* Hashes of each length as a varint, at the ends of what has it; nothing is written behind the message. */
Test(series, hashes_of_any_size_come_back)
{
	for (unsigned bits = 0; bits <= 64; bits++)
		for (int64_t d = -1; d <= 1; d++) {
			uint64_t h = (bits < 64 ? (uint64_t)1 << bits : 0) + (uint64_t)d;
			struct chunk_view c = { .mint_ms = 1,
						.maxt_ms = 2,
						.hash = h,
						.part = { { (const uint8_t *)"x", 1,
							    CHUNK_XOR } } };
			struct series_in s = { { 0 }, &c, 1 };
			struct frame x = { 0 };
			size_t n = proto_series_size(&s, false);
			uint8_t *exact = xmalloc(n);
			proto_series_put(&s, false, exact, n);
			arena_init(&x.a, NULL);
			buf_init(&x.b, 1 << 16);
			proto_series_frame_encode(str_n(exact, n), &x.b);
			cr_assert_eq(proto_series_frame_decode(NULL, &x.a, buf_view(&x.b),
							       &x.f, &x.e),
				     0);
			cr_assert_eq(x.f.series[0].chunks[0].hash, h, "%llx",
				     (unsigned long long)h);
			end(&x);
			free(exact);
		}
}

/* Times and lengths at the ends of what takes so many bytes, with and without what makes a chunk unusual. */
Test(series, chunks_of_any_times_and_sizes_come_back)
{
	static uint8_t data[20000];
	static const size_t sizes[] = {
		0, 1, 15, 16, 127, 128, 300, 16383, 16384, 20000
	};
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + 3);
	for (int round = 0; round < 64 * 10 * 6; round++) {
		int64_t mint = (int64_t)(((uint64_t)1 << round % 64) - (round / 640 % 2));
		size_t n = sizes[round / 64 % 10];
		struct chunk_view c = {
			.mint_ms = mint,
			.maxt_ms = mint < INT64_MAX - 200 ? mint + round % 200 : mint,
			.lane = round % 7 ? 0 : (uint64_t)round,
			.part = { { data, (uint32_t)n, (uint8_t)(1 + round % 3) } }
		};
		if (round % 5 == 4)
			c.part[AGGR_MAX] = (struct chunk_part){ data, 3, CHUNK_XOR };
		struct series_in s = { { 0 }, &c, 1 };
		struct frame x = { 0 };
		size_t size = proto_series_size(&s, true);
		uint8_t *exact = xmalloc(size);
		proto_series_put(&s, true, exact, size);
		arena_init(&x.a, NULL);
		buf_init(&x.b, 1 << 16);
		proto_series_frame_encode(str_n(exact, size), &x.b);
		cr_assert_eq(proto_series_frame_decode(NULL, &x.a, buf_view(&x.b), &x.f,
						       &x.e),
			     0, "%s", err_text(&x.e));
		const struct chunk_view *v = &x.f.series[0].chunks[0];
		cr_assert(chunk_view_eq(v, &c), "%lld, %zu bytes", (long long)mint, n);
		cr_assert_eq(v->lane, c.lane);
		cr_assert_eq(v->hash, 0);
		end(&x);
		free(exact);
	}
}

static const struct {
	const char *sent, *want; /* want NULL: E_CORRUPT that shows `text` */
	const char *text;
} label_rows[] = {
	{ "", "{}", NULL },
	{ "a=1", "{a=\"1\"}", NULL },
	{ "a=1 b=2 c=3", "{a=\"1\", b=\"2\", c=\"3\"}", NULL },
	{ "c=3 a=1 b=2", "{a=\"1\", b=\"2\", c=\"3\"}", NULL },
	{ "a=1 b= c=3", "{a=\"1\", c=\"3\"}", NULL },
	{ "b= a=1 b=2", "{a=\"1\", b=\"2\"}", NULL },
	{ "a=", "{}", NULL },
	{ "a=1 a=1", NULL, "label name twice in {a=\"1\", a=\"1\"}" },
	{ "a=1 b=2 a=3", NULL, "label name twice in {a=\"1\", a=\"3\", b=\"2\"}" },
	{ "=1 b=2", NULL, "empty label name in {" },
	{ "b=2 =1", NULL, "empty label name in {" },
};

Test(proto_peers, labels_of_a_series_are_brought_into_order_or_refused)
{
	for (size_t i = 0; i < ARRAY_LEN(label_rows); i++) {
		struct frame x;
		int rc = decode(&x, label_rows[i].sent, NULL, 0);
		if (label_rows[i].want) {
			cr_assert_eq(rc, 0, "%s: %s", label_rows[i].sent, err_text(&x.e));
			struct str got = labels_str(&x.a, x.f.series[0].labels);
			cr_assert(str_eqz(got, label_rows[i].want), "%s: %.*s",
				  label_rows[i].sent, STR_FMT(got));
		} else {
			cr_assert_eq(rc, -1, "%s", label_rows[i].sent);
			cr_assert_eq(x.e.code, E_CORRUPT);
			cr_assert(strstr(err_text(&x.e), label_rows[i].text) != NULL,
				  "%s: %s", label_rows[i].sent, err_text(&x.e));
		}
		end(&x);
	}
}

Test(proto_peers, chunks_of_a_series_ascend)
{
	static const int64_t mint[] = { 30, -10, 20, 20, 0 };
	static const int64_t want[] = { -10, 0, 20, 20, 30 };
	static const uint64_t hash[] = { 2, 5, 3, 4,
					 1 }; /* equal ones keep their order */
	struct frame x;
	cr_assert_eq(decode(&x, "a=1", mint, 5), 0);
	cr_assert_eq(x.f.series[0].n, 5);
	for (size_t i = 0; i < 5; i++) {
		cr_assert_eq(x.f.series[0].chunks[i].mint_ms, want[i]);
		cr_assert_eq(x.f.series[0].chunks[i].hash, hash[i]);
	}
	end(&x);
}

/* ---- counts that others choose ---- */

/* n times the field `num` holding `msg`. */
static void put_many(struct buf *b, uint32_t num, struct str msg, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pb_put_bytes(b, num, msg);
}

enum kind { SERIES, NAMES, INFO };

static int decode_within(enum kind kind, struct str in, size_t limit, size_t *used)
{
	struct budget budget;
	struct arena a;
	struct ctx ctx;
	struct err e = ERR_INIT;
	struct store_series_req sr;
	struct store_labels_req lr;
	struct store_info info;
	bool has_store;
	int rc;
	budget_init(&budget, NULL, "call", NULL, limit);
	ctx_init(&ctx, &budget, 0);
	arena_init(&a, &budget);
	if (kind == SERIES)
		rc = proto_series_req_decode(&ctx, &a, in, &sr, &e);
	else if (kind == NAMES)
		rc = proto_labels_req_decode(&ctx, &a, false, in, &lr, &e);
	else
		rc = proto_info_decode(&ctx, &a, in, &info, &has_store, &e);
	if (rc < 0)
		cr_assert_eq(e.code, E_LIMIT, "%s", err_text(&e));
	*used = budget_used(&budget);
	arena_deinit(&a);
	ctx_deinit(&ctx);
	budget_deinit(&budget);
	return rc;
}

/* Whatever the budget: what others count never goes beyond it (small fixed things may, by a chunk of an arena). */
Test(proto_peers, counts_of_matchers_labels_and_hints_stay_within_the_budget)
{
	struct {
		enum kind kind;
		uint32_t num;
		struct str msg;
		size_t n;
	} row[] = {
		{ SERIES, 3, STR_NULL, LIMIT_MATCHERS },
		{ NAMES, 6, STR_NULL, LIMIT_MATCHERS },
		{ SERIES, 9, STR_NULL, 1 },
		{ NAMES, 5, STR_NULL, 1 },
		{ INFO, 1, STR(""), 100000 },
		{ INFO, 1, STR_NULL, 1 },
		{ INFO, 3, STR_NULL, 1 },
	};
	struct buf b, any, many;
	buf_init(&any, 1 << 24);
	buf_init(&many, 1 << 24);
	char *big = xcalloc(1, 4u << 20);
	pb_put_bytes(&any, 2, str_n(big, 4u << 20)); /* hints */
	row[2].msg = row[3].msg = buf_view(&any);
	struct buf matcher;
	buf_init(&matcher, 1 << 16);
	pb_put_bytes(&matcher, 2, str_n(big, 5000));
	row[0].msg = row[1].msg = buf_view(&matcher);
	put_many(&many, 1, STR(""), 100000); /* one label set of many labels */
	row[5].msg = buf_view(&many);
	struct buf tsdbs;
	buf_init(&tsdbs, 1 << 24);
	put_many(&tsdbs, 6, STR(""), 100000);
	row[6].msg = buf_view(&tsdbs);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		size_t used, all;
		int refused = 0;
		buf_init(&b, 1 << 25);
		put_many(&b, row[i].num, row[i].msg, row[i].n);
		cr_assert_eq(decode_within(row[i].kind, buf_view(&b), SIZE_MAX / 4, &all),
			     0);
		for (size_t part = 1; part < 16; part++) {
			size_t limit = all / 16 * part;
			int rc = decode_within(row[i].kind, buf_view(&b), limit, &used);
			refused += rc < 0;
			cr_assert_leq(used, limit + (128u << 10),
				      "row %zu, part %zu: %zu", i, part, used);
		}
		cr_assert_gt(refused, 7, "row %zu: %d", i, refused);
		buf_deinit(&b);
	}
	buf_deinit(&tsdbs);
	buf_deinit(&many);
	buf_deinit(&matcher);
	buf_deinit(&any);
	free(big);
}

/* However small they are: each may hold a regular expression's program and cache. */
Test(proto_peers, the_number_of_matchers_is_limited)
{
	for (size_t more = 0; more < 2; more++) {
		struct buf b;
		size_t used;
		buf_init(&b, 1 << 20);
		put_many(&b, 3, STR("\x12\1a"), LIMIT_MATCHERS + more);
		cr_assert_eq(decode_within(SERIES, buf_view(&b), SIZE_MAX / 4, &used),
			     more ? -1 : 0);
		buf_reset(&b);
		put_many(&b, 6, STR("\x12\1a"), LIMIT_MATCHERS + more);
		cr_assert_eq(decode_within(NAMES, buf_view(&b), SIZE_MAX / 4, &used),
			     more ? -1 : 0);
		buf_deinit(&b);
	}
}

/* ---- hints ---- */

static const struct query_hints hint_rows[] = {
	{ .func = { "sum", 3 }, .grouped = true, .by = true }, /* sum by () */
	{ .func = { "sum", 3 }, .grouped = true },	       /* sum without () */
	{ .func = { "rate", 4 }, .range_ms = 5 },	       /* no grouping */
	{ .grouped = true, .by = true, .n_grouping = 1 },      /* set below */
};

Test(proto_peers, an_empty_grouping_is_told_from_none)
{
	static const struct str names[] = { STR("job") };
	for (size_t i = 0; i < ARRAY_LEN(hint_rows); i++) {
		struct arena a;
		struct ctx ctx;
		struct buf b;
		struct err e = ERR_INIT;
		struct store_series_req in = { .query_hints = hint_rows[i] }, out;
		if (in.query_hints.n_grouping)
			in.query_hints.grouping = names;
		ctx_init(&ctx, NULL, 0);
		arena_init(&a, NULL);
		buf_init(&b, 1 << 16);
		proto_series_req_encode(&a, &in, &b);
		cr_assert_eq(proto_series_req_decode(&ctx, &a, buf_view(&b), &out, &e),
			     0);
		const struct query_hints *h = &out.query_hints;
		cr_assert_eq(h->grouped, in.query_hints.grouped, "row %zu", i);
		cr_assert_eq(h->by, in.query_hints.by, "row %zu", i);
		cr_assert_eq(h->n_grouping, in.query_hints.n_grouping, "row %zu", i);
		cr_assert(str_eq(h->func, in.query_hints.func));
		buf_deinit(&b);
		arena_deinit(&a);
		ctx_deinit(&ctx);
	}
}

/* ---- remote read ---- */

static void read_file(const char *path, struct buf *b)
{
	FILE *f = fopen(path, "rb");
	uint8_t piece[65536];
	size_t n;
	cr_assert(f != NULL, "%s", path);
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(b, piece, n);
	fclose(f);
}

/* Decoded and encoded again: the same bytes. The message lies in the arena, as long as b. */
static void *same_bytes(struct arena *a, const struct pf_msg *m, struct str in,
			const char *what)
{
	struct err e = ERR_INIT;
	struct buf out;
	void *msg = arena_zalloc(a, m->size);
	buf_init(&out, 1 << 26);
	cr_assert_eq(pf_decode(NULL, a, m, in, msg, &e), 0, "%s: %s", what, err_text(&e));
	pf_encode(m, msg, &out);
	cr_assert_eq(pf_size(m, msg), out.n, "%s", what);
	cr_assert(str_eq(buf_view(&out), in), "%s: other bytes", what);
	buf_deinit(&out);
	return msg;
}

static unsigned count_integer_histograms(const struct pb_read_response *r)
{
	unsigned n = 0;
	const struct pb_query_result *q = r->results.v;
	for (size_t i = 0; i < r->results.n; i++) {
		const struct pb_time_series *t = q[i].timeseries.v;
		for (size_t k = 0; k < q[i].timeseries.n; k++) {
			const struct pb_histogram *h = t[k].histograms.v;
			for (size_t j = 0; j < t[k].histograms.n; j++) {
				cr_assert_eq(h[j].count_case, 1);
				cr_assert_eq(h[j].zero_count_case, 6);
				n++;
			}
		}
	}
	return n;
}

Test(proto_peers, recorded_remote_reads_decode_and_encode_to_the_same_bytes)
{
	unsigned histograms = 0, responses = 0;
	for (int i = 1; i <= 26; i++) {
		static const char *const kinds[] = { "request", "response" };
		for (int k = 0; k < 2; k++) {
			char path[128];
			struct arena a;
			struct buf b, raw;
			struct err e = ERR_INIT;
			/* 25, 26: answers of an error; even: streamed chunks */
			if (k == 1 && (i % 2 == 0 || i > 24))
				continue;
			snprintf(path, sizeof(path),
				 "test/golden/remote/read/%02d.%s.bin", i, kinds[k]);
			arena_init(&a, NULL);
			buf_init(&b, 1 << 26);
			buf_init(&raw, 1 << 26);
			read_file(path, &b);
			cr_assert_eq(snappy_block_decode(buf_view(&b), 1 << 26, &raw, &e),
				     0);
			void *msg =
				same_bytes(&a, k ? &msg_read_response : &msg_read_request,
					   buf_view(&raw), path);
			histograms += k ? count_integer_histograms(msg) : 0;
			responses += (unsigned)k;
			buf_deinit(&raw);
			buf_deinit(&b);
			arena_deinit(&a);
		}
	}
	cr_assert_eq(responses, 12);
	cr_assert_eq(histograms, 28);
}

Test(proto_peers, the_last_member_of_a_oneof_wins_and_zero_is_a_value)
{
	struct arena a;
	struct buf b;
	struct err e = ERR_INIT;
	arena_init(&a, NULL);
	buf_init(&b, 1 << 10);
	pb_put_varint(&b, 1, 7); /* count_int, then */
	pb_put_double(&b, 2, 0); /* count_float 0: a histogram of floats */
	pb_put_varint(&b, 6, 0); /* zero_count_int 0 */
	struct pb_histogram h;
	cr_assert_eq(pf_decode(NULL, &a, &msg_histogram, buf_view(&b), &h, &e), 0);
	cr_assert_eq(h.count_case, 2);
	cr_assert_eq(h.zero_count_case, 6);
	buf_reset(&b);
	pf_encode(&msg_histogram, &h, &b);
	static const char want[] = "\x11\0\0\0\0\0\0\0\0\x30\0";
	cr_assert(str_eq(buf_view(&b), str_n(want, sizeof(want) - 1)));
	cr_assert_eq(pf_size(&msg_histogram, &h), sizeof(want) - 1);
	struct pb_histogram none = { 0 };
	cr_assert_eq(pf_size(&msg_histogram, &none), 0);
	buf_deinit(&b);
	arena_deinit(&a);
}
