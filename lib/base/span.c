/*
 * base/span.c - numbers of traces, the W3C header, spans on their way to the sink.
 */
#include "base/span.h"

#include <stdio.h>
#include <sys/random.h>

#include "base/time.h"

static uint64_t random_id(void)
{
	uint64_t v = 0;
	while (v == 0)
		if (getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v))
			v = 0;
	return v;
}

/* Lower-case hex only, as the recommendation says. */
static bool take_hex(const char *p, size_t n, uint64_t *out)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++) {
		char c = p[i];
		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*out = v;
	return true;
}

bool trace_parse(struct str h, struct trace *out)
{
	uint64_t version, hi, lo, span, flags;
	if (h.n < TRACEPARENT_N || h.p[2] != '-' || h.p[35] != '-' || h.p[52] != '-')
		return false;
	if (!take_hex(h.p, 2, &version) || !take_hex(h.p + 3, 16, &hi) ||
	    !take_hex(h.p + 19, 16, &lo) || !take_hex(h.p + 36, 16, &span) ||
	    !take_hex(h.p + 53, 2, &flags))
		return false;
	/* Later versions may append fields; this one must not. */
	if (version == 0xff || (version == 0 && h.n != TRACEPARENT_N) ||
	    (h.n > TRACEPARENT_N && h.p[TRACEPARENT_N] != '-'))
		return false;
	if ((hi | lo) == 0 || span == 0)
		return false;
	out->id_hi = hi;
	out->id_lo = lo;
	out->span = span;
	out->sampled = flags & 1;
	return true;
}

bool trace_format(const struct ctx *ctx, char out[TRACEPARENT_N + 1])
{
	const struct trace *t = &ctx->trace;
	if ((t->id_hi | t->id_lo) == 0 || t->span == 0)
		return false;
	snprintf(out, TRACEPARENT_N + 1, "00-%016llx%016llx-%016llx-%02x",
		 (unsigned long long)t->id_hi, (unsigned long long)t->id_lo,
		 (unsigned long long)t->span, t->sampled);
	return true;
}

void trace_begin(struct ctx *ctx, struct trace_sink *sink, struct str traceparent,
		 bool force)
{
	struct trace t = { 0 };
	ctx->trace = t;
	if (!sink)
		return;
	bool has_parent = trace_parse(traceparent, &t);
	if (!has_parent) {
		t.id_hi = random_id();
		t.id_lo = random_id();
	}
	t.sampled = force || sink->sample(sink, &t, has_parent);
	/* Whom we call must know that it is not recorded: the header needs a span, which nobody will see. */
	if (!t.sampled && t.span == 0)
		t.span = random_id();
	t.sink = sink;
	ctx->trace = t;
}

void span_begin_kind(struct span *s, struct ctx *ctx, enum span_kind kind,
		     const char *name, struct str rest)
{
	if (!ctx || !ctx->trace.sink || !ctx->trace.sampled) {
		s->ctx = NULL;
		return;
	}
	s->ctx = ctx;
	s->kind = kind;
	s->parent = ctx->trace.span;
	s->id = random_id();
	s->n_attrs = 0;
	s->error = NULL;
	snprintf(s->name, sizeof(s->name), "%s%.*s", name, STR_FMT(rest));
	ctx->trace.span = s->id;
	s->start_ns = time_wall_ns();
}

static struct span_attr *add(struct span *s, const char *key)
{
	if (!s->ctx || s->n_attrs == SPAN_ATTRS)
		return NULL;
	struct span_attr *a = &s->attr[s->n_attrs++];
	a->key = key;
	return a;
}

void span_str(struct span *s, const char *key, struct str value)
{
	struct span_attr *a = add(s, key);
	if (!a)
		return;
	a->is_int = false;
	/* Not in the middle of a character. */
	size_t n = MIN(value.n, (size_t)SPAN_TEXT_MAX - 1);
	while (n < value.n && n > 0 && ((unsigned char)value.p[n] & 0xc0) == 0x80)
		n--;
	if (n)
		memcpy(a->text, value.p, n);
	a->text[n] = '\0';
}

void span_int(struct span *s, const char *key, int64_t value)
{
	struct span_attr *a = add(s, key);
	if (!a)
		return;
	a->is_int = true;
	a->i = value;
}

void span_end(struct span *s, const struct err *why)
{
	if (!s->ctx)
		return;
	s->end_ns = time_wall_ns();
	s->error = why;
	s->ctx->trace.span = s->parent;
	s->ctx->trace.sink->put(s->ctx->trace.sink, s);
	s->ctx = NULL;
}
