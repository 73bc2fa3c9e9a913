/*
 * net/poll.c - uv_poll on a foreign socket. uv_close takes the descriptor out of the loop at once, so its
 * owner may close it right after net_poll_free; the memory goes in the close callback.
 */
#include "net/poll.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <uv.h>

#include "loop/loop_int.h"

struct net_poll {
	uv_poll_t uv;
	void (*fn)(void *arg, int events);
	void *arg;
	int fd;
};

struct net_poll *net_poll_new(struct loop *l, int fd, void (*fn)(void *arg, int events),
			      void *arg)
{
	BUG_ON(!loop_is_current(l));
	struct net_poll *p = xcalloc(1, sizeof(*p));
	p->fn = fn;
	p->arg = arg;
	p->fd = fd;
	p->uv.data = p;
	if (uv_poll_init_socket(loop_uv(l), &p->uv, fd) != 0) {
		free(p);
		return NULL;
	}
	return p;
}

static void on_ready(uv_poll_t *uv, int status, int events)
{
	struct net_poll *p = uv->data;
	int ev = 0;
	if (status < 0)
		ev = NET_POLL_IN | NET_POLL_OUT;
	if (events & UV_READABLE)
		ev |= NET_POLL_IN;
	if (events & UV_WRITABLE)
		ev |= NET_POLL_OUT;
	p->fn(p->arg, ev);
}

void net_poll_start(struct net_poll *p, int events)
{
	int ev = (events & NET_POLL_IN ? UV_READABLE : 0) |
		 (events & NET_POLL_OUT ? UV_WRITABLE : 0);
	if (ev)
		uv_poll_start(&p->uv, ev, on_ready);
	else
		uv_poll_stop(&p->uv);
}

void net_poll_least(struct net_poll *p, size_t bytes)
{
	int n = (int)MIN(bytes, (size_t)INT_MAX);
	(void)setsockopt(p->fd, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof(n));
}

size_t net_poll_unread(const struct net_poll *p)
{
	int n = 0;
	return ioctl(p->fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void net_poll_free(struct net_poll *p)
{
	if (p)
		uv_close((uv_handle_t *)&p->uv, on_closed);
}
