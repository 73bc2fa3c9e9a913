/* LabelNames and LabelValues over golden blocks beyond the recorded calls. */
#include <stdio.h>

#include "bucket_world.h"
#include "support/tst.h"

#define ID_A "01M81YVC0FJJQ87HKZ11JM4HFZ"
#define ID_B "01M81YVC6WDF4WE3GFR0FN50G7"

static struct err e;

static struct store_labels_req request(struct world *w, const char *label,
				       const char *matchers)
{
	struct store_labels_req r = { .label = str_of(label),
				      .mint_ms = W_MINT,
				      .maxt_ms = W_MAXT };
	r.matchers = world_matchers(w, matchers, &r.n_matchers);
	return r;
}

/* Names (no label) or values, each followed by a blank. */
static const char *answer(struct world *w, const struct store_labels_req *r, int *rc)
{
	static char text[4096];
	struct store *s = bucket_store_store(w->store);
	struct store_labels_resp out;
	size_t at = 0;
	e = ERR_INIT;
	*rc = (r->label.n ? s->ops->label_values
			  : s->ops->label_names)(s, &w->ctx, &w->arena, r, &out, &e);
	text[0] = 0;
	for (size_t i = 0; *rc == 0 && i < out.n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%.*s ",
				       STR_FMT(out.v[i]));
	return text;
}

Test(bucket_labels, external_labels_are_labels_of_the_series)
{
	static const struct str without[] = { { "cluster", 7 }, { "pod", 3 } };
	struct world w;
	int rc;
	world_open(&w, NULL);
	world_copy_all(&w);
	world_sync(&w);
	struct store_labels_req r = request(&w, "replica", "cluster=eu");
	cr_assert_str_eq(answer(&w, &r, &rc), "a b ");
	r = request(&w, "replica", "cluster=eu;replica!=a;__name__=up");
	cr_assert_str_eq(answer(&w, &r, &rc), "b ");
	r = request(&w, "replica", "__name__=nothere");
	cr_assert_str_eq(answer(&w, &r, &rc), "");
	r = request(&w, "job", "__name__=up;cluster=us;job!~svc-0[012]");
	cr_assert_str_eq(answer(&w, &r, &rc), "svc-03 ");
	r = request(&w, "", "__name__=up;cluster=us");
	cr_assert_str_eq(answer(&w, &r, &rc),
			 "__name__ cluster instance job namespace pod replica ");
	r.without_replica_labels = without;
	r.n_without = 2;
	cr_assert_str_eq(answer(&w, &r, &rc), "__name__ instance job namespace replica ");
	r.limit = 2;
	cr_assert_str_eq(answer(&w, &r, &rc), "__name__ instance ");
	r = request(&w, "cluster", "");
	r.without_replica_labels = without;
	r.n_without = 2;
	cr_assert_str_eq(answer(&w, &r, &rc), "");
	cr_assert_eq(rc, 0);
	world_close(&w);
}

Test(bucket_labels, a_block_that_fails_warns_or_aborts)
{
	struct notes_view v;
	struct world w;
	int rc;
	world_open(&w, NULL);
	world_copy(&w, ID_A);
	world_copy(&w, ID_B);
	world_sync(&w);
	world_cut(&w, ID_A "/index", 5000);
	struct store_labels_req r = request(&w, "replica", "__name__=up");
	cr_assert_str_eq(answer(&w, &r, &rc), "b ");
	notes_view(w.ctx.notes, &w.arena, &v);
	cr_assert_eq(v.n_warnings, 1);
	cr_assert(str_find(v.warnings[0], STR("block " ID_A)) == 0);
	r.partial = PARTIAL_ABORT;
	answer(&w, &r, &rc);
	cr_assert_eq(rc, -1);
	world_close(&w);
}

Test(bucket_labels, answers_stay_when_the_blocks_go)
{
	struct store_labels_resp out;
	struct world w;
	world_open(&w, NULL);
	world_copy(&w, ID_A);
	world_sync(&w);
	struct store *s = bucket_store_store(w.store);
	struct store_labels_req r = request(&w, "job", "");
	cr_assert_eq(s->ops->label_values(s, &w.ctx, &w.arena, &r, &out, &e), 0);
	world_remove(&w, ID_A);
	world_sync(&w);
	cr_assert_gt(out.n, 0);
	cr_assert(str_eqz(out.v[0], "svc-00"));
	world_close(&w);
}

Test(bucket_labels, damaged_hints_are_refused)
{
	static const char *const bad[] = { "\x0a\x05",
					   "\x0a\x03"
					   "a/b",
					   "\x0a\x01x", "\x12\x01x" };
	struct world w;
	int rc;
	world_open(&w, NULL);
	world_sync(&w);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct store_labels_req r = request(&w, "job", "");
		r.hints = str_of(bad[i]);
		answer(&w, &r, &rc);
		cr_assert_eq(rc, -1);
		cr_assert_eq(e.code, E_INVALID, "%s", err_text(&e));
	}
	world_close(&w);
}
