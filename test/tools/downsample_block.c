/*
 * downsample_block - blocks made up and downsampled, for test/bench/bench_downsample and test/e2e/test_downsampled.py.
 *
 *   downsample_block make DIR SERIES DAYS STEP_S floats|hists   a raw block in DIR; prints its path
 *   downsample_block series BLOCK 300000|3600000                its series alone: read, downsampled, forgotten
 *   downsample_block block BLOCK 300000|3600000 OUT HELPERS     into the folder OUT
 * The last two print one line of JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/ctx.h"
#include "base/time.h"
#include "compact/compact.h"
#include "downsample/downsample.h"
#include "tsdb/block/scan.h"
#include "tsdb/write/write.h"

#define DAY_MS ((int64_t)24 * 3600 * 1000)

static void die(const struct err *e)
{
	fprintf(stderr, "%s\n", err_text(e));
	exit(1);
}

static uint64_t seed = 1;
static uint64_t rnd(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

/* ---- gen ---- */

struct gen {
	struct ctx ctx;
	struct arena a; /* of one series */
	struct block_writer *w;
	struct chunk_encoder *enc;
	size_t series, per_series, n;
	int64_t mint_ms, step_ms;
	bool hists;
	struct chunk_view *c;
	struct err e;
};

static void end_chunk(struct gen *g, int64_t mint, int64_t maxt)
{
	struct chunk_part p = chunk_encoder_part(g->enc);
	p.p = (const uint8_t *)str_dup(&g->a, str_n(p.p, p.n)).p;
	g->c[g->n] = (struct chunk_view){ .mint_ms = mint, .maxt_ms = maxt };
	g->c[g->n++].part[AGGR_RAW] = p;
}

/* Counters that are reset now and then, one of four a gauge; times with jitter. */
static void float_series(struct gen *g, size_t series)
{
	double v = (double)rnd(100000);
	int64_t mint = 0, t = 0;
	for (size_t i = 0; i < g->per_series; i++) {
		t = g->mint_ms + (int64_t)i * g->step_ms + (int64_t)rnd(20);
		if (i % CHUNK_SAMPLES == 0) {
			chunk_encoder_begin(g->enc, CHUNK_XOR);
			mint = t;
		}
		if (series % 4 == 3)
			v = (double)rnd(1000000) / 1000;
		else
			v = rnd(20000) ? v + (double)rnd(50) : 0;
		if (chunk_encoder_float(g->enc, t, v, &g->e) < 0)
			die(&g->e);
		if (i % CHUNK_SAMPLES == CHUNK_SAMPLES - 1 || i + 1 == g->per_series)
			end_chunk(g, mint, t);
	}
}

#define BUCKETS 60
static void hist_series(struct gen *g)
{
	struct hist_span span = { -10, BUCKETS };
	double c[BUCKETS] = { 0 };
	struct hist h = { .schema = 3,
			  .is_int = true,
			  .zero_threshold = 1e-38,
			  .pos_spans = &span,
			  .n_pos_spans = 1,
			  .pos = c,
			  .n_pos = BUCKETS };
	int64_t mint = 0, t = 0;
	for (size_t i = 0; i < g->per_series; i++) {
		t = g->mint_ms + (int64_t)i * g->step_ms + (int64_t)rnd(20);
		if (i % CHUNK_SAMPLES == 0) {
			chunk_encoder_next(g->enc, CHUNK_HIST);
			mint = t;
		}
		for (int k = 0; k < 20; k++) {
			c[(rnd(BUCKETS) + rnd(BUCKETS) + rnd(BUCKETS)) / 3]++;
			h.count++;
			h.sum += 0.1;
		}
		if (chunk_encoder_hist(g->enc, t, &h, &g->e) != 0)
			die(&g->e);
		if (i % CHUNK_SAMPLES == CHUNK_SAMPLES - 1 || i + 1 == g->per_series)
			end_chunk(g, mint, t);
	}
}

static void put_symbol(struct gen *g, const char *s)
{
	if (block_writer_symbol(g->w, &g->ctx, str_of(s), &g->e) < 0)
		die(&g->e);
}

static void put_symbols(struct gen *g)
{
	char text[40];
	put_symbol(g, "");
	for (size_t i = 0; i < g->series; i++) {
		snprintf(text, sizeof text, "10.0.%07zu:80", i);
		put_symbol(g, text);
	}
	put_symbol(g, "__name__");
	put_symbol(g, "bench");
	put_symbol(g, "instance");
}

static struct block_meta meta_of(const struct gen *g, size_t days,
				 struct block_writer_opts *o)
{
	static struct label l = { STR("cluster"), STR("bench") };
	ulid_new(&o->ulid, time_wall_ms());
	struct block_meta m = { .ulid = o->ulid,
				.mint_ms = g->mint_ms,
				.maxt_ms = g->mint_ms + (int64_t)days * DAY_MS };
	m.compaction.level = 4;
	m.compaction.sources = &o->ulid;
	m.compaction.n_sources = 1;
	m.has_thanos = true;
	m.thanos.version = 1;
	m.thanos.labels = (struct labels){ .l = &l, .n = 1 };
	m.thanos.source = STR("compactor");
	return m;
}

