/*
 * compactor/snapshot.c - selected blocks in a second bucket, and back.
 *
 * Copying a block: chunks and index, a look whether all are there with their sizes, then meta.json: a store over the
 * second bucket never sees half of one. What is there with the right size is passed over, so that a copy that was killed
 * goes on, and a snapshot costs only the blocks that are new. The list comes last. Expiring works the other way: a list
 * goes when its blocks, as far as no other list has them, are gone; blocks that no list ever had are nobody's business.
 */
#include "compactor/snapshot_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "base/vec.h"
#include "model/matcher.h"

#define WINDOW_BYTES ((uint64_t)1 << 20)

/* ---- one object ---- */

struct stream {
	struct range_source *src;
	uint64_t off;
};

static int stream_read(void *arg, struct ctx *ctx, void *p, size_t cap, size_t *n,
		       struct err *e)
{
	struct stream *s = arg;
	struct view v;
	uint64_t want = MIN(MIN((uint64_t)cap, WINDOW_BYTES), s->src->size - s->off);
	*n = 0;
	if (want == 0)
		return 0;
	if (range_source_read1(s->src, ctx, s->off, want, &v, e) < 0)
		return -1;
	memcpy(p, v.p, v.n);
	*n = v.n;
	s->off += v.n;
	view_put(&v);
	return 0;
}

static int stream_seek(void *arg, struct ctx *ctx UNUSED, uint64_t off,
		       struct err *e UNUSED)
{
	((struct stream *)arg)->off = off;
	return 0;
}

static int copy_object(struct ctx *ctx, struct bucket *from, struct bucket *to,
		       struct str name, uint64_t size, struct err *e)
{
	struct stream s = { 0 };
	if (bucket_open(from, ctx, name, &s.src, e) < 0)
		return -1;
	struct put_source src = { stream_read, &s, s.src->size, stream_seek };
	int rc = s.src->size != size
			 ? err_set(ctx, e, E_CORRUPT,
				   "%.*s has %llu bytes, listed are %llu", STR_FMT(name),
				   (unsigned long long)s.src->size,
				   (unsigned long long)size)
			 : bucket_put(to, ctx, name, &src, e);
	range_source_unref(s.src);
	return rc;
}

/* ---- one block ---- */

struct copying {
	struct ctx *ctx;
	const struct snapshot_opts *o;
	const struct metas *there; /* of the target */
	const struct snap_block *v;
	bool *copied;
	_Atomic uint64_t bytes;
};

static bool has(const struct known *k, const struct snap_file *f)
{
	const struct known_object *o = k ? known_object(k, f->rel) : NULL;
	return o && o->attrs.size == f->size;
}

static bool is_meta(const struct snap_file *f)
{
	return str_eq(f->rel, STR("meta.json"));
}

static bool is_there(const struct metas *m, const struct snap_block *b)
{
	const struct known *k = metas_find(m, &b->ulid);
	for (size_t i = 0; i < b->n_files; i++)
		if (!has(k, &b->file[i]))
			return false;
	return b->n_files > 0;
}

static int confirm(struct copying *c, struct arena *a, const char *id,
		   const struct snap_block *b, struct err *e)
{
	for (size_t i = 0; i < b->n_files; i++) {
		struct bucket_attrs at;
		if (is_meta(&b->file[i]))
			continue;
		struct str name = str_fmt(a, "%s/%.*s", id, STR_FMT(b->file[i].rel));
		if (bucket_attrs(c->o->to, c->ctx, name, &at, e) < 0)
			return -1;
		if (at.size != b->file[i].size)
			return err_set(c->ctx, e, E_REMOTE,
				       "%.*s has %llu bytes after its copy, %llu before",
				       STR_FMT(name), (unsigned long long)at.size,
				       (unsigned long long)b->file[i].size);
	}
	return 0;
}

static int copy_block(void *arg, size_t at, struct err *e)
{
	struct copying *c = arg;
	const struct snap_block *b = &c->v[at];
	const struct known *k = metas_find(c->there, &b->ulid);
	const struct snap_file *meta = NULL;
	struct arena a;
	char id[27];
	int rc = ctx_check(c->ctx, e);
	if (rc < 0 || is_there(c->there, b))
		return rc;
	ulid_format(&b->ulid, id);
	arena_init(&a, NULL);
	for (size_t i = 0; rc == 0 && i < b->n_files; i++) {
		const struct snap_file *f = &b->file[i];
		if (is_meta(f))
			meta = f;
		else if (!has(k, f)) {
			rc = copy_object(c->ctx, c->o->from, c->o->to,
					 str_fmt(&a, "%s/%.*s", id, STR_FMT(f->rel)),
					 f->size, e);
			c->bytes += f->size;
		}
	}
	if (rc == 0)
		rc = confirm(c, &a, id, b, e);
	if (rc == 0 && meta)
		rc = copy_object(c->ctx, c->o->from, c->o->to,
				 str_fmt(&a, "%s/meta.json", id), meta->size, e);
	c->copied[at] = rc == 0;
	arena_deinit(&a);
	return rc < 0 ? err_wrap(c->ctx, e, "block %s", id) : 0;
}

