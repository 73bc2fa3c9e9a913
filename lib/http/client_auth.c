/*
 * http/client_auth.c - who we are: basic auth, bearer tokens, OAuth2's client credentials.
 *
 * An access token is kept until shortly before it expires. One worker at a time asks for a new one, without a
 * lock held; the others wait for it within their own deadlines. The token's endpoint is asked by a client of its
 * own, so that its TLS and proxy are those of the oauth2 section. Its answers are never quoted: they are secrets.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/time.h"
#include "http/client_int.h"
#include "wire/codec.h"
#include "wire/json.h"

#define TOKEN_EARLY_NS (10 * NS_PER_S) /* a token is used up so long before its end */

static struct str basic_value(struct arena *a, struct str user, struct str password)
{
	struct buf plain, out;
	buf_init(&plain, 2 * CLIENT_SECRET_BYTES + 1);
	buf_init(&out, 4 * CLIENT_SECRET_BYTES);
	buf_str(&plain, user);
	buf_byte(&plain, ':');
	buf_str(&plain, password);
	buf_str(&out, STR("Basic "));
	base64_encode(buf_view(&plain), false, true, &out);
	struct str v = str_dup(a, buf_view(&out));
	buf_deinit(&plain);
	buf_deinit(&out);
	return v;
}

/* A text, or that of a file. */
static int secret_of(struct client_file *f, struct str text, struct ctx *ctx,
		     struct arena *a, struct str *out, struct err *e)
{
	*out = text;
	return f->path ? client_file_read(f, ctx, a, out, e) : 0;
}

/* ---- OAuth2 ---- */

static void add_field(struct buf *form, struct str k, struct str v)
{
	if (form->n)
		buf_byte(form, '&');
	url_escape_query(k, form);
	buf_byte(form, '=');
	url_escape_query(v, form);
}

static void token_form(const struct http_oauth2_conf *o, bool in_form, struct str secret,
		       struct buf *form)
{
	struct buf scopes;
	buf_init(&scopes, LIMIT_CONFIG_BYTES);
	for (size_t i = 0; i < o->scopes.n; i++)
		buf_fmt(&scopes, "%s%.*s", i ? " " : "", STR_FMT(o->scopes.v[i]));
	add_field(form, STR("grant_type"), STR("client_credentials"));
	if (scopes.n)
		add_field(form, STR("scope"), buf_view(&scopes));
	for (size_t i = 0; i < o->n_params; i++)
		add_field(form, o->params[i].k, o->params[i].v);
	if (in_form) {
		add_field(form, STR("client_id"), o->client_id);
		add_field(form, STR("client_secret"), secret);
	}
	buf_deinit(&scopes);
}

static int token_of(struct ctx *ctx, struct arena *a, const struct buf *body,
		    struct str *token, uint64_t *life_ns, struct err *e)
{
	struct doc *d;
	struct err bad = ERR_INIT;
	const struct doc *t = NULL, *life = NULL;
	if (json_parse(NULL, a, buf_view(body), &d, &bad) == 0 && d->kind == DOC_MAP) {
		t = doc_get(d, "access_token");
		life = doc_get(d, "expires_in");
	}
	if (!t || t->kind != DOC_STR || t->s.n == 0)
		return err_set(ctx, e, E_REMOTE, "the answer holds no access_token");
	*token = t->s;
	double s =
		life && (life->kind == DOC_INT || life->kind == DOC_FLOAT) ? life->f : 0;
	/* Absent or silly: for ever, as Go's oauth2. */
	*life_ns = s > 0 && s < 1e9 ? (uint64_t)(s * 1e9) : 0;
	return 0;
}

/* Ask once; 0 with status, -1. The client's name goes into a header, or into the form. */
static int ask_token(struct http_client *c, struct ctx *ctx, struct arena *a,
		     bool in_form, int *status, struct buf *body, struct err *e)
{
	const struct http_oauth2_conf *o = &c->conf.oauth2;
	struct str secret;
	struct buf form, id, pass;
	struct http_answer ans;
	if (secret_of(&c->auth.secret, o->client_secret, ctx, a, &secret, e) < 0)
		return -1;
	buf_init(&form, LIMIT_CONFIG_BYTES);
	buf_init(&id, CLIENT_SECRET_BYTES);
	buf_init(&pass, CLIENT_SECRET_BYTES);
	token_form(o, in_form, secret, &form);
	url_escape_query(o->client_id, &id);
	url_escape_query(secret, &pass);
	struct http_kv h[2] = {
		{ STR("Content-Type"), STR("application/x-www-form-urlencoded") },
		{ STR("Authorization"), basic_value(a, buf_view(&id), buf_view(&pass)) }
	};
	struct http_fetch_req r = { .method = "POST",
				    .url = o->token_url,
				    .headers = h,
				    .n_headers = in_form ? 1 : 2,
				    .body = buf_view(&form) };
	int rc = buf_check(&form, ctx, "form", e);
	if (rc == 0)
		rc = http_fetch(c->auth.oauth, ctx, a, &r, &ans, body, e);
	if (rc == 0)
		*status = ans.status;
	buf_deinit(&form);
	buf_deinit(&id);
	buf_deinit(&pass);
	return rc;
}

