/*
 * The header, samplers, configuration, encoding. What a collector gets is test/e2e/test_tracing.py's affair.
 */
#include <stdio.h>
#include <stdlib.h>

#include "support/tst.h"
#include "trace/trace_int.h"
#include "wire/pb.h"

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

Test(trace, header)
{
	struct ctx ctx = { 0 };
	char out[TRACEPARENT_N + 1];
	cr_assert(!trace_format(&ctx, out));
	cr_assert(trace_parse(STR(PARENT), &ctx.trace));
	cr_assert_eq(ctx.trace.id_hi, 0x0af7651916cd43ddull);
	cr_assert_eq(ctx.trace.span, 0xb7ad6b7169203331ull);
	cr_assert(ctx.trace.sampled);
	cr_assert(trace_format(&ctx, out));
	cr_assert_str_eq(out, PARENT);
	static const char *const bad[] = {
		"",
		"00",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		PARENT "-more",
		"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x"
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert(!trace_parse(str_of(bad[i]), &ctx.trace), "%s", bad[i]);
	cr_assert(trace_parse(
		STR("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-new"),
		&ctx.trace));
	cr_assert(!ctx.trace.sampled);
}

struct box {
	struct trace_sink sink;
	struct span last[4];
	size_t n;
	bool sampled;
};
static bool box_sample(struct trace_sink *s, const struct trace *t, bool has_parent)
{
	(void)t, (void)has_parent;
	return ((struct box *)s)->sampled;
}
static void box_put(struct trace_sink *s, const struct span *span)
{
	struct box *b = (struct box *)s;
	b->last[b->n++ % 4] = *span;
}

Test(trace, spans_nest)
{
	struct box b = { .sink = { box_sample, box_put }, .sampled = true };
	struct ctx ctx = { 0 };
	struct span outer, inner;
	struct err e = ERR_INIT;
	trace_begin(&ctx, &b.sink, STR(PARENT), false);
	span_begin(&outer, &ctx, "outer");
	span_begin(&inner, &ctx, "inner");
	char *text = xmalloc(1000);
	memset(text, 'x', 1000);
	memcpy(text + 254, "\xc3\xa4", 2); /* a character across the cut */
	span_str(&inner, "text", str_n(text, 1000));
	for (int i = 0; i < 20; i++)
		span_int(&inner, "i", i);
	err_set(NULL, &e, E_CORRUPT, "broken");
	span_end(&inner, &e);
	span_end(&outer, NULL);
	cr_assert_eq(b.n, 2u);
	cr_assert_eq(b.last[1].parent, 0xb7ad6b7169203331ull);
	cr_assert_eq(b.last[0].parent, b.last[1].id);
	cr_assert_eq(b.last[0].n_attrs, SPAN_ATTRS);
	cr_assert_eq(strlen(b.last[0].attr[0].text), 254u);
	cr_assert_not_null(b.last[0].error);
	cr_assert_eq(ctx.trace.span, 0xb7ad6b7169203331ull);
	/* Not sampled: nothing is kept, but the trace is passed on. */
	b.sampled = false;
	b.n = 0;
	trace_begin(&ctx, &b.sink, STR(PARENT), false);
	span_begin(&outer, &ctx, "outer");
	span_str(&outer, "a", STR("b"));
	span_end(&outer, NULL);
	cr_assert_eq(b.n, 0u);
	char out[TRACEPARENT_N + 1];
	cr_assert(trace_format(&ctx, out));
	trace_begin(&ctx, &b.sink, STR(""), true);
	cr_assert(ctx.trace.sampled && (ctx.trace.id_hi | ctx.trace.id_lo), "forced");
	trace_begin(&ctx, NULL, STR(PARENT), true);
	cr_assert(!trace_format(&ctx, out), "off");
	free(text);
}

static void parse(struct arena *a, const char *yaml, struct trace_conf *c)
{
	struct err e = ERR_INIT;
	cr_assert_eq(trace_conf_parse(a, str_of(yaml), "t.yml", "query", c, &e), 0, "%s",
		     err_text(&e));
}

static void refuse(struct arena *a, const char *yaml, const char *text)
{
	struct trace_conf c;
	struct err e = ERR_INIT;
	cr_assert_eq(trace_conf_parse(a, str_of(yaml), "t.yml", "query", &c, &e), -1,
		     "%s", yaml);
	cr_assert(strstr(err_text(&e), text), "%s: %s", text, err_text(&e));
}

Test(trace, configuration)
{
	struct arena a;
	struct trace_conf c;
	arena_init(&a, NULL);
	parse(&a,
	      "type: OTLP\nconfig:\n  client_type: http\n  endpoint: col\n  insecure: true\n"
	      "  headers: {X-A: b}\n  resource_attributes: {env: test}\n"
	      "  sampler_type: parentBasedTraceIDRatioBased\n  sampler_param: '0.25'\n",
	      &c);
	cr_assert(str_eqz(c.url, "http://col:4318/v1/traces"), "%.*s", STR_FMT(c.url));
	cr_assert(c.parent_based && c.sampler == SAMPLE_RATIO && c.ratio == 0.25);
	cr_assert(str_eqz(c.service_name, "thanos-query"));
	cr_assert(c.n_headers == 1 && c.n_resource == 1);
	parse(&a,
	      "type: otlp\nconfig: {client_type: grpc, endpoint: 'col:9', service_name: s, "
	      "sampler_type: neversample}",
	      &c);
	cr_assert(c.client == TRACE_GRPC && !c.insecure && str_eqz(c.address, "col:9") &&
		  c.sampler == SAMPLE_NEVER && !c.parent_based);
	parse(&a,
	      "type: JAEGER\nconfig: {service_name: j, sampler_type: const, sampler_param: 1, "
	      "endpoint: 'http://jag:14268/api/traces', tags: 'a=b, c = d'}",
	      &c);
	cr_assert(str_eqz(c.url, "http://jag:4318/v1/traces") && c.n_resource == 2 &&
		  str_eqz(c.resource[1].k, "c") && str_eqz(c.resource[1].v, "d"));
	refuse(&a, "type: OTPL", "did you mean 'OTLP'");
	refuse(&a, "type: LIGHTSTEP", "not supported");
	refuse(&a, "type: OTLP\nconfig: {client_type: udp}", "client_type");
	refuse(&a, "type: OTLP\nconfig: {client_type: http, endpiont: x}",
	       "did you mean 'endpoint'");
	refuse(&a, "type: OTLP\nconfig: {client_type: http, sampler_type: dice}",
	       "unknown sampler_type 'dice'");
	refuse(&a,
	       "type: OTLP\nconfig: {client_type: http, sampler_type: traceidratiobased, sampler_param: x}",
	       "no ratio");
	arena_deinit(&a);
}

Test(trace, samplers)
{
	struct trace_conf c = { .sampler = SAMPLE_RATIO, .ratio = 0.25 };
	struct trace t = { 0 };
	uint64_t r = 88172645463325252ull;
	int n = 0;
	for (int i = 0; i < 10000; i++) {
		r ^= r << 13, r ^= r >> 7, r ^= r << 17;
		t.id_lo = r;
		n += trace_sampled(&c, &t, false);
	}
	cr_assert(n > 2200 && n < 2800, "%d", n);
	c.ratio = 1;
	t.id_lo = UINT64_MAX;
	cr_assert(trace_sampled(&c, &t, false));
	c.parent_based = true;
	cr_assert(!trace_sampled(&c, &t, true));
	t.sampled = true;
	c.sampler = SAMPLE_NEVER;
	cr_assert(trace_sampled(&c, &t, true));
	cr_assert(!trace_sampled(&c, &t, false));
}

Test(trace, encoding)
{
	struct trace_conf c = { .service_name = STR("svc") };
	struct trace_item it = { .id_hi = 1,
				 .id_lo = 2,
				 .id = 3,
				 .parent = 4,
				 .start_ns = 5,
				 .end_ns = 6,
				 .kind = SPAN_SERVER,
				 .failed = true,
				 .name = "n",
				 .status = "why" };
	struct buf b;
	struct pb_field f;
	buf_init(&b, 1 << 20);
	trace_encode(&c, "1", &it, 1, &b);
	cr_assert(!b.failed);
	/* request -> resource_spans -> scope_spans -> span */
	struct rd r = rd_of(buf_view(&b));
	static const uint32_t way[] = { 1, 2, 2 };
	for (size_t i = 0; i < ARRAY_LEN(way); i++) {
		do
			cr_assert_eq(pb_next(&r, &f), 1);
		while (f.num != way[i]);
		r = rd_of(f.bytes);
	}
	unsigned seen = 0;
	while (pb_next(&r, &f) > 0) {
		seen |= 1u << f.num;
		if (f.num == 1)
			cr_assert(f.bytes.n == 16 && f.bytes.p[7] == 1 &&
				  f.bytes.p[15] == 2);
		if (f.num == 7)
			cr_assert_eq(f.u, 5u);
	}
	cr_assert_eq(seen, 1u << 1 | 1u << 2 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 |
				   1u << 8 | 1u << 15);
	buf_deinit(&b);
}
