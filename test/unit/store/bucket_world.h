/*
 * A bucket of golden blocks in a folder of its own, a store over it, and two ways to the same answer: the
 * store's, and one got by reading every block whole and filtering here.
 */
#ifndef TEST_STORE_BUCKET_WORLD_H
#define TEST_STORE_BUCKET_WORLD_H

#include "store/store.h"

#define W_MINT 1789970400000
#define W_MAXT 1789999200000

struct world {
	struct ctx ctx;
	struct arena arena;
	struct task_pool *pool;
	struct metric_registry *metrics;
	struct bucket *bucket;
	struct bucket_store *store;
	char dir[64], bucket_dir[96], data_dir[96];
};
/* o: NULL, or limits and times to use. */
void world_open(struct world *w, const struct bucket_store_opts *o);
void world_close(struct world *w);
/* Copy a golden block folder ("bucket/<ULID>") into the bucket; all of golden "bucket". */
void world_copy(struct world *w, const char *block);
void world_copy_all(struct world *w);
void world_copy_tree(struct world *w, const char *folder); /* all in it */
void world_remove(struct world *w, const char *id);
void world_sync(struct world *w);
/* Flip one byte of a file of the bucket, counted from the end if off < 0; or cut it to n bytes. */
void world_flip(struct world *w, const char *name, long off);
void world_cut(struct world *w, const char *name, size_t n);

struct matcher *world_matchers(struct world *w, const char *text, size_t *n);

struct lines {
	char **v;
	size_t n, cap;
};
void lines_free(struct lines *l);
void lines_sort(struct lines *l); /* and make unique */
/* "labels|mint|maxt|hash" a chunk, of the store; checks order and uniqueness of series. -1: the call failed. */
int world_answer(struct world *w, const struct store_series_req *req, struct lines *out,
		 struct err *e);
/* The same from the blocks `ids` (NULL: all of the bucket). */
void world_expect(struct world *w, const struct store_series_req *req,
		  const char *const *ids, struct lines *out);
void lines_equal(struct lines *got, struct lines *want, const char *what);
double world_metric(struct world *w, const char *name);

#endif
