/*
 * compactor/lease.c - one compactor a bucket: two would make the same block twice.
 *
 * Buckets know no locks, but they show what was put. Every compactor has an object of its own,
 *
 *   thanosc/compactors/<id>.json    {"id", "state": "claiming" or "holding", "since", "renewed", "host", "pid", ...}
 *
 * writes it as claiming, and then looks at the others' (outside of block folders: Thanos' components pass it over).
 * Somebody holding: refused. Somebody claiming with a smaller id: that one comes first. With a larger id: wait until that
 * one has seen us or holds. Nobody: it is ours. Since each writes before it looks, of two at least one sees the other.
 *
 * A holder writes its object anew every interval. One that was not written for four of them is of a dead process and
 * removed; ages are differences of the store's own times, so that clocks need not agree. A process that comes back after
 * that finds its object gone: the lease is lost, and its work is cancelled before it publishes anything
 * (lease_confirm). The id lies in the data folder, which has one user at a time, so a restart takes over its own lease at
 * once; and a holder whose process is dead on this very machine is not waited for.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "base/vec.h"
#include "compactor/compactor_int.h"
#include "fs/fs.h"
#include "wire/json.h"

#define LEASE_DIR     "thanosc/compactors"
#define LEASE_BYTES   ((size_t)64 << 10)
#define STALE_AFTER   4 /* intervals */
#define CLAIM_POLL_NS (200 * NS_PER_MS)

struct holder { /* what an object says */
	struct ulid id;
	bool holding;
	int64_t since_s, pid;
	struct str host, boot, pid_space, scope;
	int64_t mtime_ms;
};
struct lease {
	struct lease_opts o;
	struct bucket *bucket;
	char *host, *scope, *boot, *pid_space;
	struct ulid id;
	char name[64];
	struct ctx keeper_ctx;
	pthread_t keeper;
	bool has_keeper;
	pthread_mutex_t renew_mu; /* one renewal at a time */
	pthread_mutex_t mu;	  /* guards all below */
	pthread_cond_t wake;
	bool held, stop;
	int64_t since_s;
	uint64_t renewed_ns;
};

/* ---- who we are ---- */

static char *read_line(struct ctx *ctx, const char *path)
{
	struct buf b;
	struct err none = ERR_INIT;
	struct arena a;
	char *s = xstrdup("");
	buf_init(&b, 4096);
	arena_init(&a, NULL);
	if (fs_read_file(ctx, path, 4096, &b, &none) == 0) {
		free(s);
		s = xstrdup(str_dupz(&a, str_trim(buf_view(&b))));
	}
	arena_deinit(&a);
	buf_deinit(&b);
	return s;
}

