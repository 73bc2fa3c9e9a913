/*
 * store/prom_scan.c - the blocks in a data folder, while Prometheus works in it.
 *
 * Prometheus moves a finished block into place and a deleted one out of it by renaming, and a compacted block is in
 * place before its parents go. A listing that runs meanwhile may miss both. So a folder is listed until two listings
 * are the same: what stood there during the whole of the second is in it, and what came or went in it is not in both.
 * An unchanged mtime saves the listing, if it is old enough that no later change can have got the same.
 *
 * A folder whose meta.json is missing or damaged is passed over, as Prometheus does; one that may not be read is an
 * error, for then it is not known what Prometheus reads there.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/time.h"
#include "base/vec.h"
#include "store/prom_blocks_int.h"

#define LISTINGS   16
#define SETTLED_NS (2 * (int64_t)NS_PER_S)

void prom_entry_close(struct prom_entry *t)
{
	block_unref(t->block);
	t->block = NULL;
	t->files = t->memory = 0;
}

static void entry_free(struct prom_entry *t)
{
	prom_entry_close(t);
	free(t->parents);
	free(t);
}

void prom_scan_deinit(struct prom_scan *s)
{
	for (size_t i = 0; i < s->n; i++)
		entry_free(s->v[i]);
	free(s->v);
	free(s->dir);
}

static struct prom_entry *find(const struct prom_scan *s, const struct ulid *id)
{
	for (size_t i = 0; i < s->n; i++)
		if (ulid_cmp(&s->v[i]->ulid, id) == 0)
			return s->v[i];
	return NULL;
}

/* ---- one block ---- */

/* 1: *out; 0: no block for Prometheus either; -1. */
static int read_entry(struct ctx *ctx, struct arena *a, const char *path,
		      struct prom_entry **out, struct err *e)
{
	struct block_meta m;
	struct buf text;
	struct err why = ERR_INIT;
	buf_init(&text, LIMIT_META_BYTES);
	int rc = fs_read_file(ctx, str_fmt(a, "%s/meta.json", path).p, LIMIT_META_BYTES,
			      &text, &why);
	if (rc == 0)
		rc = block_meta_parse(ctx, a, buf_view(&text), &m, &why);
	buf_deinit(&text);
	if (rc < 0)
		return why.code == E_DENIED || why.code == E_IO ? err_copy(ctx, e, &why)
								: 0;
	struct prom_entry *t = xcalloc(1, sizeof(*t));
	t->ulid = m.ulid;
	ulid_format(&m.ulid, t->id);
	t->mint_ms = m.mint_ms;
	t->maxt_ms = m.maxt_ms;
	t->deletable = m.compaction.deletable;
	t->n_parents = m.compaction.n_parents;
	t->parents = xcalloc(t->n_parents + 1, sizeof(*t->parents));
	for (size_t i = 0; i < t->n_parents; i++)
		t->parents[i] = m.compaction.parents[i].ulid;
	*out = t;
	return 1;
}

static int see(struct prom_scan *s, struct ctx *ctx, struct arena *a, struct str name,
	       struct err *e)
{
	struct ulid id;
	struct fs_stat st;
	struct prom_entry *t;
	if (name.n != 26 || !ulid_parse(name, &id))
		return 0;
	const char *path = str_fmt(a, "%s/%.*s", s->dir, STR_FMT(name)).p;
	if (fs_stat(ctx, path, &st, e) < 0)
		return -1;
	if (st.kind != FS_DIR)
		return 0;
	t = find(s, &id);
	if (t && t->ino == st.ino) {
		t->seen = true;
		return 0;
	}
	int rc = read_entry(ctx, a, path, &t, e);
	if (rc <= 0)
		return rc;
	if (ulid_cmp(&t->ulid, &id) != 0) { /* a copy under another name */
		entry_free(t);
		return err_set(ctx, e, E_CORRUPT, "%s: meta.json is of another block",
			       path);
	}
	t->ino = st.ino;
	t->seen = true;
	if (s->n == s->cap)
		s->v = vec_grow(s->v, &s->cap, s->n + 1, sizeof(*s->v));
	s->v[s->n++] = t;
	return 0;
}

/* ---- all of them ---- */

static int by_mint(const void *a, const void *b, void *arg)
{
	const struct prom_entry *x = *(struct prom_entry *const *)a;
	const struct prom_entry *y = *(struct prom_entry *const *)b;
	(void)arg;
	if (x->mint_ms != y->mint_ms)
		return x->mint_ms < y->mint_ms ? -1 : 1;
	return ulid_cmp(&x->ulid, &y->ulid);
}

static void sort_out(struct prom_scan *s)
{
	size_t k = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i]->seen)
			s->v[k++] = s->v[i];
		else
			entry_free(s->v[i]);
	}
	s->n = k;
	if (k > 1)
		vec_sort(s->v, k, sizeof(*s->v), by_mint, NULL);
	for (size_t i = 0; i < k; i++)
		s->v[i]->live = !s->v[i]->deletable;
	for (size_t i = 0; i < k; i++)
		for (size_t p = 0; p < s->v[i]->n_parents; p++) {
			struct prom_entry *t = find(s, &s->v[i]->parents[p]);
			if (t && t != s->v[i])
				t->live = false;
		}
}

