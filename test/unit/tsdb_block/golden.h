/*
 * Reading blocks as test/golden/blocks/expected describes them: one row a series.
 */
#ifndef TEST_TSDB_BLOCK_GOLDEN_H
#define TEST_TSDB_BLOCK_GOLDEN_H

#include "tsdb/block/block.h"

#define GOLDEN "test/golden/blocks"

struct fix {
	struct ctx ctx;
	struct arena a;
	struct err e;
	enum aggr
		part; /* of the chunks that rows_read decodes; series without it are no row */
};
void fix_begin(struct fix *f);
void fix_end(struct fix *f);

struct row {
	struct labels labels;
	uint64_t chunks[256]; /* by encoding */
	uint64_t floats, hists;
	int64_t mint_ms, maxt_ms;
	double min, max, sum;
	bool has_min;
	uint32_t crc;
	bool failed; /* a chunk could not be decoded to its end */
};
struct rows {
	struct row *v;
	size_t n, cap;
	uint64_t samples;
	size_t failed; /* chunks that could not be decoded */
};
/* Read all series into rows (labels copied into f->a). -1: the set failed, f->e says why. */
int rows_read(struct fix *f, struct series_set *set, struct rows *out);
int rows_of_block(struct fix *f, struct block *b, const struct block_series_req *req,
		  struct rows *out);
/* The rows of an expected file (plain or .gz). `live`: its chunk column says nothing. */
void rows_expected(struct fix *f, const char *path, bool live, struct rows *out);
/* The same of a downsampled block: those of one aggregate. */
void rows_expected_aggr(struct fix *f, const char *path, const char *aggregate,
			struct rows *out);
/* Asserts equality; chunk counts too unless live. */
void rows_compare(const char *what, const struct rows *got, const struct rows *want,
		  bool live);
extern const struct block_series_req req_all;

struct block *open_block(struct fix *f, const char *dir);
size_t count_warnings(struct fix *f, const char *needle);

#endif
