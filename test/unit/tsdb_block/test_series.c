#include "support/tst.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/vec.h"
#include "fs/fs.h"
#include "unit/tsdb_block/golden.h"
#include "unit/tsdb_block/make_index.h"

#define EU_A   GOLDEN "/bucket/01M81YVBWEZNH3H08SPVGX7K64"
#define VALUES GOLDEN "/bucket/01M81YVCFSCF0E425839T44G73"

/* All shown label sets as text, chunk counts and samples: what two ways of reading must agree on. */
struct shown_chunk {
	int64_t mint_ms, maxt_ms;
	uint64_t hash, samples;
};
struct shown {
	struct labels labels;
	size_t chunks;
	uint64_t samples;
	struct shown_chunk *chunk;
};
struct shown_all {
	struct shown v[512];
	size_t n;
};

static int read_shown(struct fix *f, struct block *b, const struct block_series_req *req,
		      struct shown_all *out)
{
	struct series_set *set = NULL;
	const struct series_in *s;
	int rc;

	out->n = 0;
	if (block_series(b, &f->ctx, req, &set, &f->e) < 0)
		return -1;
	while ((rc = series_set_next(set, &f->ctx, &s, &f->e)) > 0) {
		struct shown *w = &out->v[out->n++];
		cr_assert(out->n < ARRAY_LEN(out->v));
		*w = (struct shown){ .labels = labels_dup(&f->a, s->labels),
				     .chunks = s->n,
				     .chunk = ARENA_ARRAY(&f->a, struct shown_chunk,
							  s->n + 1) };
		for (size_t i = 0; i < s->n; i++) {
			const struct chunk_view *c = &s->chunks[i];
			struct chunk_part raw = c->part[AGGR_RAW];
			w->samples += chunk_count(raw);
			w->chunk[i] = (struct shown_chunk){ c->mint_ms, c->maxt_ms,
							    hash_xx64(raw.p, raw.n, 0),
							    chunk_count(raw) };
			cr_assert(i == 0 ||
				  s->chunks[i - 1].mint_ms <= s->chunks[i].mint_ms);
		}
		if (out->n > 1)
			cr_assert(labels_cmp(w[-1].labels, w->labels) < 0,
				  "series %zu is out of order", out->n);
	}
	series_set_close(set);
	return rc;
}

static int cmp_shown(const void *a, const void *b, void *arg)
{
	(void)arg;
	return labels_cmp(((const struct shown *)a)->labels,
			  ((const struct shown *)b)->labels);
}

static int cmp_chunk(const void *a, const void *b, void *arg)
{
	(void)arg;
	return memcmp(a, b, sizeof(struct shown_chunk));
}

/* Series that are shown as one: chunks that are equal are shown once. */
static void join(struct fix *f, struct shown *to, const struct shown *more)
{
	size_t n = to->chunks + more->chunks, k = 0;
	struct shown_chunk *v = ARENA_ARRAY(&f->a, struct shown_chunk, n + 1);
	memcpy(v, to->chunk, to->chunks * sizeof(*v));
	memcpy(v + to->chunks, more->chunk, more->chunks * sizeof(*v));
	vec_sort(v, n, sizeof(*v), cmp_chunk, NULL);
	to->samples = 0;
	for (size_t i = 0; i < n; i++)
		if (i == 0 || cmp_chunk(&v[i], &v[k - 1], NULL) != 0) {
			to->samples += v[i].samples;
			v[k++] = v[i];
		}
	to->chunk = v;
	to->chunks = k;
}

/* What must be shown: labels changed one by one, sorted, equal ones joined. */
static void transform(struct fix *f, const struct shown_all *in,
		      const struct block_series_req *req, struct shown_all *out)
{
	size_t n = 0;

	*out = *in;
	for (size_t i = 0; i < in->n; i++) {
		struct labels ls = in->v[i].labels;
		struct label *m =
			ARENA_ARRAY(&f->a, struct label, ls.n + req->external.n + 1);
		struct label *d =
			ARENA_ARRAY(&f->a, struct label, ls.n + req->external.n + 1);
		ls = labels_merge(m, ls, req->external);
		out->v[i].labels = labels_drop(d, ls, req->without, req->n_without);
	}
	vec_sort(out->v, out->n, sizeof(out->v[0]), cmp_shown, NULL);
	for (size_t i = 0; i < out->n; i++) {
		if (n > 0 && labels_eq(out->v[n - 1].labels, out->v[i].labels)) {
			join(f, &out->v[n - 1], &out->v[i]);
		} else {
			out->v[n++] = out->v[i];
		}
	}
	out->n = n;
}

