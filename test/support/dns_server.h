/*
 * A name server for tests, on a port of 127.0.0.1 over UDP and TCP. What it answers depends on the name asked:
 *
 *   a.* v6.* srv.*   records        none.*  NXDOMAIN           empty.*  no records of the type
 *   big.*            cut over UDP, 200 records over TCP        fail.*   SERVFAIL
 *   alias.*          CNAME a.test and its record               far.*    CNAME a.test alone
 *   ring.*           CNAME ring2.*, ring2.* CNAME ring.*, alone
 *   junk.*           five answers that are none             mute.*   nothing
 *   host.*           SRV records, two of which name no host
 *
 * or, before all that, on what dns_server_set said.
 */
#ifndef TEST_SUPPORT_DNS_SERVER_H
#define TEST_SUPPORT_DNS_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct dns_rule {
	char name[64], text[200];
	unsigned type;
	uint32_t ttl_s;
};
struct dns_server {
	int udp, tcp;
	uint16_t port;
	char addr[32];
	pthread_t thread;
	_Atomic bool stop;
	_Atomic uint32_t asked, over_tcp;
	pthread_mutex_t mu; /* below */
	struct dns_rule rule[32];
	size_t n_rules;
};
void dns_server_start(struct dns_server *s);
void dns_server_stop(struct dns_server *s);
/*
 * From now on `name` has these records: "10.0.0.1 10.0.0.2", "2001:db8::1", "host:port host:port" for SRV, "" for none
 * of the type; or "NXDOMAIN", "SERVFAIL", "MUTE".
 */
void dns_server_set(struct dns_server *s, const char *name, unsigned type, uint32_t ttl_s,
		    const char *text);

/* Building messages: bytes at the end of `m`. */
struct dns_bytes {
	uint8_t p[16384];
	size_t n;
};
void put_u16(struct dns_bytes *m, unsigned v);
void put_name(struct dns_bytes *m, const char *name);
void put_header(struct dns_bytes *m, unsigned id, unsigned flags, unsigned answers);
void put_question(struct dns_bytes *m, const char *name, unsigned type);
/* A record up to its data; the length is filled in by put_end. Returns where the data begins. */
size_t put_record(struct dns_bytes *m, const char *owner, unsigned type, uint32_t ttl_s);
void put_end(struct dns_bytes *m, size_t data);
void put_a(struct dns_bytes *m, const char *owner, uint32_t ttl_s, const char *ip);
void put_cname(struct dns_bytes *m, const char *owner, uint32_t ttl_s, const char *to);
void put_srv(struct dns_bytes *m, const char *owner, uint32_t ttl_s, unsigned port,
	     const char *target);

#endif
