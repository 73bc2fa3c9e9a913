/*
 * test/bench/bench_s3.c - an object read through the S3 client: bench_s3 CONFIG OBJECT TIMES.
 *
 * Each time whole, in pieces of 8 MiB that are dropped at once, as the store reads segments. Prints one line:
 * bytes, seconds, CPU seconds of this process. Without arguments nothing is measured (bench_network starts it).
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/time.h"
#include "loop/loop.h"
#include "objstore/bucket.h"

#define PIECE ((uint64_t)8 << 20)

static double cpu_s(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int read_whole(struct bucket *b, struct ctx *ctx, struct str name, uint64_t *bytes,
		      struct err *e)
{
	struct range_source *src;
	struct view v;
	if (bucket_open(b, ctx, name, &src, e) < 0)
		return -1;
	int rc = 0;
	for (uint64_t off = 0; rc == 0 && off < src->size; off += PIECE) {
		uint64_t n = MIN(PIECE, src->size - off);
		rc = range_source_read1(src, ctx, off, n, &v, e);
		if (rc == 0) {
			*bytes += v.n;
			view_put(&v);
		}
	}
	range_source_unref(src);
	return rc;
}

static char *text_of(const char *path)
{
	static char text[1 << 16];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	text[n] = '\0';
	if (f)
		fclose(f);
	return text;
}

int main(int argc, char **argv)
{
	struct loops loops;
	struct bucket *b = NULL;
	struct ctx ctx;
	struct err e = ERR_INIT;
	uint64_t bytes = 0;
	int times = argc > 3 ? atoi(argv[3]) : 0, rc = 0;
	if (argc < 4)
		return 0;
	struct metric_registry *m = metric_registry_new();
	ctx_init(&ctx, NULL, 0);
	if (loops_start(1, &loops, &e) < 0 ||
	    bucket_from_yaml(&ctx, str_of(text_of(argv[1])), argv[1], loops.l[0], m, &b,
			     &e) < 0) {
		fprintf(stderr, "bench_s3: %s\n", err_text(&e));
		return 1;
	}
	double cpu = cpu_s();
	uint64_t begin = time_mono_ns();
	for (int i = 0; i < times && rc == 0; i++)
		rc = read_whole(b, &ctx, str_of(argv[2]), &bytes, &e);
	double took = (double)(time_mono_ns() - begin) / 1e9;
	if (rc < 0)
		fprintf(stderr, "bench_s3: %s\n", err_text(&e));
	else
		printf("%llu %.6f %.6f\n", (unsigned long long)bytes, took,
		       cpu_s() - cpu);
	bucket_close(b);
	loops_stop(&loops);
	metric_registry_free(m);
	ctx_deinit(&ctx);
	return rc < 0;
}
