/*
 * discovery/config.c - the YAML of --endpoint.sd-config, and the addresses of flags behind it.
 *
 *   default_client_config:
 *     tls_config: { enabled, insecure_skip_verify, cert_file, key_file, ca_file, min_version }
 *     server_name: ...
 *     compression: none | snappy
 *   endpoints:
 *   - address: dns+store.example:10901
 *     strict: false
 *     group: false
 *     service_config: ...       # of groups
 *     client_config: { as default_client_config }
 *
 * What a client_config leaves out is as in default_client_config, and what that leaves out as the flags say; naming a
 * certificate, a CA or insecure_skip_verify turns TLS on.
 *
 * A service_config is gRPC's, in JSON. Calls go to the members of a group in turn whatever it says, so only one
 * that asks for this policy is accepted.
 */
#include "conf/yaml.h"
#include "discovery/discovery_int.h"

#include <stdlib.h>

struct tls_conf {
	bool enabled, skip;
	struct str cert, key, ca, min_version;
};
struct client_conf {
	const struct doc *tls;
	struct str server_name, compression;
};
struct endpoint_conf {
	struct str address, service_config;
	bool strict, group;
	const struct doc *client;
};
struct top_conf {
	const struct doc *client;
	struct conf_list endpoints;
};

#define TLS(f) offsetof(struct tls_conf, f)
static const struct yopt tls_rows[] = {
	{ .name = "enabled", .type = OPT_BOOL, .off = TLS(enabled) },
	{ .name = "insecure_skip_verify", .type = OPT_BOOL, .off = TLS(skip) },
	{ .name = "cert_file", .type = OPT_STRING, .off = TLS(cert) },
	{ .name = "key_file", .type = OPT_STRING, .off = TLS(key) },
	{ .name = "ca_file", .type = OPT_STRING, .off = TLS(ca) },
	{ .name = "min_version",
	  .type = OPT_ENUM,
	  .off = TLS(min_version),
	  .choices = "1.0|1.1|1.2|1.3" },
	{ 0 }
};
static const struct yopt client_rows[] = {
	{ .name = "tls_config",
	  .nest = YOPT_ANY,
	  .off = offsetof(struct client_conf, tls) },
	{ .name = "server_name",
	  .type = OPT_STRING,
	  .off = offsetof(struct client_conf, server_name) },
	{ .name = "compression",
	  .type = OPT_ENUM,
	  .off = offsetof(struct client_conf, compression),
	  .choices = "none|snappy" },
	{ 0 }
};
#define EP(f) offsetof(struct endpoint_conf, f)
static const struct yopt endpoint_rows[] = {
	{ .name = "address",
	  .type = OPT_STRING,
	  .off = EP(address),
	  .bits = OPTF_REQUIRED },
	{ .name = "strict", .type = OPT_BOOL, .off = EP(strict) },
	{ .name = "group", .type = OPT_BOOL, .off = EP(group) },
	{ .name = "service_config", .type = OPT_STRING, .off = EP(service_config) },
	{ .name = "client_config", .nest = YOPT_ANY, .off = EP(client) },
	{ 0 }
};
static const struct yopt top_rows[] = { { .name = "default_client_config",
					  .nest = YOPT_ANY,
					  .off = offsetof(struct top_conf, client) },
					{ .name = "endpoints",
					  .nest = YOPT_LIST,
					  .off = offsetof(struct top_conf, endpoints),
					  .rows = endpoint_rows,
					  .elem = sizeof(struct endpoint_conf) },
					{ 0 } };

static bool given(const struct doc *map, const char *key)
{
	const struct doc *d = map ? doc_get(map, key) : NULL;
	return d && d->kind != DOC_NULL;
}

static void take_tls(const struct doc *d, const struct tls_conf *t, struct disc_client *c)
{
	bool names = given(d, "cert_file") || given(d, "key_file") ||
		     given(d, "ca_file") || given(d, "insecure_skip_verify");
	if (given(d, "enabled"))
		c->tls = t->enabled;
	else if (names)
		c->tls = true;
	if (given(d, "insecure_skip_verify"))
		c->insecure_skip_verify = t->skip;
	if (given(d, "cert_file"))
		c->cert_file = t->cert;
	if (given(d, "key_file"))
		c->key_file = t->key;
	if (given(d, "ca_file"))
		c->ca_file = t->ca;
	if (given(d, "min_version"))
		c->min_version = t->min_version;
}

/* What `d` (NULL: nothing) says over *c. */
static int take_client(struct ctx *ctx, struct arena *a, const struct doc *d,
		       const char *what, struct disc_client *c, struct err *e)
{
	struct client_conf in;
	struct tls_conf tls;
	if (!d)
		return 0;
	if (conf_bind(ctx, a, d, client_rows, &in, sizeof(in), what, e) < 0)
		return -1;
	if (in.tls) {
		char *inner = str_dupz(a, str_fmt(a, "%s: tls_config", what));
		if (conf_bind(ctx, a, in.tls, tls_rows, &tls, sizeof(tls), inner, e) < 0)
			return -1;
		take_tls(in.tls, &tls, c);
	}
	if (in.server_name.n)
		c->server_name = in.server_name;
	if (in.compression.n)
		c->compression = in.compression;
	if (disc_client_check(c, e) < 0)
		return err_wrap(ctx, e, "%s", what);
	return 0;
}

