/*
 * blocks/shipper.c - the finished blocks of a TSDB folder go to the bucket, oldest first.
 *
 * For each block that neither thanos.shipper.json nor the bucket knows:
 *
 *   check    encodings that nobody reads and damaged files are found before a byte is sent
 *   overlap  of compacted blocks only
 *   stage    hard links in thanos/upload/<ULID>, the Thanos section filled
 *   upload   chunks, index, meta.json (blocks/upload.c)
 *
 * A block is in the bucket when its meta.json is, whatever the state file says, so a process killed at any
 * point leaves: a stage (removed at the next pass), objects without meta.json (completed by the next pass),
 * or a block the state file does not name (found by asking). The state file is written at the end of each
 * pass, failed ones too.
 *
 * Order: a compactor that sees Tuesday before Monday may compact around the gap. So the first block that
 * cannot be uploaded ends the pass, unless out-of-order uploads are allowed. Blocks that will never go up
 * (unreadable meta.json, encodings 4 to 6) hold up nobody.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "base/vec.h"
#include "blocks/blocks_int.h"
#include "fs/fs.h"

enum {
	M_SYNCS,
	M_SYNC_FAILURES,
	M_UPLOADS,
	M_FAILURES,
	M_COMPACTED,
	M_CORRUPTED,
	M_COUNT
};
static const struct metric_desc rows[M_COUNT] = {
	[M_SYNCS] = { METRIC_COUNTER,
		      "thanos_shipper_dir_syncs_total",
		      "Passes over the TSDB folder.",
		      { 0 } },
	[M_SYNC_FAILURES] = { METRIC_COUNTER,
			      "thanos_shipper_dir_sync_failures_total",
			      "Passes over the TSDB folder that failed.",
			      { 0 } },
	[M_UPLOADS] = { METRIC_COUNTER,
			"thanos_shipper_uploads_total",
			"Blocks uploaded.",
			{ 0 } },
	[M_FAILURES] = { METRIC_COUNTER,
			 "thanos_shipper_upload_failures_total",
			 "Uploads of blocks that failed or were refused.",
			 { 0 } },
	[M_COMPACTED] = { METRIC_GAUGE,
			  "thanos_shipper_upload_compacted_done",
			  "1 when all compacted blocks are uploaded, 0 if not.",
			  { 0 } },
	[M_CORRUPTED] = { METRIC_COUNTER,
			  "thanos_shipper_corrupted_blocks_total",
			  "Damaged blocks that were found.",
			  { 0 } },
};

struct shipper {
	struct shipper_opts o;
	char *dir, *state_path, *stage_path; /* stage: <dir>/thanos/upload */
	struct metric *m[M_COUNT];	     /* NULL without a registry */
	bool said_full;
	struct ship_state refused; /* will never go up; said once, not looked at again */
};

struct local { /* a block of the folder */
	struct block_meta meta;
	bool uploaded;
};

struct pass {
	struct shipper *s;
	struct ctx *ctx;
	struct arena arena; /* all metas and labels of the pass */
	struct labels labels;
	struct local *v; /* ascending by time, then ULID */
	size_t n;
	struct ship_overlap overlap;
	uint32_t uploaded, failed;
	struct err first; /* of the blocks that failed but held up nobody */
};

enum step { STEP_CHECK, STEP_OVERLAP, STEP_UPLOAD };

static void count(struct shipper *s, unsigned row)
{
	if (s->m[row])
		metric_inc(s->m[row]);
}

static char *path_join(const char *dir, const char *name)
{
	size_t room = strlen(dir) + strlen(name) + 2;
	char *p = xmalloc(room);
	snprintf(p, room, "%s/%s", dir, name);
	return p;
}

struct shipper *shipper_new(const struct shipper_opts *o)
{
	struct shipper *s = xcalloc(1, sizeof(*s));
	s->o = *o;
	s->dir = xstrdup(o->dir);
	s->state_path = path_join(o->dir, o->meta_file);
	s->stage_path = path_join(o->dir, "thanos/upload");
	if (!o->metrics)
		return s;
	struct metric_set *set = metric_set_new(o->metrics, rows, M_COUNT);
	for (unsigned i = 0; i < M_COUNT; i++)
		s->m[i] = metric_plain(set, i);
	return s;
}

void shipper_free(struct shipper *s)
{
	if (!s)
		return;
	ship_state_deinit(&s->refused);
	free(s->dir);
	free(s->state_path);
	free(s->stage_path);
	free(s);
}

static void note_failure(struct pass *p, const struct err *e)
{
	if (p->failed++ == 0)
		p->first = *e; /* a long text lives as long as the ctx */
}

/* ---- what the folder holds ---- */

static int by_time(const void *a, const void *b, void *arg UNUSED)
{
	const struct block_meta *x = &((const struct local *)a)->meta;
	const struct block_meta *y = &((const struct local *)b)->meta;
	if (x->mint_ms != y->mint_ms)
		return x->mint_ms < y->mint_ms ? -1 : 1;
	return ulid_cmp(&x->ulid, &y->ulid);
}

