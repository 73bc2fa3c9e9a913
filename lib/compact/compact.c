/*
 * compact/compact.c - blocks to one block.
 *
 * Pass 1 merges the symbol tables, pass 2 the series, each input read from front to back. The writer's block has no name
 * before it is whole, read back and compared; then it gets the list of its files.
 */
#include "compact/compact.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/vec.h"
#include "compact/compact_int.h"
#include "fs/fs.h"

#define AHEAD_MOST  ((size_t)1 << 20)
#define AHEAD_LEAST ((size_t)64 << 10)
#define AHEAD_ALL   ((size_t)32 << 20) /* of all inputs, if it is not told */

static size_t read_ahead(const struct compact_opts *o, size_t n)
{
	if (o->read_ahead)
		return o->read_ahead;
	size_t each = AHEAD_ALL / (2 * n);
	return each < AHEAD_LEAST ? AHEAD_LEAST : MIN(each, AHEAD_MOST);
}

/* ---- bounds ---- */

/* Symbols in an index; more than there can be if it cannot be read. */
static uint64_t count_symbols(const struct block_source *s)
{
	struct err ignored = ERR_INIT;
	struct ctx ctx;
	struct view v = { 0 };
	uint64_t n = s->index->size / 2;

	ctx_init(&ctx, NULL, 0);
	if (s->index->size >= 13 &&
	    range_source_read1(s->index, &ctx, 9, 4, &v, &ignored) == 0) {
		uint32_t be;
		memcpy(&be, v.p, 4);
		n = MIN(n, __builtin_bswap32(be));
		view_put(&v);
	}
	ctx_deinit(&ctx);
	return n;
}

size_t compact_memory_bound(const struct block_source *in, size_t n,
			    const struct compact_opts *o)
{
	uint64_t all = 0, maps = 0;

	for (size_t i = 0; i < n; i++)
		all += count_symbols(&in[i]);
	for (size_t i = 0; i < n; i++) {
		uint64_t k = count_symbols(&in[i]);
		maps += MIN(k * 4, all / 8 + k / 16);
	}
	/* two windows an input and one for what is left behind; the writer's buffers; a series */
	return (size_t)(n * (3 * read_ahead(o, n) + (64u << 10)) + maps +
			(o->memory ? o->memory : (size_t)128 << 20) + ((size_t)16 << 20));
}

uint64_t compact_disk_bound(const struct block_source *in, size_t n,
			    const struct compact_opts *o)
{
	uint64_t index = 0, chunks = 0;

	for (size_t i = 0; i < n; i++) {
		index += in[i].index->size;
		for (size_t k = 0; k < in[i].n_segments; k++)
			chunks += in[i].segment[k]->size;
	}
	/* Samples of replicas in turns take more bits; the writer spills about as much as an index holds. */
	return 2 * index + (o->overlap == COMPACT_REFUSE ? chunks : 2 * chunks) +
	       (1 << 20);
}

/* ---- inputs ---- */

static int cmp_inputs(const void *a, const void *b, void *arg UNUSED)
{
	int64_t x = ((const struct input *)a)->src->meta->mint_ms,
		y = ((const struct input *)b)->src->meta->mint_ms;
	return (x > y) - (x < y);
}

static uint64_t bytes_read(const struct input *in)
{
	const struct block_source *s = in->src;
	uint64_t n = atomic_load_explicit(&s->index->read_bytes, memory_order_relaxed);

	for (size_t i = 0; i < s->n_segments; i++)
		n += atomic_load_explicit(&s->segment[i]->read_bytes,
					  memory_order_relaxed);
	return n;
}

void job_progress(struct job *j)
{
	uint64_t n = 0;

	if (!j->o->progress_bytes)
		return;
	for (uint32_t i = 0; i < j->n; i++)
		n += bytes_read(&j->in[i]) - j->in[i].read_before;
	atomic_store_explicit(j->o->progress_bytes, n, memory_order_relaxed);
}

static int open_inputs(struct job *j, const struct block_source *in, size_t n,
		       struct err *e)
{
	j->in = xcalloc(n, sizeof(*j->in));
	j->n = (uint32_t)n;
	for (uint32_t i = 0; i < j->n; i++) {
		j->in[i].src = &in[i];
		j->in[i].number = i;
		ulid_format(&in[i].meta->ulid, j->in[i].id);
		arena_init(&j->in[i].tmp, j->ctx->budget);
		j->in[i].read_before = bytes_read(&j->in[i]);
	}
	vec_sort(j->in, n, sizeof(*j->in), cmp_inputs, NULL);
	j->resolution_ms = j->in[0].src->meta->thanos.resolution_ms;
	for (uint32_t i = 0; i < j->n; i++)
		if (block_scan_open(j->ctx, j->in[i].src, read_ahead(j->o, n),
				    &j->in[i].scan, e) < 0)
			return job_read_failed(j, &j->in[i], e);
	return meta_check(j, e);
}

