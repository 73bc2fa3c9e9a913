/*
 * fuzz_h1.c - any bytes as HTTP/1 requests: fed whole and in pieces, which must give the same requests.
 * The first byte chooses the size of the pieces.
 */
#include <stdlib.h>

#include "http/h1_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct seen {
	uint64_t hash;
	unsigned requests;
	int status;
};

static void mix(struct seen *s, struct str t)
{
	for (size_t i = 0; i < t.n; i++)
		s->hash = (s->hash ^ (uint8_t)t.p[i]) * 0x100000001b3u;
	s->hash = (s->hash ^ 0xff) * 0x100000001b3u;
}

static void mix_head(struct seen *s, const struct h1_head *h)
{
	BUG_ON(h->method.n == 0);
	mix(s, h->method);
	mix(s, h->target);
	for (size_t i = 0; i < h->n_headers; i++) {
		BUG_ON(h->headers[i].k.n == 0);
		mix(s, h->headers[i].k);
		mix(s, h->headers[i].v);
	}
}

static struct seen parse(const uint8_t *p, size_t n, size_t step)
{
	struct seen s = { 0 };
	struct h1_parser *h = h1_new(4096);
	struct arena a;
	struct budget budget;
	size_t off = 0;
	enum h1_event ev = H1_MORE;

	budget_init(&budget, NULL, "request", NULL, 0);
	arena_init(&a, NULL);
	h1_begin(h, &a, &budget);
	while (ev != H1_BAD && (off < n || ev == H1_HEAD)) {
		size_t used, len = MIN(step, n - off);
		ev = h1_feed(h, p + off, len, &used);
		BUG_ON(used > len);
		BUG_ON(ev == H1_MORE && used != len);
		off += used;
		if (ev == H1_HEAD) {
			mix_head(&s, h1_head(h));
		} else if (ev == H1_DONE) {
			BUG_ON(h1_body(h).n > 4096 ||
			       budget_used(&budget) != h1_body(h).n);
			mix(&s, h1_body(h));
			s.requests++;
			arena_reset(&a);
			h1_begin(h, &a, &budget);
		} else if (ev == H1_MORE && off == n) {
			break;
		}
	}
	if (ev == H1_BAD) {
		const char *why;
		s.status = h1_fault(h, &why);
		BUG_ON(s.status < 400 || !why);
	}
	h1_free(h);
	arena_deinit(&a);
	budget_deinit(&budget);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n < 1 || n > 32u << 10)
		return 0;
	size_t step = p[0] % 17 + 1;
	struct seen whole = parse(p + 1, n - 1, SIZE_MAX);
	struct seen cut = parse(p + 1, n - 1, step);
	BUG_ON(whole.requests != cut.requests);
	/* A fault may be seen earlier or later as the input is cut, and so be called by another name. */
	BUG_ON((whole.status != 0) != (cut.status != 0));
	BUG_ON(whole.status == 0 && whole.hash != cut.hash);
	return 0;
}
