/*
 * http/form.c - parameters: of a form body first, then of the query, as Go's FormValue sees them. Pieces that
 * cannot be decoded are left out. Their number is bounded, and the array comes out of the request's budget.
 */
#include "http/http_int.h"

#define MAX_PARAMS ((size_t)1 << 16)

struct str http_header(const struct http_req *r, const char *lower_name)
{
	for (size_t i = 0; i < r->n_headers; i++)
		if (str_eqz(r->headers[i].k, lower_name))
			return r->headers[i].v;
	return STR_NULL;
}

static const struct http_kv *find(const struct http_req *r, const char *name)
{
	for (size_t i = 0; i < r->n_params; i++)
		if (str_eqz(r->params[i].k, name))
			return &r->params[i];
	return NULL;
}

struct str http_param(const struct http_req *r, const char *name)
{
	const struct http_kv *kv = find(r, name);
	return kv ? kv->v : STR_NULL;
}

bool http_has_param(const struct http_req *r, const char *name)
{
	return find(r, name) != NULL;
}

struct str *http_params(const struct http_req *r, const char *name, size_t *n)
{
	size_t count = 0;
	for (size_t i = 0; i < r->n_params; i++)
		count += str_eqz(r->params[i].k, name);
	struct str *out = ARENA_ARRAY(r->arena, struct str, count + 1);
	*n = 0;
	for (size_t i = 0; i < r->n_params; i++)
		if (str_eqz(r->params[i].k, name))
			out[(*n)++] = r->params[i].v;
	return out;
}

static bool is_form(const struct http_req *r)
{
	struct str type = http_header(r, "content-type");
	ptrdiff_t semi = str_find_char(type, ';');
	if (semi >= 0)
		type.n = (size_t)semi;
	return str_eq_nocase(str_trim(type), STR("application/x-www-form-urlencoded"));
}

static size_t count_pieces(struct str s)
{
	size_t n = 0;
	bool in = false;
	for (size_t i = 0; i < s.n; i++) {
		n += s.p[i] != '&' && !in;
		in = s.p[i] != '&';
	}
	return n;
}

static void add_all(struct http_req *r, struct str s)
{
	struct str k, v;
	bool bad = false;
	while (url_query_next(r->arena, &s, &k, &v, &bad))
		r->params[r->n_params++] = (struct http_kv){ k, v };
}

int http_params_parse(struct http_req *r, struct str query, struct err *e)
{
	struct str body = r->body.n && is_form(r) ? r->body : STR_NULL;
	size_t max = count_pieces(body) + count_pieces(query);
	if (max > MAX_PARAMS)
		return err_set(NULL, e, E_LIMIT, "more than %zu parameters", MAX_PARAMS);
	if (max == 0)
		return 0;
	r->params = arena_try(r->arena, NULL, max * sizeof(*r->params), e);
	if (!r->params)
		return err_set(NULL, e, E_UNAVAILABLE,
			       "out of memory for the parameters");
	add_all(r, body);
	add_all(r, query);
	return 0;
}
