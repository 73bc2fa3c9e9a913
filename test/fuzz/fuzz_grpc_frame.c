/*
 * fuzz_grpc_frame.c - any bytes as gRPC messages: cut at any place they give the same messages, and
 * memory follows the bytes that arrived.
 */
#include "rpc/rpc_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define MAX_MESSAGE (1u << 20)

struct seen {
	size_t messages, bytes;
	uint64_t sum;
	enum err_code code;
};

static struct seen parse(const uint8_t *p, size_t n, size_t step)
{
	struct budget b;
	struct rpc_frame f;
	struct seen s = { .code = E_OK };

	budget_init(&b, NULL, "fuzz", NULL, 0);
	rpc_frame_init(&f, &b, MAX_MESSAGE);
	for (size_t at = 0; at < n && s.code == E_OK; at += step) {
		const uint8_t *q = p + at;
		size_t left = MIN(step, n - at);
		struct err e = ERR_INIT;
		struct view v;
		int rc;
		while ((rc = rpc_frame_next(&f, &q, &left, &v, &e)) > 0) {
			s.messages++;
			s.bytes += v.n;
			for (size_t i = 0; i < v.n; i++)
				s.sum = s.sum * 31 + v.p[i];
			view_put(&v);
			if (left == 0)
				break;
		}
		if (rc < 0) {
			s.code = e.code;
			BUG_ON(s.code != E_LIMIT && s.code != E_CORRUPT &&
			       s.code != E_UNSUPPORTED);
		} else {
			BUG_ON(left != 0);
		}
	}
	BUG_ON(b.peak > 4 * n + (2u * SLAB_BYTES));
	rpc_frame_deinit(&f);
	budget_deinit(&b);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n > 1u << 20)
		return 0;
	struct seen whole = parse(p, n, n ? n : 1);
	for (size_t step = 1; step < 8; step += 3) {
		struct seen cut = parse(p, n, step);
		BUG_ON(cut.messages != whole.messages || cut.bytes != whole.bytes ||
		       cut.sum != whole.sum || cut.code != whole.code);
	}
	return 0;
}
