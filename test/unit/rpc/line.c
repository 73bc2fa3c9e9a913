/*
 * test/unit/rpc/line.c - bytes are read as they come and written when they are due.
 */
#include "line.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "support/tst.h"

struct parcel {
	struct parcel *next;
	uint64_t due_ns;
	size_t n; /* 0: the end */
	char data[16 << 10];
};
struct way {
	int from, to;
	uint64_t delay_ns;
	pthread_mutex_t mu;
	pthread_cond_t cv;
	struct parcel *head, **tail;
	pthread_t reader, writer;
};
struct line {
	int listener, client, server;
	struct sockaddr_in far;
	struct way way[2];
	uint64_t delay_ns;
	pthread_t thread;
};

static void *take(void *arg)
{
	struct way *w = arg;
	for (;;) {
		struct parcel *p = malloc(sizeof(*p));
		ssize_t n = read(w->from, p->data, sizeof(p->data));
		p->next = NULL;
		p->due_ns = time_after_ns(w->delay_ns);
		p->n = n > 0 ? (size_t)n : 0;
		pthread_mutex_lock(&w->mu);
		*w->tail = p;
		w->tail = &p->next;
		pthread_cond_signal(&w->cv);
		pthread_mutex_unlock(&w->mu);
		if (n <= 0)
			return NULL;
	}
}

static struct parcel *next(struct way *w)
{
	pthread_mutex_lock(&w->mu);
	while (!w->head)
		pthread_cond_wait(&w->cv, &w->mu);
	struct parcel *p = w->head;
	w->head = p->next;
	if (!w->head)
		w->tail = &w->head;
	pthread_mutex_unlock(&w->mu);
	return p;
}

static void *give(void *arg)
{
	struct way *w = arg;
	for (bool more = true; more;) {
		struct parcel *p = next(w);
		uint64_t now = time_mono_ns();
		if (p->due_ns > now)
			usleep((useconds_t)((p->due_ns - now) / 1000));
		more = p->n > 0;
		for (size_t at = 0; at < p->n;) {
			ssize_t n = send(w->to, p->data + at, p->n - at, MSG_NOSIGNAL);
			if (n <= 0)
				break; /* nobody is there any more */
			at += (size_t)n;
		}
		free(p);
	}
	shutdown(w->to, SHUT_WR);
	return NULL;
}

static void way_start(struct way *w, int from, int to, uint64_t delay_ns)
{
	*w = (struct way){ .from = from, .to = to, .delay_ns = delay_ns };
	w->tail = &w->head;
	pthread_mutex_init(&w->mu, NULL);
	pthread_cond_init(&w->cv, NULL);
	cr_assert(pthread_create(&w->reader, NULL, take, w) == 0);
	cr_assert(pthread_create(&w->writer, NULL, give, w) == 0);
}

static void *connect_both(void *arg)
{
	struct line *l = arg;
	l->client = accept(l->listener, NULL, NULL);
	l->server = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert(l->client >= 0 &&
		  connect(l->server, (struct sockaddr *)&l->far, sizeof(l->far)) == 0);
	way_start(&l->way[0], l->client, l->server, l->delay_ns);
	way_start(&l->way[1], l->server, l->client, l->delay_ns);
	for (int i = 0; i < 2; i++) {
		pthread_join(l->way[i].reader, NULL);
		pthread_join(l->way[i].writer, NULL);
		pthread_mutex_destroy(&l->way[i].mu);
		pthread_cond_destroy(&l->way[i].cv);
	}
	return NULL;
}

struct line *line_new(char *addr, size_t cap, uint64_t delay_ns)
{
	struct line *l = calloc(1, sizeof(*l));
	struct sockaddr_in here = { .sin_family = AF_INET };
	socklen_t n = sizeof(here);
	l->delay_ns = delay_ns;
	l->far = here;
	l->far.sin_port = htons((uint16_t)atoi(strchr(addr, ':') + 1));
	inet_pton(AF_INET, "127.0.0.1", &here.sin_addr);
	l->far.sin_addr = here.sin_addr;
	l->listener = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert(bind(l->listener, (struct sockaddr *)&here, n) == 0 &&
		  listen(l->listener, 1) == 0 &&
		  getsockname(l->listener, (struct sockaddr *)&here, &n) == 0);
	snprintf(addr, cap, "127.0.0.1:%u", ntohs(here.sin_port));
	cr_assert(pthread_create(&l->thread, NULL, connect_both, l) == 0);
	return l;
}

void line_free(struct line *l)
{
	pthread_join(l->thread, NULL);
	close(l->listener);
	close(l->client);
	close(l->server);
	free(l);
}