static char *pid_space(void)
{
	char text[64];
	ssize_t n = readlink("/proc/self/ns/pid", text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	return xstrdup(text);
}

static int load_id(struct lease *l, struct ctx *ctx, struct err *e)
{
	char *line = read_line(ctx, l->o.id_path), text[27];
	bool known = ulid_parse(str_of(line), &l->id);
	free(line);
	if (known)
		return 0;
	ulid_new(&l->id, time_wall_ms());
	ulid_format(&l->id, text);
	return fs_write_atomic(ctx, l->o.id_path, str_of(text), e);
}

int lease_new(struct ctx *ctx, const struct lease_opts *o, struct lease **out,
	      struct err *e)
{
	struct lease *l = xcalloc(1, sizeof(*l));
	struct arena a;
	char host[256] = "", id[27];
	arena_init(&a, NULL);
	l->o = *o;
	l->bucket = o->bucket;
	if (!l->o.interval_ms)
		l->o.interval_ms = 15000;
	gethostname(host, sizeof(host) - 1);
	l->host = xstrdup(o->host ? o->host : host);
	l->scope = xstrdup(str_dupz(&a, o->scope));
	l->boot = read_line(ctx, "/proc/sys/kernel/random/boot_id");
	l->pid_space = pid_space();
	arena_deinit(&a);
	pthread_mutex_init(&l->renew_mu, NULL);
	pthread_mutex_init(&l->mu, NULL);
	ctx_cond_init(&l->wake);
	ctx_init(&l->keeper_ctx, NULL, 0);
	if (load_id(l, ctx, e) < 0) {
		lease_free(l);
		return err_wrap(ctx, e, "lease");
	}
	ulid_format(&l->id, id);
	snprintf(l->name, sizeof(l->name), LEASE_DIR "/%s.json", id);
	*out = l;
	return 0;
}

/* ---- the object ---- */

static int write_own(struct lease *l, struct ctx *ctx, bool holding, struct err *e)
{
	struct jw w;
	struct buf b;
	char id[27];
	ulid_format(&l->id, id);
	buf_init(&b, LEASE_BYTES);
	jw_init(&w, &b);
	jw_obj(&w);
	const struct {
		const char *key;
		struct str text;
		int64_t number;
	} rows[] = {
		{ "id", str_of(id), 0 },
		{ "version", STR_NULL, 1 },
		{ "state", holding ? STR("holding") : STR("claiming"), 0 },
		{ "since", STR_NULL, l->since_s },
		{ "renewed", STR_NULL, l->o.now_ms(l->o.now_arg) / 1000 },
		{ "host", str_of(l->host), 0 },
		{ "pid", STR_NULL, getpid() },
		{ "boot", str_of(l->boot), 0 },
		{ "pid_space", str_of(l->pid_space), 0 },
		{ "scope", str_of(l->scope), 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		jw_key(&w, str_of(rows[i].key));
		if (rows[i].text.p)
			jw_str(&w, rows[i].text);
		else
			jw_i64(&w, rows[i].number);
	}
	jw_obj_end(&w);
	int rc = buf_check(&b, ctx, "lease", e);
	if (rc == 0)
		rc = bucket_put_bytes(l->bucket, ctx, str_of(l->name), buf_view(&b), e);
	buf_deinit(&b);
	return rc;
}

static struct str text_of(const struct doc *d, const char *key)
{
	const struct doc *x = doc_get(d, key);
	return x && x->kind == DOC_STR ? x->s : STR("");
}

static int64_t number_of(const struct doc *d, const char *key)
{
	const struct doc *x = doc_get(d, key);
	return x && x->kind == DOC_INT ? x->i : 0;
}

/* An object that cannot be understood counts as one that holds everything, until it is stale. */
static void read_holder(struct lease *l, struct ctx *ctx, struct arena *a,
			struct str name, struct holder *out, bool *gone, struct err *e)
{
	struct buf b;
	struct doc *d;
	struct err why = ERR_INIT;
	*gone = false;
	buf_init(&b, LEASE_BYTES);
	if (bucket_get(l->bucket, ctx, name, LEASE_BYTES, &b, &why) < 0) {
		*gone = why.code == E_NOT_FOUND;
		if (!*gone)
			*e = why;
	} else if (json_parse(ctx, a, str_dup(a, buf_view(&b)), &d, &why) == 0 &&
		   d->kind == DOC_MAP) {
		out->holding = !str_eq(text_of(d, "state"), STR("claiming"));
		out->since_s = number_of(d, "since");
		out->pid = number_of(d, "pid");
		out->host = text_of(d, "host");
		out->boot = text_of(d, "boot");
		out->pid_space = text_of(d, "pid_space");
		out->scope = text_of(d, "scope");
	} else {
		out->holding = true;
	}
	buf_deinit(&b);
}

struct seen_list {
	struct arena *a;
	struct seen_object {
		struct str name;
		int64_t mtime_ms;
	} * v;
	size_t n, cap;
};

static int note(void *arg, struct str name, const struct bucket_attrs *at,
		struct err *e UNUSED)
{
	struct seen_list *l = arg;
	if (!at || !str_has_suffix(name, STR(".json")))
		return 0;
	if (l->n == l->cap)
		l->v = vec_grow(l->v, &l->cap, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = (struct seen_object){ str_dup(l->a, name), at->mtime_ms };
	return 0;
}

/* ---- the others ---- */

static bool is_dead(const struct lease *l, const struct holder *h)
{
	return h->boot.n && h->pid > 1 && str_eqz(h->boot, l->boot) &&
	       str_eqz(h->pid_space, l->pid_space) && h->pid != getpid() &&
	       kill((pid_t)h->pid, 0) < 0 && errno == ESRCH;
}

static bool conflicts(const struct lease *l, const struct holder *h)
{
	return !l->scope[0] || !h->scope.n || str_eqz(h->scope, l->scope);
}

/*
 * The one of the others that matters most: who holds, else who claims. False: nobody. Objects of dead processes are
 * removed on the way.
 */
static int find_other(struct lease *l, struct ctx *ctx, struct arena *a,
		      struct holder *out, bool *found, struct err *e)
{
	struct seen_list list = { .a = a };
	struct bucket_attrs own;
	*found = false;
	int rc = bucket_attrs(l->bucket, ctx, str_of(l->name), &own, e);
	if (rc == 0)
		rc = bucket_iter(l->bucket, ctx, STR(LEASE_DIR), true, note, &list, e);
	for (size_t i = 0; rc == 0 && i < list.n; i++) {
		struct holder h = { .mtime_ms = list.v[i].mtime_ms };
		struct str name = list.v[i].name;
		size_t at = sizeof(LEASE_DIR);
		bool gone;
		if (str_eqz(name, l->name) || name.n < at + 26 ||
		    !ulid_parse(str_n(name.p + at, 26), &h.id))
			continue;
		read_holder(l, ctx, a, name, &h, &gone, e);
		if (e->code != E_OK) {
			rc = -1;
			break;
		}
		if (gone || !conflicts(l, &h))
			continue;
		if (own.mtime_ms - h.mtime_ms > STALE_AFTER * l->o.interval_ms ||
		    is_dead(l, &h)) {
			log_info(ctx, "lease: %.*s is of a process that ended, removed",
				 STR_FMT(name));
			rc = bucket_delete(l->bucket, ctx, name, e);
			continue;
		}
		h.mtime_ms = own.mtime_ms - h.mtime_ms; /* its age */
		if (!*found || (h.holding && !out->holding) ||
		    (h.holding == out->holding && ulid_cmp(&h.id, &out->id) < 0))
			*out = h;
		*found = true;
	}
	free(list.v);
	return rc;
}

static int refuse(struct lease *l, struct ctx *ctx, const struct holder *h, struct err *e)
{
	char id[27], since[40] = "?";
	struct err none = ERR_INIT;
	ulid_format(&h->id, id);
	if (h->since_s)
		time_format_rfc3339(since, h->since_s, 0, 0);
	if (bucket_delete(l->bucket, ctx, str_of(l->name), &none) < 0)
		log_warn(ctx, "lease: %s", err_text(&none));
	return err_set(
		ctx, e, E_LOCKED,
		"another compactor works on this bucket: host %.*s, pid %lld, since %s, seen %lld s ago (" LEASE_DIR
		"/%s.json)",
		STR_FMT(h->host), (long long)h->pid, since,
		(long long)(MAX(h->mtime_ms, 0) / 1000), id);
}

/* ---- holding ---- */

static void lose(struct lease *l, const char *why)
{
	pthread_mutex_lock(&l->mu);
	bool was = l->held;
	l->held = false;
	pthread_mutex_unlock(&l->mu);
	if (was && l->o.on_lost)
		l->o.on_lost(l->o.arg, why);
}

/* Still ours? Then it is written anew. */
static int renew(struct lease *l, struct ctx *ctx, struct err *e)
{
	struct bucket_attrs at;
	pthread_mutex_lock(&l->renew_mu);
	int rc = bucket_attrs(l->bucket, ctx, str_of(l->name), &at, e);
	if (rc < 0 && e->code == E_NOT_FOUND) {
		lose(l, "another compactor has taken the bucket over");
		err_set(ctx, e, E_LOCKED, "the lease is lost: %s is gone", l->name);
	}
	uint64_t now_ns = time_mono_ns();
	if (rc == 0)
		rc = write_own(l, ctx, true, e);
	if (rc == 0) {
		pthread_mutex_lock(&l->mu);
		l->renewed_ns = now_ns;
		pthread_mutex_unlock(&l->mu);
	}
	pthread_mutex_unlock(&l->renew_mu);
	return rc;
}

static bool is_stopped(void *arg)
{
	return ((struct lease *)arg)->stop;
}

static void *keep(void *arg)
{
	struct lease *l = arg;
	bool said = false;
	pthread_mutex_lock(&l->mu);
	while (!l->stop) {
		struct err e = ERR_INIT;
		struct ctx c =
			ctx_child(&l->keeper_ctx,
				  time_after_ns((uint64_t)l->o.interval_ms * NS_PER_MS));
		if (ctx_cond_wait(&c, &l->wake, &l->mu, is_stopped, l, &e) == 0)
			break;
		bool held = l->held;
		pthread_mutex_unlock(&l->mu);
		e = ERR_INIT;
		/* While the store is away nobody can take the lease either. */
		bool bad = held && renew(l, &l->keeper_ctx, &e) < 0;
		if (bad && !said)
			log_warn(NULL, "lease: %s", err_text(&e));
		said = bad;
		pthread_mutex_lock(&l->mu);
	}
	pthread_mutex_unlock(&l->mu);
	return NULL;
}

static int claim(struct lease *l, struct ctx *ctx, struct err *e)
{
	struct arena a;
	struct holder other;
	bool found = true;
	l->since_s = l->o.now_ms(l->o.now_arg) / 1000;
	if (write_own(l, ctx, false, e) < 0)
		return -1;
	while (found) {
		arena_init(&a, NULL);
		int rc = find_other(l, ctx, &a, &other, &found, e);
		if (rc == 0 && found &&
		    (other.holding || ulid_cmp(&other.id, &l->id) < 0))
			rc = refuse(l, ctx, &other, e);
		else if (rc == 0 && found) {
			nap(ctx, CLAIM_POLL_NS);
			/* Anew, so that the store's clock tells how old the other one is. */
			rc = write_own(l, ctx, false, e);
		}
		arena_deinit(&a);
		if (rc < 0 || ctx_check(ctx, e) < 0)
			return -1;
	}
	return write_own(l, ctx, true, e);
}

int lease_confirm(struct lease *l, struct ctx *ctx, struct err *e)
{
	pthread_mutex_lock(&l->mu);
	bool held = l->held;
	uint64_t age_ns = time_mono_ns() - l->renewed_ns;
	pthread_mutex_unlock(&l->mu);
	if (!held)
		return err_set(ctx, e, E_LOCKED,
			       "the lease is lost: another compactor works here");
	if (age_ns < 2 * (uint64_t)l->o.interval_ms * NS_PER_MS)
		return 0;
	return renew(l, ctx, e);
}

int lease_take(struct lease *l, struct ctx *ctx, struct err *e)
{
	if (lease_held(l))
		return lease_confirm(l, ctx, e);
	uint64_t now_ns = time_mono_ns();
	if (claim(l, ctx, e) < 0)
		return err_wrap(ctx, e, "lease");
	pthread_mutex_lock(&l->mu);
	l->held = true;
	l->renewed_ns = now_ns;
	pthread_mutex_unlock(&l->mu);
	if (!l->has_keeper)
		l->has_keeper = pthread_create(&l->keeper, NULL, keep, l) == 0;
	return 0;
}

bool lease_held(struct lease *l)
{
	pthread_mutex_lock(&l->mu);
	bool held = l->held;
	pthread_mutex_unlock(&l->mu);
	return held;
}

void lease_free(struct lease *l)
{
	if (!l)
		return;
	struct err none = ERR_INIT;
	pthread_mutex_lock(&l->mu);
	l->stop = true;
	pthread_cond_broadcast(&l->wake);
	pthread_mutex_unlock(&l->mu);
	if (l->has_keeper)
		pthread_join(l->keeper, NULL);
	if (l->held) {
		struct ctx c = ctx_child(&l->keeper_ctx, time_after_ns(5 * NS_PER_S));
		if (bucket_delete(l->bucket, &c, str_of(l->name), &none) < 0)
			log_warn(NULL, "lease: %s", err_text(&none));
	}
	ctx_deinit(&l->keeper_ctx);
	pthread_cond_destroy(&l->wake);
	pthread_mutex_destroy(&l->mu);
	pthread_mutex_destroy(&l->renew_mu);
	free(l->host);
	free(l->scope);
	free(l->boot);
	free(l->pid_space);
	free(l);
}