/* 1: read, 0: no block (any more). */
static int read_local(struct pass *p, struct str name, struct local *out, struct err *e)
{
	struct ulid id;
	struct str rest;
	struct fs_stat st;
	struct buf raw;
	if (!blocks_split_name(name, &id, &rest) || rest.n)
		return 0;
	char *path = str_dupz(&p->arena, str_fmt(&p->arena, "%s/%.*s/" BLOCKS_META_NAME,
						 p->s->dir, STR_FMT(name)));
	if (fs_stat(p->ctx, path, &st, e) < 0)
		return -1;
	if (st.kind != FS_FILE)
		return 0;
	*out = (struct local){ 0 };
	buf_init(&raw, LIMIT_META_BYTES);
	int rc = fs_read_file(p->ctx, path, LIMIT_META_BYTES, &raw, e);
	if (rc == 0)
		rc = block_meta_parse(p->ctx, &p->arena, buf_view(&raw), &out->meta, e);
	buf_deinit(&raw);
	if (rc == 0 && ulid_cmp(&out->meta.ulid, &id) != 0)
		rc = err_set(p->ctx, e, E_CORRUPT, "meta.json is that of another block");
	return rc < 0 ? err_wrap(p->ctx, e, "block %.*s", STR_FMT(name)) : 1;
}

static int list_local(struct pass *p, const struct ship_state *state, struct err *e)
{
	struct fs_names names;
	if (fs_list(p->ctx, &p->arena, p->s->dir, &names, e) < 0)
		return -1;
	p->v = arena_try(&p->arena, p->ctx, (names.n + 1) * sizeof(*p->v), e);
	if (!p->v)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		struct err why = ERR_INIT;
		struct local *l = &p->v[p->n];
		int rc = read_local(p, names.name[i], l, &why);
		if (rc < 0) {
			log_warn(p->ctx, "shipper: passed over: %s", err_text(&why));
			note_failure(p, &why);
			count(p->s, M_CORRUPTED);
		} else if (rc > 0) {
			l->uploaded = ship_state_has(state, &l->meta.ulid);
			p->n++;
		}
	}
	if (p->n > 1)
		vec_sort(p->v, p->n, sizeof(*p->v), by_time, NULL);
	return 0;
}

/* ---- one block ---- */

bool ship_space_is_low(uint64_t left, uint64_t total, uint64_t need)
{
	return left < need || left < total / 20;
}

/* Links need next to nothing, but Prometheus that runs out of space stops, and a copy may be needed. Said once. */
static void warn_if_full(struct shipper *s, struct pass *p, const char *id,
			 const struct block_meta *staged)
{
	uint64_t left, total, need = 0;
	for (size_t i = 0; i < staged->thanos.n_files; i++)
		need += staged->thanos.files[i].size_bytes;
	if (!fs_space(s->dir, &left, &total))
		return;
	bool low = ship_space_is_low(left, total, need);
	if (low && !s->said_full)
		log_warn(
			p->ctx,
			"shipper: the disk of %s is nearly full: %llu of %llu bytes are left, block %s has %llu",
			s->dir, (unsigned long long)left, (unsigned long long)total, id,
			(unsigned long long)need);
	s->said_full = low;
}

static int ship_one(struct pass *p, const struct local *l, enum step *step, struct err *e)
{
	struct shipper *s = p->s;
	struct block_meta meta = l->meta;
	char id[27];
	ulid_format(&meta.ulid, id);
	char *from = str_dupz(&p->arena, str_fmt(&p->arena, "%s/%s", s->dir, id));
	char *to = str_dupz(&p->arena, str_fmt(&p->arena, "%s/%s", s->stage_path, id));
	*step = STEP_CHECK;
	if (ship_check_block(p->ctx, from, e) < 0)
		return -1;
	*step = STEP_OVERLAP;
	if (meta.compaction.level > 1 && !s->o.allow_out_of_order &&
	    ship_overlap_check(&p->overlap, p->ctx, p->labels, &meta, e) < 0)
		return -1;
	*step = STEP_UPLOAD;
	meta.has_thanos = true;
	meta.thanos.labels = p->labels;
	meta.thanos.source = str_of(s->o.source);
	meta.thanos.upload_time = block_upload_time(&p->arena, time_wall_ns());
	int rc =
		ship_stage_block(p->ctx, &p->arena, from, to, s->o.hash_sha256, &meta, e);
	if (rc == 0)
		warn_if_full(s, p, id, &meta);
	if (rc == 0)
		rc = block_upload(s->o.bucket, p->ctx, to, &meta, &s->o.upload, e);
	struct err none = ERR_INIT;
	if (fs_remove_all(p->ctx, to, &none) < 0)
		log_warn(p->ctx, "shipper: %s", err_text(&none));
	if (rc == 0)
		ship_overlap_add(&p->overlap, &meta);
	return rc;
}

/* The folder of a block that failed: Prometheus may have deleted it meanwhile. */
static bool is_gone(struct pass *p, const char *id)
{
	struct fs_stat st;
	struct err none = ERR_INIT;
	char *path = path_join(p->s->dir, id);
	bool gone = fs_stat(p->ctx, path, &st, &none) == 0 && st.kind == FS_NONE;
	free(path);
	return gone;
}