static int copy_all(struct ctx *ctx, const struct snapshot_opts *o,
		    const struct snap_block *v, size_t n, const struct metas *there,
		    struct snapshot_report *r, struct err *e)
{
	struct copying c = { ctx, o, there, v, xcalloc(n + 1, sizeof(bool)), 0 };
	int rc = each_of(o->pool, o->concurrency, n, copy_block, &c, false, e);
	for (size_t i = 0; i < n; i++)
		r->copied += c.copied[i];
	r->blocks = n;
	r->skipped = n - r->copied;
	r->bytes = c.bytes;
	free(c.copied);
	return rc;
}

/* ---- which blocks ---- */

static int look(struct ctx *ctx, const struct snapshot_opts *o, struct bucket *b,
		struct catalogue **out, struct err *e)
{
	struct fetcher *f =
		fetcher_new(&(struct fetcher_opts){ .bucket = b,
						    .ignore_deletion_marks_ms = -1,
						    .objects = true,
						    .pool = o->pool });
	int rc = fetcher_sync(f, ctx, out, e);
	fetcher_free(f);
	return rc;
}

static bool fits_labels(const struct snapshot_select *s, const struct block_meta *m)
{
	struct arena a;
	char id[27];
	struct label one;
	bool fits = s->n_sets == 0;
	if (fits)
		return true;
	arena_init(&a, NULL);
	ulid_format(&m->ulid, id);
	one = (struct label){ STR("__block_id"), str_of(id) };
	struct label *l = ARENA_ARRAY(&a, struct label, m->thanos.labels.n + 2);
	struct labels ls =
		labels_merge(l, m->thanos.labels, (struct labels){ &one, 1, 0 });
	for (size_t i = 0; !fits && i < s->n_sets; i++)
		fits = matcher_labels(s->sets[i], s->n_matchers[i], ls);
	arena_deinit(&a);
	return fits;
}

static bool is_selected(const struct snapshot_select *s, const struct fetched_block *b)
{
	const struct block_meta *m = &b->meta;
	bool res = s->n_resolutions == 0;
	for (size_t i = 0; !res && i < s->n_resolutions; i++)
		res = s->resolution_ms[i] == m->thanos.resolution_ms;
	bool time = (s->mint_ms == 0 && s->maxt_ms == 0) ||
		    (m->maxt_ms > s->mint_ms && m->mint_ms <= s->maxt_ms);
	return res && time && (s->with_marked || !b->deletion_time_s) &&
	       fits_labels(s, m);
}

/* All its objects but marks, as they are listed. */
static void describe(struct arena *a, const struct known *k, struct snap_block *out)
{
	*out = (struct snap_block){ .ulid = k->id };
	out->file = ARENA_ARRAY(a, struct snap_file, k->n_objects + 1);
	for (size_t i = 0; i < k->n_objects; i++) {
		bool mark = false;
		for (unsigned m = 0; m < MARK_KINDS; m++)
			mark |= str_eqz(k->object[i].rel, mark_filename(m));
		if (!mark)
			out->file[out->n_files++] =
				(struct snap_file){ k->object[i].rel,
						    k->object[i].attrs.size };
	}
}

/* Blocks that have lost files are named and left out: *bad is the first of them. */
static void select_blocks(struct ctx *ctx, struct arena *a, const struct catalogue *c,
			  const struct snapshot_select *s, struct snap *out,
			  struct err *bad)
{
	out->block = ARENA_ARRAY(a, struct snap_block, c->n + 1);
	for (size_t i = 0; i < c->n; i++) {
		struct str missing = STR("");
		char id[27];
		if (!is_selected(s, &c->block[i]))
			continue;
		ulid_format(&c->block[i].meta.ulid, id);
		if (!known_is_whole(c->block[i].known, &missing)) {
			log_error(ctx, "block %s has no whole %.*s and is left out", id,
				  STR_FMT(missing));
			if (bad->code == E_OK)
				err_set(ctx, bad, E_CORRUPT,
					"block %s has no whole %.*s and was left out", id,
					STR_FMT(missing));
			continue;
		}
		describe(a, c->block[i].known, &out->block[out->n++]);
	}
}