/* ---- series ---- */

static int cmp_series(const void *arg, uint32_t a, uint32_t b)
{
	const struct input *x = (const struct input *)arg + a,
			   *y = (const struct input *)arg + b;
	if (!x->on || !y->on)
		return y->on - x->on;
	uint32_t n = MIN(x->n_labels, y->n_labels) * 2;
	for (uint32_t i = 0; i < n; i++)
		if (x->label[i] != y->label[i])
			return x->label[i] < y->label[i] ? -1 : 1;
	return (x->n_labels > y->n_labels) - (x->n_labels < y->n_labels);
}

int job_write_series(struct job *j, const uint32_t *label, uint32_t n_labels,
		     struct chunk_view *c, size_t n, struct err *e)
{
	j->out_series++;
	j->out_chunks += n;
	j->giving = (struct check_series){ label, n_labels, c, n, check_sum_made(c, n) };
	return block_writer_series(j->w, j->ctx, label, n_labels, c, n, e);
}

static int write_merged(struct job *j, const uint32_t *at, const uint32_t *order,
			uint32_t n, struct err *e)
{
	const struct input *in = &j->in[at[0]];
	const struct block_views *out = &j->merger->out;

	if (merge_series(j, at, order, n, e) < 0)
		return -1;
	if (out->n == 0)
		return 0;
	return job_write_series(j, in->label, in->n_labels, out->v, out->n, e);
}

/* order NULL: chunks that overlap are refused, so it does not matter. */
static int merge_all(struct job *j, struct loser_tree *t, struct input_order *order,
		     struct err *e)
{
	for (uint64_t done = 0;; done++) {
		uint32_t n;
		const uint32_t *at = loser_tree_least(t, &n);
		if (!j->in[at[0]].on)
			return 0;
		const uint32_t *by = order ? input_order_take(order, n) : at;
		if (write_merged(j, at, by, n, e) < 0 || ctx_check(j->ctx, e) < 0)
			return -1;
		for (uint32_t i = 0; i < n; i++) {
			if (input_next(j, &j->in[by[i]], e) < 0)
				return -1;
			if (order && j->in[by[i]].on)
				input_order_put(order, by[i]);
		}
		loser_tree_moved(t);
		if (done % 256 == 0)
			job_progress(j);
	}
}

static int run(struct job *j, struct err *e)
{
	struct loser_tree t;
	struct input_order order;
	int rc = 0;

	for (uint32_t i = 0; i < j->n; i++)
		block_scan_sums_later(j->in[i].scan);

	if (job_merge_symbols(j, e) < 0)
		return -1;
	loser_tree_init(&t, j->n, cmp_series, j->in);
	input_order_init(&order, j->n, cmp_series, j->in);
	for (uint32_t i = 0; i < j->n && rc == 0; i++) {
		rc = input_next(j, &j->in[i], e);
		if (rc == 0 && j->in[i].on)
			input_order_put(&order, i);
	}
	if (rc == 0) {
		loser_tree_build(&t);
		rc = merge_all(j, &t, j->o->overlap == COMPACT_REFUSE ? NULL : &order, e);
	}
	loser_tree_deinit(&t);
	input_order_deinit(&order);
	job_progress(j);
	return rc;
}

/* ---- the output ---- */