/* What a failed block means for the pass: 0 go on, -1 it ends with *e. */
static int after_failure(struct pass *p, const struct local *l, enum step step,
			 struct err *e, const char *id)
{
	struct shipper *s = p->s;
	struct err none = ERR_INIT;
	if (ctx_check(p->ctx, &none) < 0)
		return -1;
	if (is_gone(p, id)) {
		log_info(p->ctx, "shipper: block %s was deleted before its upload", id);
		return 0;
	}
	count(s, M_FAILURES);
	if (step == STEP_CHECK && e->code == E_UNSUPPORTED) {
		ship_state_add(&s->refused, &l->meta.ulid);
		log_error(p->ctx, "shipper: block %s is not uploaded: %s", id,
			  err_text(e));
		return 0;
	}
	if (step == STEP_CHECK && e->code == E_CORRUPT) {
		count(s, M_CORRUPTED);
		if (s->o.skip_corrupted) {
			ship_state_add(&s->refused, &l->meta.ulid);
			log_error(p->ctx, "shipper: block %s is passed over: %s", id,
				  err_text(e));
			return 0;
		}
	}
	if (!s->o.allow_out_of_order && !(step == STEP_OVERLAP && e->code == E_EXISTS))
		return -1;
	log_error(p->ctx, "shipper: block %s: %s", id, err_text(e));
	note_failure(p, e);
	return 0;
}

static bool is_wanted(const struct pass *p, const struct local *l)
{
	if (l->uploaded || l->meta.stats.samples == 0)
		return false;
	if (l->meta.compaction.level > 1 && !p->s->o.upload_compacted)
		return false;
	return !ship_state_has(&p->s->refused, &l->meta.ulid);
}

static int ship_all(struct pass *p, struct err *e)
{
	for (size_t i = 0; i < p->n; i++) {
		struct local *l = &p->v[i];
		char id[27], name[48];
		enum step step;
		struct err why = ERR_INIT;
		if (!is_wanted(p, l))
			continue;
		ulid_format(&l->meta.ulid, id);
		int n = snprintf(name, sizeof(name), "%s/" BLOCKS_META_NAME, id);
		if (bucket_exists(p->s->o.bucket, p->ctx, str_n(name, (size_t)n),
				  &l->uploaded, e) < 0)
			return -1;
		if (l->uploaded)
			continue;
		if (ship_one(p, l, &step, &why) == 0) {
			l->uploaded = true;
			p->uploaded++;
			count(p->s, M_UPLOADS);
			log_info(p->ctx, "shipper: block %s uploaded", id);
			continue;
		}
		if (after_failure(p, l, step, &why, id) < 0) {
			*e = why;
			return err_wrap(p->ctx, e, "upload %s", id);
		}
	}
	return 0;
}

/* ---- the pass ---- */

static int save_state(struct pass *p, struct err *e)
{
	struct ship_state now = { 0 };
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].uploaded)
			ship_state_add(&now, &p->v[i].meta.ulid);
	int rc = ship_state_write(&now, p->ctx, p->s->state_path, e);
	ship_state_deinit(&now);
	return rc;
}

static int run(struct pass *p, struct err *e)
{
	struct ship_state state;
	struct err why = ERR_INIT;
	if (!p->s->o.labels(p->s->o.arg, &p->arena, &p->labels))
		return 0;
	if (ship_state_read(&state, p->ctx, p->s->state_path, &why) < 0)
		log_warn(p->ctx, "shipper: the bucket is asked for each block: %s",
			 err_text(&why));
	/* Left by a process that was killed; links there keep deleted blocks' space. */
	int rc = fs_remove_all(p->ctx, p->s->stage_path, e);
	if (rc == 0)
		rc = list_local(p, &state, e);
	ship_state_deinit(&state);
	if (rc < 0)
		return -1;
	rc = ship_all(p, e);
	why = ERR_INIT;
	if (save_state(p, &why) < 0) {
		if (rc == 0)
			*e = why;
		rc = -1;
	}
	if (rc == 0 && p->failed)
		rc = err_set(p->ctx, e, p->first.code,
			     "%u block%s could not be shipped: %s", p->failed,
			     p->failed == 1 ? "" : "s; the first", err_text(&p->first));
	return rc;
}

int shipper_sync(struct shipper *s, struct ctx *ctx, uint32_t *uploaded, struct err *e)
{
	struct pass p = { .s = s, .ctx = ctx };
	arena_init(&p.arena, ctx ? ctx->budget : NULL);
	ship_overlap_init(&p.overlap, s->o.bucket);
	count(s, M_SYNCS);
	int rc = run(&p, e);
	if (rc < 0)
		count(s, M_SYNC_FAILURES);
	if (s->m[M_COMPACTED])
		metric_set_value(s->m[M_COMPACTED], s->o.upload_compacted && rc == 0);
	*uploaded = p.uploaded;
	ship_overlap_deinit(&p.overlap);
	arena_deinit(&p.arena);
	return rc < 0 ? err_wrap(ctx, e, "shipper %s", s->dir) : 0;
}