static int fetch_token(struct http_client *c, struct ctx *ctx, struct arena *a,
		       struct str *token, uint64_t *life_ns, struct err *e)
{
	struct buf body;
	int status = 0;
	buf_init(&body, LIMIT_CONFIG_BYTES);
	int rc = ask_token(c, ctx, a, false, &status, &body, e);
	if (rc == 0 && (status == 400 || status == 401)) { /* servers differ */
		buf_reset(&body);
		rc = ask_token(c, ctx, a, true, &status, &body, e);
	}
	if (rc == 0 && status / 100 != 2)
		rc = err_set(ctx, e, status >= 500 ? E_UNAVAILABLE : E_DENIED,
			     "status %d", status);
	if (rc == 0)
		rc = token_of(ctx, a, &body, token, life_ns, e);
	buf_deinit(&body);
	return rc < 0 ? err_wrap(ctx, e, "oauth2: token") : 0;
}

static bool nobody_asks(void *arg)
{
	return !((const struct client_auth *)arg)->refreshing;
}

/* 1: *token; 0: the caller has to ask (refreshing is set); -1. */
static int kept_token(struct client_auth *t, struct ctx *ctx, struct arena *a,
		      struct str *token, struct err *e)
{
	pthread_mutex_lock(&t->mu);
	int rc = ctx_cond_wait(ctx, &t->cv, &t->mu, nobody_asks, t, e);
	if (rc == 0 && t->access && time_mono_ns() < t->access_end_ns) {
		*token = str_dup(a, str_of(t->access));
		rc = 1;
	} else if (rc == 0) {
		t->refreshing = true;
	}
	pthread_mutex_unlock(&t->mu);
	return rc;
}

static int oauth_token(struct http_client *c, struct ctx *ctx, struct arena *a,
		       struct str *token, struct err *e)
{
	struct client_auth *t = &c->auth;
	uint64_t life = 0;
	int rc = kept_token(t, ctx, a, token, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	rc = fetch_token(c, ctx, a, token, &life, e);
	pthread_mutex_lock(&t->mu);
	if (rc == 0) {
		free(t->access);
		t->access = xmalloc(token->n + 1);
		memcpy(t->access, token->p, token->n);
		t->access[token->n] = '\0';
		t->access_end_ns = life == 0 ? UINT64_MAX
				   : life > TOKEN_EARLY_NS
					   ? time_after_ns(life - TOKEN_EARLY_NS)
					   : 0;
	}
	t->refreshing = false;
	pthread_cond_broadcast(&t->cv);
	pthread_mutex_unlock(&t->mu);
	return rc;
}

/* ---- all ways ---- */

int client_auth_value(struct http_client *c, struct ctx *ctx, struct arena *a,
		      struct str *out, struct err *e)
{
	const struct http_client_conf *k = &c->conf;
	struct client_auth *t = &c->auth;
	struct str user, text;
	*out = STR_NULL;
	if (k->basic.username.n || k->basic.username_file.n || k->basic.password.n ||
	    k->basic.password_file.n) {
		if (secret_of(&t->username, k->basic.username, ctx, a, &user, e) < 0 ||
		    secret_of(&t->password, k->basic.password, ctx, a, &text, e) < 0)
			return -1;
		*out = basic_value(a, user, text);
	} else if (k->oauth2.client_id.n) {
		if (oauth_token(c, ctx, a, &text, e) < 0)
			return -1;
		*out = str_fmt(a, "Bearer %.*s", STR_FMT(text));
	} else if (t->token.path || k->bearer_token.n || k->authorization.credentials.n) {
		bool bearer = k->bearer_token.n || k->bearer_token_file.n;
		struct str type = bearer || !k->authorization.type.n
					  ? STR("Bearer")
					  : k->authorization.type;
		struct str given = k->bearer_token.n ? k->bearer_token
						     : k->authorization.credentials;
		if (secret_of(&t->token, given, ctx, a, &text, e) < 0)
			return -1;
		*out = str_fmt(a, "%.*s %.*s", STR_FMT(type), STR_FMT(text));
	}
	return 0;
}

int client_auth_init(struct http_client *c, const struct http_client_opts *o,
		     struct err *e)
{
	struct client_auth *t = &c->auth;
	const struct http_client_conf *k = &c->conf;
	struct str token = k->bearer_token_file.n ? k->bearer_token_file
						  : k->authorization.credentials_file;
	client_file_init(&t->username, k->basic.username_file, CLIENT_SECRET_BYTES);
	client_file_init(&t->password, k->basic.password_file, CLIENT_SECRET_BYTES);
	client_file_init(&t->token, token, CLIENT_SECRET_BYTES);
	client_file_init(&t->secret, k->oauth2.client_secret_file, CLIENT_SECRET_BYTES);
	pthread_mutex_init(&t->mu, NULL);
	ctx_cond_init(&t->cv);
	if (!k->oauth2.client_id.n)
		return 0;
	struct http_client_conf own = { .tls = k->oauth2.tls,
					.proxy_url = k->oauth2.proxy_url };
	struct http_client_opts oo = { .loop = o->loop,
				       .user_agent = o->user_agent,
				       .header_timeout_ns = o->header_timeout_ns,
				       .conf = &own };
	return http_client_new(&oo, &t->oauth, e);
}

void client_auth_deinit(struct client_auth *t)
{
	http_client_free(t->oauth);
	client_file_deinit(&t->username);
	client_file_deinit(&t->password);
	client_file_deinit(&t->token);
	client_file_deinit(&t->secret);
	free(t->access);
	pthread_cond_destroy(&t->cv);
	pthread_mutex_destroy(&t->mu);
}
