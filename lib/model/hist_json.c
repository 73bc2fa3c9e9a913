/*
 * model/hist_json.c - a histogram in the JSON of Prometheus' HTTP API.
 *
 *   {"count":"4","sum":"2.5","buckets":[[0,"0.5","1","3"],...]}
 *
 * The first number of a bucket says which limits belong to it: 0 the upper, 1 the lower, 2 none, 3
 * both. Empty buckets are left out, and the list with them when nothing is left.
 */
#include "model/hist.h"

#include "wire/num.h"

static void put_number(double v, const char *after, struct buf *out)
{
	char text[NUM_MAX];
	size_t n = num_f64_json(text, v);
	buf_byte(out, '"');
	buf_add(out, text, n);
	buf_str(out, str_of(after));
}

void hist_write_json(const struct hist *h, struct buf *out)
{
	struct hist_iter it;
	struct hist_bucket b;
	bool any = false;
	buf_str(out, STR("{\"count\":"));
	put_number(h->count, "\",\"sum\":", out);
	put_number(h->sum, "\"", out);
	hist_iter_init(&it, h);
	while (hist_iter_next(&it, &b)) {
		if (b.count == 0)
			continue;
		buf_str(out, any ? STR(",[") : STR(",\"buckets\":[["));
		buf_byte(out, b.lower_incl ? (b.upper_incl ? '3' : '1')
					   : (b.upper_incl ? '0' : '2'));
		buf_byte(out, ',');
		put_number(b.lower, "\",", out);
		put_number(b.upper, "\",", out);
		put_number(b.count, "\"]", out);
		any = true;
	}
	buf_str(out, any ? STR("]}") : STR("}"));
}
