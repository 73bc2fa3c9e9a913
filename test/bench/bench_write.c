/*
 * test/bench/bench_write.c - nanoseconds a series and a chunk of block_writer, and MB/s: many series of few chunks, few of many, and
 * more label pairs than fit the memory for sorting. CPU is that of this process, all of it; syncs are waited for. The folder is
 * $TMPDIR's, or an argument.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/time.h"
#include "fs/fs.h"
#include "tsdb/write/write.h"

#define VALUES 100000u

struct shape {
	const char *name;
	uint32_t series, labels, chunks, chunk_bytes;
	size_t memory;
};

static double cpu_s(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void check(int rc, struct err *e)
{
	if (rc == 0)
		return;
	fprintf(stderr, "bench_write: %s\n", err_text(e));
	exit(1);
}

static void symbols(struct block_writer *w, struct ctx *ctx, const struct shape *s,
		    struct err *e)
{
	char text[32];
	for (uint32_t i = 0; i < s->labels; i++) {
		int n = snprintf(text, sizeof(text), "label_%02u", i);
		check(block_writer_symbol(w, ctx, str_n(text, (size_t)n), e), e);
	}
	for (uint32_t i = 0; i < MAX(VALUES, s->series); i++) {
		int n = snprintf(text, sizeof(text), "value-of-a-pod-%08u", i);
		check(block_writer_symbol(w, ctx, str_n(text, (size_t)n), e), e);
	}
}

/* The first two labels order the series, the third is unique, the others are shared by many. */
static void labels_of(const struct shape *s, uint32_t i, uint32_t *label)
{
	for (uint32_t k = 0; k < s->labels; k++) {
		uint32_t v = k == 0   ? i / 1000
			     : k == 1 ? i % 1000
			     : k == 2 ? i
				      : i * 2654435761u % (3u << k) % VALUES;
		label[2 * k] = k;
		label[2 * k + 1] = s->labels + v;
	}
}

static void series(struct block_writer *w, struct ctx *ctx, const struct shape *s,
		   struct err *e)
{
	uint32_t *label = calloc(s->labels, 8);
	struct chunk_view *c = calloc(s->chunks, sizeof(*c));
	uint8_t *data = malloc(s->chunk_bytes);
	for (uint32_t i = 0; i < s->chunk_bytes; i++)
		data[i] = (uint8_t)(i * 7 + 1);
	data[0] = 0;
	data[1] = 120; /* samples */
	for (uint32_t k = 0; k < s->chunks; k++) {
		c[k].mint_ms = 1789977600000 + (int64_t)k * 1800000;
		c[k].maxt_ms = c[k].mint_ms + 1785000;
		c[k].part[AGGR_RAW] =
			(struct chunk_part){ data, s->chunk_bytes, CHUNK_XOR };
	}
	for (uint32_t i = 0; i < s->series; i++) {
		labels_of(s, i, label);
		check(block_writer_series(w, ctx, label, s->labels, c, s->chunks, e), e);
	}
	free(data);
	free(c);
	free(label);
}

static void run(const struct shape *s, const char *dir)
{
	struct block_writer *w;
	struct block_writer_stats st;
	struct block_meta m = { .maxt_ms = INT64_MAX };
	struct block_writer_opts o = { .dir = dir, .memory = s->memory };
	struct err e = ERR_INIT;
	struct ctx ctx;
	char id[27], path[500];
	ulid_new(&o.ulid, 1789977600000);
	ulid_format(&o.ulid, id);
	snprintf(path, sizeof(path), "%s/%s", dir, id);
	ctx_init(&ctx, NULL, 0);
	double t0 = cpu_s();
	uint64_t begin = time_mono_ns();
	check(block_writer_open(&ctx, &o, &w, &e), &e);
	symbols(w, &ctx, s, &e);
	double t1 = cpu_s();
	series(w, &ctx, s, &e);
	double t2 = cpu_s();
	check(block_writer_finish(w, &ctx, &m, false, &st, &e), &e);
	double t3 = cpu_s();
	double wall = (double)(time_mono_ns() - begin) / 1e9;
	uint64_t bytes = st.index_bytes + st.chunk_bytes;
	printf("%-32s %7.0f ns/series %6.0f ns/chunk (cpu), %5.0f MB/s cpu, %5.0f MB/s wall; "
	       "symbols %.2f s, series %.2f s, end %.2f s, %llu MB\n",
	       s->name, (t3 - t0) * 1e9 / s->series,
	       (t3 - t0) * 1e9 / s->series / s->chunks, (double)bytes / 1e6 / (t3 - t0),
	       (double)bytes / 1e6 / wall, t1 - t0, t2 - t1, t3 - t2,
	       (unsigned long long)(bytes / 1000000));
	check(fs_remove_all(&ctx, path, &e), &e);
	ctx_deinit(&ctx);
}

int main(int argc, char **argv)
{
	static const struct shape shapes[] = {
		{ "1 M series of 10 labels, 1 chunk", 1000000, 10, 1, 150, 0 },
		{ "the same, sorted in 4 MiB", 1000000, 10, 1, 150, 4 << 20 },
		{ "10 000 series of 100 chunks", 10000, 10, 100, 200, 0 },
	};
	const char *tmp = getenv("TMPDIR");
	char dir[200];
	snprintf(dir, sizeof(dir), "%s/bench_write-XXXXXX",
		 argc > 1 ? argv[1]
		 : tmp	  ? tmp
			  : "/tmp");
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		run(&shapes[i], dir);
	struct err e = ERR_INIT;
	check(fs_remove_all(NULL, dir, &e), &e);
	return 0;
}