static void expect_same(const char *what, const struct shown_all *got,
			const struct shown_all *want)
{
	cr_assert(got->n == want->n, "%s: %zu series, not %zu", what, got->n, want->n);
	for (size_t i = 0; i < got->n; i++) {
		cr_assert(labels_eq(got->v[i].labels, want->v[i].labels), "%s: %zu", what,
			  i);
		cr_assert(got->v[i].chunks == want->v[i].chunks, "%s: %zu", what, i);
		cr_assert(got->v[i].samples == want->v[i].samples, "%s: %zu", what, i);
	}
}

static struct shown_all plain, got, want; /* large */

struct change {
	char ext[2][2][16];
	char without[2][16];
	uint32_t batch;
};

Test(block_series, order_holds_with_labels_added_and_left_out)
{
	static const struct change changes[] = {
		{ { { "cluster", "eu" }, { "replica", "a" } }, { "" }, 0 },
		{ { { "zz", "last" } }, { "" }, 0 },
		{ { { "zz", "last" } }, { "" }, 1 },
		{ { { "A", "first" }, { "i", "z" } }, { "" }, 3 },
		{ { { "replica", "a" } }, { "replica" }, 0 },
		{ { { "" } }, { "instance" }, 0 },
		{ { { "" } }, { "instance", "pod" }, 2 },
		{ { { "" } }, { "__name__" }, 0 },
		{ { { "job", "one" } }, { "" }, 7 },
		{ { { "job", "one" }, { "le", "0" } }, { "i", "pod" }, 1 },
		{ { { "zone", "z" } }, { "__name__", "d" }, 5 },
	};
	static const char dirs[][64] = { EU_A, VALUES };
	struct fix f;

	fix_begin(&f);
	for (size_t k = 0; k < ARRAY_LEN(dirs); k++) {
		struct block *b = open_block(&f, dirs[k]);
		cr_assert_eq(read_shown(&f, b, &req_all, &plain), 0);
		for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
			const struct change *c = &changes[i];
			struct block_series_req req = req_all;
			struct label ext[2];
			struct str without[2];
			size_t ne = 0, nw = 0;
			for (; ne < 2 && c->ext[ne][0][0]; ne++)
				ext[ne] = (struct label){ str_of(c->ext[ne][0]),
							  str_of(c->ext[ne][1]) };
			for (; nw < 2 && c->without[nw][0]; nw++)
				without[nw] = str_of(c->without[nw]);
			req.external = (struct labels){ .l = ext, .n = (uint32_t)ne };
			req.without = without;
			req.n_without = nw;
			req.batch = c->batch;
			transform(&f, &plain, &req, &want);
			cr_assert_eq(read_shown(&f, b, &req, &got), 0, "%s",
				     err_text(&f.e));
			expect_same(dirs[k], &got, &want);
		}
		block_unref(b);
	}
	fix_end(&f);
}

Test(block_series, shards_divide_all_series_among_them)
{
	static const char by_name[] = "job";
	struct fix f;
	struct str names[1] = { STR(by_name) };

	fix_begin(&f);
	struct block *b = open_block(&f, EU_A);
	cr_assert_eq(read_shown(&f, b, &req_all, &plain), 0);
	for (int by = 0; by < 2; by++) {
		size_t sum = 0, most = 0;
		for (int i = 0; i < 4; i++) {
			struct block_series_req req = req_all;
			req.shard = (struct shard_info_in){
				.index = i, .total = 4, .by = by, .labels = names, .n = 1
			};
			cr_assert_eq(read_shown(&f, b, &req, &got), 0);
			sum += got.n;
			most = MAX(most, got.n);
		}
		cr_assert_eq(sum, plain.n);
		cr_assert_lt(most, plain.n);
	}
	block_unref(b);
	fix_end(&f);
}

