/*
 * compactor/job.c - one block made of others, in the order that loses nothing whenever the process ends:
 *
 *   staging      a folder of its own with the names of the inputs
 *   work         the output appears in it whole, checked and synced (lib/compact)
 *   upload       chunks, index, a listing with all sizes, hashes if wanted, then meta.json (blocks/upload.c)
 *   marks        only now the inputs of a compaction are marked for deletion
 *   staging away
 *
 * Ended before the output's meta.json is in the bucket, nothing has changed for anybody: the next iteration finishes
 * the upload or removes both (recover.c). Ended after it, the inputs are covered by the output's sources: readers leave
 * them out, and garbage collection marks what is not yet marked.
 */
#include "compactor/compactor_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"
#include "fs/fs.h"

static struct gblock *input(const struct job *j, size_t i)
{
	return CONTAINER_OF(j->plan.block[i], struct gblock, pb);
}

/* ---- before anything is read ---- */

static struct gblock *index_guard(struct job *j)
{
	size_t i = plan_too_big(&j->plan, j->run->c->o.block_max_index_size);
	return i == SIZE_MAX ? NULL : input(j, i);
}

static int exclude(struct job *j, struct gblock *b, const char *reason,
		   struct str details, struct err *e)
{
	struct run *r = j->run;
	bool marked;
	if (compactor_mark(r->c, r->ctx, MARK_NO_COMPACT, &b->meta.ulid, b->known,
			   str_of(reason), details, &marked, e) < 0)
		return -1;
	pthread_mutex_lock(&r->mu);
	b->pb.excluded = true;
	j->group->planned = false;
	pthread_mutex_unlock(&r->mu);
	return 0;
}

/* Two blocks that came from the same one would give its samples twice; told apart by sources only. */
static struct gblock *shared_source(struct job *j)
{
	struct map seen;
	struct gblock *bad = NULL;
	map_init(&seen);
	for (size_t i = 0; !bad && i < j->plan.n; i++)
		for (size_t k = 0; k < input(j, i)->meta.compaction.n_sources; k++) {
			struct ulid *id = &input(j, i)->meta.compaction.sources[k];
			struct gblock *was =
				map_set(&seen, str_n(id->b, sizeof(id->b)), input(j, i));
			if (was && was != input(j, i))
				bad = input(j, i);
		}
	map_deinit(&seen);
	return bad;
}

static int sources_guard(struct job *j, bool *replan, struct err *e)
{
	struct run *r = j->run;
	struct gblock *b = shared_source(j);
	char id[27];
	if (!b)
		return 0;
	ulid_format(&b->meta.ulid, id);
	if (r->c->o.enable_vertical) {
		log_warn(r->ctx,
			 "group %s: block %s shares sources with others of the plan",
			 j->group->key, id);
		return 0;
	}
	struct err why = ERR_INIT;
	err_set(r->ctx, &why, E_CORRUPT,
		"block %s shares sources with another one of the plan, and vertical compaction is off",
		id);
	if (r->c->o.halt_on_error)
		return quarantine(j, COMPACT_FAULT_OVERLAP, SIZE_MAX, &why, e);
	log_error(r->ctx, "group %s: left out: %s", j->group->key, err_text(&why));
	pthread_mutex_lock(&r->mu);
	b->pb.excluded = b->overlaps = true;
	r->r->overlapping++;
	j->group->planned = false;
	pthread_mutex_unlock(&r->mu);
	*replan = true;
	return 0;
}

/* *replan: something was left out of the group, the plan is void. */
static int guards(struct job *j, bool *replan, struct err *e)
{
	struct compactor *c = j->run->c;
	struct gblock *big = index_guard(j);
	*replan = big != NULL;
	if (big)
		return exclude(
			j, big, "index-size-exceeding",
			str_fmt(&j->arena,
				"thanosc: the index of a block made of this one and others could exceed %llu bytes",
				(unsigned long long)c->o.block_max_index_size),
			e);
	for (size_t i = 0;
	     j->plan.overlapping && j->group->resolution_ms && i < j->plan.n; i++) {
		*replan = true;
		if (exclude(j, input(j, i), "downsample-vertical-compaction",
			    STR("thanosc: downsampled blocks that overlap cannot become one"),
			    e) < 0)
			return -1;
	}
	return *replan ? 0 : sources_guard(j, replan, e);
}

