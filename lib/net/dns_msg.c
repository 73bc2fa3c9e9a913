/*
 * net/dns_msg.c - the answer section of a DNS message (RFC 1035 §4.1, RFC 2782).
 *
 *   id flags qd an ns ar (u16 each) | question: name type class | answers: name type class ttl rdlength rdata
 *
 * Names are labels, each a length byte and that many bytes, up to a zero byte; two bytes 11xxxxxx xxxxxxxx
 * continue at an earlier offset of the message. A pointer must lead before the place where the name so far began,
 * so that reading ends. Names are compared in lower case, as texts with dots.
 *
 * A target that is no host name (bytes beyond letters, digits, '-', '_', or an empty one) is refused: addresses are
 * put together from it.
 */
#include <arpa/inet.h>

#include "base/arena.h"
#include "net/dns.h"
#include "wire/rd.h"

#define TYPE_CNAME  5
#define CLASS_IN    1
#define NAME_MAX_   255
#define MAX_ALIASES 16
#define TTL_MAX_S   (7u * 24 * 3600)

struct name {
	char s[NAME_MAX_ + 1];
	size_t n;
};
struct record {
	struct name *owner;
	uint16_t type;
	uint32_t ttl_s;
	size_t off, len; /* of the data */
};
struct msg {
	struct str all;
	struct rd r; /* what follows */
};

static size_t at(const struct msg *m)
{
	return m->all.n - rd_left(&m->r);
}

static char lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : (char)c;
}

static bool add_label(struct name *out, const uint8_t *p, size_t n)
{
	if (out->n + n + (out->n != 0) > NAME_MAX_)
		return false;
	if (out->n)
		out->s[out->n++] = '.';
	for (size_t i = 0; i < n; i++)
		out->s[out->n++] = lower(p[i]);
	return true;
}

/* The name at *off, which moves behind it. */
static bool read_name(struct str all, size_t *off, struct name *out)
{
	const uint8_t *p = (const uint8_t *)all.p;
	size_t i = *off, low = i;
	bool jumped = false;
	out->n = 0;
	for (;;) {
		if (i >= all.n)
			return false;
		uint8_t c = p[i];
		if (c >= 0xc0) {
			if (all.n - i < 2)
				return false;
			size_t to = (size_t)(c & 0x3f) << 8 | p[i + 1];
			if (!jumped)
				*off = i + 2;
			jumped = true;
			if (to >= low)
				return false;
			i = low = to;
			continue;
		}
		if (c > 63 || all.n - i - 1 < c)
			return false;
		if (c == 0) {
			if (!jumped)
				*off = i + 1;
			return true;
		}
		if (!add_label(out, p + i + 1, c))
			return false;
		i += (size_t)c + 1;
	}
}

static bool next_name(struct msg *m, struct name *out)
{
	size_t off = at(m), from = off;
	if (!read_name(m->all, &off, out))
		return false;
	(void)rd_take(&m->r, off - from);
	return !m->r.bad;
}

static bool is_host(const struct name *n)
{
	for (size_t i = 0; i < n->n; i++) {
		char c = n->s[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
		    c != '_' && (c != '.' || i == 0 || n->s[i - 1] == '.'))
			return false;
	}
	return n->n > 0;
}

static bool read_record(struct msg *m, struct arena *a, struct record *out)
{
	struct name owner;
	if (!next_name(m, &owner))
		return false;
	out->type = rd_be16(&m->r);
	uint16_t class = rd_be16(&m->r);
	out->ttl_s = rd_be32(&m->r);
	out->len = rd_be16(&m->r);
	out->off = at(m);
	(void)rd_take(&m->r, out->len);
	if (m->r.bad)
		return false;
	if (class != CLASS_IN)
		out->type = 0;
	if (out->ttl_s > INT32_MAX) /* RFC 2181 §8 */
		out->ttl_s = 0;
	out->ttl_s = MIN(out->ttl_s, TTL_MAX_S);
	out->owner = arena_alloc(a, sizeof(owner));
	*out->owner = owner;
	return true;
}

static bool same(const struct name *x, const struct name *y)
{
	return x->n == y->n && memcmp(x->s, y->s, x->n) == 0;
}