Test(block_series, limits_end_the_set_with_an_error)
{
	struct fix f;

	fix_begin(&f);
	struct block *b = open_block(&f, EU_A);
	struct block_series_req req = req_all;
	req.series_limit = 120;
	cr_assert_eq(read_shown(&f, b, &req, &got), 0);
	req.series_limit = 119;
	cr_assert_eq(read_shown(&f, b, &req, &got), -1);
	cr_assert_eq(f.e.code, E_LIMIT);
	req.series_limit = 0;
	req.samples_limit = 502 * 120; /* chunks of this block */
	cr_assert_eq(read_shown(&f, b, &req, &got), 0, "%s", err_text(&f.e));
	req.samples_limit = 501 * 120;
	cr_assert_eq(read_shown(&f, b, &req, &got), -1);
	cr_assert_eq(f.e.code, E_LIMIT);
	block_unref(b);
	fix_end(&f);
}

Test(block_series, a_small_budget_refuses_and_gives_everything_back)
{
	struct fix f;
	struct budget budget;

	fix_begin(&f);
	struct block *b = open_block(&f, EU_A);
	for (size_t limit = 70000; limit < 3000000; limit += 130000) {
		budget_init(&budget, NULL, "query", NULL, limit);
		f.ctx.budget = &budget;
		int rc = read_shown(&f, b, &req_all, &got);
		cr_assert(rc == 0 || f.e.code == E_LIMIT, "%s", err_text(&f.e));
		cr_assert_eq(budget_used(&budget), 0);
		budget_deinit(&budget);
	}
	f.ctx.budget = NULL;
	block_unref(b);
	fix_end(&f);
}

Test(block_series, only_what_overlaps_the_times_is_shown)
{
	struct fix f;

	fix_begin(&f);
	struct block *b = open_block(&f, EU_A);
	struct block_series_req req = { .mint_ms = 0, .maxt_ms = 1000 };
	cr_assert_eq(read_shown(&f, b, &req, &got), 0);
	cr_assert_eq(got.n, 0);
	req.skip_chunks = true;
	cr_assert_eq(read_shown(&f, b, &req, &got), 0);
	cr_assert_eq(got.n, 0);
	req.mint_ms = req.maxt_ms = 1789980000000;
	cr_assert_eq(read_shown(&f, b, &req, &got), 0);
	cr_assert(got.n > 100);
	cr_assert_eq(got.v[0].chunks, 0);
	req.skip_chunks = false;
	cr_assert_eq(read_shown(&f, b, &req, &want), 0);
	cr_assert_eq(got.n, want.n);
	cr_assert_eq(want.v[0].chunks, 1);
	block_unref(b);
	fix_end(&f);
}

static void expect_values(struct fix *f, struct block *b, const struct matcher *m,
			  size_t n, struct str name)
{
	struct str *v, *seen = ARENA_ARRAY(&f->a, struct str, plain.n + 1);
	size_t count, k = 0;

	cr_assert_eq(block_label_values(b, &f->ctx, &f->a, name, m, n, &v, &count, &f->e),
		     0);
	for (size_t i = 0; i < plain.n; i++) {
		struct str x = labels_get(plain.v[i].labels, name);
		bool known = x.n == 0 || !matcher_labels(m, n, plain.v[i].labels);
		for (size_t j = 0; j < k && !known; j++)
			known = str_eq(seen[j], x);
		if (!known)
			seen[k++] = x;
	}
	cr_assert(count == k, "%.*s: %zu values, not %zu", STR_FMT(name), count, k);
	for (size_t i = 1; i < count; i++)
		cr_assert(str_cmp(v[i - 1], v[i]) < 0);
}

