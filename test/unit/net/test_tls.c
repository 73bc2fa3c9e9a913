/*
 * TLS under connections: what goes in comes out, who is not trusted is not talked to, certificates change.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "fs/fs.h"
#include "net/tls.h"
#include "pki.h"
#include "support/tst.h"

/* One exchange: the client writes `want` bytes, the server sends them back. */
struct world {
	struct loops ls;
	struct net_listener *l;
	struct net_tls *server, *client; /* client NULL: plain */
	const char *host;		 /* that the client expects */
	pthread_mutex_t mu;
	pthread_cond_t cv;
	bool done;
	struct net_conn *conn;
	size_t want, got, bad;
	bool has_why, h2;
	struct err why;
	char addr[64];
};

static void echo_data(void *arg, const uint8_t *p, size_t n)
{
	net_conn_write(arg, p, n);
}
static void echo_eof(void *arg)
{
	net_conn_finish(arg);
}
static void nothing(void *arg)
{
	(void)arg;
}
static void echo_close(void *arg, const struct err *why)
{
	(void)arg, (void)why;
}

static void on_accept(void *arg, struct net_conn *c)
{
	static const struct net_conn_ops ops = { echo_data, echo_eof, nothing,
						 echo_close };
	struct world *w = arg;
	net_conn_tls(c, w->server, STR_NULL);
	net_conn_set_ops(c, &ops, c);
}

static void client_data(void *arg, const uint8_t *p, size_t n)
{
	struct world *w = arg;
	for (size_t i = 0; i < n; i++)
		w->bad += p[i] != (uint8_t)((w->got + i) * 7);
	w->got += n;
	w->h2 = net_conn_alpn_h2(w->conn);
	if (w->got >= w->want)
		net_conn_shutdown(w->conn);
}
static void client_eof(void *arg)
{
	net_conn_close(((struct world *)arg)->conn);
}
static void client_close(void *arg, const struct err *why)
{
	struct world *w = arg;
	pthread_mutex_lock(&w->mu);
	w->has_why = why != NULL;
	if (why)
		w->why = *why;
	w->done = true;
	pthread_cond_broadcast(&w->cv);
	pthread_mutex_unlock(&w->mu);
}

static void on_dialled(void *arg, struct net_conn *c, const struct err *why)
{
	static const struct net_conn_ops ops = { client_data, client_eof, nothing,
						 client_close };
	struct world *w = arg;
	cr_assert_null(why);
	w->conn = c;
	if (w->client)
		net_conn_tls(c, w->client, str_of(w->host));
	net_conn_set_ops(c, &ops, w);
	uint8_t *p = xmalloc(w->want);
	for (size_t i = 0; i < w->want; i++)
		p[i] = (uint8_t)(i * 7);
	net_conn_write(c, p, w->want / 2); /* before the handshake is done */
	struct slab *s = slab_new(NULL, w->want);
	memcpy(s->data, p + w->want / 2, w->want - w->want / 2);
	net_conn_write_view(c, (struct view){ s->data, w->want - w->want / 2, &s->ref });
	free(p);
}

static void dial(void *arg)
{
	struct world *w = arg;
	net_dial(w->ls.l[0], str_of(w->addr), 5 * NS_PER_S, on_dialled, w);
}

static struct net_tls_opts server_opts(void)
{
	return (struct net_tls_opts){ .server = true,
				      .cert = str_of(pki_server),
				      .key = str_of(pki_server_key),
				      .h2 = true };
}
static struct net_tls_opts client_opts(void)
{
	return (struct net_tls_opts){ .ca = str_of(pki_ca), .h2 = true };
}

static void world_open(struct world *w, const struct net_tls_opts *server)
{
	struct err e = ERR_INIT;
	memset(w, 0, sizeof(*w));
	pthread_mutex_init(&w->mu, NULL);
	pthread_cond_init(&w->cv, NULL);
	w->host = "127.0.0.1";
	cr_assert_eq(loops_start(2, &w->ls, &e), 0);
	cr_assert_eq(net_tls_new(server, &w->server, &e), 0, "%s", err_text(&e));
	cr_assert_eq(net_listen(&w->ls, STR("127.0.0.1:0"), 0, on_accept, w, &w->l, &e),
		     0);
	snprintf(w->addr, sizeof(w->addr), "127.0.0.1:%u", net_listener_port(w->l));
}

