/*
 * rpc/rpc_client_int.h - the client's insides: channel, stream, and what the loop's side (rpc_client.c) does for the
 * worker's (rpc_stream.c).
 */
#ifndef RPC_RPC_CLIENT_INT_H
#define RPC_RPC_CLIENT_INT_H

#include "rpc/rpc_codec.h"
#include "rpc/rpc_int.h"
#include "task/pipe.h"

#define MAX_DRAINING 8
#define MAX_META     16
#define RPC_CLIENT_MAX_FRAME                                                             \
	(256u << 10) /* fewer and larger DATA frames, where a server can */
#define OWN_META 3   /* of these: tenant, request id, trace */

struct rpc_channel {
	_Atomic uint32_t refs; /* the owner's, and each stream's */
	struct loop *loop;
	struct rpc_channel_opts o;
	char addr[300];
	struct str host; /* of addr */
	struct metric_set *metrics;
	/* LOOP: */
	struct h2_session *session; /* takes new calls */
	struct h2_session
		*draining[MAX_DRAINING]; /* oldest first; said GOAWAY, or dying */
	uint32_t n_draining;
	uint32_t n_closing; /* sessions that were dropped for others, not gone yet */
	struct net_dial *dial;
	struct rpc_stream *streams; /* begun and not ended, on a session or waiting */
	struct err last_error;	    /* of the last dial */
	uint64_t backoff_ns, next_try_ns;
	size_t window; /* that its streams needed of late; not below o.stream_window */
	bool closed;
	struct loop_op *free_op; /* done when the last session is gone */
};
/* How far a stream may be ahead of us. LOOP but for `waited`, which its reader sets: it waited long. */
struct rpc_window {
	size_t now, max;
	size_t arrived, probed; /* bytes in all; since the probe left */
	bool probing, needed;	/* needed: a probe met with a third of it */
	_Atomic bool waited;
};
struct rpc_stream {
	struct rpc_channel *channel;
	struct pipe *pipe;
	_Atomic uint32_t refs;
	char path[128];
	uint64_t deadline_ns; /* 0: none */
	struct buf request;   /* prefix and message */
	struct buf meta;      /* pairs of NUL-terminated names and values */
	size_t n_meta;
	/* LOOP: */
	struct rpc_stream *next, **link; /* of the channel's list */
	struct h2_session *session;	 /* NULL: waits for one, or ended */
	int32_t id;
	size_t sent, held; /* of the request; received bytes not yet credited */
	struct rpc_frame frame;
	bool ended, has_status, has_frame, has_head, retried;
	bool hungry; /* the reader waits, though the pipe may count as full */
	struct rpc_window window;
	uint32_t status;
	unsigned http_status;
	char *message;	  /* grpc-message, decoded */
	char *text;	  /* of the failure, whole; set before code */
	_Atomic int code; /* enum rpc_code, set before the pipe ends */
	enum rpc_encoding
		enc; /* of answers, set before the first is piped; not RPC_IDENTITY: they are tagged */
	/* WORKER: */
	struct budget *budget; /* decoded messages are charged to it */
	size_t max_message;
	size_t handed; /* bytes of messages read and not released */
	/* set at the beginning */
	uint64_t start_ns;
	struct metric *received;
};

enum rpc_client_metric {
	RPC_CLIENT_STARTED,
	RPC_CLIENT_HANDLED,
	RPC_CLIENT_RECEIVED,
	RPC_CLIENT_SENT,
	RPC_CLIENT_SECONDS,
	RPC_CLIENT_METRICS
};
void rpc_stream_unref(struct rpc_stream *s);
/* Posted to the loop with a reference: the call goes out; the reader waits though it holds messages. */
void rpc_stream_begin(void *arg);
void rpc_stream_hungry(void *arg);
/* rpc_window.c, LOOP: the answer begins; bytes of it arrived; a probe is back; the stream ends. */
void rpc_window_open(struct rpc_stream *s);
void rpc_window_arrived(struct rpc_stream *s, size_t n);
void rpc_window_probed(struct h2_session *ss);
/* Of what arrived during the last trip, what would have during the shortest; 0: it was the first. */
size_t rpc_window_met(const struct h2_session *ss, size_t arrived);
void rpc_window_close(struct rpc_stream *s);
/* The pipe's producer side is to look; any thread. */
void rpc_stream_rouse(void *arg);

#endif
