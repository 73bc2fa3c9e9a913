/*
 * A Prometheus of our own making: the HTTP API that the sidecar asks, with answers that a test sets, and a store
 * over it.
 */
#ifndef TEST_STORE_PROM_WORLD_H
#define TEST_STORE_PROM_WORLD_H

#include <stdatomic.h>

#include "store/store.h"

#define PROM_READ "test/golden/remote/read/"

struct prom_world {
	/* what it answers; set before or between calls */
	const char *external;	   /* YAML of external_labels' members */
	const char *names;	   /* JSON array of /api/v1/labels */
	const char *series;	   /* JSON array of /api/v1/series */
	const char *lowest;	   /* value of its lowest timestamp */
	int config_status;	   /* 0: 200 */
	const char *type;	   /* of remote read; NULL: streamed */
	int read_status;	   /* 0: 200 */
	struct str body;	   /* of remote read */
	bool cut_connection;	   /* after the body */
	uint64_t repeat;	   /* times the body is sent; 0: once */
	_Atomic uint64_t n_sent;   /* bodies that the socket took, of all reads */
	_Atomic uint32_t n_reads;  /* reads that began */
	_Atomic uint32_t n_active; /* reads under way */
	_Atomic uint32_t most_active;
	const char
		*federated; /* data of rules, targets, metadata, exemplars, statistics */
	int federated_status; /* 0: 200; else `federated` is the whole body */
	char asked[4096];     /* target of the last GET of labels, series or these */
	/* what a test uses */
	struct ctx ctx;
	struct arena arena;
	struct budget budget;
	struct task_pool *pool;
	struct metric_registry *metrics;
	struct loops loops;
	struct http_server *server;
	struct http_client *http;
	struct prom_store *prom;
	struct err e;
};
/* Starts it and makes a good heartbeat. spill_memory 0: default. */
void prom_world_open(struct prom_world *w, size_t spill_memory);
void prom_world_close(struct prom_world *w);

/* A frame of a streamed remote read around a ChunkedReadResponse of one series without samples but with one chunk of
 * `n` bytes of data; appended to out. labels: "a=1,b=2". */
void prom_frame(struct buf *out, const char *labels, int64_t mint_ms, size_t n);

/* "labels t value" lines of a set, closed then; -1: it failed, w->e says why. */
int prom_lines(struct prom_world *w, struct series_set *set, struct buf *out);
/* The same of a Series call. */
int prom_ask(struct prom_world *w, const struct store_series_req *req, struct buf *out);
/* Label sets only, in the order shown, one a line. */
int prom_ask_labels(struct prom_world *w, const struct store_series_req *req,
		    struct buf *out);
struct matcher *prom_matchers(struct prom_world *w, const char *name, const char *value);

#endif
