/*
 * store/prom_blocks.c - when the blocks of a data folder may be read beside its Prometheus, and up to which time.
 *
 * Is it its folder? At each heartbeat Prometheus tells the number of its blocks, the lowest timestamp, the bytes of
 * its blocks, and of its write-ahead log the segment written to and (3.x) the bytes. The folder must show the same: a
 * copy, another replica's folder, or one of which we see only a part does not. After a deletion Prometheus tells the
 * bytes of a minute ago, so those of meta.json and tombstones may have come meanwhile; bytes that were right once are
 * not asked for again.
 *
 * The border. Samples in order that its head holds are never older than the head's lowest timestamp, and none older
 * than half a block range before the head's highest is taken any more; the head is cut only after its block is in
 * place. So the end of a block that is not later than both is a border for all time to come.
 *
 * Samples out of order lie in the head, too, and are all in wbl/ until a block with them is in place. Where wbl/ is
 * empty there are none. Else they are no older than the window of the configuration before the head's highest
 * timestamp at the time when the oldest segment began; the heartbeats remember that. wbl/ is looked at before the
 * blocks. Not known yet: all is asked from Prometheus.
 *
 * Not covered by these: Prometheus answers from other servers (remote_read), and what it does not tell.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/time.h"
#include "blocks/blocks.h"
#include "store/prom_blocks_int.h"

#define IDLE_NS	     (600 * NS_PER_S) /* blocks unused so long are closed */
#define RETRY_NS     (60 * NS_PER_S) /* until one that could not be opened is tried again */
#define LATE_MS	     120000	     /* how long an append may take to end */
#define META_CHANGE  64u	     /* bytes: a number in it has got longer */
#define LOOKS	     8		     /* at a folder that changes meanwhile */
#define NO_FLOOR     INT64_MAX
#define UNKNOWN_TIME 9e15 /* a TSDB that is still empty tells the largest there is */

enum { M_DIRECT, M_OPEN, M_ROWS };
static const struct metric_desc rows[M_ROWS] = {
	[M_DIRECT] = { .kind = METRIC_GAUGE,
		       .name = "thanosc_sidecar_reads_blocks_directly",
		       .help = "Whether persisted blocks are read from --tsdb.path." },
	[M_OPEN] = { .kind = METRIC_GAUGE,
		     .name = "thanosc_sidecar_blocks_open",
		     .help = "Blocks of --tsdb.path that are held open." },
};

/* All that is in wbl/ in segments later than `segment` was appended when the head's highest timestamp was at least
 * maxt_ms, with windows of at most window_ms. */
struct mark {
	bool known;
	int64_t segment, maxt_ms, window_ms;
};

struct prom_blocks {
	bool asked;
	struct metric *m_direct, *m_open;
	struct metric_set *damage;
	uint64_t max_files;
	pthread_mutex_t mu;
	struct prom_scan scan;
	bool on;
	bool equal_once;
	char why[240]; /* not on */
	const char *kind;
	int64_t cap_ms; /* the border is at most this */
	struct mark mark, next;
	uint64_t plan; /* number of the last one */
};

/* ---- life ---- */

struct prom_blocks *prom_blocks_new(const char *dir, bool asked,
				    struct metric_registry *m)
{
	struct prom_blocks *b = xcalloc(1, sizeof(*b));
	struct metric_set *set = metric_set_new(m, rows, M_ROWS);
	struct rlimit lim;
	b->asked = asked;
	b->scan.dir = xcalloc(1, strlen(dir) + 1);
	strcpy(b->scan.dir, dir);
	b->m_direct = metric_plain(set, M_DIRECT);
	b->m_open = metric_plain(set, M_OPEN);
	b->damage = blocks_damage_set(m);
	b->max_files = PROM_BLOCKS_FILES;
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY)
		b->max_files = MIN(b->max_files, (uint64_t)lim.rlim_cur / 4);
	pthread_mutex_init(&b->mu, NULL);
	return b;
}

void prom_blocks_free(struct prom_blocks *b)
{
	if (!b)
		return;
	prom_scan_deinit(&b->scan);
	pthread_mutex_destroy(&b->mu);
	free(b);
}