/* ---- taking ---- */

static int name_snap(struct ctx *ctx, struct arena *a, const struct snapshot_opts *o,
		     struct snap *s, struct snapshot_report *r, struct err *e)
{
	int64_t now_ms = o->now_ms ? o->now_ms : time_wall_ms();
	char text[40];
	size_t n = time_format_rfc3339(text, now_ms / 1000, 0, 0), k = 0;
	for (size_t i = 0; i < n; i++)
		if (text[i] != '-' && text[i] != ':')
			text[k++] = text[i];
	s->time_s = now_ms / 1000;
	s->name = str_dup(a, o->name.n ? o->name : str_n(text, k));
	if (!snap_name_is_valid(s->name))
		return err_set(
			ctx, e, E_INVALID,
			"\"%.*s\" is no name of a snapshot: up to 100 letters, digits, '-', '_' and '.'",
			STR_FMT(s->name));
	snprintf(r->name, sizeof(r->name), "%.*s", STR_FMT(s->name));
	return 0;
}

static int take(struct ctx *ctx, struct arena *a, const struct snapshot_opts *o,
		const struct catalogue *from, const struct catalogue *to,
		struct snapshot_report *r, struct err *e)
{
	struct snap s = { 0 }, *known;
	struct err bad = ERR_INIT;
	size_t n;
	if (name_snap(ctx, a, o, &s, r, e) < 0 ||
	    snap_read_all(ctx, a, o->to, &known, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (str_eq(known[i].name, s.name))
			return err_set(ctx, e, E_EXISTS, "snapshot %.*s is there already",
				       STR_FMT(s.name));
	select_blocks(ctx, a, from, &o->select, &s, &bad);
	r->blocks = s.n;
	for (size_t i = 0; o->dry_run && i < s.n; i++)
		r->skipped += is_there(to->metas, &s.block[i]);
	if (o->dry_run)
		return 0;
	if (copy_all(ctx, o, s.block, s.n, to->metas, r, e) < 0 ||
	    snap_put(ctx, o->to, &s, e) < 0)
		return -1;
	if (o->keep_ms && snapshot_expire(ctx, o, r, e) < 0)
		return -1;
	if (bad.code == E_OK)
		return 0;
	*e = bad;
	return -1;
}

int snapshot_take(struct ctx *ctx, const struct snapshot_opts *o,
		  struct snapshot_report *r, struct err *e)
{
	struct catalogue *from = NULL, *to = NULL;
	struct arena a;
	*r = (struct snapshot_report){ 0 };
	arena_init(&a, NULL);
	int rc = look(ctx, o, o->from, &from, e);
	if (rc == 0)
		rc = look(ctx, o, o->to, &to, e);
	if (rc == 0)
		rc = take(ctx, &a, o, from, to, r, e);
	if (from)
		ref_put(&from->ref);
	if (to)
		ref_put(&to->ref);
	arena_deinit(&a);
	return rc < 0 ? err_wrap(ctx, e, "snapshot") : 0;
}

/* ---- restoring ---- */

static const struct snap *find_snap(const struct snap *v, size_t n, struct str name)
{
	if (!name.n)
		return n ? &v[n - 1] : NULL;
	for (size_t i = 0; i < n; i++)
		if (str_eq(v[i].name, name))
			return &v[i];
	return NULL;
}

static const struct fetched_block *find_block(const struct catalogue *c,
					      const struct ulid *id)
{
	for (size_t i = 0; i < c->n; i++)
		if (ulid_cmp(&c->block[i].meta.ulid, id) == 0)
			return &c->block[i];
	return NULL;
}

/* The selected blocks of s, all of them whole in the backup. */
static int pick(struct ctx *ctx, struct arena *a, const struct snapshot_opts *o,
		const struct snap *s, const struct catalogue *from, struct snap *out,
		struct err *e)
{
	*out = *s;
	out->n = 0;
	out->block = ARENA_ARRAY(a, struct snap_block, s->n + 1);
	for (size_t i = 0; i < s->n; i++) {
		const struct snap_block *b = &s->block[i];
		const struct fetched_block *f = find_block(from, &b->ulid);
		char id[27];
		ulid_format(&b->ulid, id);
		if (f && !is_selected(&o->select, f))
			continue;
		for (size_t k = 0; k < b->n_files; k++)
			if (!f || !has(f->known, &b->file[k]))
				return err_set(
					ctx, e, E_CORRUPT,
					"%.*s of block %s is missing or has another size",
					STR_FMT(b->file[k].rel), id);
		out->block[out->n++] = *b;
	}
	return 0;
}

static int unmark(struct ctx *ctx, const struct snapshot_opts *o, const struct snap *s,
		  const struct metas *to, struct err *e)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct known *k = metas_find(to, &s->block[i].ulid);
		if (k && k->mark[MARK_DELETION].seen.there &&
		    mark_remove(o->to, ctx, MARK_DELETION, &k->id, e) < 0)
			return -1;
	}
	return 0;
}

