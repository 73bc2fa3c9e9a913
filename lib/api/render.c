/*
 * api/render.c - answers as Prometheus writes them, byte for byte.
 */
#include "api/api_int.h"

#include "wire/json.h"
#include "wire/num.h"

static void put_ts(struct buf *b, int64_t t_ms)
{
	char s[32];
	buf_add(b, s, num_ts_json(s, t_ms));
}

static void put_string(struct buf *b, struct str s)
{
	struct jw w;
	jw_init(&w, b);
	jw_str(&w, s);
}

void api_render_labels(struct labels ls, struct buf *b)
{
	buf_byte(b, '{');
	for (uint32_t i = 0; i < ls.n; i++) {
		if (i)
			buf_byte(b, ',');
		put_string(b, ls.l[i].name);
		buf_byte(b, ':');
		put_string(b, ls.l[i].value);
	}
	buf_byte(b, '}');
}

/* The digits of seconds that stay the same from step to step. */
struct times {
	uint64_t high;
	size_t n; /* 0: none yet */
	char text[32];
};

/* As num_ts_json. */
static size_t ts_text(struct times *c, char *out, int64_t t_ms)
{
	uint64_t s = (uint64_t)t_ms / 1000, high = s / 10000;
	unsigned low = (unsigned)(s % 10000), frac = (unsigned)((uint64_t)t_ms % 1000);
	if (t_ms < 10000 * 1000 || frac)
		return num_ts_json(out, t_ms);
	if (c->n == 0 || c->high != high) {
		c->n = num_ts_json(c->text, (int64_t)high * 1000);
		c->high = high;
	}
	char *p = out + c->n;
	memcpy(out, c->text, sizeof(c->text) - 4);
	p[0] = (char)('0' + low / 1000);
	p[1] = (char)('0' + low / 100 % 10);
	p[2] = (char)('0' + low / 10 % 10);
	p[3] = (char)('0' + low % 10);
	return c->n + 4;
}

/* A matrix is made of millions of these. */
static void put_float(struct buf *b, struct times *times, bool comma, int64_t t_ms,
		      double v)
{
	char *begin = (char *)buf_room(b, 1 + 32 + NUM_MAX + 8), *p = begin;
	if (!p)
		return;
	*p = ',';
	p += comma;
	*p++ = '[';
	p += ts_text(times, p, t_ms);
	*p++ = ',';
	*p++ = '"';
	p += num_f64_json(p, v);
	*p++ = '"';
	*p++ = ']';
	buf_commit(b, (size_t)(p - begin));
}

static void put_point(struct buf *b, struct times *times, bool comma,
		      const struct promql_series *s, uint32_t i)
{
	if (!s->h || !s->h[i]) {
		put_float(b, times, comma, s->t_ms[i], s->v[i]);
		return;
	}
	if (comma)
		buf_byte(b, ',');
	buf_byte(b, '[');
	put_ts(b, s->t_ms[i]);
	buf_byte(b, ',');
	hist_write_json(s->h[i], b);
	buf_byte(b, ']');
}

static bool is_hist(const struct promql_series *s, uint32_t i)
{
	return s->h && s->h[i];
}

/* What has been made goes out once it is a piece. */
static int flush(struct api_out *o, struct err *e)
{
	if (!o->flush || o->b->n < API_PIECE_BYTES)
		return 0;
	int rc = o->flush(o->arg, buf_view(o->b), e);
	buf_reset(o->b);
	return rc;
}

/* `,"values":[...]` or `,"histograms":[...]`, left out when there are none. */
static int put_points(struct api_out *o, const struct promql_series *s, bool hists,
		      struct err *e)
{
	struct buf *b = o->b;
	struct times times = { 0 };
	bool any = false;
	if (hists && !s->h)
		return 0;
	for (uint32_t i = 0; i < s->n; i++) {
		if (is_hist(s, i) != hists)
			continue;
		if (!any)
			buf_str(b,
				hists ? STR(",\"histograms\":[") : STR(",\"values\":["));
		put_point(b, &times, any, s, i);
		any = true;
		if (flush(o, e) < 0)
			return -1;
	}
	if (any)
		buf_byte(b, ']');
	return 0;
}

