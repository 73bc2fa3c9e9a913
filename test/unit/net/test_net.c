/*
 * Listeners, dialling and connections over real sockets on the loopback.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "net/net.h"
#include "support/tst.h"

/* One event that the test's thread waits for. */
struct signal_box {
	pthread_mutex_t mu;
	pthread_cond_t cv;
	int count;
};

static void box_init(struct signal_box *b)
{
	pthread_mutex_init(&b->mu, NULL);
	pthread_cond_init(&b->cv, NULL);
	b->count = 0;
}

static void box_post(struct signal_box *b)
{
	pthread_mutex_lock(&b->mu);
	b->count++;
	pthread_cond_broadcast(&b->cv);
	pthread_mutex_unlock(&b->mu);
}

static void box_wait(struct signal_box *b, int n)
{
	pthread_mutex_lock(&b->mu);
	while (b->count < n)
		pthread_cond_wait(&b->cv, &b->mu);
	pthread_mutex_unlock(&b->mu);
}

/* ---- an echo server ---- */

static void echo_data(void *arg, const uint8_t *p, size_t n)
{
	struct net_conn *c = arg;
	net_conn_write(c, p, n);
}
static void echo_eof(void *arg)
{
	net_conn_finish(arg);
}
static void echo_drain(void *arg)
{
	(void)arg;
}
static void echo_close(void *arg, const struct err *why)
{
	(void)arg, (void)why;
}
static const struct net_conn_ops echo_ops = { echo_data, echo_eof, echo_drain,
					      echo_close };

static void on_accept(void *arg, struct net_conn *c)
{
	(void)arg;
	net_conn_set_ops(c, &echo_ops, c);
}

struct client {
	struct loop *loop;
	struct net_conn *conn;
	struct err why;
	bool failed;
	size_t want, got, bad;
	struct signal_box done;
	char addr[64];
	uint64_t timeout_ns;
};

static void client_data(void *arg, const uint8_t *p, size_t n)
{
	struct client *k = arg;
	for (size_t i = 0; i < n; i++)
		k->bad += p[i] != (uint8_t)((k->got + i) * 7);
	k->got += n;
	if (k->got >= k->want)
		net_conn_close(k->conn);
}
static void client_eof(void *arg)
{
	net_conn_close(((struct client *)arg)->conn);
}
static void client_drain(void *arg)
{
	(void)arg;
}
static void client_close(void *arg, const struct err *why)
{
	struct client *k = arg;
	(void)why;
	box_post(&k->done);
}
static const struct net_conn_ops client_ops = { client_data, client_eof, client_drain,
						client_close };

static void on_dialled(void *arg, struct net_conn *c, const struct err *why)
{
	struct client *k = arg;
	if (why) {
		k->failed = true;
		k->why = *why;
		box_post(&k->done);
		return;
	}
	k->conn = c;
	net_conn_set_ops(c, &client_ops, k);
	uint8_t *p = xmalloc(k->want);
	for (size_t i = 0; i < k->want; i++)
		p[i] = (uint8_t)(i * 7);
	net_conn_write(c, p, k->want);
	free(p);
}

static void dial_posted(void *arg)
{
	struct client *k = arg;
	net_dial(k->loop, str_of(k->addr), k->timeout_ns, on_dialled, k);
}

Test(net, what_is_written_comes_back_whole_over_two_loops)
{
	struct loops ls;
	struct err e = ERR_INIT;
	struct net_listener *l;
	cr_assert_eq(loops_start(2, &ls, &e), 0);
	cr_assert_eq(net_listen(&ls, STR("127.0.0.1:0"), 0, on_accept, NULL, &l, &e), 0);
	struct client k[4];
	memset(k, 0, sizeof(k));
	for (int i = 0; i < 4; i++) {
		k[i].loop = ls.l[i % 2];
		k[i].want = (size_t)1 << (10 + 4 * i); /* up to 4 MiB */
		k[i].timeout_ns = 5 * NS_PER_S;
		box_init(&k[i].done);
		snprintf(k[i].addr, sizeof(k[i].addr), "127.0.0.1:%u",
			 net_listener_port(l));
		loop_post(k[i].loop, dial_posted, &k[i]);
	}
	for (int i = 0; i < 4; i++) {
		box_wait(&k[i].done, 1);
		cr_assert(!k[i].failed);
		cr_assert_eq(k[i].got, k[i].want);
		cr_assert_eq(k[i].bad, 0);
	}
	net_listener_free(l);
	loops_stop(&ls);
}