static int restore(struct ctx *ctx, struct arena *a, const struct snapshot_opts *o,
		   const struct catalogue *from, const struct catalogue *to,
		   struct snapshot_report *r, struct err *e)
{
	struct snap *v, picked;
	size_t n;
	if (snap_read_all(ctx, a, o->from, &v, &n, e) < 0)
		return -1;
	const struct snap *s = find_snap(v, n, o->name);
	if (!s && o->name.n)
		return err_set(ctx, e, E_NOT_FOUND, "there is no snapshot %.*s",
			       STR_FMT(o->name));
	if (!s)
		return err_set(ctx, e, E_NOT_FOUND, "there is no snapshot");
	snprintf(r->name, sizeof(r->name), "%.*s", STR_FMT(s->name));
	if (pick(ctx, a, o, s, from, &picked, e) < 0)
		return err_wrap(ctx, e, "%.*s", STR_FMT(s->name));
	r->blocks = picked.n;
	for (size_t i = 0; o->dry_run && i < picked.n; i++)
		r->skipped += is_there(to->metas, &picked.block[i]);
	if (o->dry_run)
		return 0;
	/* A mark first: else a compactor could delete what is being copied. */
	if (o->overwrite && unmark(ctx, o, &picked, to->metas, e) < 0)
		return -1;
	return copy_all(ctx, o, picked.block, picked.n, to->metas, r, e);
}

int snapshot_restore(struct ctx *ctx, const struct snapshot_opts *o,
		     struct snapshot_report *r, struct err *e)
{
	struct catalogue *from = NULL, *to = NULL;
	struct snapshot_opts x = *o;
	struct arena a;
	*r = (struct snapshot_report){ 0 };
	x.select.with_marked =
		true; /* marks of the backup say nothing about a list's blocks */
	arena_init(&a, NULL);
	int rc = look(ctx, &x, o->from, &from, e);
	if (rc == 0)
		rc = look(ctx, &x, o->to, &to, e);
	if (rc == 0)
		rc = restore(ctx, &a, &x, from, to, r, e);
	if (from)
		ref_put(&from->ref);
	if (to)
		ref_put(&to->ref);
	arena_deinit(&a);
	return rc < 0 ? err_wrap(ctx, e, "restore") : 0;
}

/* ---- expiring ---- */

static int expire_one(struct ctx *ctx, const struct snapshot_opts *o,
		      const struct snap *s, const struct map *kept,
		      struct snapshot_report *r, struct err *e)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct ulid *id = &s->block[i].ulid;
		if (map_get(kept, str_n(id->b, sizeof(id->b))))
			continue;
		if (!o->dry_run && block_delete(o->to, ctx, id, e) < 0)
			return -1;
		r->deleted_blocks++;
	}
	r->expired++;
	log_info(ctx, "snapshot %.*s is expired", STR_FMT(s->name));
	return o->dry_run ? 0 : snap_delete(ctx, o->to, s->name, e);
}

int snapshot_expire(struct ctx *ctx, const struct snapshot_opts *o,
		    struct snapshot_report *r, struct err *e)
{
	int64_t now_ms = o->now_ms ? o->now_ms : time_wall_ms();
	struct arena a;
	struct map kept;
	struct snap *v;
	size_t n, first = 0;
	arena_init(&a, NULL);
	map_init(&kept);
	int rc = snap_read_all(ctx, &a, o->to, &v, &n, e);
	/* v[0 .. first) go. */
	while (rc == 0 && o->keep_ms && first + o->keep_last < n &&
	       now_ms - v[first].time_s * 1000 > o->keep_ms)
		first++;
	for (size_t i = first; rc == 0 && i < n; i++)
		for (size_t k = 0; k < v[i].n; k++)
			map_set(&kept, str_n(v[i].block[k].ulid.b, sizeof(struct ulid)),
				&v[i]);
	for (size_t i = 0; rc == 0 && i < first; i++)
		rc = expire_one(ctx, o, &v[i], &kept, r, e);
	map_deinit(&kept);
	arena_deinit(&a);
	return rc < 0 ? err_wrap(ctx, e, "expire") : 0;
}
