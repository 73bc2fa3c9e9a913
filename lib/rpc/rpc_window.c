/*
 * rpc/rpc_window.c - how far the sender of a stream may be ahead of us.
 *
 * A window is read-ahead that costs memory when the reader is slow, and bounds the speed to a window a round trip when the line is
 * long. So it begins small, and doubles when a probe shows that the line is what bounds it: the reader waited long, and two
 * thirds of a window arrived while a PING went there and back. (A slow sender does not send that much, on a short line nothing
 * has the time to.) Streams to the same address begin with what the last one needed.
 *
 * A PING is answered behind what its peer has to send, and late by a busy machine, which makes a short line look long. So the
 * shortest trip of the connection is what counts, and its first one alone says nothing.
 *
 * The budget of the query is not to be filled by what one stream may send: eight times a window must be left of it.
 */
#include "rpc/rpc_client_int.h"

static void widen(struct rpc_stream *s, size_t to)
{
	struct rpc_window *w = &s->window;
	to = MIN(to, w->max);
	if (to <= w->now || (s->budget && budget_left(s->budget) / 8 < to))
		return;
	(void)nghttp2_submit_window_update(s->session->h2, NGHTTP2_FLAG_NONE, s->id,
					   (int32_t)(to - w->now));
	w->now = to;
}

void rpc_window_open(struct rpc_stream *s)
{
	s->window.now = s->channel->o.stream_window;
	s->window.probing = false;
	widen(s, s->channel->window);
}

void rpc_window_arrived(struct rpc_stream *s, size_t n)
{
	struct rpc_window *w = &s->window;
	w->arrived += n;
	w->probed += n;
	if (w->probing || !atomic_load_explicit(&w->waited, memory_order_relaxed) ||
	    !h2_session_probe(s->session))
		return;
	w->probing = true;
	w->probed = 0;
	atomic_store_explicit(&w->waited, false, memory_order_relaxed);
}

size_t rpc_window_met(const struct h2_session *ss, size_t arrived)
{
	if (ss->probes < 2)
		return 0;
	double late = (double)MAX(ss->trip_ns, 1u) / (double)MAX(ss->least_trip_ns, 1u);
	return (size_t)((double)arrived / late);
}

void rpc_window_probed(struct h2_session *ss)
{
	struct rpc_channel *c = ss->owner;
	for (struct rpc_stream *s = c->streams; s; s = s->next) {
		struct rpc_window *w = &s->window;
		if (s->session != ss || !w->probing)
			continue;
		w->probing = false;
		size_t met = rpc_window_met(ss, w->probed);
		w->needed |= met >= w->now / 3;
		if (met >= w->now - w->now / 3)
			widen(s, w->now * 2);
	}
}

/* What came in less than a window tells nothing. */
void rpc_window_close(struct rpc_stream *s)
{
	const struct rpc_window *w = &s->window;
	struct rpc_channel *c = s->channel;
	if (w->needed)
		c->window = w->now;
	else if (w->arrived > w->now)
		c->window = MAX(c->window / 2, c->o.stream_window);
}
