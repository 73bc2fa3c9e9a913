/*
 * model/hist_text.c - a histogram as Prometheus prints it: in labels of count_values, and as an operand of its test scripts.
 *
 *   {count:4, sum:2.5, [-2,-1):1, [-0.001,0.001]:1, (1,2]:2}
 *   {{schema:1 count:4 sum:2.5 z_bucket:1 z_bucket_w:0.001 offset:-1 buckets:[1 0 2] n_buckets:[1]}}
 *
 * Source  prometheus.md §2.11 (the second form), recorded answers (the first)
 */
#include "model/hist.h"

#include "wire/num.h"

static void put_number(double v, struct buf *out)
{
	char text[NUM_MAX];
	buf_add(out, text, num_f64_g(text, v));
}

static void put_bucket(const struct hist_bucket *b, struct buf *out)
{
	buf_str(out, STR(", "));
	buf_byte(out, b->lower_incl ? '[' : '(');
	put_number(b->lower, out);
	buf_byte(out, ',');
	put_number(b->upper, out);
	buf_byte(out, b->upper_incl ? ']' : ')');
	buf_byte(out, ':');
	put_number(b->count, out);
}

static void put_zero_bucket(const struct hist *h, struct buf *out)
{
	double z = h->zero_threshold;
	struct hist_bucket b = { -z, z, h->zero_count, true, true, 0 };
	/* of a negated histogram it is below zero; one of custom buckets that was multiplied by NaN has none nevertheless */
	if (h->zero_count != 0 && h->schema != HIST_CUSTOM)
		put_bucket(&b, out);
}

void hist_text(const struct hist *h, struct buf *out)
{
	struct hist_iter it;
	struct hist_bucket b;
	bool zero_done = false;
	buf_str(out, STR("{count:"));
	put_number(h->count, out);
	buf_str(out, STR(", sum:"));
	put_number(h->sum, out);
	hist_iter_init(&it, h);
	while (hist_iter_next(&it, &b)) {
		if (it.side > 0 && !zero_done) {
			put_zero_bucket(h, out);
			zero_done = true;
		}
		if (b.count == 0 || (it.side > 0 && it.i == 0))
			continue;
		/* its own limits, whatever the zero bucket covers of it */
		hist_limits(h, it.side > 0, b.index, &b);
		put_bucket(&b, out);
	}
	if (!zero_done)
		put_zero_bucket(h, out);
	buf_byte(out, '}');
}

/* Buckets without gaps from the first to the last that counts something. */
static void put_side(const struct hist_span *s, uint32_t n_spans, const double *v,
		     const char *offset_key, const char *key, struct buf *out)
{
	int64_t index = 0, first = 0, next = 0;
	bool any = false;
	for (uint32_t i = 0, k = 0; i < n_spans; i++) {
		index += s[i].offset;
		for (uint32_t j = 0; j < s[i].length; j++, k++, index++) {
			if (v[k] == 0)
				continue;
			if (!any) {
				first = next = index;
				if (first)
					buf_fmt(out, " %s:%lld", offset_key,
						(long long)first);
				buf_fmt(out, " %s:[", key);
			} else {
				buf_byte(out, ' ');
			}
			any = true;
			for (; next < index; next++)
				buf_str(out, STR("0 "));
			put_number(v[k], out);
			next = index + 1;
		}
	}
	if (any)
		buf_byte(out, ']');
}

static void put_field(const char *key, double v, struct buf *out)
{
	if (v == 0)
		return;
	buf_fmt(out, " %s:", key);
	put_number(v, out);
}

void hist_write_expr(const struct hist *h, struct buf *out)
{
	static const char *const hints[] = { [HIST_UNKNOWN] = "",
					     [HIST_RESET] = "reset",
					     [HIST_NOT_RESET] = "not_reset",
					     [HIST_GAUGE] = "gauge" };
	size_t start = out->n + 2;
	buf_str(out, STR("{{"));
	if (h->schema)
		buf_fmt(out, " schema:%d", h->schema);
	put_field("count", h->count, out);
	put_field("sum", h->sum, out);
	put_field("z_bucket", h->zero_count, out);
	put_field("z_bucket_w", h->zero_threshold, out);
	if (h->schema == HIST_CUSTOM) {
		buf_str(out, STR(" custom_values:["));
		for (uint32_t i = 0; i < h->n_bounds; i++) {
			if (i)
				buf_byte(out, ' ');
			put_number(h->bounds[i], out);
		}
		buf_byte(out, ']');
	}
	if (h->hint != HIST_UNKNOWN)
		buf_fmt(out, " counter_reset_hint:%s", hints[h->hint]);
	put_side(h->pos_spans, h->n_pos_spans, h->pos, "offset", "buckets", out);
	put_side(h->neg_spans, h->n_neg_spans, h->neg, "n_offset", "n_buckets", out);
	if (!out->failed && out->n > start) /* the first field's blank */
		memmove(out->p + start, out->p + start + 1, --out->n - start);
	buf_str(out, STR("}}"));
}
