/*
 * objstore/s3_creds.c - who signs: the configuration, else the environment, the shared file, the container's
 * credentials endpoint, the metadata service of the machine (version 2), in this order, as AWS' own tools do.
 *
 * What is found is kept: that of the environment for good, that of the file for a minute, that of an endpoint until
 * five minutes before it expires. One worker at a time looks, without a lock held; while the old keys are still good
 * a failure to renew them is not told.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "fs/fs.h"
#include "objstore/s3_int.h"
#include "wire/json.h"

#define FILE_NS	     (60 * NS_PER_S)
#define EARLY_NS     (300 * NS_PER_S)
#define SERVICE_NS   (5 * NS_PER_S) /* one question to a metadata service */
#define ANSWER_BYTES ((size_t)64 << 10)

struct found {
	struct s3_keys keys; /* in the arena */
	uint64_t life_ns;    /* UINT64_MAX: for ever */
};

static const char *env(const char *name)
{
	const char *v = getenv(name);
	return v && v[0] ? v : NULL;
}

/* ---- environment and file: 1 found, 0 not there, -1 ---- */

static int from_env(struct found *f)
{
	const char *id = env("AWS_ACCESS_KEY_ID"), *key = env("AWS_SECRET_ACCESS_KEY");
	if (!id)
		id = env("AWS_ACCESS_KEY");
	if (!key)
		key = env("AWS_SECRET_KEY");
	if (!id || !key)
		return 0;
	f->keys = (struct s3_keys){ str_of(id), str_of(key),
				    str_of(env("AWS_SESSION_TOKEN")) };
	f->life_ns = UINT64_MAX;
	return 1;
}

static void take_line(struct str line, struct s3_keys *k)
{
	struct str name;
	if (!str_cut(&line, '=', &name))
		return;
	name = str_trim(name);
	line = str_trim(line);
	if (str_eqz(name, "aws_access_key_id"))
		k->access = line;
	else if (str_eqz(name, "aws_secret_access_key"))
		k->secret = line;
	else if (str_eqz(name, "aws_session_token"))
		k->token = line;
}

static int from_file(struct ctx *ctx, struct arena *a, struct found *f, struct err *e)
{
	const char *path = env("AWS_SHARED_CREDENTIALS_FILE"), *home = env("HOME");
	struct str profile = str_of(env("AWS_PROFILE") ? env("AWS_PROFILE") : "default");
	struct fs_stat st;
	struct buf text;
	if (!path && home)
		path = str_dupz(a, str_fmt(a, "%s/.aws/credentials", home));
	if (!path)
		return 0;
	if (fs_stat(ctx, path, &st, e) < 0)
		return -1;
	if (st.kind != FS_FILE)
		return 0;
	buf_init(&text, LIMIT_CONFIG_BYTES);
	int rc = fs_read_file(ctx, path, LIMIT_CONFIG_BYTES, &text, e);
	struct str rest = str_dup(a, buf_view(&text)), line;
	buf_deinit(&text);
	if (rc < 0)
		return -1;
	bool more = true, ours = false;
	while (more) {
		more = str_cut(&rest, '\n', &line);
		line = str_trim(line);
		if (line.n && line.p[0] == '[')
			ours = line.n > 2 && line.p[line.n - 1] == ']' &&
			       str_eq(str_trim(str_n(line.p + 1, line.n - 2)), profile);
		else if (ours && line.n && line.p[0] != '#')
			take_line(line, &f->keys);
	}
	f->life_ns = FILE_NS;
	return f->keys.access.n && f->keys.secret.n;
}

/* ---- services ---- */

static int ask(struct s3_creds *c, struct ctx *ctx, struct arena *a, const char *method,
	       struct str url, const struct http_kv *h, size_t n, struct str *out,
	       int *status, struct err *e)
{
	struct ctx child;
	struct http_answer ans;
	struct buf body;
	struct http_fetch_req r = {
		.method = method, .url = url, .headers = h, .n_headers = n
	};
	memset(&child, 0, sizeof(child));
	child.deadline_ns = time_after_ns(SERVICE_NS);
	if (ctx)
		child = ctx_child(ctx, child.deadline_ns);
	buf_init(&body, ANSWER_BYTES);
	int rc = http_fetch(c->http, &child, a, &r, &ans, &body, e);
	if (rc == 0) {
		*status = ans.status;
		*out = str_dup(a, str_trim(buf_view(&body)));
	}
	buf_deinit(&body);
	return rc;
}

