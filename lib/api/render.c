/*
 * api/render.c - answers as Prometheus writes them, byte for byte.
 */
#include "api/api_int.h"

#include <stdlib.h>

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

/*
 * `,[1767225600.500,"` of the steps: the rows of a matrix have them in common, mostly even the array that they stand in. Its
 * addresses say where a text is kept for the next row; any other time there is replaced.
 */
#define STEP_SLOTS 2048
struct step_text {
	int64_t t_ms;
	uint8_t n; /* 0: none yet */
	char text[23];
};

static unsigned step_text(char *out, int64_t t_ms)
{
	memcpy(out, ",[", 2);
	size_t n = 2 + num_ts_json(out + 2, t_ms);
	memcpy(out + n, ",\"", 2);
	return (unsigned)n + 2;
}

/* slots may be NULL. */
static unsigned put_step(struct step_text *slots, char *out, const int64_t *t_ms)
{
	char text[2 + 32 + 2];
	if (!slots)
		return step_text(out, *t_ms);
	struct step_text *s = &slots[(uintptr_t)t_ms / sizeof(*t_ms) % STEP_SLOTS];
	if (UNLIKELY(s->t_ms != *t_ms || s->n == 0)) {
		unsigned n = step_text(text, *t_ms);
		if (n > sizeof(s->text)) {
			memcpy(out, text, n);
			return n;
		}
		memcpy(s->text, text, sizeof(s->text));
		s->t_ms = *t_ms;
		s->n = (uint8_t)n;
	}
	memcpy(out, s->text, sizeof(s->text));
	return s->n;
}

#define FLOAT_MAX (2 + 32 + 2 + NUM_JSON_MAX + 2)

/* `,[t,"v"]` */
static char *put_float(char *out, struct step_text *slots, const int64_t *t_ms, double v)
{
	out += put_step(slots, out, t_ms);
	out += num_f64_json(out, v);
	memcpy(out, "\"]", 2);
	return out + 2;
}

static void put_hist(struct buf *b, int64_t t_ms, const struct hist *h)
{
	buf_byte(b, '[');
	put_ts(b, t_ms);
	buf_byte(b, ',');
	hist_write_json(h, b);
	buf_byte(b, ']');
}

static bool is_hist(const struct promql_series *s, uint32_t i)
{
	return s->h && s->h[i];
}

static void put_sample(struct buf *b, struct step_text *slots,
		       const struct promql_series *s)
{
	char text[FLOAT_MAX];
	if (is_hist(s, 0)) {
		buf_str(b, STR(",\"histogram\":"));
		put_hist(b, s->t_ms[0], s->h[0]);
	} else {
		buf_str(b, STR(",\"value\":"));
		buf_add(b, text + 1,
			(size_t)(put_float(text, slots, s->t_ms, s->v[0]) - text - 1));
	}
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

/* The floats among some points from i on; their number is returned. A matrix is made of millions, hence not one after the other. */
#define POINTS 32
static uint32_t put_some(struct buf *b, struct step_text *slots,
			 const struct promql_series *s, uint32_t i)
{
	uint32_t n = MIN(s->n - i, POINTS);
	char *begin = (char *)buf_room(b, POINTS * FLOAT_MAX), *p = begin;
	if (!begin)
		return n;
	for (uint32_t end = i + n; i < end; i++)
		if (!is_hist(s, i))
			p = put_float(p, slots, &s->t_ms[i], s->v[i]);
	buf_commit(b, (size_t)(p - begin));
	return n;
}

/* `,"values":[...]`, left out when there are none. */
static int put_floats(struct api_out *o, struct step_text *slots,
		      const struct promql_series *s, struct err *e)
{
	struct buf *b = o->b;
	uint32_t i = 0;
	while (i < s->n && is_hist(s, i))
		i++;
	if (i == s->n)
		return 0;
	buf_str(b, STR(",\"values\":"));
	size_t first = b->n;
	i += put_some(b, slots, s, i);
	if (!b->failed)
		b->p[first] = '['; /* instead of its comma */
	while (i < s->n) {
		if (flush(o, e) < 0)
			return -1;
		i += put_some(b, slots, s, i);
	}
	buf_byte(b, ']');
	return flush(o, e);
}

/* `,"histograms":[...]`, left out when there are none. */
static int put_hists(struct api_out *o, const struct promql_series *s, struct err *e)
{
	struct buf *b = o->b;
	bool any = false;
	for (uint32_t i = 0; s->h && i < s->n; i++) {
		if (!s->h[i])
			continue;
		buf_str(b, any ? STR(",") : STR(",\"histograms\":["));
		put_hist(b, s->t_ms[i], s->h[i]);
		any = true;
		if (flush(o, e) < 0)
			return -1;
	}
	if (any)
		buf_byte(b, ']');
	return 0;
}

static int put_series(struct api_out *o, struct step_text *slots,
		      const struct promql_series *s, bool vector, struct err *e)
{
	struct buf *b = o->b;
	buf_str(b, STR("{\"metric\":"));
	api_render_labels(s->labels, b);
	if (vector)
		put_sample(b, slots, s);
	else if (put_floats(o, slots, s, e) < 0 || put_hists(o, s, e) < 0)
		return -1;
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
	struct step_text *slots = r->n > 8 ? xcalloc(STEP_SLOTS, sizeof(*slots)) : NULL;
	int rc = 0;
	for (size_t i = 0; i < r->n && rc == 0; i++) {
		if (i)
			buf_byte(b, ',');
		rc = put_series(o, slots, &r->series[i], r->type == TYPE_VECTOR, e);
	}
	free(slots);
	buf_byte(b, ']');
	return rc;
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