Test(block_labels, names_and_values_are_those_of_the_series_that_match)
{
	struct fix f;
	struct matcher m;
	struct str *names;
	size_t n, k;

	fix_begin(&f);
	struct block *b = open_block(&f, EU_A);
	cr_assert_eq(read_shown(&f, b, &req_all, &plain), 0);
	cr_assert_eq(block_label_names(b, &f.ctx, &f.a, NULL, 0, &names, &n, &f.e), 0);
	cr_assert_eq(matcher_compile(&f.ctx, &f.a, MATCH_RE, STR("__name__"),
				     STR("up|container.*"), &m, &f.e),
		     0);
	for (size_t i = 0; i < n; i++) {
		expect_values(&f, b, NULL, 0, names[i]);
		expect_values(&f, b, &m, 1, names[i]);
	}
	expect_values(&f, b, &m, 1, STR("no_such_name"));
	struct str *some;
	cr_assert_eq(block_label_names(b, &f.ctx, &f.a, &m, 1, &some, &k, &f.e), 0);
	cr_assert(k > 1 && k < n, "%zu of %zu", k, n);
	for (size_t i = 1; i < k; i++)
		cr_assert(str_cmp(some[i - 1], some[i]) < 0);
	block_unref(b);
	fix_end(&f);
}

Test(block_series, a_block_of_parts_opened_elsewhere_reads_the_same)
{
	struct fix f;
	struct range_source *index = NULL, *seg = NULL;
	struct idx_reader *r = NULL;
	struct segments *segs = NULL;
	struct block *parts = NULL;

	fix_begin(&f);
	struct block *b = open_block(&f, EU_A);
	cr_assert_eq(range_source_file(&f.ctx, EU_A "/index", &index, &f.e), 0);
	cr_assert_eq(idx_open_index(&f.ctx, index, &r, &f.e), 0);
	range_source_unref(index);
	cr_assert_eq(range_source_file(&f.ctx, EU_A "/chunks/000001", &seg, &f.e), 0);
	cr_assert_eq(segments_open(&f.ctx, &seg, 1, &segs, &f.e), 0);
	cr_assert_eq(block_open_sources(&f.ctx, &b->meta, r, segs, NULL, &parts, &f.e),
		     0);
	cr_assert_str_eq(parts->id, b->id);
	cr_assert_eq(read_shown(&f, b, &req_all, &want), 0);
	block_unref(b);
	cr_assert_eq(read_shown(&f, parts, &req_all, &got), 0);
	expect_same("parts", &got, &want);
	block_unref(block_ref(parts));
	block_unref(parts);
	fix_end(&f);
}

/* The series of EU_A that has most chunks. */
static struct idx_series longest(struct fix *f, struct idx_reader *r)
{
	struct postings all = { 0 };
	struct idx_series_req req = { .mint_ms = INT64_MIN, .maxt_ms = INT64_MAX };
	cr_assert_eq(idx_postings(r, &f->ctx, &f->a, NULL, 0, &all, &f->e), 0);
	struct idx_series *s = ARENA_ARRAY(&f->a, struct idx_series, all.n), most = { 0 };
	cr_assert_eq(idx_series_read(r, &f->ctx, &f->a, all.ref, all.n, &req, s, &f->e),
		     0);
	for (size_t i = 0; i < all.n; i++)
		if (s[i].n_chunks > most.n_chunks)
			most = s[i];
	return most;
}

/* EU_A's chunks under an index made here. */
static struct block *block_of_index(struct fix *f, const struct buf *index)
{
	struct block *b = open_block(f, EU_A), *out = NULL;
	struct range_source *seg = NULL,
			    *src = range_source_mem("index", index->p, index->n);
	struct idx_reader *r = NULL;
	struct segments *segs = NULL;
	cr_assert_eq(idx_open_index(&f->ctx, src, &r, &f->e), 0, "%s", err_text(&f->e));
	range_source_unref(src);
	cr_assert_eq(range_source_file(&f->ctx, EU_A "/chunks/000001", &seg, &f->e), 0);
	cr_assert_eq(segments_open(&f->ctx, &seg, 1, &segs, &f->e), 0);
	cr_assert_eq(block_open_sources(&f->ctx, &b->meta, r, segs, NULL, &out, &f->e),
		     0);
	block_unref(b);
	return out;
}

