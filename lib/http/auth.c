/*
 * http/auth.c - who may ask: HTTP basic authentication against bcrypt hashes.
 *
 * One comparison costs tens of milliseconds on purpose, so it runs on request threads, a few at a time, and
 * what was found right is remembered by a keyed digest of the header. What was wrong is not remembered: a cache
 * of guesses would be the guesser's to fill. A user who does not exist costs as much as one who does.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "http/http_int.h"

#define CACHE_SLOTS 256u
#define AT_A_TIME   16u

struct user {
	struct str name, hash;
};
struct auth_users { /* FROZEN */
	struct ref ref;
	struct arena arena;
	struct user *v;
	size_t n;
};
struct http_auth {
	struct task_gate *gate;
	_Atomic uint32_t waiting;
	uint8_t key[32];
	pthread_mutex_t mu; /* all below */
	struct auth_users *users;
	uint8_t good[CACHE_SLOTS][32];
	bool used[CACHE_SLOTS];
};

/* Costs what a comparison costs; of no password. */
static const char nobody[] =
	"$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

static void users_free(struct ref *r)
{
	struct auth_users *u = CONTAINER_OF(r, struct auth_users, ref);
	arena_deinit(&u->arena);
	free(u);
}

struct http_auth *http_auth_new(void)
{
	struct http_auth *a = xcalloc(1, sizeof(*a));
	a->gate = task_gate_new(2);
	BUG_ON(getrandom(a->key, sizeof(a->key), 0) != (ssize_t)sizeof(a->key));
	pthread_mutex_init(&a->mu, NULL);
	return a;
}

void http_auth_free(struct http_auth *a)
{
	if (!a)
		return;
	if (a->users)
		ref_put(&a->users->ref);
	task_gate_free(a->gate);
	pthread_mutex_destroy(&a->mu);
	free(a);
}

void http_auth_set(struct http_auth *a, const struct http_kv *users, size_t n)
{
	struct auth_users *u = xcalloc(1, sizeof(*u)), *old;
	ref_init(&u->ref, users_free);
	arena_init(&u->arena, NULL);
	u->v = ARENA_ARRAY(&u->arena, struct user, n + 1);
	for (u->n = 0; u->n < n; u->n++)
		u->v[u->n] = (struct user){ str_dup(&u->arena, users[u->n].k),
					    str_dup(&u->arena, users[u->n].v) };
	pthread_mutex_lock(&a->mu);
	old = a->users;
	a->users = u;
	memset(a->used, 0, sizeof(a->used));
	pthread_mutex_unlock(&a->mu);
	if (old)
		ref_put(&old->ref);
}

static struct auth_users *users_get(struct http_auth *a)
{
	pthread_mutex_lock(&a->mu);
	struct auth_users *u = a->users;
	if (u)
		ref_get(&u->ref);
	pthread_mutex_unlock(&a->mu);
	return u;
}

static void digest(const struct http_auth *a, struct str header, uint8_t out[32])
{
	sha256_hmac(str_n(a->key, sizeof(a->key)), header, out);
}

static uint32_t slot_of(const uint8_t d[32])
{
	return (uint32_t)d[0] % CACHE_SLOTS;
}

enum http_auth_verdict http_auth_look(struct http_auth *a, const struct http_req *r)
{
	struct str h = http_header(r, "authorization");
	uint8_t d[32];
	pthread_mutex_lock(&a->mu);
	size_t n = a->users ? a->users->n : 0;
	pthread_mutex_unlock(&a->mu);
	if (n == 0)
		return HTTP_AUTH_OK; /* nobody is named: everybody may */
	if (h.n == 0)
		return HTTP_AUTH_BAD;
	digest(a, h, d);
	pthread_mutex_lock(&a->mu);
	uint32_t i = slot_of(d);
	bool good = a->used[i] && memcmp(a->good[i], d, sizeof(d)) == 0;
	pthread_mutex_unlock(&a->mu);
	return good ? HTTP_AUTH_OK : HTTP_AUTH_ASK;
}

/* "Basic base64(user:password)". */
static bool credentials(struct str header, struct buf *raw, struct str *user,
			struct str *password)
{
	struct err none = ERR_INIT;
	if (header.n < 6 || !str_eq_nocase(str_n(header.p, 6), STR("basic ")))
		return false;
	if (base64_decode(str_trim(str_from(header, 6)), false, raw, &none) < 0)
		return false;
	*password = buf_view(raw);
	return str_cut(password, ':', user);
}

static bool compare(struct auth_users *u, struct str user, struct str password)
{
	struct str hash = STR(nobody);
	bool known = false;
	for (size_t i = 0; i < u->n; i++)
		if (str_eq(u->v[i].name, user)) {
			hash = u->v[i].hash;
			known = true;
		}
	return bcrypt_matches(hash, password) && known;
}

static void remember(struct http_auth *a, struct auth_users *u, struct str header)
{
	uint8_t d[32];
	digest(a, header, d);
	pthread_mutex_lock(&a->mu);
	if (a->users == u) { /* not replaced meanwhile */
		memcpy(a->good[slot_of(d)], d, sizeof(d));
		a->used[slot_of(d)] = true;
	}
	pthread_mutex_unlock(&a->mu);
}

enum http_auth_verdict http_auth_ask(struct http_auth *a, struct ctx *ctx,
				     const struct http_req *r)
{
	struct str h = http_header(r, "authorization"), user, password;
	struct err none = ERR_INIT;
	struct auth_users *u = users_get(a);
	struct buf raw;
	bool ok = false;
	if (atomic_fetch_add(&a->waiting, 1) >= AT_A_TIME ||
	    task_gate_enter(a->gate, ctx, &none) < 0) {
		atomic_fetch_sub(&a->waiting, 1);
		if (u)
			ref_put(&u->ref);
		return HTTP_AUTH_BUSY;
	}
	buf_init(&raw, 1 << 16);
	if (u && credentials(h, &raw, &user, &password))
		ok = compare(u, user, password);
	if (raw.p)
		explicit_bzero(raw.p, raw.n);
	buf_deinit(&raw);
	task_gate_leave(a->gate);
	atomic_fetch_sub(&a->waiting, 1);
	if (ok)
		remember(a, u, h);
	if (u)
		ref_put(&u->ref);
	return ok ? HTTP_AUTH_OK : HTTP_AUTH_BAD;
}

int http_auth_refuse(enum http_auth_verdict v, struct http_resp *w, struct ctx *ctx,
		     struct err *e)
{
	if (v == HTTP_AUTH_BUSY)
		return http_reply(w, ctx, 429, "text/plain; charset=utf-8",
				  STR("Too many attempts\n"), e);
	http_add_header(w, "WWW-Authenticate", STR("Basic"));
	return http_reply(w, ctx, 401, "text/plain; charset=utf-8", STR("Unauthorized\n"),
			  e);
}
