/*
 * store/endpoint_int.h - what the proxy sees of endpoints, and what their files share.
 *
 * An endpoint is a name with one address, or a group with any number. Each address is a member: one channel, polled for
 * itself. Everything is ref-counted: who took an endpoint from the set keeps it, its members and what it said of itself,
 * whatever discovery does meanwhile. Channels are freed by the poller, since that waits and the last reference may
 * be put on a loop.
 */
#ifndef STORE_ENDPOINT_INT_H
#define STORE_ENDPOINT_INT_H

#include "base/limits.h"
#include "dedup/dedup.h"
#include "store/store.h"

/* What an endpoint said of itself. FROZEN, ref-counted. */
struct endpoint_info {
	struct ref ref;
	struct arena arena;
	struct store_info info;
	bool has_store;
	struct str raw; /* the message */
};
struct endpoint_member {
	struct ref ref;
	struct endpoints *set;
	char *addr;
	struct rpc_channel *channel;
	bool healthy;	   /* set->mu, with all below */
	bool gone;	   /* of no set any more: not polled */
	uint64_t due_ns;   /* the next poll */
	uint64_t fresh_ns; /* the end of the last poll; 0: none */
	bool flying;	   /* a poll is under way */
	bool ready;	   /* in the list of those with something to read */
	struct endpoint_member *next_ready, *next_dead;
	/* the poller's: */
	struct endpoint *polled; /* for whom; a reference while a poll is under way */
	struct rpc_stream *stream;
	struct endpoint_member *next, **link; /* of those under way */
	struct endpoint_member *next_taken;   /* of those being read from */
	struct buf answer;
	uint64_t deadline_ns;
};
struct endpoint {
	struct ref ref;
	struct endpoints *set;
	char *name;
	struct merge_origin
		origin; /* its series came out of order: sorted before the merge from then on */
	struct endpoint_member **m; /* set->mu, with all below */
	size_t n, turn;		    /* members; whose turn it is */
	struct arena client_arena;
	struct disc_client client;
	bool strict, group, healthy;
	struct endpoint_info *info; /* newest; NULL: never reached */
	int64_t last_check_ms;
	uint64_t reached_ns; /* when Info last answered; before that: when it was added */
	enum err_code last_code;
	char last_error[256]; /* empty: none */
};
struct endpoint_set { /* FROZEN */
	struct ref ref;
	struct endpoint **v; /* by name */
	size_t n;
};
struct endpoint_meter;
struct endpoints {
	struct endpoints_opts o;
	struct endpoint_info
		*unknown; /* what a strict one is taken for before it answered */
	struct endpoint_meter *meter;
	struct disc_tls *tls;
	struct cancel *cancel; /* ends the poller's calls */
	pthread_mutex_t mu;    /* all below, and what endpoints and members say */
	pthread_cond_t cv;     /* the poller waits, and whoever waits for polls */
	struct endpoint_set *now;
	struct endpoint_member *ready, *dead; /* to be read from; to be freed */
	size_t members;			      /* not freed yet */
	bool stop, stopped;
	bool changed;		  /* metrics are due */
	bool rescan;		  /* polls may be due before the poller thinks */
	pthread_mutex_t apply_mu; /* one new set at a time */
};

/* The set as it is, a reference; NULL once endpoints_free has begun. SHARED, does not wait. */
struct endpoint_set *endpoints_now(struct endpoints *s);
struct endpoint_view {
	struct endpoint_info *info; /* a reference, or NULL */
	bool healthy, strict, group;
	char why[256];
};
void endpoint_view(struct endpoint *ep, struct endpoint_view *out);
/* Whom to ask: the healthy members in turn, any if a strict one has none. A reference, or NULL. */
struct endpoint_member *endpoint_pick(struct endpoint *ep);
/* One member was not reached: it counts as unhealthy and is polled at once. Another that is healthy, or NULL. */
struct endpoint_member *endpoint_pick_other(struct endpoint *ep,
					    struct endpoint_member *failed);

struct endpoint_info *endpoint_info_new(void);

/* endpoint_poll.c */
void endpoint_poller(void *endpoints); /* runs until set->stop */

/* endpoint_meter.c; the poller's, without the lock */
struct endpoint_meter *endpoint_meter_new(struct metric_registry *m, unsigned labels);
void endpoint_meter_free(struct endpoint_meter *m);
void endpoint_meter_update(struct endpoint_meter *m, struct endpoints *s);

#endif