static void dial_fails(const char *addr, enum err_code code)
{
	struct loops ls;
	struct err e = ERR_INIT;
	struct client k;
	memset(&k, 0, sizeof(k));
	cr_assert_eq(loops_start(1, &ls, &e), 0);
	k.loop = ls.l[0];
	k.timeout_ns = 5 * NS_PER_S;
	box_init(&k.done);
	snprintf(k.addr, sizeof(k.addr), "%s", addr);
	loop_post(k.loop, dial_posted, &k);
	box_wait(&k.done, 1);
	cr_assert(k.failed);
	cr_assert_eq(k.why.code, code);
	cr_assert(strstr(err_text(&k.why), addr) != NULL);
	loops_stop(&ls);
}

Test(net, a_refused_dial_names_the_address)
{
	dial_fails("127.0.0.1:1", E_UNAVAILABLE);
}

Test(net, an_address_without_port_is_refused)
{
	dial_fails("somewhere", E_INVALID);
}

Test(net, addresses_split)
{
	struct str h;
	uint16_t p;
	struct err e = ERR_INIT;
	cr_assert_eq(net_addr_split(STR("[::1]:90"), &h, &p, &e), 0);
	cr_assert(str_eq(h, STR("::1")) && p == 90);
	cr_assert_eq(net_addr_split(STR(":10901"), &h, &p, &e), 0);
	cr_assert(h.n == 0 && p == 10901);
	cr_assert_eq(net_addr_split(STR("a:b:1"), &h, &p, &e), -1);
	cr_assert_eq(net_addr_split(STR("a:70000"), &h, &p, &e), -1);
}

Test(net, a_taken_port_is_an_error_that_names_the_address)
{
	struct loops ls;
	struct err e = ERR_INIT;
	struct net_listener *l, *m;
	char addr[64];
	cr_assert_eq(loops_start(1, &ls, &e), 0);
	cr_assert_eq(net_listen(&ls, STR("127.0.0.1:0"), 0, on_accept, NULL, &l, &e), 0);
	snprintf(addr, sizeof(addr), "127.0.0.1:%u", net_listener_port(l));
	cr_assert_eq(net_listen(&ls, str_of(addr), 0, on_accept, NULL, &m, &e), -1);
	cr_assert(strstr(err_text(&e), addr) != NULL);
	net_listener_free(l);
	loops_stop(&ls);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The connection stays in the kernel's queue, and the socket readable; nothing else happens that could resume. */
Test(net, a_listener_without_descriptors_waits_idle_and_accepts_later)
{
	struct loops ls;
	struct err e = ERR_INIT;
	struct net_listener *l;
	struct rlimit old, low;
	struct timeval patience = { .tv_sec = 10 };
	char got[2] = { 0 };
	cr_assert_eq(loops_start(1, &ls, &e), 0);
	cr_assert_eq(net_listen(&ls, STR("127.0.0.1:0"), 0, on_accept, NULL, &l, &e), 0);
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(net_listener_port(l)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int c = socket(AF_INET, SOCK_STREAM, 0), free_fd = dup(c);
	close(free_fd); /* the lowest that is free: all below are taken */
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){ (rlim_t)free_fd, old.rlim_max };
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	cr_assert_eq(connect(c, (struct sockaddr *)&to, sizeof(to)), 0);
	cr_assert_eq(send(c, "hi", 2, 0), 2);
	uint64_t before = cpu_ns();
	nanosleep(&(struct timespec){ .tv_nsec = 600000000 }, NULL);
	uint64_t used = cpu_ns() - before;
	cr_assert_eq(net_listener_conns(l), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	cr_assert_lt(used, 150 * NS_PER_MS);
	setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	cr_assert_eq(recv(c, got, 2, MSG_WAITALL), 2);
	cr_assert(got[0] == 'h' && got[1] == 'i');
	cr_assert_eq(net_listener_conns(l), 1);
	close(c);
	net_listener_free(l);
	loops_stop(&ls);
}
