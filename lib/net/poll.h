/*
 * net/poll.h - readiness of a descriptor that somebody else owns (libcurl's sockets).
 *
 * Thread  LOOP
 */
#ifndef NET_POLL_H
#define NET_POLL_H

#include "loop/loop.h"

enum { NET_POLL_IN = 1, NET_POLL_OUT = 2 };

struct net_poll;
/* Watch fd, which must be a socket no other poll of this loop watches; events start as none. fn gets
 * NET_POLL_* bits, both when the descriptor is in error. NULL when the descriptor cannot be watched. */
struct net_poll *net_poll_new(struct loop *l, int fd, void (*fn)(void *arg, int events),
			      void *arg);
void net_poll_start(struct net_poll *p, int events); /* 0: none */
/* Readable from now on means: so many bytes are there (1: any), or the peer has ended. A stream of TCP; until told anew,
 * beyond the poll's life. */
void net_poll_least(struct net_poll *p, size_t bytes);
size_t net_poll_unread(const struct net_poll *p); /* bytes that are there now */
/* fn is not called again, and fd may be closed; NULL allowed. May be called from fn. */
void net_poll_free(struct net_poll *p);

#endif