static struct str text_at(const struct doc *d, const char *key)
{
	const struct doc *x = doc_get(d, key);
	return x && x->kind == DOC_STR ? x->s : STR_NULL;
}

/* {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}; never quoted in errors. */
static int from_json(struct ctx *ctx, struct arena *a, struct str text, struct found *f,
		     struct err *e)
{
	struct doc *d;
	struct err bad = ERR_INIT;
	int64_t end_s;
	uint32_t ns;
	if (json_parse(NULL, a, text, &d, &bad) < 0 || d->kind != DOC_MAP)
		return err_set(ctx, e, E_REMOTE, "the answer is no JSON object");
	f->keys = (struct s3_keys){ text_at(d, "AccessKeyId"),
				    text_at(d, "SecretAccessKey"), text_at(d, "Token") };
	if (!f->keys.access.n || !f->keys.secret.n)
		return err_set(ctx, e, E_REMOTE, "the answer holds no credentials");
	f->life_ns = FILE_NS;
	if (time_parse_rfc3339(text_at(d, "Expiration"), &end_s, &ns)) {
		int64_t left = end_s - time_wall_ms() / 1000;
		f->life_ns = left > 0 ? (uint64_t)left * NS_PER_S : NS_PER_S;
	}
	return 1;
}

static int from_container(struct s3_creds *c, struct ctx *ctx, struct arena *a,
			  struct found *f, struct err *e)
{
	const char *rel = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	const char *token = env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	const char *file = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	struct http_kv h = { STR("Authorization"), str_of(token) };
	struct str text;
	int status;
	if (!rel && !full)
		return 0;
	if (file) { /* EKS writes a new one now and then */
		struct buf b;
		buf_init(&b, ANSWER_BYTES);
		int rc = fs_read_file(ctx, file, ANSWER_BYTES, &b, e);
		h.v = str_dup(a, str_trim(buf_view(&b)));
		buf_deinit(&b);
		if (rc < 0)
			return -1;
	}
	struct str url = rel ? str_fmt(a, "http://169.254.170.2%s", rel) : str_of(full);
	if (ask(c, ctx, a, "GET", url, &h, h.v.n ? 1 : 0, &text, &status, e) < 0)
		return -1;
	if (status != 200)
		return err_set(ctx, e, E_REMOTE, "container credentials: status %d",
			       status);
	return from_json(ctx, a, text, f, e);
}

static int from_machine(struct s3_creds *c, struct ctx *ctx, struct arena *a,
			struct found *f, struct err *e)
{
	const char *base = env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *off = env("AWS_EC2_METADATA_DISABLED");
	static const char path[] = "latest/meta-data/iam/security-credentials/";
	struct http_kv ttl = { STR("X-aws-ec2-metadata-token-ttl-seconds"), STR("300") };
	struct http_kv h = { STR("X-aws-ec2-metadata-token"), STR_NULL };
	struct str role, text, url;
	int status;
	if (off && str_eq_nocase(str_of(off), STR("true")))
		return 0;
	url = str_of(base ? base : "http://169.254.169.254");
	while (url.n && url.p[url.n - 1] == '/')
		url.n--;
	if (ask(c, ctx, a, "PUT", str_fmt(a, "%.*s/latest/api/token", STR_FMT(url)), &ttl,
		1, &h.v, &status, e) < 0)
		return err_wrap(ctx, e, "metadata service");
	if (status != 200)
		return err_set(ctx, e, E_REMOTE, "metadata service: token: status %d",
			       status);
	if (ask(c, ctx, a, "GET", str_fmt(a, "%.*s/%s", STR_FMT(url), path), &h, 1, &role,
		&status, e) < 0)
		return -1;
	if (status == 404 || (status == 200 && role.n == 0))
		return 0; /* the machine has no role */
	struct str first;
	str_cut(&role, '\n', &first);
	first = str_trim(first);
	if (status == 200 &&
	    ask(c, ctx, a, "GET",
		str_fmt(a, "%.*s/%s%.*s", STR_FMT(url), path, STR_FMT(first)), &h, 1,
		&text, &status, e) < 0)
		return -1;
	if (status != 200)
		return err_set(ctx, e, E_REMOTE, "metadata service: status %d", status);
	return from_json(ctx, a, text, f, e);
}