static int write_meta(struct job *j, const char *dir, struct err *e)
{
	struct buf text;
	struct arena tmp;

	if (meta_files(j->ctx, j->a, dir, j->r->stats.segments, &j->r->meta, e) < 0)
		return -1;
	buf_init(&text, (size_t)64 << 20);
	arena_init(&tmp, NULL);
	block_meta_write(&j->r->meta, &text);
	int rc = buf_check(&text, j->ctx, "meta.json", e);
	if (rc == 0)
		rc = fs_write_atomic(j->ctx, str_fmt(&tmp, "%s/meta.json", dir).p,
				     buf_view(&text), e);
	arena_deinit(&tmp);
	buf_deinit(&text);
	return rc;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int looked(struct job *j, uint64_t start_ns, int rc, const struct err *e)
{
	j->r->check_ns += cpu_ns() - start_ns;
	if (rc < 0 && e->code != E_CANCELLED && e->code != E_TIMEOUT)
		j->r->fault = COMPACT_FAULT_OUTPUT;
	j->unfit = rc < 0 && e->code == E_CORRUPT;
	return rc;
}

/* A block_writer_wrote. */
static int walk_written(void *arg, struct ctx *ctx, uint32_t segment, const uint8_t *p,
			size_t n, struct err *e)
{
	struct job *j = arg;
	uint64_t start = cpu_ns();

	return looked(j, start, check_walk(&j->walk, ctx, segment, p, n, e), e);
}

/* A block_writer_entry. It takes less time than looking at the clock. */
static int see_entry(void *arg, struct ctx *ctx, struct str body,
		     const struct index_chunk *at, struct err *e)
{
	struct job *j = arg;

	int rc = check_entry(&j->given, ctx, &j->giving, at, body, e);
	if (rc < 0)
		j->r->fault = COMPACT_FAULT_OUTPUT;
	return rc;
}

/* A block_writer_check. */
static int check_written(void *arg, struct ctx *ctx UNUSED, const char *dir,
			 const struct block_writer_stats *st, struct err *e)
{
	struct job *j = arg;
	uint64_t start = cpu_ns();

	j->r->stats = *st;
	return looked(j, start, check_output(j, dir, e), e);
}

int job_finish(struct job *j, bool keep_stats, struct err *e)
{
	char id[27];

	if (wide_check_end(&j->merger->cut.wide, j->ctx, e) < 0)
		return -1;
	struct block_writer *w = j->w;
	j->w = NULL;
	if (block_writer_finish(w, j->ctx, &j->r->meta, keep_stats, &j->r->stats, e) < 0)
		return -1;
	ulid_format(&j->o->ulid, id);
	const char *dir = str_fmt(j->a, "%s/%s", j->o->dir, id).p;
	int rc = write_meta(j, dir, e);
	if (rc < 0) {
		struct err ignored = ERR_INIT;
		if (fs_remove_all(NULL, dir, &ignored) < 0)
			err_wrap(j->ctx, e, "%s is still there (%s)", dir,
				 err_text(&ignored));
	}
	return rc;
}

/*
 * The output is not what was given. Checksums of copied chunks were not compared when they were read, so an input may be damaged: all
 * are read once more. If one is, that is the error.
 */
static void find_fault(struct job *j, struct err *e)
{
	struct scan_series x;
	int rc = 0;

	for (uint32_t i = 0; i < j->n && rc == 0; i++) {
		struct input *in = &j->in[i];
		struct err why = ERR_INIT;
		block_scan_close(in->scan);
		in->scan = NULL;
		rc = block_scan_open(j->ctx, in->src, read_ahead(j->o, j->n), &in->scan,
				     &why);
		while (rc == 0 &&
		       (rc = block_scan_series(in->scan, j->ctx, &x, &why)) > 0)
			rc = 0;
		if (rc < 0) {
			*e = ERR_INIT;
			err_copy(j->ctx, e, &why);
			j->r->fault = COMPACT_FAULT_NONE; /* as far as is known now */
			(void)job_read_failed(j, in, e);
		}
	}
}

/* ---- jobs ---- */

int job_begin(struct job *j, const struct block_source *in, size_t n, struct err *e)
{
	*j->r = (struct compact_result){ .fault_input = SIZE_MAX };
	arena_init(&j->rec_arena, j->ctx->budget);
	j->rec = chunk_recoder_new(&j->rec_arena);
	j->merger = merger_new(j->ctx->budget);
	j->merger->cut.newer_encodings = j->o->newer_encodings;
	j->maxt_ms = INT64_MIN;
	for (size_t i = 0; i < n; i++)
		j->maxt_ms = MAX(j->maxt_ms, in[i].meta->maxt_ms - 1);
	struct block_writer_opts wo = { .dir = j->o->dir,
					.ulid = j->o->ulid,
					.memory = j->o->memory,
					.segment_bytes = j->o->segment_bytes,
					.newer_encodings = j->o->newer_encodings,
					.scanned = true,
					.wrote = walk_written,
					.entry = see_entry,
					.check = check_written,
					.check_arg = j };
	if (open_inputs(j, in, n, e) < 0)
		return -1;
	return block_writer_open(j->ctx, &wo, &j->w, e);
}

void job_end(struct job *j)
{
	block_writer_abort(j->w);
	check_walk_end(&j->walk);
	merger_free(j->merger);
	arena_deinit(&j->rec_arena);
	for (uint32_t i = 0; i < j->n; i++)
		input_deinit(&j->in[i]);
	free(j->in);
}

int compact_blocks(struct ctx *ctx, struct arena *a, const struct block_source *in,
		   size_t n, const struct compact_opts *o, struct compact_result *r,
		   struct err *e)
{
	struct job j = { .ctx = ctx, .o = o, .r = r, .a = a };
	int rc = -1;

	if (n == 0) {
		*r = (struct compact_result){ .fault_input = SIZE_MAX };
		return err_set(ctx, e, E_INVALID, "no blocks to compact");
	}
	if (job_begin(&j, in, n, e) == 0)
		rc = run(&j, e);
	if (rc == 0 && j.out_series == 0) {
		r->empty = true;
	} else if (rc == 0) {
		meta_make(&j, &r->meta);
		rc = job_finish(&j, false, e);
	}
	if (rc < 0 && j.unfit)
		find_fault(&j, e);
	if (rc < 0 && e->code == E_INTERNAL && r->fault == COMPACT_FAULT_NONE)
		r->fault =
			COMPACT_FAULT_OUTPUT; /* a chunk that was made held other samples */
	job_end(&j);
	return rc;
}
