/*
 * api/tenancy.c - whose request this is, and that it sees nobody else's data.
 *
 * The tenant comes from --query.tenant-header, else THANOS-TENANT, else --query.default-tenant-id; or from the client's
 * certificate (--query.tenant-certificate-field), which each request then must have. It goes along with every call to a
 * store as metadata. With --query.enforce-tenancy each selector gets the tenant's matcher in place of whatever it said
 * about that label.
 */
#include "api/api_int.h"

static int from_certificate(struct call *c, struct str *t)
{
	static const char *const names[] = {
		[API_TENANT_ORGANIZATION] = "organization",
		[API_TENANT_UNIT] = "organizationalUnit",
		[API_TENANT_COMMON_NAME] = "commonName",
	};
	enum api_tenant_field field = c->api->o.tenant_field;
	const struct http_subject *s = c->req->subject;
	if (!s)
		return err_set(
			c->ctx, c->e, E_INVALID,
			"could not get required certificate field from client cert");
	*t = field == API_TENANT_ORGANIZATION ? s->organization
	     : field == API_TENANT_UNIT	      ? s->unit
					      : s->common_name;
	if (t->n)
		return 0;
	return err_set(c->ctx, c->e, E_INVALID, "could not get %s field from client cert",
		       names[field]);
}

static bool is_valid(struct str tenant)
{
	for (size_t i = 0; i < tenant.n; i++)
		if (tenant.p[i] == '/' || tenant.p[i] < ' ' || tenant.p[i] > '~')
			return false;
	return tenant.n > 0;
}

int api_tenant(struct call *c)
{
	const struct api_opts *o = &c->api->o;
	struct str t = http_header(c->req, o->tenant_header);
	if (t.n == 0)
		t = http_header(c->req, "thanos-tenant");
	if (t.n == 0)
		t = o->default_tenant;
	if (o->tenant_field != API_TENANT_HEADER && from_certificate(c, &t) < 0)
		return -1;
	if (!is_valid(t))
		return err_set(c->ctx, c->e, E_INVALID, "tenant name not valid");
	c->ctx->tenant = t;
	return 0;
}

/* m without what it says about the tenant's label, and with the matcher. */
static int enforce(struct call *c, struct matcher **m, size_t *n)
{
	struct str label = c->api->o.tenant_label;
	struct matcher *v = ARENA_ARRAY(c->a, struct matcher, *n + 1);
	size_t k = 0;
	for (size_t i = 0; i < *n; i++)
		if (!str_eq((*m)[i].name, label))
			v[k++] = (*m)[i];
	if (matcher_compile(c->ctx, c->a, MATCH_EQ, label, c->ctx->tenant, &v[k], c->e) <
	    0)
		return -1;
	*m = v;
	*n = k + 1;
	return 0;
}

static int enforce_any(void *arg, struct select_node *s)
{
	return enforce(arg, &s->matchers, &s->n_matchers);
}

static int enforce_selector(void *arg, struct select_node *s)
{
	return s->of_info ? 0 : enforce_any(arg, s);
}

/*
 * The selector of info's second argument also says which labels join, so it stays what it is; info series get the
 * matcher by themselves, as they do where there is no such argument.
 */
int api_enforce_query(struct call *c, struct expr *x, struct promql_query *q)
{
	struct matcher *m = NULL;
	if (!c->api->o.enforce_tenancy)
		return 0;
	if (promql_each_selector(x, enforce_selector, c) < 0 ||
	    enforce(c, &m, &q->n_info_matchers) < 0)
		return -1;
	q->info_matchers = m;
	return 0;
}

int api_enforce_matches(struct call *c, struct selectors *sel)
{
	if (!c->api->o.enforce_tenancy)
		return 0;
	if (sel->n == 0) { /* none given means all */
		sel->m = ARENA_ARRAY(c->a, struct matcher *, 1);
		sel->count = ARENA_ARRAY(c->a, size_t, 1);
		sel->n = 1;
	}
	for (size_t i = 0; i < sel->n; i++)
		if (enforce(c, &sel->m[i], &sel->count[i]) < 0)
			return -1;
	return 0;
}

static int put_selector(void *arg, struct select_node *s)
{
	struct buf *out = arg;
	buf_str(out, out->n ? STR("+{") : STR("{"));
	for (size_t i = 0; i < s->n_matchers; i++) {
		if (i)
			buf_byte(out, ',');
		matcher_text(&s->matchers[i], out);
	}
	buf_byte(out, '}');
	return 0;
}

/* A query for exemplars is worth its selectors. */
int api_enforce_exemplars(struct call *c, struct expr *x, struct str *query)
{
	struct buf b;
	if (!c->api->o.enforce_tenancy)
		return 0;
	if (promql_each_selector(x, enforce_any, c) < 0)
		return -1;
	buf_init(&b, LIMIT_HTTP_BODY_BYTES);
	(void)promql_each_selector(x, put_selector, &b);
	int rc = buf_check(&b, c->ctx, "query", c->e);
	if (rc == 0 &&
	    b.n) /* without a selector it stays what it is, and finds nothing */
		*query = str_dup(c->a, buf_view(&b));
	buf_deinit(&b);
	return rc;
}