/* ---- staging ---- */

static int stage(struct job *j, struct err *e)
{
	struct run *r = j->run;
	struct buf note;
	char id[27];
	ulid_format(&j->ulid, id);
	struct str dir = str_fmt(&j->arena, "%s/%s/%s" JOB_SUFFIX, r->c->stage_dir,
				 j->group->key, id);
	free(j->dir);
	free(j->block);
	j->dir = xstrdup(str_dupz(&j->arena, dir));
	j->block = xstrdup(str_dupz(&j->arena, str_fmt(&j->arena, "%s/%s", j->dir, id)));
	buf_init(&note, 1u << 20);
	buf_fmt(&note, "resolution %lld\n", (long long)j->to_res_ms);
	for (size_t i = 0; i < j->plan.n; i++) {
		ulid_format(&input(j, i)->meta.ulid, id);
		buf_fmt(&note, "%s\n", id);
	}
	int rc = buf_check(&note, r->ctx, JOB_INPUTS, e);
	if (rc == 0)
		rc = fs_mkdir_p(r->ctx, j->dir, e);
	if (rc == 0)
		rc = fs_write_atomic(
			r->ctx,
			str_dupz(&j->arena, str_fmt(&j->arena, "%s/" JOB_INPUTS, j->dir)),
			buf_view(&note), e);
	buf_deinit(&note);
	return rc;
}

static void unstage(struct job *j)
{
	struct err none = ERR_INIT;
	if (j->dir && fs_remove_all(NULL, j->dir, &none) < 0)
		log_warn(j->run->ctx, "%s", err_text(&none));
}

/* Enough disk for this job beside those under way? Else it is not begun. */
static int reserve(struct job *j, const struct inputs *in, const struct compact_opts *o,
		   struct err *e)
{
	struct run *r = j->run;
	const struct compactor_work *w = r->c->o.work;
	uint64_t left, total;
	if (w->memory_bound) {
		size_t need = w->memory_bound(in->v, in->n, o);
		pthread_mutex_lock(&r->c->mu);
		r->c->biggest_bound = MAX(r->c->biggest_bound, need);
		pthread_mutex_unlock(&r->c->mu);
	}
	if (!w->disk_bound || j->disk || !fs_space(r->c->stage_dir, &left, &total))
		return 0;
	uint64_t need = w->disk_bound(in->v, in->n, o);
	int rc = 0;
	pthread_mutex_lock(&r->mu);
	if (left < need || left - need < r->reserved_disk)
		rc = err_set(
			r->ctx, e, E_NOSPACE,
			"needs up to %llu bytes of disk in %s, where %llu are free and %llu are taken by other work",
			(unsigned long long)need, r->c->stage_dir,
			(unsigned long long)left, (unsigned long long)r->reserved_disk);
	else
		r->reserved_disk += j->disk = need;
	pthread_mutex_unlock(&r->mu);
	return rc;
}

/* ---- building ---- */

static enum compact_overlap overlap_of(const struct compactor_opts *o)
{
	if (!o->enable_vertical)
		return COMPACT_REFUSE;
	return o->dedup_penalty ? COMPACT_PENALTY : COMPACT_ONE_TO_ONE;
}

