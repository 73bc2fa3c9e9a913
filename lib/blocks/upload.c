/*
 * blocks/upload.c - a block folder into the bucket, so that nobody ever sees half of one.
 *
 * Readers take a block for there when its meta.json is. So: chunks, then index (several at a time if wanted);
 * then the bucket is listed; and only when it has each of them with its size - and its hash, where there is one and the bucket does
 * not find out by itself whether it keeps what was sent - meta.json follows. An upload that was killed leaves a
 * folder without meta.json, which readers pass over, and the next one goes on where it stopped: objects
 * appear whole or not at all, so one of the right size under the block's unique name is the file.
 * Tombstones are never uploaded.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/limits.h"
#include "blocks/blocks_int.h"
#include "base/time.h"
#include "fs/fs.h"

struct file {
	struct str rel;	 /* "chunks/000001" */
	struct str name; /* of the object */
	char *path;
	uint64_t size, there; /* bytes on disk, in the bucket */
};
#define ABSENT UINT64_MAX

/* chunks/ in order, then index; the array in `a` has room for them. */
static int list_files(struct ctx *ctx, struct arena *a, const char *dir, const char *id,
		      struct file **out, size_t *n, struct err *e)
{
	struct fs_names names = { 0 };
	struct fs_stat st;
	char *chunks = str_dupz(a, str_fmt(a, "%s/chunks", dir));
	if (fs_stat(ctx, chunks, &st, e) < 0)
		return -1;
	if (st.kind == FS_DIR && fs_list(ctx, a, chunks, &names, e) < 0)
		return -1;
	struct file *v = arena_try(a, ctx, (names.n + 1) * sizeof(*v), e);
	if (!v)
		return -1;
	for (size_t i = 0; i < names.n; i++)
		v[i].rel = str_fmt(a, "chunks/%.*s", STR_FMT(names.name[i]));
	v[names.n].rel = STR("index");
	*n = names.n + 1;
	for (size_t i = 0; i < *n; i++) {
		v[i].path = str_dupz(a, str_fmt(a, "%s/%.*s", dir, STR_FMT(v[i].rel)));
		v[i].name = str_fmt(a, "%s/%.*s", id, STR_FMT(v[i].rel));
		if (fs_stat(ctx, v[i].path, &st, e) < 0)
			return -1;
		if (st.kind != FS_FILE)
			return err_set(ctx, e, E_NOT_FOUND, "%s is not a file",
				       v[i].path);
		v[i].size = st.size;
	}
	*out = v;
	return 0;
}

/* ---- what the bucket has ---- */

struct in_bucket {
	struct file *v;
	size_t n;
	size_t prefix; /* bytes of "<ULID>/" */
};

static int note_object(void *arg, struct str name, const struct bucket_attrs *at,
		       struct err *e UNUSED)
{
	struct in_bucket *l = arg;
	struct str rel = str_from(name, MIN(l->prefix, name.n));
	for (size_t i = 0; at && i < l->n; i++)
		if (str_eq(rel, l->v[i].rel))
			l->v[i].there = at->size;
	return 0;
}

static int list_bucket(struct bucket *b, struct ctx *ctx, const char *id, struct file *v,
		       size_t n, struct err *e)
{
	struct in_bucket l = { v, n, strlen(id) + 1 };
	for (size_t i = 0; i < n; i++)
		v[i].there = ABSENT;
	return bucket_iter(b, ctx, str_of(id), true, note_object, &l, e);
}