static int put_series(struct api_out *o, const struct promql_series *s, bool vector,
		      struct err *e)
{
	struct buf *b = o->b;
	buf_str(b, STR("{\"metric\":"));
	api_render_labels(s->labels, b);
	if (vector) {
		buf_str(b, is_hist(s, 0) ? STR(",\"histogram\":") : STR(",\"value\":"));
		put_point(b, &(struct times){ 0 }, false, s, 0);
	} else if (put_points(o, s, false, e) < 0 || put_points(o, s, true, e) < 0) {
		return -1;
	}
	buf_byte(b, '}');
	return flush(o, e);
}

static void put_scalar(struct buf *b, const struct promql_result *r)
{
	char s[NUM_MAX];
	buf_byte(b, '[');
	put_ts(b, r->t_ms);
	buf_byte(b, ',');
	if (r->type == TYPE_STRING) {
		put_string(b, r->string);
	} else { /* plain decimal, never an exponent */
		buf_byte(b, '"');
		buf_add(b, s, num_f64_plain(s, r->series[0].v[0]));
		buf_byte(b, '"');
	}
	buf_byte(b, ']');
}

int api_stream_result(const struct promql_result *r, struct api_out *o, struct err *e)
{
	static const char *const types[] = { [TYPE_SCALAR] = "scalar",
					     [TYPE_VECTOR] = "vector",
					     [TYPE_MATRIX] = "matrix",
					     [TYPE_STRING] = "string" };
	struct buf *b = o->b;
	buf_fmt(b, "\"resultType\":\"%s\",\"result\":", types[r->type]);
	if (r->type == TYPE_SCALAR || r->type == TYPE_STRING) {
		put_scalar(b, r);
		return 0;
	}
	buf_byte(b, '[');
	for (size_t i = 0; i < r->n; i++) {
		if (i)
			buf_byte(b, ',');
		if (put_series(o, &r->series[i], r->type == TYPE_VECTOR, e) < 0)
			return -1;
	}
	buf_byte(b, ']');
	return 0;
}

void api_render_result(const struct promql_result *r, struct buf *b)
{
	struct api_out o = { .b = b };
	buf_byte(b, '{');
	(void)!api_stream_result(r, &o, NULL); /* nothing can fail without a flush */
	buf_byte(b, '}');
}

#define MAX_ANNOTATIONS 10

/* Annotations of the engine are cut at ten of a kind; what stores say is shown whole. */
static void put_notes(struct buf *b, const char *key, const char *kind,
		      const struct str *v, size_t n)
{
	size_t shown = 0, left_out = 0;
	for (size_t i = 0; i < n; i++) {
		if (str_has_prefix(v[i], STR("PromQL ")) && shown >= MAX_ANNOTATIONS) {
			left_out++;
			continue;
		}
		if (shown++ == 0)
			buf_fmt(b, ",\"%s\":[", key);
		else
			buf_byte(b, ',');
		put_string(b, v[i]);
	}
	if (left_out)
		buf_fmt(b, ",\"%zu more %s annotations omitted\"", left_out, kind);
	if (shown)
		buf_byte(b, ']');
}

void api_render_error(const char *type, const char *text, const struct notes_view *notes,
		      struct buf *b)
{
	buf_fmt(b, "{\"status\":\"error\",\"errorType\":\"%s\",\"error\":", type);
	put_string(b, str_of(text));
	put_notes(b, "warnings", "warning", notes->warnings, notes->n_warnings);
	buf_byte(b, '}');
}

void api_render_notes(const struct notes_view *v, struct buf *b)
{
	put_notes(b, "warnings", "warning", v->warnings, v->n_warnings);
	put_notes(b, "infos", "info", v->infos, v->n_infos);
}