static void world_close(struct world *w)
{
	net_listener_free(w->l);
	loops_stop(&w->ls);
	net_tls_unref(w->server);
}

/* What came back of n bytes; why it ended is in w. */
static size_t exchange(struct world *w, const struct net_tls_opts *client, size_t n)
{
	struct err e = ERR_INIT;
	w->client = NULL;
	if (client)
		cr_assert_eq(net_tls_new(client, &w->client, &e), 0, "%s", err_text(&e));
	w->want = n;
	w->got = w->bad = 0;
	w->done = w->has_why = w->h2 = false;
	loop_post(w->ls.l[0], dial, w);
	pthread_mutex_lock(&w->mu);
	while (!w->done)
		pthread_cond_wait(&w->cv, &w->mu);
	pthread_mutex_unlock(&w->mu);
	net_tls_unref(w->client); /* connections keep what they use */
	cr_assert_eq(w->bad, 0);
	return w->got;
}

static void refused(struct world *w, const struct net_tls_opts *client, const char *text)
{
	cr_assert_eq(exchange(w, client, 1000), 0, "%s", text);
	cr_assert(w->has_why, "%s", text);
	cr_assert(strstr(err_text(&w->why), text), "%s: %s", text, err_text(&w->why));
}

Test(tls, bytes_come_back_whole)
{
	struct world w;
	struct net_tls_opts s = server_opts(), c = client_opts();
	world_open(&w, &s);
	static const size_t sizes[] = { 2, 1000, 16384, 16385, 3000000 };
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		cr_assert_eq(exchange(&w, &c, sizes[i]), sizes[i], "%s",
			     err_text(&w.why));
		cr_assert(!w.has_why && w.h2);
	}
	c.h2 = false;
	cr_assert_eq(exchange(&w, &c, 1000), 1000);
	cr_assert(!w.h2);
	world_close(&w);
}

Test(tls, who_is_not_trusted_is_not_talked_to)
{
	struct world w;
	struct net_tls_opts s = server_opts(), c = client_opts();
	world_open(&w, &s);
	c.ca = str_of(pki_other_ca);
	refused(&w, &c, "certificate refused");
	c = client_opts();
	w.host = "elsewhere.example";
	refused(&w, &c, "certificate refused");
	c.server_name = STR("store.example");
	cr_assert_eq(exchange(&w, &c, 1000), 1000);
	c = client_opts();
	c.ca = STR_NULL;
	c.skip_verify = true;
	cr_assert_eq(exchange(&w, &c, 1000), 1000, "nothing is verified");
	c = client_opts();
	c.max_version = STR("1.2");
	cr_assert_eq(exchange(&w, &c, 1000), 0, "another host");
	w.host = "127.0.0.1";
	cr_assert_eq(exchange(&w, &c, 1000), 1000, "TLS 1.2");
	world_close(&w);
}

Test(tls, clients_show_certificates)
{
	struct world w;
	struct net_tls_opts s = server_opts(), c = client_opts();
	s.ca = str_of(pki_ca);
	s.auth = TLS_AUTH_VERIFIED;
	s.min_version = STR("1.3");
	world_open(&w, &s);
	cr_assert_eq(exchange(&w, &c, 1000), 0, "no certificate");
	c.cert = str_of(pki_other_server);
	c.key = str_of(pki_other_server_key);
	cr_assert_eq(exchange(&w, &c, 1000), 0, "of another authority");
	c.cert = str_of(pki_client);
	c.key = str_of(pki_client_key);
	cr_assert_eq(exchange(&w, &c, 1000), 1000, "%s", err_text(&w.why));
	c.max_version = STR("TLS12");
	refused(&w, &c, "TLS handshake");
	world_close(&w);
}