static int work_on(struct job *j, const struct inputs *in, struct compact_result *res,
		   struct err *e)
{
	struct run *r = j->run;
	const struct compactor_opts *o = &r->c->o;
	const struct compact_opts co = {
		.dir = j->dir,
		.ulid = j->ulid,
		.overlap = overlap_of(o),
		.memory = o->memory,
		.read_ahead = o->read_ahead,
		.segment_bytes = o->segment_bytes,
		.accept_malformed_index = o->accept_malformed_index,
		.newer_encodings = o->newer_encodings,
		.labels = j->group->labels,
		.source = "compactor",
		.now_ms = compactor_now_ms(r->c),
		.progress_bytes = &j->read_bytes,
	};
	if (reserve(j, in, &co, e) < 0)
		return -1;
	return j->to_res_ms
		       ? o->work->downsample(r->ctx, &j->arena, in->v, j->to_res_ms, &co,
					     res, e)
		       : o->work->compact(r->ctx, &j->arena, in->v, in->n, &co, res, e);
}

/* A block that is listed but has lost a file, or that somebody deleted meanwhile. */
static int missing_input(struct job *j, size_t bad, const struct err *why, bool *over,
			 struct err *e)
{
	struct run *r = j->run;
	struct gblock *b = input(j, bad);
	char id[27], name[64];
	bool there;
	ulid_format(&b->meta.ulid, id);
	int n = snprintf(name, sizeof(name), "%s/meta.json", id);
	if (bucket_exists(r->c->o.bucket, r->ctx, str_n(name, (size_t)n), &there, e) < 0)
		return -1;
	*over = true;
	if (there)
		return quarantine(j, COMPACT_FAULT_UNREADABLE, bad, why, e);
	log_warn(r->ctx, "group %s: block %s was deleted by somebody else", j->group->key,
		 id);
	pthread_mutex_lock(&r->mu);
	b->pb.excluded = true;
	b->down_to_ms = 0;
	j->group->planned = false;
	pthread_mutex_unlock(&r->mu);
	return 0;
}

static bool is_damage(enum err_code c)
{
	return c == E_CORRUPT || c == E_INVALID || c == E_PARSE || c == E_UNSUPPORTED;
}

/* *over: nothing more is to be done for this job, whatever the result. */
static int build(struct job *j, struct compact_result *res, bool *over, struct err *e)
{
	struct run *r = j->run;
	struct inputs in;
	struct err why = ERR_INIT;
	size_t bad;
	*res = (struct compact_result){ .fault_input = SIZE_MAX };
	if (stage(j, e) < 0)
		return -1;
	int rc = inputs_open(r->c, r->ctx, &j->arena, &j->plan, &in, &bad, &why);
	if (rc < 0 && why.code == E_NOT_FOUND && bad != SIZE_MAX)
		return missing_input(j, bad, &why, over, e);
	if (rc < 0 && why.code == E_CORRUPT && bad != SIZE_MAX) {
		*over = true;
		return quarantine(j, COMPACT_FAULT_UNREADABLE, bad, &why, e);
	}
	if (rc == 0) {
		rc = work_on(j, &in, res, &why);
		inputs_close(&in);
	}
	if (rc == 0 && !res->empty) {
		j->built = true;
		j->meta = res->meta;
		j->out_bytes = res->stats.index_bytes + res->stats.chunk_bytes;
		j->out_index_bytes = res->stats.index_bytes;
		return 0;
	}
	if (rc == 0)
		return 0;
	if (is_damage(why.code)) {
		*over = true;
		unstage(j);
		return quarantine(j, res->fault, res->fault_input, &why, e);
	}
	*e = why;
	return -1;
}

/* ---- publishing ---- */

int job_upload(struct compactor *c, struct ctx *ctx, struct arena *a, const char *dir,
	       struct block_meta *meta, struct err *e)
{
	const struct upload_opts uo = { c->o.block_files_concurrency, c->o.pool };
	if (block_describe_files(ctx, a, dir, c->o.hash_sha256, meta, e) < 0)
		return -1;
	meta->has_thanos = true;
	meta->thanos.version = 1;
	meta->thanos.upload_time = block_upload_time(a, time_wall_ns());
	return block_upload(c->o.bucket, ctx, dir, meta, &uo, e);
}