/* More chunks than are kept from counting, and fewer; in order and not. */
Test(block_series, entries_with_any_number_of_chunks_show_those_in_range)
{
	struct label l[] = { { STR("__name__"), STR("up") } };
	struct idx_chunk c[100];
	struct fix f;

	fix_begin(&f);
	for (uint32_t i = 0; i < 100; i++)
		c[i] = (struct idx_chunk){ i * 100, i * 100 + 99, 8 + i * 300ull };
	for (int turned = 0; turned < 2; turned++) {
		struct buf index;
		struct idx_reader *r = NULL;
		struct postings all;
		buf_init(&index, 1 << 20);
		make_index_of((struct labels){ .l = l, .n = 1 }, c, 100, &index);
		struct range_source *src = range_source_mem("index", index.p, index.n);
		cr_assert_eq(idx_open_index(&f.ctx, src, &r, &f.e), 0);
		range_source_unref(src);
		cr_assert_eq(idx_postings(r, &f.ctx, &f.a, NULL, 0, &all, &f.e), 0);
		for (int64_t from = 0; from < 100; from += 3)
			for (int64_t n = 0; from + n<100; n += n> 30 && n < 34 ? 1 : 7) {
				struct idx_series_req req = {
					.mint_ms = from * 100 + 50,
					.maxt_ms = (from + n) * 100 + 10
				};
				struct idx_series s;
				cr_assert_eq(idx_series_read(r, &f.ctx, &f.a, all.ref, 1,
							     &req, &s, &f.e),
					     0);
				cr_assert_eq(s.n_chunks, n + 1);
				for (uint32_t i = 0; i <= n; i++) {
					uint64_t k = (uint64_t)from + i;
					cr_assert_eq(s.chunk[i].mint_ms,
						     (int64_t)k * 100);
					cr_assert_eq(s.chunk[i].maxt_ms,
						     (int64_t)k * 100 + 99);
					cr_assert_eq(s.chunk[i].ref, 8 + k * 300);
				}
			}
		idx_close(r);
		buf_deinit(&index);
		for (uint32_t i = 0; i < 50;
		     i++) { /* the second time: the other way round */
			struct idx_chunk x = c[i];
			c[i] = c[99 - i];
			c[99 - i] = x;
		}
	}
	fix_end(&f);
}

/* Writers of old had such entries: a chunk that begins before the one in front of it. */
Test(block_series, chunks_out_of_order_are_shown_in_the_order_of_their_times)
{
	struct fix f;
	struct range_source *src = NULL;
	struct idx_reader *r = NULL;
	struct label l[] = { { STR("__name__"), STR("up") } };

	fix_begin(&f);
	cr_assert_eq(range_source_file(&f.ctx, EU_A "/index", &src, &f.e), 0);
	cr_assert_eq(idx_open_index(&f.ctx, src, &r, &f.e), 0);
	range_source_unref(src);
	struct idx_series s = longest(&f, r);
	idx_close(r);
	cr_assert_geq(s.n_chunks, 3);
	struct idx_chunk *c = ARENA_ARRAY(&f.a, struct idx_chunk, s.n_chunks);
	for (int order = 0; order < 3; order++) {
		struct buf index;
		buf_init(&index, 1 << 20);
		for (uint32_t i = 0; i < s.n_chunks; i++)
			c[i] = s.chunk[order == 0   ? i
				       : order == 1 ? s.n_chunks - 1 - i
						    : (i + 1) % s.n_chunks];
		make_index_of((struct labels){ .l = l, .n = 1 }, c, s.n_chunks, &index);
		struct block *b = block_of_index(&f, &index);
		cr_assert_eq(read_shown(&f, b, &req_all, order ? &got : &want), 0);
		cr_assert_eq(count_warnings(&f, ""), 0);
		if (order)
			expect_same("unsorted", &got, &want);
		struct block_series_req first = { .mint_ms = s.chunk[0].mint_ms,
						  .maxt_ms = s.chunk[0].mint_ms };
		cr_assert_eq(read_shown(&f, b, &first, &got), 0);
		cr_assert_eq(got.n, 1);
		cr_assert_eq(got.v[0].chunks, 1);
		block_unref(b);
		buf_deinit(&index);
	}
	cr_assert_eq(want.n, 1);
	cr_assert_eq(want.v[0].chunks, s.n_chunks);
	fix_end(&f);
}