static void count_open(struct prom_blocks *b)
{
	size_t n = 0;
	for (size_t i = 0; i < b->scan.n; i++)
		n += b->scan.v[i]->block != NULL;
	metric_set_value(b->m_open, (double)n);
}

/* ---- logs of Prometheus in the folder ---- */

static struct prom_wal look_at_log(const struct prom_blocks *b, struct ctx *ctx,
				   const char *name)
{
	struct prom_wal w = { 0, -1, -1 };
	struct arena a;
	struct fs_names names;
	struct err none = ERR_INIT;
	arena_init(&a, NULL);
	const char *dir = str_fmt(&a, "%s/%s", b->scan.dir, name).p;
	if (fs_list(ctx, &a, dir, &names, &none) == 0)
		for (size_t i = 0; i < names.n; i++) {
			struct fs_stat st;
			uint64_t number;
			const char *path =
				str_fmt(&a, "%s/%.*s", dir, STR_FMT(names.name[i])).p;
			if (fs_stat(ctx, path, &st, &none) < 0)
				continue;
			if (st.kind == FS_FILE)
				w.bytes += st.size;
			if (st.kind != FS_FILE || names.name[i].n != 8 ||
			    !str_to_u64(names.name[i], &number))
				continue;
			if (w.first < 0 && st.size)
				w.first = (int64_t)number;
			w.last = (int64_t)number;
		}
	arena_deinit(&a);
	return w;
}

/* Checkpoints are folders in wal/; their files count, too. */
static uint64_t checkpoint_bytes(const struct prom_blocks *b, struct ctx *ctx)
{
	struct arena a;
	struct fs_names names;
	struct err none = ERR_INIT;
	uint64_t sum = 0;
	arena_init(&a, NULL);
	if (fs_list(ctx, &a, str_fmt(&a, "%s/wal", b->scan.dir).p, &names, &none) == 0)
		for (size_t i = 0; i < names.n; i++)
			if (str_has_prefix(names.name[i], STR("checkpoint.")))
				sum += look_at_log(b, ctx,
						   str_fmt(&a, "wal/%.*s",
							   STR_FMT(names.name[i]))
							   .p)
					       .bytes;
	arena_deinit(&a);
	return sum;
}

struct prom_wal prom_blocks_wal(const struct prom_blocks *b, struct ctx *ctx)
{
	struct prom_wal w = look_at_log(b, ctx, "wal");
	w.bytes += checkpoint_bytes(b, ctx);
	return w;
}

/* ---- samples out of order ---- */

static void learn_out_of_order(struct prom_blocks *b, struct ctx *ctx,
			       const struct prom_tsdb *t)
{
	struct prom_wal w = look_at_log(b, ctx, "wbl");
	int64_t window_ms = t->ooo_window_ms;
	if (!(fabs(t->head_maxt_ms) < UNKNOWN_TIME)) { /* NAN, too */
		b->mark.known = b->next.known = false;
		return;
	}
	struct mark now = { true, -1, (int64_t)t->head_maxt_ms, window_ms };
	if (w.bytes == 0) {
		b->mark = now;
		b->next.known = false;
		return;
	}
	if (b->next.known && w.first > b->next.segment) {
		b->mark = b->next;
		b->next.known = false;
	}
	if (!b->next.known) {
		b->next = now;
		b->next.segment = w.last;
	}
	b->mark.window_ms = MAX(b->mark.window_ms, window_ms);
	b->next.window_ms = MAX(b->next.window_ms, window_ms);
}

/* No sample out of order that is only in the head is older; INT64_MIN: not known. */
static int64_t out_of_order_floor(const struct prom_blocks *b, struct ctx *ctx)
{
	struct prom_wal w = look_at_log(b, ctx, "wbl");
	if (w.bytes == 0)
		return NO_FLOOR;
	if (!b->mark.known || w.first <= b->mark.segment)
		return INT64_MIN;
	return b->mark.maxt_ms - b->mark.window_ms - LATE_MS;
}

/* ---- is it the folder of this Prometheus? ---- */

