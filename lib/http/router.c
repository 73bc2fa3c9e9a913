/*
 * http/router.c - which handler answers a path.
 *
 * The raw path is cut at '/', each piece decoded by itself (so that an escaped slash stays inside its
 * piece), and the pieces are compared with those of each route in the table's order: ":name" takes any piece
 * that is not empty, a "*" at the end takes the whole rest. The first route whose path and method fit wins;
 * HEAD is answered by GET's. A path without the method gives 405 with Allow, OPTIONS 204.
 */
#include <stdlib.h>

#include "base/vec.h"
#include "http/http_int.h"

#define MAX_SEGMENTS 64u

void http_pattern_init(struct http_pattern *p, const char *path)
{
	struct str rest = str_of(path), seg;
	size_t cap = 0;
	bool more = true;
	*p = (struct http_pattern){ 0 };
	BUG_ON(path[0] != '/');
	rest = str_from(rest, 1);
	while (more) {
		more = str_cut(&rest, '/', &seg);
		if (str_eq(seg, STR("*")) && !more) {
			p->rest = true;
			break;
		}
		if (p->n == cap)
			p->seg = vec_grow(p->seg, &cap, p->n + 1u, sizeof(*p->seg));
		p->seg[p->n++] = seg;
	}
}

void http_pattern_deinit(struct http_pattern *p)
{
	free(p->seg);
	*p = (struct http_pattern){ 0 };
}

struct pieces {
	struct str seg[MAX_SEGMENTS]; /* decoded */
	size_t at[MAX_SEGMENTS];      /* where each begins in the raw path */
	uint32_t n;
};

/* False on a bad escape or more pieces than any route has. */
static bool cut_path(struct arena *a, struct str raw, struct pieces *out)
{
	struct str rest = str_from(raw, 1), seg;
	bool more = true;
	for (out->n = 0; more; out->n++) {
		if (out->n == MAX_SEGMENTS)
			return false;
		out->at[out->n] = raw.n - rest.n;
		more = str_cut(&rest, '/', &seg);
		if (!url_unescape(a, seg, false, &out->seg[out->n]))
			return false;
	}
	return true;
}

static bool fits(const struct http_pattern *p, const struct pieces *s, struct arena *a,
		 struct str raw, struct str *capture)
{
	if (p->rest ? s->n <= p->n : s->n != p->n)
		return false;
	*capture = STR_NULL;
	for (uint32_t i = 0; i < p->n; i++) {
		if (p->seg[i].n && p->seg[i].p[0] == ':') {
			if (s->seg[i].n == 0)
				return false;
			*capture = s->seg[i];
		} else if (!str_eq(p->seg[i], s->seg[i])) {
			return false;
		}
	}
	return !p->rest || url_unescape(a, str_from(raw, s->at[p->n]), false, capture);
}

static bool has_method(const char *methods, struct str m)
{
	struct str rest = str_of(methods), one;
	bool more = true;
	while (more) {
		more = str_cut(&rest, '|', &one);
		if (str_eq(one, m))
			return true;
	}
	return false;
}

/* Add a route's methods to "GET, POST"; each once. */
static void add_allow(struct arena *a, struct str *allow, const char *methods)
{
	struct str rest = str_of(methods), one;
	bool more = true;
	while (more) {
		more = str_cut(&rest, '|', &one);
		if (allow->n && str_find(*allow, one) >= 0)
			continue;
		*allow = str_fmt(a, "%.*s%s%.*s", STR_FMT(*allow), allow->n ? ", " : "",
				 STR_FMT(one));
	}
}

/* The path of the target: also of the absolute form "http://host/path". */
static struct str target_path(struct str target)
{
	ptrdiff_t at = str_find(target, STR("://"));
	if (target.n && target.p[0] != '/' && at > 0) {
		struct str rest = str_from(target, (size_t)at + 3);
		ptrdiff_t slash = str_find_char(rest, '/');
		return slash < 0 ? STR("/") : str_from(rest, (size_t)slash);
	}
	return target;
}

/* Among the routes from..to-1. */
static void find(const struct http_server *s, size_t from, size_t to, struct http_req *r,
		 struct str raw, struct http_match *out)
{
	struct pieces pieces;
	struct str capture, allow = STR_NULL;
	bool head = str_eq(r->method, STR("HEAD"));
	if (!url_unescape(r->arena, raw, false, &r->path)) {
		out->status = 400;
		return;
	}
	if (!cut_path(r->arena, raw, &pieces))
		return;
	for (size_t i = from; i < to; i++) {
		const struct http_route *route = &s->routes[i];
		if (!fits(&s->patterns[i], &pieces, r->arena, raw, &capture))
			continue;
		if (has_method(route->methods, r->method) ||
		    (head && has_method(route->methods, STR("GET")))) {
			out->route = route;
			r->capture = capture;
			return;
		}
		add_allow(r->arena, &allow, route->methods);
	}
	if (allow.n == 0)
		return;
	add_allow(r->arena, &allow, "OPTIONS");
	out->allow = str_dupz(r->arena, allow);
	out->status = str_eq(r->method, STR("OPTIONS")) ? 204 : 405;
}

void http_route_find(const struct http_server *s, struct http_req *r, struct str *query,
		     struct http_match *out)
{
	struct str path = target_path(r->target), prefix = str_of(s->prefix);
	*out = (struct http_match){ .status = 404 };
	*query = STR_NULL;
	ptrdiff_t mark = str_find_char(path, '?');
	if (mark >= 0) {
		*query = str_from(path, (size_t)mark + 1);
		path.n = (size_t)mark;
	}
	r->path = path;
	if (str_eq(path, STR("*")) && str_eq(r->method, STR("OPTIONS"))) {
		out->status = 204;
		out->allow = "GET, POST, OPTIONS";
		return;
	}
	if (path.n == 0 || path.p[0] != '/') {
		out->status = 400;
		return;
	}
	if (prefix.n) {
		if (!str_has_prefix(path, prefix) ||
		    (path.n > prefix.n && path.p[prefix.n] != '/')) {
			if (str_eq(path, STR("/")))
				out->status = 302;
			else
				find(s, 0, s->o.n_root, r, path, out);
			return;
		}
		path = path.n == prefix.n ? STR("/") : str_from(path, prefix.n);
	}
	find(s, prefix.n ? s->o.n_root : 0, s->n_routes, r, path, out);
}