static int mark_inputs(struct job *j, struct err *e)
{
	struct run *r = j->run;
	for (size_t i = 0; i < j->plan.n; i++) {
		bool marked;
		if (compactor_mark(r->c, r->ctx, MARK_DELETION, &input(j, i)->meta.ulid,
				   input(j, i)->known, STR(""), STR(DETAILS_COMPACTED),
				   &marked, e) < 0)
			return -1;
		pthread_mutex_lock(&r->mu);
		r->r->marked_deletion += marked;
		pthread_mutex_unlock(&r->mu);
		compactor_count(r->c, M_GARBAGE_BLOCKS);
	}
	return 0;
}

static int publish(struct job *j, struct err *e)
{
	struct run *r = j->run;
	if (compactor_confirm(r->c, r->ctx, e) < 0)
		return -1;
	if (!j->uploaded) {
		if (job_upload(r->c, r->ctx, &j->arena, j->block, &j->meta, e) < 0)
			return -1;
		j->uploaded = true;
		if (compactor_confirm(r->c, r->ctx, e) < 0)
			return -1;
	}
	return j->to_res_ms ? 0 : mark_inputs(j, e);
}

/* ---- what it means for the group ---- */

static int take_output(struct job *j, struct err *e)
{
	struct run *r = j->run;
	struct gblock *b = ARENA_NEW(&r->groups.arena, struct gblock);
	if (block_meta_dup(r->ctx, &r->groups.arena, &j->meta, &b->meta, e) < 0)
		return -1;
	b->pb.bytes = j->out_bytes;
	b->pb.index_bytes = j->out_index_bytes;
	group_add(&r->groups, compactor_group_of(&r->groups, &b->meta), b);
	return 0;
}

/* Under the run's lock. */
static int apply(struct job *j, struct err *e)
{
	struct run *r = j->run;
	for (size_t i = 0; i < j->plan.n; i++)
		if (j->to_res_ms)
			input(j, i)->down_to_ms = 0;
		else
			group_remove(j->group, input(j, i));
	r->dirty = true;
	r->r->bytes_in += j->bytes;
	r->r->bytes_out += j->out_bytes;
	if (j->to_res_ms)
		r->r->downsamplings++;
	else
		r->r->compactions++;
	return take_output(j, e);
}

static void say_done(struct job *j, uint64_t ns)
{
	struct run *r = j->run;
	char id[27];
	ulid_format(&j->ulid, id);
	log_info(
		r->ctx,
		"group %s: block %s, level %d, made of %zu in %llu ms: %lld to %lld, %llu series, %llu samples, %llu of %llu bytes",
		j->group->key, id, j->meta.compaction.level, j->plan.n,
		(unsigned long long)(ns / NS_PER_MS), (long long)j->meta.mint_ms,
		(long long)j->meta.maxt_ms, (unsigned long long)j->meta.stats.series,
		(unsigned long long)j->meta.stats.samples,
		(unsigned long long)j->out_bytes, (unsigned long long)j->bytes);
}

/*
 * No sample was left. Thanos deletes the inputs that have none by their meta.json; those that are under tombstones as a
 * whole go, too. An input that should have had samples is bad.
 */
static int finish_empty(struct job *j, struct err *e)
{
	struct run *r = j->run;
	for (size_t i = 0; i < j->plan.n; i++) {
		struct gblock *b = input(j, i);
		bool marked;
		struct err why = ERR_INIT;
		if (b->meta.stats.samples && !b->meta.stats.tombstones &&
		    !(b->known && known_object(b->known, STR("tombstones")))) {
			err_set(r->ctx, &why, E_CORRUPT,
				"meta.json tells of %llu samples, none was found",
				(unsigned long long)b->meta.stats.samples);
			if (quarantine(j, COMPACT_FAULT_UNREADABLE, i, &why, e) < 0)
				return -1;
			continue;
		}
		if (compactor_mark(r->c, r->ctx, MARK_DELETION, &b->meta.ulid, b->known,
				   STR(""), STR(DETAILS_COMPACTED), &marked, e) < 0)
			return -1;
		pthread_mutex_lock(&r->mu);
		r->r->marked_deletion += marked;
		group_remove(j->group, b);
		pthread_mutex_unlock(&r->mu);
	}
	return 0;
}

