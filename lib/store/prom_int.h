/*
 * store/prom_int.h - what the files of the Prometheus store share.
 *
 * Reading order: prom.c (life, heartbeat, Info) - prom_http.c (Prometheus' HTTP API) - prom_labels.c -
 * prom_federated.c - prom_series.c (matchers, external labels, order) - prom_read.c (remote read: streamed, sampled) -
 * spill.c; prom_blocks.h, prom_plan.c, prom_scan.c, prom_blocks.c (blocks read beside Prometheus).
 */
#ifndef STORE_PROM_INT_H
#define STORE_PROM_INT_H

#include <pthread.h>

#include "store/federated.h"
#include "store/frame_set.h"
#include "store/prom_blocks.h"
#include "store/store.h"

/* Prometheus answers 10 remote reads at a time; two are left to others. */
#define PROM_READ_SLOTS 8u

/* FROZEN: what one heartbeat learned. */
struct prom_state {
	struct ref ref;
	struct arena arena;
	struct labels labels; /* external */
	struct str version;
	int64_t mint_ms; /* the lowest timestamp of its TSDB */
	struct str *
		names; /* label names of its series, sorted, external ones not among them */
	size_t n_names;
};

struct prom_store {
	struct store base;
	struct federated federated;
	struct prom_store_opts o;
	char *url; /* without '/' at its end */
	struct task_gate *slots;
	struct prom_blocks *blocks; /* NULL: all is asked from Prometheus */
	struct metric *up, *frames, *from_blocks, *from_remote;
	pthread_mutex_t mu; /* guards `now` and `is_up`; held for a pointer copy only */
	struct prom_state *now; /* NULL: no heartbeat has gone well yet */
	bool is_up;
};

/* The state of this moment, a new reference; NULL: none yet. */
struct prom_state *prom_state_get(struct prom_store *p);
void prom_state_put(struct prom_state *s); /* NULL allowed */
/* The same for a call: E_UNAVAILABLE where there is none. */
MUST_CHECK int prom_state_need(struct prom_store *p, struct ctx *ctx,
			       struct prom_state **out, struct err *e);
/* What is served begins here: --min-time or the lowest timestamp, whatever is later. */
int64_t prom_mint(const struct prom_store *p, const struct prom_state *s);
bool prom_has_name(const struct prom_state *s, struct str name);

/*
 * Matchers on external labels are answered here: false if one does not match; the others, which Prometheus is to
 * answer, into *out (in the arena).
 */
bool prom_match_external(struct arena *a, struct labels ext, const struct matcher *m,
			 size_t n, struct matcher **out, size_t *n_out);

/* Bytes of an answer held in full, charged by what they take. */
struct prom_held {
	struct buf b;
	struct budget *budget;
	size_t charged;
};
void prom_held_init(struct prom_held *h, struct budget *budget);
void prom_held_free(void *held); /* of a struct prom_held: a cleanup of arenas */
MUST_CHECK int prom_held_charge(struct prom_held *h, struct ctx *ctx, struct err *e);
/* The rest of the body. WORKER */
MUST_CHECK int prom_read_whole(struct ctx *ctx, struct http_body *in,
			       struct prom_held *to, struct err *e);

/* ---- prom_http.c; WORKER. Answers are charged to ctx->budget and freed with the arena. ---- */
/* GET `path` + query; the answer's body. A status other than 2xx is an error that shows the body. */
MUST_CHECK int prom_get(struct prom_store *p, struct ctx *ctx, struct arena *a,
			const char *path, struct str query, struct str *body,
			struct err *e);
/* Parameters of a query: escaped, joined by '&'; times in seconds. */
void prom_put_param(struct buf *q, const char *name, struct str value);
void prom_put_time(struct buf *q, const char *name, int64_t ms);
struct prom_config { /* what of its configuration matters */
	struct labels external;
	int64_t ooo_window_ms;
	bool remote_read;
};
MUST_CHECK int prom_config(struct prom_store *p, struct ctx *ctx, struct arena *a,
			   struct prom_config *out, struct err *e);
MUST_CHECK int prom_version(struct prom_store *p, struct ctx *ctx, struct arena *a,
			    struct str *out, struct err *e);
/* What its metrics tell; the rest of *out is zero. */
MUST_CHECK int prom_tsdb(struct prom_store *p, struct ctx *ctx, struct prom_tsdb *out,
			 struct err *e);
struct prom_selection { /* of the labels and series APIs */
	int64_t mint_ms, maxt_ms;
	const struct matcher *matchers;
	size_t n_matchers;
	int64_t limit; /* 0: none */
};
/* Names (label empty) or values, sorted, unique. */
MUST_CHECK int prom_label_list(struct prom_store *p, struct ctx *ctx, struct arena *a,
			       struct str label, const struct prom_selection *s,
			       struct str **out, size_t *n, struct err *e);
/* Label sets of the series, sorted by name each, in no order of their own. */
MUST_CHECK int prom_series_list(struct prom_store *p, struct ctx *ctx, struct arena *a,
				const struct prom_selection *s, struct labels **out,
				size_t *n, struct err *e);
/* An answer of remote read that is no success: its text, as an error. */
int prom_http_failed(struct ctx *ctx, int status, struct str body, struct err *e);

/* ---- prom_read.c, prom_frame.c, prom_samples.c ---- */
struct prom_read_req {
	int64_t mint_ms, maxt_ms;
	const struct matcher *matchers;
	size_t n_matchers;
	/* Labels that are equal to these are left out: Prometheus added them. */
	struct labels external;
	/* sorted; a series that has one of these of its own ends the read with E_UNAVAILABLE. */
	const struct str *refuse;
	size_t n_refuse;
};
/*
 * Remote read as series without external labels, in Prometheus' order. The answer is drained as it comes, whatever
 * the reader does. r and all it points to must stay valid until the set is closed. WORKER
 */
MUST_CHECK int prom_read(struct prom_store *p, struct ctx *ctx,
			 const struct prom_read_req *r, struct series_set **out,
			 struct err *e);

extern const struct federated_ops prom_federated_ops; /* prom_federated.c */

/* ---- prom_labels.c, prom_series.c ---- */
int prom_label_names(struct store *s, struct ctx *ctx, struct arena *a,
		     const struct store_labels_req *req, struct store_labels_resp *out,
		     struct err *e);
int prom_label_values(struct store *s, struct ctx *ctx, struct arena *a,
		      const struct store_labels_req *req, struct store_labels_resp *out,
		      struct err *e);
int prom_series(struct store *s, struct ctx *ctx, const struct store_series_req *req,
		struct series_set **out, struct err *e);

#endif
