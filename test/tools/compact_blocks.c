/*
 * compact_blocks - blocks made up and compacted, for test/bench/bench_compact.
 *
 *   compact_blocks make DIR SERIES FROM_S TO_S STEP_S OFFSET_MS REPLICA   one block; prints its ULID
 *   compact_blocks merge OUT none|1to1|penalty BLOCK_DIR...               prints one line of JSON
 *   compact_blocks same BLOCK_DIR BLOCK_DIR                               are series and chunks the same, byte by byte?
 *
 * A third of the series are counters, a third gauges that move by steps, a third gauges with random digits; one scrape in
 * 200 is missing, others are up to 20 ms late. A replica whose name begins
 * with x has other values at some of the times.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/time.h"
#include "base/vec.h"
#include "compact/compact.h"

static struct ctx ctx;
static struct err e;

static int die(const char *what)
{
	fprintf(stderr, "compact_blocks: %s: %s\n", what, err_text(&e));
	return 1;
}

static uint64_t next(uint64_t *s) /* splitmix64 */
{
	uint64_t z = *s += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* ---- make ---- */

#define LABELS 8
static const char *const names[LABELS] = { "__name__",	"container", "instance", "job",
					   "namespace", "node",	     "path",	 "pod" };

struct made {
	struct str value[LABELS];
};

static void make_labels(struct arena *a, size_t i, struct made *m)
{
	size_t pod = i / 100, metric = i % 100;
	m->value[0] = str_fmt(a, "metric_%02zu_total", metric);
	m->value[1] = str_fmt(a, "container-%zu", pod % 7);
	m->value[2] = str_fmt(a, "10.%zu.%zu.%zu:9100", pod / 65536, pod / 256 % 256,
			      pod % 256);
	m->value[3] = str_fmt(a, "job-%zu", pod % 20);
	m->value[4] = str_fmt(a, "namespace-%zu", pod % 12);
	m->value[5] = str_fmt(a, "node-%zu", pod % 40);
	m->value[6] = str_fmt(a, "/api/v1/path/%zu", metric % 10);
	m->value[7] = str_fmt(a, "service-%zu-7d9f8c6b5-%05zu", pod % 20, pod);
}

static int cmp_made(const void *x, const void *y, void *arg)
{
	const struct made *a = x, *b = y;
	(void)arg;
	for (size_t i = 0; i < LABELS; i++) {
		int c = str_cmp(a->value[i], b->value[i]);
		if (c)
			return c;
	}
	return 0;
}

static int cmp_str(const void *x, const void *y, void *arg)
{
	(void)arg;
	return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

static uint32_t find(const struct str *v, size_t n, struct str s)
{
	size_t lo = 0, hi = n;
	while (hi - lo > 1) {
		size_t mid = (lo + hi) / 2;
		if (str_cmp(v[mid], s) <= 0)
			lo = mid;
		else
			hi = mid;
	}
	return (uint32_t)lo;
}

struct plan {
	int64_t from_ms, to_ms, step_ms, offset_ms;
	bool other;
};

/* Samples of series i: those of a replica differ in their times only. */
static size_t make_samples(const struct plan *p, size_t i, int64_t *t, double *v)
{
	size_t n = 0;
	uint64_t noise = (uint64_t)p->offset_ms * 77 + i * 31 + (uint64_t)p->from_ms;
	for (int64_t at = p->from_ms; at < p->to_ms; at += p->step_ms) {
		uint64_t r = next(&noise), truth = i * 1000003 + (uint64_t)(at / 1000);
		uint64_t x = next(&truth);
		if (r % 200 == 0)
			continue;
		t[n] = at + p->offset_ms + (r % 3 == 0 ? (int64_t)(r >> 8) % 20 : 0);
		if (t[n] >= p->to_ms)
			break;
		switch (i % 3) {
		case 0:
			v[n] = (double)(at / 1000 * (int64_t)(i % 17 + 1) +
					(int64_t)(x % 4));
			break;
		case 1: v[n] = (double)(100 + x % 8 * 4096); break;
		default: v[n] = (double)(x >> 11) / (double)(1u << 21);
		}
		v[n] += p->other && r % 50 == 7 ? 1 : 0;
		n++;
	}
	return n;
}

static int write_series(struct block_writer *w, const struct plan *p, size_t i,
			const uint32_t *label)
{
	static int64_t t[200000];
	static double v[200000];
	static struct chunk_view c[2000];
	static struct buf b[2000];
	size_t n = make_samples(p, i, t, v), k = 0;
	int rc = 0;
	for (size_t at = 0; at < n && rc == 0; at += 120, k++) {
		size_t len = MIN(n - at, 120);
		buf_init(&b[k], 1 << 20);
		rc = chunk_xor_encode(&b[k], t + at, v + at, len, &e);
		c[k] = (struct chunk_view){ .mint_ms = t[at],
					    .maxt_ms = t[at + len - 1] };
		c[k].part[AGGR_RAW] =
			(struct chunk_part){ b[k].p, (uint32_t)b[k].n, CHUNK_XOR };
	}
	if (rc == 0)
		rc = block_writer_series(w, &ctx, label, LABELS, c, k, &e);
	while (k > 0)
		buf_deinit(&b[--k]);
	return rc;
}

static int write_all(struct block_writer *w, const struct plan *p, size_t n,
		     struct arena *a)
{
	struct made *m = xcalloc(n, sizeof(*m));
	struct str *sym = xcalloc(n * LABELS + LABELS, sizeof(*sym));
	size_t k = 0, s = 0;
	uint32_t label[LABELS * 2];
	int rc = 0;
	for (size_t i = 0; i < n; i++)
		make_labels(a, i, &m[i]);
	vec_sort(m, n, sizeof(*m), cmp_made, NULL);
	for (size_t i = 0; i < n; i++)
		for (size_t l = 0; l < LABELS; l++)
			sym[k++] = m[i].value[l];
	for (size_t l = 0; l < LABELS; l++)
		sym[k++] = str_of(names[l]);
	vec_sort(sym, k, sizeof(*sym), cmp_str, NULL);
	for (size_t i = 0; i < k; i++)
		if (s == 0 || !str_eq(sym[s - 1], sym[i]))
			sym[s++] = sym[i];
	for (size_t i = 0; i < s && rc == 0; i++)
		rc = block_writer_symbol(w, &ctx, sym[i], &e);
	for (size_t i = 0; i < n && rc == 0; i++) {
		for (size_t l = 0; l < LABELS; l++) {
			label[l * 2] = find(sym, s, str_of(names[l]));
			label[l * 2 + 1] = find(sym, s, m[i].value[l]);
		}
		rc = write_series(w, p, i, label);
	}
	free(m);
	free(sym);
	return rc;
}

static int make(char **v)
{
	struct block_writer_opts o = { .dir = v[0] };
	struct block_writer *w;
	struct arena a;
	struct plan p = { atoll(v[2]) * 1000, atoll(v[3]) * 1000, atoll(v[4]) * 1000,
			  atoll(v[5]), v[6][0] == 'x' };
	char id[27];
	arena_init(&a, NULL);
	ulid_new(&o.ulid, p.to_ms);
	if (block_writer_open(&ctx, &o, &w, &e) < 0)
		return die("open");
	if (write_all(w, &p, (size_t)atoll(v[1]), &a) < 0)
		return die("write");
	struct label ext[] = { { STR("cluster"), STR("bench") },
			       { STR("replica"), str_of(v[6]) } };
	struct block_meta m = { .ulid = o.ulid,
				.mint_ms = p.from_ms,
				.maxt_ms = p.to_ms,
				.has_thanos = true };
	m.compaction.level = 1;
	m.compaction.sources = &o.ulid;
	m.compaction.n_sources = 1;
	m.thanos.labels = (struct labels){ ext, 2, 0 };
	m.thanos.source = STR("sidecar");
	if (block_writer_finish(w, &ctx, &m, false, NULL, &e) < 0)
		return die("finish");
	ulid_format(&o.ulid, id);
	puts(id);
	arena_deinit(&a);
	return 0;
}

/* ---- merge ---- */

static int merge(char **v, int n)
{
	struct block_source *in = xcalloc((size_t)n, sizeof(*in));
	struct compact_opts o = { .dir = v[0], .now_ms = 1 };
	struct compact_result r;
	struct rusage u;
	struct arena a;
	size_t k = 0;
	arena_init(&a, NULL);
	ulid_new(&o.ulid, 1700000000000);
	o.overlap = strcmp(v[1], "1to1") == 0	   ? COMPACT_ONE_TO_ONE
		    : strcmp(v[1], "penalty") == 0 ? COMPACT_PENALTY
						   : COMPACT_REFUSE;
	for (int i = 2; i < n; i++)
		if (block_source_open_dir(&ctx, &a, v[i], &in[k++], &e) < 0)
			return die(v[i]);
	size_t bound = compact_memory_bound(in, k, &o);
	uint64_t start = time_mono_ns();
	if (compact_blocks(&ctx, &a, in, k, &o, &r, &e) < 0)
		return die("merge");
	uint64_t ns = time_mono_ns() - start;
	getrusage(RUSAGE_SELF, &u);
	char id[27];
	ulid_format(&o.ulid, id);
	printf("{\"ulid\":\"%s\",\"series\":%" PRIu64 ",\"samples\":%" PRIu64
	       ",\"chunks\":%" PRIu64 ",\"copied\":%" PRIu64 ",\"merged\":%" PRIu64
	       ",\"wall_s\":%.3f,\"check_s\":%.4f,\"cpu_s\":%.3f,\"rss_kib\":%ld,"
	       "\"bound_kib\":%zu}\n",
	       id, r.stats.series, r.stats.samples, r.stats.chunks, r.copied_chunks,
	       r.merged_chunks, (double)ns / 1e9, (double)r.check_ns / 1e9,
	       (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
		       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6,
	       u.ru_maxrss, bound / 1024);
	for (size_t i = 0; i < k; i++)
		block_source_close(&in[i]);
	free(in);
	arena_deinit(&a);
	return 0;
}

/* ---- same ---- */

static bool same_series(const struct scan_series *a, const struct scan_series *b)
{
	if (a->n_labels != b->n_labels || a->n_chunks != b->n_chunks ||
	    memcmp(a->label, b->label, a->n_labels * 2 * sizeof(*a->label)) != 0)
		return false;
	for (size_t i = 0; i < a->n_chunks; i++)
		if (!chunk_view_eq(&a->chunk[i], &b->chunk[i])) {
			printf("chunk %zu of %zu: ", i, a->n_chunks);
			return false;
		}
	return true;
}

static int same(char **v)
{
	struct block_source src[2];
	struct block_scan *s[2];
	struct scan_series c[2];
	struct str sym[2];
	struct arena a;
	int rc[2], other = 0;
	arena_init(&a, NULL);
	for (int i = 0; i < 2; i++)
		if (block_source_open_dir(&ctx, &a, v[i], &src[i], &e) < 0 ||
		    block_scan_open(&ctx, &src[i], 0, &s[i], &e) < 0)
			return die(v[i]);
	do {
		for (int i = 0; i < 2; i++)
			if ((rc[i] = block_scan_symbol(s[i], &ctx, &sym[i], &e)) < 0)
				return die(v[i]);
		if (rc[0] != rc[1] || (rc[0] && !str_eq(sym[0], sym[1])))
			return puts("symbols differ"), 1;
	} while (rc[0]);
	do {
		for (int i = 0; i < 2; i++)
			if ((rc[i] = block_scan_series(s[i], &ctx, &c[i], &e)) < 0)
				return die(v[i]);
		if (rc[0] != rc[1] || (rc[0] && !same_series(&c[0], &c[1]))) {
			printf("series %u %.*s differs\n", c[0].ref,
			       STR_FMT(block_scan_labels_text(s[0], &ctx, &a)));
			other++;
		}
	} while (rc[0] && rc[1] && other < 5);
	for (int i = 0; i < 2; i++) {
		block_scan_close(s[i]);
		block_source_close(&src[i]);
	}
	arena_deinit(&a);
	return other > 0;
}

int main(int argc, char **argv)
{
	int rc = 2;
	ctx_init(&ctx, NULL, 0);
	if (argc == 9 && strcmp(argv[1], "make") == 0)
		rc = make(argv + 2);
	else if (argc == 4 && strcmp(argv[1], "same") == 0)
		rc = same(argv + 2);
	else if (argc >= 5 && strcmp(argv[1], "merge") == 0)
		rc = merge(argv + 2, argc - 2);
	else
		fprintf(stderr, "see test/tools/compact_blocks.c\n");
	ctx_deinit(&ctx);
	return rc;
}
