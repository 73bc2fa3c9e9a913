/*
 * net/dns.c - one batch of DNS queries: a c-ares channel of its own, driven by the loop.
 *
 * The channel is made on the worker's thread, since that reads resolv.conf, and used on the loop only. A batch is
 * one operation; the handles on the loop each hold a reference to it. pump() sends what there is room for and ends
 * the batch when nothing is open; it runs from handles' callbacks only, never inside one of c-ares'.
 */
#include <ares.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/time.h"
#include "net/dns.h"
#include "net/net_int.h"

#define MAX_OPEN    128
#define MAX_ALIASES 8
#define EDNS_BYTES  1232 /* fits into every path without fragments */

struct dns_op;
struct dns_poll {
	uv_poll_t poll;
	struct dns_op *op;
	ares_socket_t fd;
	struct dns_poll *next;
};
struct dns_ask {
	struct dns_op *op;
	struct net_dns_query q;
	uint32_t aliases;
};
struct dns_op {
	struct loop_op base;
	struct loop *loop;
	struct arena arena; /* names and answers */
	struct dns_ask *ask;
	size_t n, next, open; /* asked up to next; without answer */
	uint64_t limit_ns;
	ares_channel ch;
	bool over;
	uv_timer_t tick, limit;
	struct dns_poll *polls;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void library_begin(void)
{
	ares_library_init(ARES_LIB_INIT_ALL);
}

void net_ares_begin(void)
{
	pthread_once(&once, library_begin);
}

static void op_free(struct loop_op *base)
{
	struct dns_op *op = CONTAINER_OF(base, struct dns_op, base);
	arena_deinit(&op->arena);
	free(op);
}

static void on_timer_closed(uv_handle_t *h)
{
	loop_op_unref(&((struct dns_op *)h->data)->base);
}

static void on_poll_closed(uv_handle_t *h)
{
	struct dns_poll *p = h->data;
	loop_op_unref(&p->op->base);
	free(p);
}

/* ---- answers ---- */

static enum err_code code_of(int status)
{
	switch (status) {
	case ARES_ETIMEOUT:
	case ARES_ECANCELLED: return E_TIMEOUT;
	case ARES_EBADNAME: return E_INVALID;
	case ARES_EBADRESP:
	case ARES_EFORMERR: return E_REMOTE;
	default: return E_UNAVAILABLE;
	}
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *msg, int len);

static void take_answer(struct dns_ask *k, struct str msg)
{
	struct net_dns_query *q = &k->q;
	struct dns_op *op = k->op;
	if (net_dns_parse(&op->arena, msg, q->type, &q->answer, &q->err) < 0 ||
	    !q->answer.cname.n)
		return;
	if (k->aliases++ == MAX_ALIASES) {
		err_set(NULL, &q->err, E_REMOTE, "too many aliases");
		return;
	}
	op->open++;
	ares_query(op->ch, str_dupz(&op->arena, q->answer.cname), 1, (int)q->type,
		   on_answer, k);
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *msg, int len)
{
	struct dns_ask *k = arg;
	(void)timeouts;
	k->op->open--;
	if (status == ARES_ENOTFOUND || status == ARES_ENODATA)
		k->q.answer = (struct net_dns_answer){ .n = 0 };
	else if (status == ARES_SUCCESS)
		take_answer(k, str_n(msg, (size_t)len));
	else
		err_set(NULL, &k->q.err, code_of(status), "%s",
			status == ARES_ECANCELLED ? "no answer in time"
						  : ares_strerror(status));
}

/* ---- the channel on the loop ---- */

static void finish(struct dns_op *op)
{
	op->over = true;
	ares_destroy(op->ch);
	while (op->polls) {
		struct dns_poll *p = op->polls;
		op->polls = p->next;
		uv_close((uv_handle_t *)&p->poll, on_poll_closed);
	}
	uv_close((uv_handle_t *)&op->tick, on_timer_closed);
	uv_close((uv_handle_t *)&op->limit, on_timer_closed);
	loop_op_done(&op->base, NULL);
}

static void on_tick(uv_timer_t *t);

static void pump(struct dns_op *op)
{
	struct timeval tv;
	if (op->over)
		return;
	while (op->next < op->n && op->open < MAX_OPEN) {
		struct dns_ask *k = &op->ask[op->next++];
		op->open++;
		ares_search(op->ch, str_dupz(&op->arena, k->q.name), 1, (int)k->q.type,
			    on_answer, k);
	}
	if (op->open == 0 && op->next == op->n) {
		finish(op);
		return;
	}
	if (ares_timeout(op->ch, NULL, &tv))
		uv_timer_start(&op->tick, on_tick,
			       (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 +
				       1,
			       0);
}

static void on_tick(uv_timer_t *t)
{
	struct dns_op *op = t->data;
	if (op->over)
		return;
	ares_process_fd(op->ch, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	pump(op);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct dns_poll *p = h->data;
	struct dns_op *op = p->op;
	ares_socket_t fd = p->fd;
	if (op->over)
		return;
	ares_process_fd(op->ch,
			status < 0 || (events & UV_READABLE) ? fd : ARES_SOCKET_BAD,
			status < 0 || (events & UV_WRITABLE) ? fd : ARES_SOCKET_BAD);
	pump(op);
}

static void on_sock(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns_op *op = arg;
	struct dns_poll **slot = &op->polls, *p;
	while (*slot && (*slot)->fd != fd)
		slot = &(*slot)->next;
	p = *slot;
	if (!readable && !writable) {
		if (!p)
			return;
		*slot = p->next;
		uv_close((uv_handle_t *)&p->poll, on_poll_closed);
		return;
	}
	if (!p) {
		p = xcalloc(1, sizeof(*p));
		p->op = op;
		p->fd = fd;
		p->poll.data = p;
		if (uv_poll_init_socket(loop_uv(op->loop), &p->poll, fd) != 0) {
			free(p); /* its queries time out */
			return;
		}
		loop_op_ref(&op->base);
		p->next = op->polls;
		op->polls = p;
	}
	uv_poll_start(&p->poll,
		      (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
		      on_poll);
}

/* What has no answer yet gets none. */
static void give_up(struct dns_op *op)
{
	if (op->over)
		return;
	for (; op->next < op->n; op->next++)
		err_set(NULL, &op->ask[op->next].q.err, E_TIMEOUT, "no answer in time");
	ares_cancel(op->ch);
	pump(op);
}

static void on_limit(uv_timer_t *t)
{
	give_up(t->data);
}

static void abandon(struct loop_op *base)
{
	give_up(CONTAINER_OF(base, struct dns_op, base));
}

static void start(struct loop_op *base)
{
	struct dns_op *op = CONTAINER_OF(base, struct dns_op, base);
	uv_timer_init(loop_uv(op->loop), &op->tick);
	uv_timer_init(loop_uv(op->loop), &op->limit);
	op->tick.data = op->limit.data = op;
	loop_op_ref(base);
	loop_op_ref(base);
	uv_update_time(loop_uv(op->loop));
	uv_timer_start(&op->limit, on_limit, op->limit_ns / NS_PER_MS + 1, 0);
	pump(op);
}

/* ---- the worker's side ---- */

static int open_channel(struct dns_op *op, struct ctx *ctx, const struct net_dns_opts *o,
			struct err *e)
{
	struct ares_options opts = {
		.flags = ARES_FLAG_EDNS,
		.timeout =
			(int)((o->timeout_ns ? o->timeout_ns : 2 * NS_PER_S) / NS_PER_MS),
		.tries = 2,
		.ednspsz = EDNS_BYTES,
		.sock_state_cb = on_sock,
		.sock_state_cb_data = op,
	};
	net_ares_begin();
	int rc = ares_init_options(&op->ch, &opts,
				   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
					   ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB);
	if (rc != ARES_SUCCESS)
		return err_set(ctx, e, E_UNAVAILABLE, "DNS: %s", ares_strerror(rc));
	if (!o->servers.n)
		return 0;
	rc = ares_set_servers_ports_csv(op->ch, str_dupz(&op->arena, o->servers));
	if (rc == ARES_SUCCESS)
		return 0;
	ares_destroy(op->ch);
	return err_set(ctx, e, E_INVALID, "DNS servers %.*s: %s", STR_FMT(o->servers),
		       ares_strerror(rc));
}

static void give_back(const struct dns_ask *k, struct arena *a, struct net_dns_query *to)
{
	const struct net_dns_answer *from = &k->q.answer;
	to->err = k->q.err;
	to->answer = *from;
	to->answer.cname = STR_NULL;
	to->answer.v = ARENA_ARRAY(a, struct net_dns_record, from->n + 1);
	for (size_t i = 0; i < from->n; i++) {
		to->answer.v[i] = from->v[i];
		to->answer.v[i].target = str_dup(a, from->v[i].target);
	}
}

int net_dns_lookup(struct loop *l, struct ctx *ctx, const struct net_dns_opts *o,
		   struct arena *a, struct net_dns_query *q, size_t n, struct err *e)
{
	struct dns_op *op = xcalloc(1, sizeof(*op));
	int rc = -1;
	loop_op_init(&op->base, op_free);
	op->base.abandon = abandon;
	op->loop = l;
	op->limit_ns = o->limit_ns ? o->limit_ns : 15 * NS_PER_S;
	arena_init(&op->arena, NULL);
	op->ask = ARENA_ARRAY(&op->arena, struct dns_ask, n + 1);
	op->n = n;
	for (size_t i = 0; i < n; i++) {
		op->ask[i] = (struct dns_ask){ .op = op };
		op->ask[i].q.name = str_dup(&op->arena, q[i].name);
		op->ask[i].q.type = q[i].type;
	}
	if (open_channel(op, ctx, o, e) == 0)
		rc = loop_call(l, ctx, start, &op->base, e);
	for (size_t i = 0; rc == 0 && i < n; i++)
		give_back(&op->ask[i], a, &q[i]);
	loop_op_unref(&op->base);
	return rc;
}