static void count_compaction(const struct job *j, uint64_t ns)
{
	const struct compactor *c = j->run->c;
	compactor_count_res(c, M_COMPACTIONS, j->group);
	compactor_count(c, M_TSDB_COMPACTIONS);
	if (j->plan.overlapping) {
		compactor_count_res(c, M_VERTICAL, j->group);
		compactor_count(c, M_TSDB_VERTICAL);
	}
	if (c->metrics)
		metric_observe(compactor_metric(c, M_TSDB_SECONDS),
			       (double)ns / (double)NS_PER_S);
}

static int finish(struct job *j, const struct compact_result *res, uint64_t start_ns,
		  struct err *e)
{
	struct run *r = j->run;
	uint64_t ns = time_mono_ns() - start_ns;
	if (res->empty) {
		unstage(j);
		return finish_empty(j, e);
	}
	pthread_mutex_lock(&r->mu);
	int rc = apply(j, e);
	pthread_mutex_unlock(&r->mu);
	pthread_mutex_lock(&r->c->mu);
	r->c->done_bytes_all += j->bytes;
	r->c->busy_ns_all += ns;
	pthread_mutex_unlock(&r->c->mu);
	if (j->to_res_ms) {
		compactor_count_res(r->c, M_DOWNSAMPLES, j->group);
		if (r->c->metrics)
			metric_observe(metric_at(r->c->metrics, M_DOWNSAMPLE_SECONDS,
						 str_of(j->group->res)),
				       (double)ns / (double)NS_PER_S);
	} else {
		count_compaction(j, ns);
	}
	say_done(j, ns);
	unstage(j);
	return rc;
}

static int attempt(struct job *j, struct compact_result *res, bool *over, struct err *e)
{
	if (!j->built && !res->empty) {
		if (build(j, res, over, e) < 0 || *over)
			return e->code == E_OK ? 0 : -1;
		if (res->empty)
			return 0;
	}
	return publish(j, e);
}

/* Try again what may go away by itself; a full disk does not within seconds. */
static int with_retries(struct job *j, struct compact_result *res, bool *over,
			struct err *e)
{
	struct run *r = j->run;
	const struct compactor_opts *o = &r->c->o;
	uint64_t wait = o->retry_backoff_ns ? o->retry_backoff_ns : NS_PER_S;
	for (uint32_t i = 0;; i++, wait *= 2) {
		*e = ERR_INIT;
		int rc = attempt(j, res, over, e);
		if (rc == 0 || !compactor_is_transient(e->code) || e->code == E_NOSPACE ||
		    i >= o->retries || ctx_is_over(r->ctx))
			return rc;
		compactor_count(r->c, M_RETRIES);
		log_warn(r->ctx, "group %s: tried again in %llu ms: %s", j->group->key,
			 (unsigned long long)(wait / NS_PER_MS), err_text(e));
		nap(r->ctx, wait);
	}
}

int job_do(struct job *j, struct err *e)
{
	struct run *r = j->run;
	struct compact_result res = { 0 };
	uint64_t start_ns = time_mono_ns();
	bool over = false;
	int rc = 0;
	if (!j->to_res_ms) {
		compactor_count_res(r->c, M_RUNS_STARTED, j->group);
		rc = guards(j, &over, e);
	}
	if (rc == 0 && !over)
		rc = with_retries(j, &res, &over, e);
	if (rc == 0 && !over)
		rc = finish(j, &res, start_ns, e);
	if (rc < 0)
		compactor_count_res(r->c,
				    j->to_res_ms ? M_DOWNSAMPLE_FAILURES : M_FAILURES,
				    j->group);
	else if (!j->to_res_ms)
		compactor_count_res(r->c, M_RUNS_COMPLETED, j->group);
	/* A whole block stays for the next iteration to upload; anything less is rubbish. */
	if ((rc < 0 && !j->built) || over)
		unstage(j);
	return rc;
}
