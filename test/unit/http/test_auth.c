/*
 * Basic authentication: who is let in, on request threads and on loops; users that change; many guesses at once.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "srv.h"
#include "support/tst.h"
#include "wire/codec.h"

/* Cost 4: of "secret" and of "". */
#define SECRET "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define EMPTY  "$2y$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq"

#define ALICE "Authorization: Basic YWxpY2U6c2VjcmV0\r\n" /* alice:secret */
#define BOB   "Authorization: basic Ym9iOg==\r\n"	  /* bob: */
#define WRONG "Authorization: Basic YWxpY2U6U2VjcmV0\r\n" /* alice:Secret */
#define EVE   "Authorization: Basic ZXZlOnNlY3JldA==\r\n" /* eve:secret */

static const struct http_kv users[] = { { { "alice", 5 }, { SECRET, 60 } },
					{ { "bob", 3 }, { EMPTY, 60 } } };

static int status_of(struct srv *v, const char *target, const char *headers)
{
	struct raw *r = srv_ask(v, "GET", target, headers);
	int status = 0;
	cr_assert_eq(sscanf(r->buf, "HTTP/1.1 %d", &status), 1, "%s", r->buf);
	cr_assert_eq(strstr(r->buf, "WWW-Authenticate: Basic\r\n") != NULL,
		     status == 401);
	raw_close(r);
	return status;
}

Test(auth, users_are_let_in)
{
	struct srv v;
	struct http_auth *a = http_auth_new();
	http_auth_set(a, users, 2);
	srv_start(&v, &(struct http_server_opts){ .auth = a });
	static const char *const targets[] = { "/size/3", "/loop/3" };
	for (int again = 0; again < 3; again++)
		for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
			cr_assert_eq(status_of(&v, targets[i], ""), 401);
			cr_assert_eq(status_of(&v, targets[i], ALICE), 200);
			cr_assert_eq(status_of(&v, targets[i], BOB), 200);
			cr_assert_eq(status_of(&v, targets[i], WRONG), 401);
			cr_assert_eq(status_of(&v, targets[i], EVE), 401);
			cr_assert_eq(status_of(&v, targets[i],
					       "Authorization: Bearer x\r\n"),
				     401);
			cr_assert_eq(status_of(&v, targets[i],
					       "Authorization: Basic !!!\r\n"),
				     401);
		}
	cr_assert_eq(status_of(&v, "/nothing", ""), 401);
	cr_assert_eq(status_of(&v, "/nothing", WRONG), 401);
	cr_assert_eq(status_of(&v, "/nothing", ALICE), 404);
	/* Users change: what was remembered counts no more. */
	http_auth_set(a, users + 1, 1);
	cr_assert_eq(status_of(&v, "/size/3", ALICE), 401);
	cr_assert_eq(status_of(&v, "/size/3", BOB), 200);
	http_auth_set(a, NULL, 0);
	cr_assert_eq(status_of(&v, "/size/3", ""), 200, "nobody is named");
	srv_stop(&v, NS_PER_S);
	http_auth_free(a);
}

struct guess {
	struct srv *v;
	pthread_t t;
	int status;
};
static void *guess(void *arg)
{
	struct guess *g = arg;
	g->status = status_of(g->v, "/loop/3", WRONG);
	return NULL;
}

/* Guesses wait for each other, not for those who are known. */
Test(auth, guesses_keep_nobody_out)
{
	struct srv v;
	struct guess g[40];
	struct http_auth *a = http_auth_new();
	http_auth_set(a, users, 2);
	srv_start(&v, &(struct http_server_opts){ .auth = a });
	cr_assert_eq(status_of(&v, "/loop/3", ALICE), 200);
	for (size_t i = 0; i < ARRAY_LEN(g); i++) {
		g[i].v = &v;
		cr_assert_eq(pthread_create(&g[i].t, NULL, guess, &g[i]), 0);
	}
	for (int i = 0; i < 20; i++)
		cr_assert_eq(status_of(&v, "/loop/3", ALICE), 200);
	for (size_t i = 0; i < ARRAY_LEN(g); i++) {
		pthread_join(g[i].t, NULL);
		cr_assert(g[i].status == 401 || g[i].status == 429 || g[i].status == 503,
			  "%d", g[i].status);
	}
	srv_stop(&v, NS_PER_S);
	http_auth_free(a);
}

Test(auth, hashes)
{
	cr_assert(bcrypt_matches(STR(SECRET), STR("secret")));
	cr_assert(bcrypt_matches(STR(EMPTY), STR("")));
	cr_assert(!bcrypt_matches(STR(SECRET), STR("secre")));
	cr_assert(!bcrypt_matches(STR(SECRET), str_n("secret\0x", 8)));
	cr_assert(!bcrypt_matches(STR("secret"), STR("secret")));
	cr_assert(!bcrypt_is_hash(STR("$1$abc")));
	cr_assert(!bcrypt_is_hash(str_n(SECRET, 59)));
}