static int gen(const char *dir, size_t series, size_t days, size_t step_s, bool hists)
{
	struct gen g = { .series = series,
			 .per_series = days * 86400 / step_s,
			 .mint_ms = 1788000000000 / DAY_MS * DAY_MS,
			 .step_ms = (int64_t)step_s * 1000,
			 .hists = hists };
	struct block_writer_opts o = { .dir = dir };
	char id[27];
	ctx_init(&g.ctx, NULL, 0);
	arena_init(&g.a, NULL);
	struct block_meta m = meta_of(&g, days, &o);
	g.enc = chunk_encoder_new();
	g.c = xcalloc(g.per_series / CHUNK_SAMPLES + 1, sizeof *g.c);
	if (block_writer_open(&g.ctx, &o, &g.w, &g.e) < 0)
		die(&g.e);
	put_symbols(&g);
	for (size_t i = 0; i < series; i++) {
		uint32_t s = (uint32_t)series;
		uint32_t label[] = { s + 1, s + 2, s + 3, (uint32_t)i + 1 };
		g.n = 0;
		if (hists)
			hist_series(&g);
		else
			float_series(&g, i);
		if (block_writer_series(g.w, &g.ctx, label, 2, g.c, g.n, &g.e) < 0)
			die(&g.e);
		arena_reset(&g.a);
	}
	if (block_writer_finish(g.w, &g.ctx, &m, false, NULL, &g.e) < 0)
		die(&g.e);
	ulid_format(&o.ulid, id);
	printf("%s/%s\n", dir, id);
	chunk_encoder_free(g.enc);
	arena_deinit(&g.a);
	ctx_deinit(&g.ctx);
	free(g.c);
	return 0;
}

/* ---- series ---- */

static double cpu_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void report(double cpu, uint64_t begin_ns, uint64_t samples)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	printf("\"samples\": %llu, \"cpu_s\": %.3f, \"wall_s\": %.3f, \"peak_mib\": %ld}\n",
	       (unsigned long long)samples, cpu,
	       (double)(time_mono_ns() - begin_ns) / 1e9, u.ru_maxrss / 1024);
}

static int series(const char *dir, int64_t resolution)
{
	struct ctx ctx;
	struct arena a;
	struct err e = ERR_INIT;
	struct block_source src;
	struct block_scan *scan;
	struct scan_series s;
	struct downsampler *d = downsampler_new();
	double samples = 0;
	uint64_t chunks = 0;
	double reading = 0, working = 0;
	int rc;
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, NULL);
	if (block_source_open_dir(&ctx, &a, dir, &src, &e) < 0 ||
	    block_scan_open(&ctx, &src, 0, &scan, &e) < 0)
		die(&e);
	double t0 = cpu_seconds();
	uint64_t wall = time_mono_ns();
	while ((rc = block_scan_series(scan, &ctx, &s, &e)) > 0) {
		const struct chunk_view *out;
		size_t n;
		double t1 = cpu_seconds();
		reading += t1 - t0;
		if (downsample_series(d, s.chunk, s.n_chunks, resolution, &out, &n, &e) <
		    0)
			die(&e);
		t0 = cpu_seconds();
		working += t0 - t1;
		samples += downsampler_tally(d).samples;
		chunks += n;
	}
	if (rc < 0)
		die(&e);
	printf("{\"chunks\": %llu, \"reading_s\": %.3f, ", (unsigned long long)chunks,
	       reading);
	report(working, wall, (uint64_t)samples);
	block_scan_close(scan);
	block_source_close(&src);
	downsampler_free(d);
	arena_deinit(&a);
	ctx_deinit(&ctx);
	return 0;
}

/* ---- block ---- */

static int block(const char *dir, int64_t resolution, const char *out, uint32_t helpers)
{
	struct ctx ctx;
	struct arena a;
	struct err e = ERR_INIT;
	struct block_source src;
	struct compact_result r;
	struct compact_opts o = { .dir = out, .now_ms = time_wall_ms() };
	char id[27];
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, NULL);
	ulid_new(&o.ulid, o.now_ms);
	if (helpers)
		o.pool = task_pool_new(&(struct task_pool_opts){ .cpu = helpers });
	if (block_source_open_dir(&ctx, &a, dir, &src, &e) < 0)
		die(&e);
	o.labels = src.meta->thanos.labels;
	double cpu = cpu_seconds();
	uint64_t wall = time_mono_ns();
	if (compact_downsample(&ctx, &a, &src, resolution, &o, &r, &e) < 0)
		die(&e);
	ulid_format(&o.ulid, id);
	printf("{\"path\": \"%s/%s\", \"series\": %llu, \"chunks\": %llu, \"check_s\": %.3f, ",
	       out, id, (unsigned long long)r.stats.series,
	       (unsigned long long)r.stats.chunks, (double)r.check_ns / 1e9);
	report(cpu_seconds() - cpu, wall, r.meta.stats.samples);
	block_source_close(&src);
	if (o.pool)
		task_pool_free(o.pool);
	arena_deinit(&a);
	ctx_deinit(&ctx);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 7 && strcmp(argv[1], "make") == 0)
		return gen(argv[2], strtoul(argv[3], NULL, 10),
			   strtoul(argv[4], NULL, 10), strtoul(argv[5], NULL, 10),
			   strcmp(argv[6], "hists") == 0);
	if (argc == 4 && strcmp(argv[1], "series") == 0)
		return series(argv[2], strtoll(argv[3], NULL, 10));
	if (argc == 6 && strcmp(argv[1], "block") == 0)
		return block(argv[2], strtoll(argv[3], NULL, 10), argv[4],
			     (uint32_t)strtoul(argv[5], NULL, 10));
	fprintf(stderr, "usage: see test/tools/downsample_block.c\n");
	return 2;
}