static bool same_names(const struct fs_names *a, const struct fs_names *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!str_eq(a->name[i], b->name[i]))
			return false;
	return true;
}

/* What two listings in a row agree on. */
static int list_twice(struct prom_scan *s, struct ctx *ctx, struct arena *a,
		      struct fs_names *out, struct err *e)
{
	struct fs_names before;
	if (fs_list(ctx, a, s->dir, &before, e) < 0)
		return -1;
	for (int i = 0; i < LISTINGS; i++) {
		if (fs_list(ctx, a, s->dir, out, e) < 0)
			return -1;
		if (same_names(&before, out))
			return 0;
		before = *out;
	}
	return err_set(ctx, e, E_UNAVAILABLE, "%s changes all the time", s->dir);
}

static int list(struct prom_scan *s, struct ctx *ctx, struct arena *a, struct err *e)
{
	struct fs_names names;
	if (list_twice(s, ctx, a, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < s->n; i++)
		s->v[i]->seen = false;
	for (size_t i = 0; i < names.n; i++)
		if (see(s, ctx, a, names.name[i], e) < 0)
			return -1;
	sort_out(s);
	return 0;
}

int prom_scan_refresh(struct prom_scan *s, struct ctx *ctx, struct err *e)
{
	struct fs_stat st;
	struct arena a;
	int64_t now_ns = time_wall_ns();
	if (fs_stat(ctx, s->dir, &st, e) < 0)
		return -1;
	if (st.kind != FS_DIR)
		return err_set(ctx, e, E_NOT_FOUND, "%s is not a directory", s->dir);
	if (s->settled && st.ino == s->seen.ino && st.mtime_ns == s->seen.mtime_ns)
		return 0;
	s->settled = false;
	arena_init(&a, NULL);
	int rc = list(s, ctx, &a, e);
	arena_deinit(&a);
	if (rc < 0)
		return -1;
	s->seen = st;
	s->settled = now_ns - st.mtime_ns > SETTLED_NS;
	return 0;
}

/* ---- sizes ---- */

static bool add_size(struct ctx *ctx, const char *path, uint64_t *sum)
{
	struct fs_stat st;
	struct err none = ERR_INIT;
	if (fs_stat(ctx, path, &st, &none) < 0 || st.kind == FS_NONE)
		return false;
	*sum += st.size;
	return true;
}

/* Also the number of the segments. */
static bool chunk_bytes(struct ctx *ctx, struct arena *a, const char *path, uint64_t *sum,
			size_t *n)
{
	struct fs_names names;
	struct err none = ERR_INIT;
	*n = 0;
	if (fs_list(ctx, a, path, &names, &none) < 0)
		return none.code == E_NOT_FOUND;
	for (size_t i = 0; i < names.n; i++)
		if (!add_size(ctx, str_fmt(a, "%s/%.*s", path, STR_FMT(names.name[i])).p,
			      sum))
			return false;
	*n = names.n;
	return true;
}

bool prom_scan_bytes(struct prom_scan *s, struct ctx *ctx, uint64_t *lasting,
		     uint64_t *other)
{
	struct arena a;
	bool ok = true;
	size_t n;
	*lasting = *other = 0;
	arena_init(&a, NULL);
	for (size_t i = 0; ok && i < s->n; i++) {
		const char *dir = str_fmt(&a, "%s/%s", s->dir, s->v[i]->id).p;
		if (!s->v[i]->live)
			continue;
		ok = add_size(ctx, str_fmt(&a, "%s/index", dir).p, lasting) &&
		     add_size(ctx, str_fmt(&a, "%s/meta.json", dir).p, other) &&
		     chunk_bytes(ctx, &a, str_fmt(&a, "%s/chunks", dir).p, lasting, &n);
		/* A block needs no tombstones. */
		(void)add_size(ctx, str_fmt(&a, "%s/tombstones", dir).p, other);
	}
	arena_deinit(&a);
	return ok;
}

/* ---- opening ---- */

static bool same_file(const struct fs_stat *a, const struct fs_stat *b)
{
	return a->kind == b->kind && a->ino == b->ino && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns;
}

int prom_entry_open(struct prom_scan *s, struct prom_entry *t, struct ctx *ctx,
		    struct err *e)
{
	struct arena a;
	struct fs_stat stones, st;
	struct block *b = NULL;
	uint64_t bytes = 0;
	int rc = 1;
	arena_init(&a, NULL);
	const char *dir = str_fmt(&a, "%s/%s", s->dir, t->id).p;
	if (fs_stat(ctx, str_fmt(&a, "%s/tombstones", dir).p, &stones, e) < 0) {
		rc = -1;
		goto out;
	}
	if (t->block && same_file(&stones, &t->stones))
		goto out;
	rc = block_open_dir(ctx, dir, &b, e);
	if (rc == 0) {
		prom_entry_close(t);
		t->block = b;
		t->stones = stones;
		t->memory = idx_memory(b->index);
		chunk_bytes(ctx, &a, str_fmt(&a, "%s/chunks", dir).p, &bytes, &t->files);
		t->files++;
		rc = 1;
	} else if (fs_stat(ctx, dir, &st, e) == 0 &&
		   (st.kind != FS_DIR || st.ino != t->ino)) {
		rc = 0;
	}
out:
	arena_deinit(&a);
	return rc;
}
