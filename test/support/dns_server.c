#include "support/dns_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/tst.h"

void put_u16(struct dns_bytes *m, unsigned v)
{
	m->p[m->n++] = (uint8_t)(v >> 8);
	m->p[m->n++] = (uint8_t)v;
}

void put_name(struct dns_bytes *m, const char *name)
{
	while (*name) {
		size_t n = strcspn(name, ".");
		m->p[m->n++] = (uint8_t)n;
		memcpy(m->p + m->n, name, n);
		m->n += n;
		name += n + (name[n] == '.');
	}
	m->p[m->n++] = 0;
}

void put_header(struct dns_bytes *m, unsigned id, unsigned flags, unsigned answers)
{
	m->n = 0;
	put_u16(m, id);
	put_u16(m, flags);
	put_u16(m, 1);
	put_u16(m, answers);
	put_u16(m, 0);
	put_u16(m, 0);
}

void put_question(struct dns_bytes *m, const char *name, unsigned type)
{
	put_name(m, name);
	put_u16(m, type);
	put_u16(m, 1);
}

size_t put_record(struct dns_bytes *m, const char *owner, unsigned type, uint32_t ttl_s)
{
	put_name(m, owner);
	put_u16(m, type);
	put_u16(m, 1);
	put_u16(m, ttl_s >> 16);
	put_u16(m, ttl_s & 0xffff);
	put_u16(m, 0);
	return m->n;
}

void put_end(struct dns_bytes *m, size_t data)
{
	m->p[data - 2] = (uint8_t)((m->n - data) >> 8);
	m->p[data - 1] = (uint8_t)(m->n - data);
}

void put_a(struct dns_bytes *m, const char *owner, uint32_t ttl_s, const char *ip)
{
	bool v6 = strchr(ip, ':') != NULL;
	size_t at = put_record(m, owner, v6 ? 28 : 1, ttl_s);
	inet_pton(v6 ? AF_INET6 : AF_INET, ip, m->p + m->n);
	m->n += v6 ? 16 : 4;
	put_end(m, at);
}

void put_cname(struct dns_bytes *m, const char *owner, uint32_t ttl_s, const char *to)
{
	size_t at = put_record(m, owner, 5, ttl_s);
	put_name(m, to);
	put_end(m, at);
}

void put_srv(struct dns_bytes *m, const char *owner, uint32_t ttl_s, unsigned port,
	     const char *target)
{
	size_t at = put_record(m, owner, 33, ttl_s);
	put_u16(m, 1);
	put_u16(m, 2);
	put_u16(m, port);
	put_name(m, target);
	put_end(m, at);
}

/* ---- the server ---- */

#define ANSWER 0x8180u

static bool is(const char *name, const char *prefix)
{
	return strncasecmp(name, prefix, strlen(prefix)) == 0;
}

static void set_count(struct dns_bytes *m, unsigned n)
{
	m->p[6] = (uint8_t)(n >> 8);
	m->p[7] = (uint8_t)n;
}

static void answer_big(struct dns_bytes *m, const char *name, bool tcp)
{
	if (!tcp) {
		m->p[2] |= 2; /* TC */
		return;
	}
	for (unsigned i = 0; i < 200; i++) {
		char ip[20];
		snprintf(ip, sizeof(ip), "10.0.%u.%u", i / 100, i % 100);
		put_a(m, name, 60, ip);
	}
	set_count(m, 200);
}

static void answer_srv(struct dns_bytes *m, const char *name)
{
	put_srv(m, name, 20, 10901, "one.test");
	put_srv(m, name, 10, 10902, "Two.Test");
	set_count(m, 2);
	if (!is(name, "host."))
		return;
	put_srv(m, name, 20, 1, "");
	put_srv(m, name, 20, 1, "ev il:1/x");
	set_count(m, 4);
}

static void answer_alias(struct dns_bytes *m, const char *name)
{
	bool ring = is(name, "ring");
	put_cname(m, name, 5,
		  !ring		      ? "a.test"
		  : is(name, "ring2") ? "ring.test"
				      : "ring2.test");
	set_count(m, 1);
	if (!is(name, "alias."))
		return;
	put_a(m, "a.test", 60, "10.1.1.1");
	set_count(m, 2);
}

void dns_server_set(struct dns_server *s, const char *name, unsigned type, uint32_t ttl_s,
		    const char *text)
{
	size_t i = 0;
	pthread_mutex_lock(&s->mu);
	while (i < s->n_rules &&
	       !(s->rule[i].type == type && strcasecmp(s->rule[i].name, name) == 0))
		i++;
	cr_assert(i < sizeof(s->rule) / sizeof(s->rule[0]));
	struct dns_rule *r = &s->rule[i];
	snprintf(r->name, sizeof(r->name), "%s", name);
	snprintf(r->text, sizeof(r->text), "%s", text);
	r->type = type;
	r->ttl_s = ttl_s;
	s->n_rules = i == s->n_rules ? i + 1 : s->n_rules;
	pthread_mutex_unlock(&s->mu);
}

static bool find_rule(struct dns_server *s, const char *name, unsigned type,
		      struct dns_rule *out)
{
	bool found = false;
	pthread_mutex_lock(&s->mu);
	for (size_t i = 0; i < s->n_rules && !found; i++)
		if (s->rule[i].type == type && strcasecmp(s->rule[i].name, name) == 0) {
			*out = s->rule[i];
			found = true;
		}
	pthread_mutex_unlock(&s->mu);
	return found;
}