/* Follow aliases from `name` as far as they lead. False: in a circle. */
static bool follow(const struct msg *m, const struct record *v, size_t n,
		   struct name *name, uint32_t *ttl_s)
{
	for (int hops = 0; hops < MAX_ALIASES; hops++) {
		size_t i = 0;
		while (i < n && !(v[i].type == TYPE_CNAME && same(v[i].owner, name)))
			i++;
		if (i == n)
			return true;
		size_t off = v[i].off;
		if (!read_name(m->all, &off, name) || off != v[i].off + v[i].len)
			return false;
		*ttl_s = MIN(*ttl_s, v[i].ttl_s);
	}
	return false;
}

/* 1: a record, 0: refused, -1: no such record can be. */
static int read_data(const struct msg *m, struct arena *a, const struct record *r,
		     struct net_dns_record *out)
{
	const uint8_t *p = (const uint8_t *)m->all.p + r->off;
	char text[INET6_ADDRSTRLEN];
	struct name name;
	*out = (struct net_dns_record){ .port = 0 };
	if (r->type == NET_DNS_A || r->type == NET_DNS_AAAA) {
		bool v4 = r->type == NET_DNS_A;
		if (r->len != (v4 ? 4u : 16u))
			return -1;
		inet_ntop(v4 ? AF_INET : AF_INET6, p, text, sizeof(text));
		out->target = str_dup(a, str_of(text));
		return 1;
	}
	size_t off = r->off + 6;
	if (r->len < 7 || !read_name(m->all, &off, &name) || off != r->off + r->len)
		return -1;
	out->priority = (uint16_t)(p[0] << 8 | p[1]);
	out->weight = (uint16_t)(p[2] << 8 | p[3]);
	out->port = (uint16_t)(p[4] << 8 | p[5]);
	if (!is_host(&name))
		return 0;
	out->target = str_dup(a, str_n(name.s, name.n));
	return 1;
}

static int collect(const struct msg *m, struct arena *a, const struct record *v, size_t n,
		   enum net_dns_type type, struct name *name, struct net_dns_answer *out,
		   struct err *e)
{
	struct name asked = *name;
	uint32_t ttl_s = TTL_MAX_S;
	if (!follow(m, v, n, name, &ttl_s))
		return err_set(NULL, e, E_REMOTE, "DNS answer: aliases lead nowhere");
	out->v = ARENA_ARRAY(a, struct net_dns_record, n + 1);
	for (size_t i = 0; i < n; i++) {
		if (v[i].type != type || !same(v[i].owner, name))
			continue;
		int rc = read_data(m, a, &v[i], &out->v[out->n]);
		if (rc < 0)
			return err_set(NULL, e, E_REMOTE, "DNS answer: bad record data");
		out->n += rc > 0;
		out->refused += rc == 0;
		ttl_s = MIN(ttl_s, v[i].ttl_s);
	}
	out->ttl_s = out->n ? ttl_s : 0;
	if (out->n == 0 && !same(&asked, name) && is_host(name))
		out->cname = str_dup(a, str_n(name->s, name->n));
	return 0;
}

int net_dns_parse(struct arena *a, struct str msg, enum net_dns_type type,
		  struct net_dns_answer *out, struct err *e)
{
	struct msg m = { msg, rd_of(msg) };
	struct net_dns_answer got = { .n = 0 };
	struct name name;
	(void)rd_take(&m.r, 2);
	uint16_t flags = rd_be16(&m.r), questions = rd_be16(&m.r);
	size_t n = rd_be16(&m.r);
	(void)rd_take(&m.r, 4);
	if (m.r.bad || !(flags & 0x8000) || questions != 1 || !next_name(&m, &name) ||
	    rd_be16(&m.r) != type || rd_be16(&m.r) != CLASS_IN || m.r.bad)
		return err_set(NULL, e, E_REMOTE, "DNS answer: not to this question");
	if (n > rd_left(&m.r) / 11) /* no record is shorter */
		return err_set(NULL, e, E_REMOTE, "DNS answer: %zu records cut short", n);
	struct record *v = ARENA_ARRAY(a, struct record, n + 1);
	for (size_t i = 0; i < n; i++)
		if (!read_record(&m, a, &v[i]))
			return err_set(NULL, e, E_REMOTE,
				       "DNS answer: record %zu is cut short", i);
	if (collect(&m, a, v, n, type, &name, &got, e) < 0)
		return -1;
	*out = got;
	return 0;
}