static int check_spec(struct ctx *ctx, const struct disc_spec *s, const char *what,
		      struct err *e)
{
	struct disc_addr addr;
	if (disc_addr_parse(s->addr, &addr, e) < 0)
		return err_wrap(ctx, e, "%s", what);
	if (s->strict && addr.kind != DISC_STATIC)
		return err_set(ctx, e, E_INVALID,
			       "%s: %.*s is a dynamically specified endpoint, which is "
			       "not permitted under strict mode",
			       what, STR_FMT(s->addr));
	return 0;
}

static int check_service(struct ctx *ctx, struct arena *a, const struct endpoint_conf *in,
			 const char *what, struct err *e)
{
	struct doc *d;
	if (!in->service_config.n)
		return 0;
	if (!in->group)
		return err_set(ctx, e, E_INVALID,
			       "%s: %.*s: service_config is only valid for groups", what,
			       STR_FMT(in->address));
	if (json_parse(ctx, a, in->service_config, &d, e) < 0)
		return err_wrap(ctx, e, "%s: %.*s: service_config", what,
				STR_FMT(in->address));
	const struct doc *policy =
		d->kind == DOC_MAP ? doc_get(d, "loadBalancingPolicy") : NULL;
	if (!policy || !str_eq(policy->s, STR("round_robin")))
		return err_set(ctx, e, E_UNSUPPORTED,
			       "%s: %.*s: service_config: loadBalancingPolicy can only "
			       "be round_robin in thanosc",
			       what, STR_FMT(in->address));
	return 0;
}

static int take_yaml(struct ctx *ctx, struct str yaml, const char *what,
		     struct disc_config *c, struct conf_list *list, struct err *e)
{
	struct arena *a = &c->arena;
	struct top_conf top;
	struct doc *doc;
	if (yaml_parse(ctx, a, yaml, &doc, e) < 0)
		return err_wrap(ctx, e, "%s", what);
	if (conf_bind(ctx, a, doc, top_rows, &top, sizeof(top), what, e) < 0)
		return -1;
	char *inner = str_dupz(a, str_fmt(a, "%s: default_client_config", what));
	if (take_client(ctx, a, top.client, inner, &c->client, e) < 0)
		return -1;
	*list = top.endpoints;
	return 0;
}

static int add_yaml(struct ctx *ctx, const struct conf_list *list, const char *what,
		    struct disc_config *c, struct err *e)
{
	const struct endpoint_conf *in = list->v;
	for (size_t i = 0; i < list->n; i++) {
		struct disc_spec *s = &c->v[c->n++];
		*s = (struct disc_spec){ in[i].address, in[i].strict, in[i].group,
					 c->client };
		char *inner = str_dupz(&c->arena,
				       str_fmt(&c->arena, "%s: client_config of %.*s",
					       what, STR_FMT(s->addr)));
		if (check_spec(ctx, s, what, e) < 0 ||
		    check_service(ctx, &c->arena, &in[i], what, e) < 0 ||
		    take_client(ctx, &c->arena, in[i].client, inner, &s->client, e) < 0)
			return -1;
	}
	return 0;
}

static int add_flags(struct ctx *ctx, const struct conf_strs *in, const char *flag,
		     bool strict, bool group, struct disc_config *c, struct err *e)
{
	for (size_t i = 0; i < in->n; i++) {
		struct disc_spec *s = &c->v[c->n++];
		*s = (struct disc_spec){ in->v[i], strict, group, c->client };
		if (check_spec(ctx, s, flag, e) < 0)
			return -1;
	}
	return 0;
}

int disc_config_parse(struct ctx *ctx, const struct disc_opts *o, struct str yaml,
		      const char *what, struct disc_config **out, struct err *e)
{
	struct disc_config *c = xcalloc(1, sizeof(*c));
	struct conf_list list = { 0 };
	arena_init(&c->arena, NULL);
	c->client = o->client;
	if (!c->client.compression.n)
		c->client.compression = STR("none");
	if (yaml.n && take_yaml(ctx, yaml, what, c, &list, e) < 0)
		goto bad;
	c->v = ARENA_ARRAY(&c->arena, struct disc_spec,
			   list.n + o->endpoints.n + o->groups.n + o->strict.n +
				   o->strict_groups.n + 1);
	if (add_yaml(ctx, &list, what, c, e) < 0 ||
	    add_flags(ctx, &o->endpoints, "--endpoint", false, false, c, e) < 0 ||
	    add_flags(ctx, &o->groups, "--endpoint-group", false, true, c, e) < 0 ||
	    add_flags(ctx, &o->strict, "--endpoint-strict", true, false, c, e) < 0 ||
	    add_flags(ctx, &o->strict_groups, "--endpoint-group-strict", true, true, c,
		      e) < 0)
		goto bad;
	*out = c;
	return 0;
bad:
	disc_config_free(c);
	return -1;
}

void disc_config_free(struct disc_config *c)
{
	if (!c)
		return;
	arena_deinit(&c->arena);
	free(c);
}