static int look(struct s3_creds *c, struct ctx *ctx, struct arena *a, struct found *f,
		struct err *e)
{
	int rc = from_env(f);
	if (rc == 0)
		rc = from_file(ctx, a, f, e);
	if (rc == 0)
		rc = from_container(c, ctx, a, f, e);
	if (rc == 0)
		rc = from_machine(c, ctx, a, f, e);
	if (rc < 0 && e->code == E_NOT_FOUND)
		e->code = E_DENIED; /* it is no object that is missing */
	if (rc < 0)
		return err_wrap(ctx, e, "credentials");
	if (rc == 0)
		return err_set(
			ctx, e, E_DENIED,
			"no credentials: neither access_key nor AWS_ACCESS_KEY_ID, a profile in the shared file, "
			"a container's endpoint or the machine's metadata give any");
	return 0;
}

/* ---- kept ---- */

static bool nobody_looks(void *arg)
{
	return !((const struct s3_creds *)arg)->refreshing;
}

static struct str kept(struct arena *a, struct str s)
{
	return s.n ? str_dup(a, s) : STR_NULL;
}

static struct s3_keys copy(struct arena *a, const struct s3_keys *k)
{
	return (struct s3_keys){ kept(a, k->access), kept(a, k->secret),
				 kept(a, k->token) };
}

/* mu */
static void store(struct s3_creds *c, const struct found *f)
{
	arena_reset(&c->kept);
	c->keys = copy(&c->kept, &f->keys);
	if (f->life_ns == UINT64_MAX) {
		c->refresh_ns = c->end_ns = UINT64_MAX;
		return;
	}
	uint64_t early = MIN(EARLY_NS, f->life_ns / 2);
	c->end_ns = time_after_ns(f->life_ns);
	c->refresh_ns = time_after_ns(f->life_ns - early);
}

static int renew(struct s3_creds *c, struct ctx *ctx, struct err *e)
{
	struct arena a;
	struct found f = { 0 };
	struct err why = ERR_INIT;
	arena_init(&a, NULL);
	int rc = look(c, ctx, &a, &f, &why);
	pthread_mutex_lock(&c->mu);
	if (rc == 0) {
		store(c, &f);
	} else if (time_mono_ns() < c->end_ns && c->keys.access.n) {
		log_warn(ctx, "S3 credentials cannot be renewed yet: %s", err_text(&why));
		c->refresh_ns = time_after_ns(10 * NS_PER_S);
		rc = 0;
	}
	c->refreshing = false;
	pthread_cond_broadcast(&c->cv);
	pthread_mutex_unlock(&c->mu);
	arena_deinit(&a);
	return rc < 0 ? err_copy(ctx, e, &why) : 0;
}

int s3_creds_get(struct s3_creds *c, struct ctx *ctx, struct arena *a,
		 struct s3_keys *out, struct err *e)
{
	if (c->access) {
		*out = (struct s3_keys){ str_of(c->access), str_of(c->secret),
					 str_of(c->token) };
		return 0;
	}
	for (;;) {
		bool mine = false;
		pthread_mutex_lock(&c->mu);
		bool good = c->keys.access.n && time_mono_ns() < c->end_ns;
		/* Good keys are used while another worker renews them. */
		int rc =
			good ? 0 : ctx_cond_wait(ctx, &c->cv, &c->mu, nobody_looks, c, e);
		if (rc == 0) {
			uint64_t now = time_mono_ns();
			mine = !c->refreshing &&
			       (!c->keys.access.n || now >= c->refresh_ns);
			c->refreshing |= mine;
			if (!mine)
				*out = copy(a, &c->keys);
		}
		pthread_mutex_unlock(&c->mu);
		if (rc < 0 || !mine)
			return rc;
		if (renew(c, ctx, e) < 0)
			return -1;
	}
}

void s3_creds_expire(struct s3_creds *c)
{
	pthread_mutex_lock(&c->mu);
	c->refresh_ns = c->end_ns = 0;
	pthread_mutex_unlock(&c->mu);
}

void s3_creds_init(struct s3_creds *c, const struct s3_conf *conf,
		   struct http_client *http)
{
	c->http = http;
	pthread_mutex_init(&c->mu, NULL);
	ctx_cond_init(&c->cv);
	arena_init(&c->kept, NULL);
	if (!conf->access_key.n)
		return;
	struct s3_keys k = { kept(&c->kept, conf->access_key),
			     kept(&c->kept, conf->secret_key),
			     kept(&c->kept, conf->session_token) };
	c->access = xstrdup(k.access.p);
	c->secret = xstrdup(k.secret.p);
	c->token = xstrdup(k.token.n ? k.token.p : "");
}

void s3_creds_deinit(struct s3_creds *c)
{
	free(c->access);
	free(c->secret);
	free(c->token);
	arena_deinit(&c->kept);
	pthread_cond_destroy(&c->cv);
	pthread_mutex_destroy(&c->mu);
}