static int confirm(struct bucket *b, struct ctx *ctx, const char *id, struct file *v,
		   size_t n, struct err *e)
{
	if (list_bucket(b, ctx, id, v, n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (v[i].there == ABSENT)
			return err_set(ctx, e, E_REMOTE,
				       "%.*s is not in the bucket after its upload",
				       STR_FMT(v[i].name));
		if (v[i].there != v[i].size)
			return err_set(ctx, e, E_REMOTE,
				       "%.*s has %llu bytes in the bucket, %llu on disk",
				       STR_FMT(v[i].name), (unsigned long long)v[i].there,
				       (unsigned long long)v[i].size);
	}
	return 0;
}

/* ---- hashes ---- */

static const struct block_file *described(const struct block_meta *meta, struct str rel)
{
	for (size_t i = 0; i < meta->thanos.n_files; i++)
		if (str_eq(meta->thanos.files[i].rel_path, rel))
			return &meta->thanos.files[i];
	return NULL;
}

/* Other bytes of the right size would be taken for the file by the next try: they go. */
static int compare_hash(struct bucket *b, struct ctx *ctx, const struct file *f,
			struct str want, struct err *e)
{
	struct arena a;
	struct str hash;
	struct range_source *src;
	if (bucket_open(b, ctx, f->name, &src, e) < 0)
		return -1;
	arena_init(&a, NULL);
	int rc = blocks_hash(ctx, &a, src, &hash, e);
	range_source_unref(src);
	if (rc == 0 && !str_eq(hash, want)) {
		struct err why = ERR_INIT;
		bool gone = bucket_delete(b, ctx, f->name, &why) == 0;
		rc = err_set(ctx, e, E_REMOTE,
			     "the bucket keeps other bytes of %.*s than were sent%s%s",
			     STR_FMT(f->name), gone ? "" : ", and does not delete them: ",
			     gone ? "" : err_text(&why));
	}
	arena_deinit(&a);
	return rc;
}

static int compare_hashes(struct bucket *b, struct ctx *ctx,
			  const struct block_meta *meta, const struct file *v, size_t n,
			  struct err *e)
{
	if (bucket_checks_puts(b))
		return 0;
	for (size_t i = 0; i < n; i++) {
		const struct block_file *d = described(meta, v[i].rel);
		if (!d || !str_eqz(d->hash_func, "SHA256"))
			continue;
		if (compare_hash(b, ctx, &v[i], d->hash, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- several at a time ---- */

/* Outlives block_upload while a helper is still queued: that one finds nothing left to do. */
struct crew {
	struct ref ref;
	pthread_mutex_t mu;
	pthread_cond_t quiet;
	/* all under mu; what they point to is the uploader's, used only between a take and its end */
	struct bucket *b;
	struct ctx *ctx;
	const struct file *v;
	size_t n, next, under_way;
	int rc;
	struct err first;
};

static void crew_free(struct ref *r)
{
	struct crew *c = CONTAINER_OF(r, struct crew, ref);
	pthread_mutex_destroy(&c->mu);
	pthread_cond_destroy(&c->quiet);
	free(c);
}

/* Upload what nobody has taken yet, until nothing is left or one has failed. */
static void crew_work(struct crew *c)
{
	pthread_mutex_lock(&c->mu);
	while (c->rc == 0 && c->next < c->n) {
		const struct file *f = &c->v[c->next++];
		struct err e = ERR_INIT;
		if (f->there == f->size)
			continue;
		c->under_way++;
		pthread_mutex_unlock(&c->mu);
		int rc = bucket_put_file(c->b, c->ctx, f->name, f->path, &e);
		pthread_mutex_lock(&c->mu);
		c->under_way--;
		if (rc < 0 && c->rc == 0) {
			c->rc = -1;
			c->first = e; /* a long text lives as long as the ctx */
		}
	}
	if (c->under_way == 0)
		pthread_cond_signal(&c->quiet);
	pthread_mutex_unlock(&c->mu);
}

static void crew_help(void *arg)
{
	struct crew *c = arg;
	crew_work(c);
	ref_put(&c->ref);
}

static int send_files(struct bucket *b, struct ctx *ctx, const struct upload_opts *o,
		      const struct file *v, size_t n, struct err *e)
{
	struct crew *c = xcalloc(1, sizeof(*c));
	ref_init(&c->ref, crew_free);
	pthread_mutex_init(&c->mu, NULL);
	pthread_cond_init(&c->quiet, NULL);
	c->b = b;
	c->ctx = ctx;
	c->v = v;
	c->n = n;
	for (uint32_t i = 1; o && o->pool && i < o->concurrency && i < n; i++) {
		ref_get(&c->ref);
		task_bulk(o->pool, crew_help, c);
	}
	crew_work(c);
	pthread_mutex_lock(&c->mu);
	c->next = c->n; /* who comes later takes nothing */
	while (c->under_way)
		pthread_cond_wait(&c->quiet, &c->mu);
	int rc = c->rc;
	if (rc < 0)
		*e = c->first;
	pthread_mutex_unlock(&c->mu);
	ref_put(&c->ref);
	return rc;
}

static int send_meta(struct bucket *b, struct ctx *ctx, struct arena *a, const char *id,
		     const struct block_meta *meta, struct err *e)
{
	struct buf json;
	buf_init(&json, LIMIT_META_BYTES);
	block_meta_write(meta, &json);
	int rc = buf_check(&json, ctx, BLOCKS_META_NAME, e);
	if (rc == 0)
		rc = bucket_put_bytes(b, ctx, str_fmt(a, "%s/" BLOCKS_META_NAME, id),
				      buf_view(&json), e);
	buf_deinit(&json);
	return rc;
}

struct str block_upload_time(struct arena *a, int64_t now_ns)
{
	char text[40];
	size_t n = time_format_rfc3339(text, now_ns / (int64_t)NS_PER_S,
				       (uint32_t)(now_ns % (int64_t)NS_PER_S), 9);
	/* As Go prints it: without zeros at the fraction's end. */
	BUG_ON(n < 2 || text[n - 1] != 'Z');
	n--;
	while (text[n - 1] == '0')
		n--;
	if (text[n - 1] == '.')
		n--;
	return str_fmt(a, "%.*sZ", (int)n, text);
}

int block_upload(struct bucket *b, struct ctx *ctx, const char *dir,
		 const struct block_meta *meta, const struct upload_opts *o,
		 struct err *e)
{
	struct arena a;
	struct file *v = NULL;
	size_t n = 0;
	char id[27];
	ulid_format(&meta->ulid, id);
	arena_init(&a, ctx ? ctx->budget : NULL);
	int rc = list_files(ctx, &a, dir, id, &v, &n, e);
	if (rc == 0)
		rc = list_bucket(b, ctx, id, v, n, e);
	if (rc == 0)
		rc = send_files(b, ctx, o, v, n, e);
	if (rc == 0)
		rc = confirm(b, ctx, id, v, n, e);
	if (rc == 0)
		rc = compare_hashes(b, ctx, meta, v, n, e);
	if (rc == 0)
		rc = send_meta(b, ctx, &a, id, meta, e);
	arena_deinit(&a);
	return rc < 0 ? err_wrap(ctx, e, "block %s", id) : 0;
}