static int refuse(struct prom_blocks *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int refuse(struct prom_blocks *b, const char *fmt, ...)
{
	va_list ap;
	b->kind = fmt;
	va_start(ap, fmt);
	vsnprintf(b->why, sizeof(b->why), fmt, ap);
	va_end(ap);
	return -1;
}

static int check_blocks(struct prom_blocks *b, struct ctx *ctx, const struct prom_tsdb *t)
{
	struct err e = ERR_INIT;
	size_t n = 0;
	uint64_t bytes, other;
	int64_t lowest = INT64_MAX;
	if (prom_scan_refresh(&b->scan, ctx, &e) < 0)
		return refuse(b, "%s", err_text(&e));
	for (size_t i = 0; i < b->scan.n; i++)
		if (b->scan.v[i]->live) {
			n++;
			lowest = MIN(lowest, b->scan.v[i]->mint_ms);
		}
	if ((double)n != t->blocks)
		return refuse(b, "there are %zu blocks in %s, but Prometheus has %.0f", n,
			      b->scan.dir, t->blocks);
	if (n && fabs((double)lowest - t->lowest_ms) > 1)
		return refuse(
			b,
			"the first block in %s begins at %lld, that of Prometheus at %.0f",
			b->scan.dir, (long long)lowest, t->lowest_ms);
	if (b->equal_once)
		return 0;
	if (!prom_scan_bytes(&b->scan, ctx, &bytes, &other) ||
	    t->blocks_bytes < (double)bytes ||
	    t->blocks_bytes > (double)(bytes + other + n * META_CHANGE))
		return refuse(
			b,
			"the blocks in %s are of %llu to %llu bytes, those of Prometheus of %.0f",
			b->scan.dir, (unsigned long long)bytes,
			(unsigned long long)(bytes + other), t->blocks_bytes);
	return 0;
}

static int check_wal(struct prom_blocks *b, struct ctx *ctx, struct prom_wal before,
		     const struct prom_tsdb *t)
{
	struct prom_wal after = prom_blocks_wal(b, ctx);
	if (t->wal_segment < (double)before.last || t->wal_segment > (double)after.last)
		return refuse(
			b, "wal/ in %s ends with segment %lld, Prometheus writes to %.0f",
			b->scan.dir, (long long)after.last, t->wal_segment);
	if (!isnan(t->wal_bytes) &&
	    (t->wal_bytes < (double)before.bytes || t->wal_bytes > (double)after.bytes))
		return refuse(b,
			      "wal/ in %s is of %llu bytes, that of Prometheus of %.0f",
			      b->scan.dir, (unsigned long long)after.bytes, t->wal_bytes);
	return 0;
}

static int check(struct prom_blocks *b, struct ctx *ctx, struct prom_wal before,
		 const struct prom_tsdb *t)
{
	if (t->remote_read)
		return refuse(b,
			      "Prometheus answers from other servers, too (remote_read)");
	if (isnan(t->blocks) || isnan(t->blocks_bytes) || isnan(t->lowest_ms) ||
	    isnan(t->wal_segment) || isnan(t->head_mint_ms) || isnan(t->head_maxt_ms) ||
	    t->min_block_ms <= 0)
		return refuse(b, "Prometheus does not tell enough of its TSDB");
	if (fabs(t->head_mint_ms) > UNKNOWN_TIME || fabs(t->head_maxt_ms) > UNKNOWN_TIME)
		return refuse(b, "Prometheus has taken no samples yet");
	if (check_wal(b, ctx, before, t) < 0)
		return -1;
	return check_blocks(b, ctx, t);
}

static void close_idle(struct prom_blocks *b)
{
	uint64_t now = time_mono_ns();
	for (size_t i = 0; i < b->scan.n; i++)
		if (!b->on || now - b->scan.v[i]->used_ns > IDLE_NS)
			prom_entry_close(b->scan.v[i]);
	count_open(b);
}

static void say(const struct prom_blocks *b, struct ctx *ctx, bool on, const char *kind)
{
	if (b->on && !on)
		log_info(ctx, "persisted blocks are read from %s", b->scan.dir);
	else if (!b->on && (on || kind != b->kind)) {
		static const char text[] = "persisted blocks are asked from Prometheus";
		if (b->asked)
			log_warn(ctx, "%s: %s (--prometheus.read-blocks-directly)", text,
				 b->why);
		else
			log_info(ctx, "%s: %s", text, b->why);
	}
}

void prom_blocks_learn(struct prom_blocks *b, struct ctx *ctx, struct prom_wal before,
		       const struct prom_tsdb *t)
{
	pthread_mutex_lock(&b->mu);
	bool on = b->on;
	const char *kind = b->kind;
	b->on = check(b, ctx, before, t) == 0;
	b->equal_once = b->on;
	if (b->on) {
		b->kind = NULL;
		b->cap_ms = MIN((int64_t)t->head_mint_ms,
				(int64_t)t->head_maxt_ms - (t->min_block_ms + 1) / 2);
	}
	learn_out_of_order(b, ctx, t);
	close_idle(b);
	metric_set_value(b->m_direct, b->on);
	say(b, ctx, on, kind);
	pthread_mutex_unlock(&b->mu);
}

/* ---- blocks that fail ---- */

static void mark_bad(struct prom_blocks *b, struct prom_entry *t, const struct err *why,
		     uint64_t until_ns, struct ctx *ctx)
{
	if (t->bad_ns == 0) {
		log_warn(ctx, "block %s: its time is asked from Prometheus: %s", t->id,
			 err_text(why));
		blocks_damage(b->damage, t->id, "block");
	}
	t->bad_ns = until_ns;
	prom_entry_close(t);
}

static struct prom_entry *by_id(struct prom_blocks *b, const char *id)
{
	for (size_t i = 0; i < b->scan.n; i++)
		if (strcmp(b->scan.v[i]->id, id) == 0)
			return b->scan.v[i];
	return NULL;
}

void prom_blocks_failed(struct prom_blocks *b, const char *id, const struct err *why)
{
	pthread_mutex_lock(&b->mu);
	struct prom_entry *t = by_id(b, id);
	if (t)
		mark_bad(b, t, why, BAD_FOR_GOOD, NULL);
	pthread_mutex_unlock(&b->mu);
}

/* While a call reads it: it goes on without what is damaged, and says so; later calls ask Prometheus. */
static void met_damage(void *arg, const char *id, const char *file)
{
	struct prom_blocks *b = arg;
	struct err why = ERR_INIT;
	blocks_damage(b->damage, id, file);
	err_set(NULL, &why, E_CORRUPT, "%s is damaged", file);
	prom_blocks_failed(b, id, &why);
}

/* ---- the plan ---- */

static bool is_readable(const struct prom_blocks *b, const struct prom_entry *t)
{
	return t->skip != b->plan && (t->bad_ns == 0 || (t->bad_ns != BAD_FOR_GOOD &&
							 time_mono_ns() >= t->bad_ns));
}

/* Close others until what is open fits; false: it does not, with what this plan needs. */
static bool make_room(struct prom_blocks *b, uint64_t begun_ns)
{
	for (;;) {
		struct prom_entry *oldest = NULL;
		size_t files = 0, memory = 0;
		for (size_t i = 0; i < b->scan.n; i++) {
			struct prom_entry *t = b->scan.v[i];
			if (!t->block)
				continue;
			files += t->files;
			memory += t->memory;
			if (t->used_ns < begun_ns &&
			    (!oldest || t->used_ns < oldest->used_ns))
				oldest = t;
		}
		if (files <= b->max_files && memory <= PROM_BLOCKS_MEMORY)
			return true;
		if (!oldest)
			return false;
		prom_entry_close(oldest);
	}
}

struct planning {
	struct prom_blocks *b;
	struct ctx *ctx;
	struct arena *a;
	uint64_t begun_ns;
	int64_t mint_ms, maxt_ms, floor_ms;
	bool look; /* at the folder, first */
	struct prom_plan *out;
};

/* 1: open; 0: plan again; -1: the call is over. */
static int open_entry(struct planning *k, struct prom_entry *t, struct err *e)
{
	struct prom_blocks *b = k->b;
	struct err why = ERR_INIT;
	if (ctx_check(k->ctx, e) < 0)
		return -1;
	int rc = prom_entry_open(&b->scan, t, k->ctx, &why);
	if (rc < 0 && ctx_check(k->ctx, e) < 0)
		return -1;
	if (rc < 0)
		mark_bad(b, t, &why, time_after_ns(RETRY_NS), k->ctx);
	if (rc == 0) { /* whatever its mtime says, the folder has changed */
		k->look = true;
		b->scan.settled = false;
	}
	if (rc <= 0)
		return 0;
	t->used_ns = time_mono_ns();
	t->bad_ns = 0;
	if (!t->block->on_damage) { /* just opened: nobody else has it */
		t->block->on_damage_arg = b;
		t->block->on_damage = met_damage;
	}
	if (make_room(b, k->begun_ns))
		return 1;
	t->skip = b->plan;
	prom_entry_close(t);
	return 0;
}

static int take_blocks(struct planning *k, struct prom_entry *const *t,
		       const struct prom_extent *v, size_t n, struct err *e)
{
	struct prom_plan *out = k->out;
	for (size_t i = n; i-- > 0;) { /* the latest ones are asked for most */
		int rc = v[i].direct ? open_entry(k, t[i], e) : 1;
		if (rc <= 0)
			return rc;
	}
	out->block = arena_try(k->a, k->ctx, (n + 1) * sizeof(struct block *), e);
	if (!out->block)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (v[i].direct)
			out->block[out->n_blocks++] = block_ref(t[i]->block);
	return 1;
}

static int ask_all(struct planning *k)
{
	k->out->remote[0] = (struct prom_span){ k->mint_ms, k->maxt_ms };
	k->out->n_remote = k->mint_ms <= k->maxt_ms;
	return 1;
}

/* 1: done; 0: try again; -1. */
static int try_plan(struct planning *k, struct err *e)
{
	struct prom_blocks *b = k->b;
	struct err why = ERR_INIT;
	size_t n = 0;
	if (k->look) {
		k->floor_ms = out_of_order_floor(b, k->ctx); /* before the blocks */
		if (k->floor_ms == INT64_MIN ||
		    prom_scan_refresh(&b->scan, k->ctx, &why) < 0)
			return ask_all(k);
		k->look = false;
	}
	struct prom_entry **t =
		arena_try(k->a, k->ctx, (b->scan.n + 1) * sizeof(struct prom_entry *), e);
	struct prom_extent *v = arena_try(k->a, k->ctx, (b->scan.n + 1) * sizeof(*v), e);
	if (!t || !v)
		return -1;
	for (size_t i = 0; i < b->scan.n; i++) {
		struct prom_entry *x = b->scan.v[i];
		if (!x->live)
			continue;
		t[n] = x;
		v[n++] =
			(struct prom_extent){ x->mint_ms, x->maxt_ms, is_readable(b, x) };
	}
	int64_t border = prom_border(v, n, MIN(b->cap_ms, k->floor_ms));
	k->out->mint_ms = k->mint_ms;
	k->out->maxt_ms = border > INT64_MIN ? MIN(k->maxt_ms, border - 1) : k->maxt_ms;
	k->out->n_remote =
		prom_spans(v, n, border, k->mint_ms, k->maxt_ms, k->out->remote);
	return take_blocks(k, t, v, n, e);
}

int prom_blocks_plan(struct prom_blocks *b, struct ctx *ctx, struct arena *a,
		     int64_t mint_ms, int64_t maxt_ms, struct prom_plan *out,
		     struct err *e)
{
	struct planning k = { .b = b,
			      .ctx = ctx,
			      .a = a,
			      .begun_ns = time_mono_ns(),
			      .mint_ms = mint_ms,
			      .maxt_ms = maxt_ms,
			      .look = true,
			      .out = out };
	int rc = 0;
	*out = (struct prom_plan){ 0 };
	pthread_mutex_lock(&b->mu);
	b->plan++;
	/* A block that fails is one try less: there is an end. */
	for (int looks = 0; rc == 0;) {
		looks += k.look;
		rc = b->on && looks <= LOOKS ? try_plan(&k, e) : ask_all(&k);
	}
	count_open(b);
	pthread_mutex_unlock(&b->mu);
	return rc < 0 ? -1 : 0;
}

void prom_plan_free(struct prom_plan *p)
{
	for (size_t i = 0; i < p->n_blocks; i++)
		block_unref(p->block[i]);
	p->n_blocks = 0;
}