static bool answer_rule(struct dns_rule *r, struct dns_bytes *m)
{
	char *save = NULL;
	unsigned n = 0;
	if (strcmp(r->text, "MUTE") == 0)
		return false;
	if (strcmp(r->text, "NXDOMAIN") == 0 || strcmp(r->text, "SERVFAIL") == 0) {
		m->p[3] |= r->text[0] == 'N' ? 3 : 2;
		return true;
	}
	for (char *w = strtok_r(r->text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		char *colon = strrchr(w, ':');
		if (r->type == 33) {
			*colon = '\0';
			put_srv(m, r->name, r->ttl_s, (unsigned)atoi(colon + 1), w);
		} else
			put_a(m, r->name, r->ttl_s, w);
		n++;
	}
	set_count(m, n);
	return true;
}

/* False: say nothing. */
static bool answer(struct dns_server *s, const char *name, unsigned type, unsigned id,
		   bool tcp, struct dns_bytes *m)
{
	struct dns_rule rule;
	put_header(m, id, ANSWER, 0);
	put_question(m, name, type);
	if (find_rule(s, name, type, &rule))
		return answer_rule(&rule, m);
	if (is(name, "mute."))
		return false;
	if (is(name, "junk.")) {
		set_count(m, 5);
		for (int i = 0; i < 60; i++)
			m->p[m->n++] = (uint8_t)(i * 37 + 11);
	} else if (is(name, "none.") || is(name, "fail."))
		m->p[3] |= is(name, "none.") ? 3 : 2;
	else if (is(name, "big."))
		answer_big(m, name, tcp);
	else if (is(name, "alias.") || is(name, "far.") || is(name, "ring"))
		answer_alias(m, name);
	else if (type == 33 && (is(name, "srv.") || is(name, "host.")))
		answer_srv(m, name);
	else if (type == 1 && is(name, "a.")) {
		put_a(m, name, 60, "10.1.1.1");
		put_a(m, name, 30, "10.1.1.2");
		set_count(m, 2);
	} else if (type == 28 && is(name, "v6.")) {
		put_a(m, name, 40, "2001:db8::7");
		set_count(m, 1);
	}
	return true;
}

static bool handle(struct dns_server *s, const uint8_t *q, size_t n, bool tcp,
		   struct dns_bytes *m)
{
	char name[256] = "";
	size_t k = 0, i = 12;
	atomic_fetch_add(&s->asked, 1);
	if (tcp)
		atomic_fetch_add(&s->over_tcp, 1);
	while (i < n && q[i] && k + q[i] + 2 < sizeof(name)) {
		memcpy(name + k, q + i + 1, q[i]);
		k += q[i];
		name[k++] = '.';
		i += (size_t)q[i] + 1;
	}
	name[k ? k - 1 : 0] = '\0';
	if (i + 3 > n)
		return false;
	return answer(s, name, (unsigned)(q[i + 1] << 8 | q[i + 2]),
		      (unsigned)(q[0] << 8 | q[1]), tcp, m);
}

static void serve_udp(struct dns_server *s)
{
	static struct dns_bytes m;
	uint8_t q[2048];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(s->udp, q, sizeof(q), 0, (struct sockaddr *)&from, &len);
	if (n > 12 && handle(s, q, (size_t)n, false, &m))
		(void)!sendto(s->udp, m.p, m.n, 0, (struct sockaddr *)&from, len);
}

static bool take(int fd, uint8_t *p, size_t n)
{
	while (n) {
		ssize_t k = read(fd, p, n);
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

static void serve_tcp(struct dns_server *s)
{
	static struct dns_bytes m;
	uint8_t q[2048], head[2];
	int fd = accept(s->tcp, NULL, NULL);
	if (fd < 0)
		return;
	while (take(fd, head, 2)) {
		size_t n = (size_t)(head[0] << 8 | head[1]);
		if (n > sizeof(q) || !take(fd, q, n) || !handle(s, q, n, true, &m))
			break;
		uint8_t size[2] = { (uint8_t)(m.n >> 8), (uint8_t)m.n };
		(void)!write(fd, size, 2);
		(void)!write(fd, m.p, m.n);
	}
	close(fd);
}

static void *run(void *arg)
{
	struct dns_server *s = arg;
	struct pollfd f[2] = { { s->udp, POLLIN, 0 }, { s->tcp, POLLIN, 0 } };
	while (!atomic_load(&s->stop)) {
		if (poll(f, 2, 20) <= 0)
			continue;
		if (f[0].revents)
			serve_udp(s);
		if (f[1].revents)
			serve_tcp(s);
	}
	return NULL;
}

void dns_server_start(struct dns_server *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	*s = (struct dns_server){ .udp = -1 };
	pthread_mutex_init(&s->mu, NULL);
	for (int i = 0; i < 50; i++) { /* a port that is free for both */
		s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		a.sin_port = 0;
		cr_assert_eq(bind(s->tcp, (struct sockaddr *)&a, sizeof(a)), 0);
		cr_assert_eq(getsockname(s->tcp, (struct sockaddr *)&a, &len), 0);
		if (bind(s->udp, (struct sockaddr *)&a, sizeof(a)) == 0)
			break;
		close(s->tcp);
		close(s->udp);
		s->udp = -1;
	}
	cr_assert(s->udp >= 0);
	cr_assert_eq(listen(s->tcp, 16), 0);
	s->port = ntohs(a.sin_port);
	snprintf(s->addr, sizeof(s->addr), "127.0.0.1:%u", s->port);
	cr_assert_eq(pthread_create(&s->thread, NULL, run, s), 0);
}

void dns_server_stop(struct dns_server *s)
{
	atomic_store(&s->stop, true);
	pthread_join(s->thread, NULL);
	close(s->udp);
	close(s->tcp);
	pthread_mutex_destroy(&s->mu);
}