/* Not TLS at all, from either side; nothing is shown to the owner, nothing hangs. */
Test(tls, plain_talk_is_refused)
{
	struct world w;
	struct net_tls_opts s = server_opts();
	world_open(&w, &s);
	cr_assert_eq(exchange(&w, NULL, 100000) % 100000, w.got); /* an alert at most */
	cr_assert_lt(w.got, 100u);
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(net_listener_port(w.l)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	for (int i = 0; i < 50; i++) { /* cut in the middle of a handshake */
		static const uint8_t hello[] = { 22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 9 };
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
		cr_assert_gt(send(fd, hello, (size_t)i % sizeof(hello) + 1, MSG_NOSIGNAL),
			     0);
		close(fd);
	}
	struct net_tls_opts c = client_opts();
	cr_assert_eq(exchange(&w, &c, 1000), 1000);
	world_close(&w);
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[128];
	struct err e = ERR_INIT;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	cr_assert_eq(fs_write_atomic(NULL, path, str_of(text), &e), 0);
}

Test(tls, files_that_change_are_taken_over)
{
	struct world w;
	struct err e = ERR_INIT;
	char dir[] = "/tmp/thanosc-tls-XXXXXX", cert[64], key[64];
	struct net_tls_opts c = client_opts(), other = client_opts();
	cr_assert_not_null(mkdtemp(dir));
	put(dir, "cert", pki_server);
	put(dir, "key", pki_server_key);
	snprintf(cert, sizeof(cert), "%s/cert", dir);
	snprintf(key, sizeof(key), "%s/key", dir);
	struct net_tls_opts s = { .server = true,
				  .cert_file = str_of(cert),
				  .key_file = str_of(key),
				  .h2 = true };
	world_open(&w, &s);
	cr_assert_eq(exchange(&w, &c, 1000), 1000);
	cr_assert_eq(net_tls_reload(w.server, &e), 0, "nothing has changed");
	/* Half of a change: the old ones stay. */
	put(dir, "cert", pki_other_server);
	cr_assert_eq(net_tls_reload(w.server, &e), -1);
	cr_assert(strstr(err_text(&e), "key"), "%s", err_text(&e));
	cr_assert_eq(exchange(&w, &c, 1000), 1000);
	put(dir, "key", pki_other_server_key);
	cr_assert_eq(net_tls_reload(w.server, &e), 1, "%s", err_text(&e));
	other.ca = str_of(pki_other_ca);
	cr_assert_eq(exchange(&w, &other, 1000), 1000);
	refused(&w, &c, "certificate refused");
	world_close(&w);
	cr_assert_eq(fs_remove_all(NULL, dir, &e), 0);
}

static void bad(struct net_tls_opts o, const char *text)
{
	struct net_tls *t;
	struct err e = ERR_INIT;
	cr_assert_eq(net_tls_new(&o, &t, &e), -1, "%s", text);
	cr_assert(strstr(err_text(&e), text), "%s: %s", text, err_text(&e));
}

Test(tls, wrong_options_are_named)
{
	struct net_tls_opts o = server_opts();
	struct net_tls *t;
	struct err e = ERR_INIT;
	o.key = str_of(pki_client_key);
	bad(o, "does not belong");
	o = server_opts();
	o.cert = STR("nonsense");
	bad(o, "no certificate");
	o = server_opts();
	o.cert_file = STR("/nowhere/cert.pem");
	bad(o, "/nowhere/cert.pem");
	o = server_opts();
	o.key = STR_NULL;
	bad(o, "both");
	o = server_opts();
	o.min_version = STR("2.0");
	bad(o, "unknown TLS version '2.0'");
	o = server_opts();
	o.curves = STR("X25519,CurveP1");
	bad(o, "unknown TLS curve");
	o = server_opts();
	o.ciphers = STR("TLS_AES_128_GCM_SHA256,ROT13");
	bad(o, "unknown TLS cipher suite 'ROT13'");
	o = server_opts();
	o.ciphers = STR("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_AES_128_GCM_SHA256");
	o.curves = STR("CurveP256,X25519");
	cr_assert_eq(net_tls_new(&o, &t, &e), 0, "%s", err_text(&e));
	net_tls_unref(t);
}
