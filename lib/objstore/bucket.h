/*
 * objstore/bucket.h - object storage as a flat space of names with "/".
 *
 * Implementations: FILESYSTEM (a folder; objects appear atomically), S3, memory (tests, scripted
 * failures). Wrappers: prefix, metrics.
 * Thread  SHARED; every call is WORKER.  Errors name bucket operation and object.
 */
#ifndef OBJSTORE_BUCKET_H
#define OBJSTORE_BUCKET_H

#include "base/arena.h"
#include "base/ctx.h"
#include "fs/range_source.h"
#include "metrics/metrics.h"

struct bucket;
struct loop;
struct bucket_attrs {
	uint64_t size;
	int64_t mtime_ms;
};
/* A source of bytes for put: fills buf with up to cap bytes; *n = 0 at the end. */
struct put_source {
	int (*read)(void *arg, struct ctx *ctx, void *buf, size_t cap, size_t *n,
		    struct err *e);
	void *arg;
	uint64_t size; /* bytes it will give in all; UINT64_MAX: unknown */
	/* Go on from this offset, to send bytes again; NULL: cannot (S3 then keeps a copy on disk). */
	int (*seek)(void *arg, struct ctx *ctx, uint64_t off, struct err *e);
};
struct bucket_ops {
	/* fn for each name under dir ("" = root; else with or without the final "/"), sorted; one level:
	 * "folders" end in "/"; recursive: objects only. fn -1 stops with its error. */
	int (*iter)(struct bucket *b, struct ctx *ctx, struct str dir, bool recursive,
		    int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
			      struct err *e),
		    void *arg, struct err *e);
	/* Whole object appended to out (its max holds); E_NOT_FOUND. */
	int (*get)(struct bucket *b, struct ctx *ctx, struct str name, struct buf *out,
		   struct err *e);
	/* Random reads of one object; E_NOT_FOUND at open. */
	int (*open)(struct bucket *b, struct ctx *ctx, struct str name,
		    struct range_source **out, struct err *e);
	/* The object appears whole or not at all. */
	int (*put)(struct bucket *b, struct ctx *ctx, struct str name,
		   struct put_source *src, struct err *e);
	int (*attrs)(struct bucket *b, struct ctx *ctx, struct str name,
		     struct bucket_attrs *out, struct err *e); /* E_NOT_FOUND */
	/* An absent object is deleted already: 0. */
	int (*del)(struct bucket *b, struct ctx *ctx, struct str name, struct err *e);
	void (*close)(struct bucket *b);
	/* NULL: asked by attrs. */
	int (*exists)(struct bucket *b, struct ctx *ctx, struct str name, bool *exists,
		      struct err *e);
	/* Does a put fail if the store keeps other bytes than were sent? NULL: that is not found out. */
	bool (*checks_puts)(struct bucket *b);
};
struct bucket {
	const struct bucket_ops *ops;
	const char *name; /* "fs: /var/bucket", shown in logs and as label `bucket` */
};

MUST_CHECK int bucket_iter(struct bucket *b, struct ctx *ctx, struct str dir,
			   bool recursive,
			   int (*fn)(void *arg, struct str name,
				     const struct bucket_attrs *a, struct err *e),
			   void *arg, struct err *e);
MUST_CHECK int bucket_get(struct bucket *b, struct ctx *ctx, struct str name, size_t max,
			  struct buf *out, struct err *e);
MUST_CHECK int bucket_open(struct bucket *b, struct ctx *ctx, struct str name,
			   struct range_source **out, struct err *e);
MUST_CHECK int bucket_put(struct bucket *b, struct ctx *ctx, struct str name,
			  struct put_source *src, struct err *e);
MUST_CHECK int bucket_put_bytes(struct bucket *b, struct ctx *ctx, struct str name,
				struct str bytes, struct err *e);
MUST_CHECK int bucket_put_file(struct bucket *b, struct ctx *ctx, struct str name,
			       const char *path, struct err *e);
/* E_OK and *exists. */
MUST_CHECK int bucket_exists(struct bucket *b, struct ctx *ctx, struct str name,
			     bool *exists, struct err *e);
MUST_CHECK int bucket_attrs(struct bucket *b, struct ctx *ctx, struct str name,
			    struct bucket_attrs *out, struct err *e);
MUST_CHECK int bucket_delete(struct bucket *b, struct ctx *ctx, struct str name,
			     struct err *e);
bool bucket_checks_puts(struct bucket *b);
void bucket_close(struct bucket *b); /* NULL allowed */

MUST_CHECK int bucket_fs_open(struct ctx *ctx, const char *dir, struct bucket **out,
			      struct err *e);
struct bucket *bucket_mem_new(void);
/*
 * Script of a memory bucket: the nth call from now fails (1: the next; 0: none any more) with E_UNAVAILABLE,
 * and with `for_good` all later ones. `landed`: the failing put or delete took effect all the same, as
 * when only the answer is lost. Every call counts: iter, get, open, each read, put, attrs, delete, exists.
 */
void bucket_mem_fail(struct bucket *b, uint64_t nth, bool for_good, bool landed);
uint64_t bucket_mem_calls(struct bucket *b); /* calls since bucket_mem_new */
/* Take over `inner`. */
struct bucket *bucket_prefix_new(struct bucket *inner, struct str prefix);
struct bucket *bucket_metrics_new(struct bucket *inner, struct metric_registry *m);

/*
 * From --objstore.config: YAML {type, config, prefix}. FILESYSTEM and S3 are served; the other types of Thanos
 * are refused by name; unknown keys and types suggest the nearest. `what` names flag or file in errors. Types
 * over the network use `loop`, which outlives the bucket.
 */
MUST_CHECK int bucket_from_yaml(struct ctx *ctx, struct str yaml, const char *what,
				struct loop *loop, struct metric_registry *m,
				struct bucket **out, struct err *e);

#endif
