/*
 * base/ctx.h - what goes along with work that may wait, allocate by outside sizes, or log:
 * deadline, cancel token, byte budget, tenant, request id, trace, notes. No services but the sink of spans.
 *
 * One ctx belongs to one operation (a query, a StoreAPI call, a sync) and may be read by all its
 * threads. A child ctx (ctx_child) shares notes and budget and may have a nearer deadline.
 */
#ifndef BASE_CTX_H
#define BASE_CTX_H

#include <pthread.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* ---- cancel token: SHARED, ref-counted. Cancelling wakes whoever waits. ---- */
struct cancel;
struct cancel_waiter { /* owned by the waiter; linked while it waits */
	void (*wake)(
		void *arg); /* called once, on the canceller's thread, token's lock held: only
				    signal something, never call back into the token */
	void *arg;
	struct cancel_waiter *next, *prev;
	bool linked;
};
struct cancel *cancel_new(void);
struct cancel *cancel_ref(struct cancel *c);
void cancel_unref(struct cancel *c); /* NULL allowed */
void cancel_now(struct cancel *c,
		const char *why);	/* first reason stays; `why` is static text */
bool cancel_is(const struct cancel *c); /* NULL: false; one relaxed load */
const char *cancel_why(const struct cancel *c);
/* Link a waiter; if already cancelled, wake is called before this returns. */
/* Both: `c` may be NULL (does nothing). Hold no lock that a wake takes: order is token -> that. */
void cancel_wait_begin(struct cancel *c, struct cancel_waiter *w);
/* Unlink; when this returns, wake has returned too or will never be called. */
void cancel_wait_end(struct cancel *c, struct cancel_waiter *w);

/* ---- notes: SHARED (one mutex). What an answer must say about itself. ---- */
struct notes;
struct note_range {
	int64_t mint_ms, maxt_ms; /* a hole: inclusive */
	const char *why;
};
struct note_store { /* what was received from one store */
	struct str name;
	uint64_t series, chunks, bytes;
};
struct notes_view { /* a snapshot in the caller's arena */
	struct str *warnings, *infos;
	size_t n_warnings, n_infos;
	struct note_range *missing;
	size_t n_missing;
	uint32_t stores_expected, stores_answered;
	struct note_store *received; /* by name */
	size_t n_received;
	uint64_t samples_read;
};
struct notes *notes_new(void);
void notes_free(struct notes *n);
void notes_warn(struct notes *n, const char *fmt, ...)
	PRINTF_LIKE(2, 3); /* n may be NULL */
void notes_info(struct notes *n, const char *fmt, ...) PRINTF_LIKE(2, 3);
void notes_missing(struct notes *n, int64_t mint_ms, int64_t maxt_ms, const char *why);
void notes_stores(struct notes *n, uint32_t expected, uint32_t answered); /* added up */
/* Added to what came from the store of that name before. */
void notes_received(struct notes *n, const struct note_store *more);
void notes_samples(struct notes *n, uint64_t samples);
/* Duplicates are kept once; order of first appearance. */
void notes_view(struct notes *n, struct arena *a, struct notes_view *out);
/* Locked memory that lives as long as the notes: long error texts. */
char *notes_keep(struct notes *n, const char *text, size_t len);

struct trace_sink; /* base/span.h */
struct trace {
	uint64_t id_hi, id_lo, span; /* 0: not traced */
	bool sampled;
	struct trace_sink *sink; /* where ended spans go; NULL: tracing is off */
};

struct ctx {
	uint64_t deadline_ns;  /* time_mono_ns clock; 0: none */
	struct cancel *cancel; /* may be NULL */
	struct budget *budget; /* may be NULL: unbounded */
	struct notes *notes;   /* may be NULL: notes are dropped */
	struct str tenant;
	struct str
		request_id; /* what log lines of all servers concerned have; "": none */
	struct trace trace;
};

/* A ctx of its own: new token, new notes; free with ctx_deinit. */
void ctx_init(struct ctx *ctx, struct budget *budget, uint64_t deadline_ns);
void ctx_deinit(struct ctx *ctx);
/* Shares everything of the parent; the nearer of both deadlines. Nothing to free. */
struct ctx ctx_child(const struct ctx *parent, uint64_t deadline_ns);

/* -1 with E_CANCELLED or E_TIMEOUT if the work is to end; polled once a batch. */
MUST_CHECK int ctx_check(struct ctx *ctx, struct err *e);
bool ctx_is_over(const struct ctx *ctx);     /* the question alone */
uint64_t ctx_left_ns(const struct ctx *ctx); /* UINT64_MAX: no deadline */

/*
 * Wait on a condition variable until `ready(arg)` is true, the deadline passes or the token is
 * cancelled. `mu` is held at the call and at return; `cv` must have been made by ctx_cond_init.
 * Returns 0, or -1 with E_TIMEOUT or E_CANCELLED. WORKER only. `ctx` may be NULL: waits for ready.
 * `mu` is dropped in between also when nothing is waited for (lock order: token -> mu); yet at return
 * ready(arg) is true with 0 and was false with -1, both under `mu`.
 */
MUST_CHECK int ctx_cond_wait(struct ctx *ctx, pthread_cond_t *cv, pthread_mutex_t *mu,
			     bool (*ready)(void *), void *arg, struct err *e);
void ctx_cond_init(pthread_cond_t *cv); /* CLOCK_MONOTONIC */

#endif
