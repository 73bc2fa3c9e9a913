#include "sets.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "support/tst.h"

#define LEGS_MAX 13

/* All series of all legs: sorted, equal ones joined, chunks in order and unique. */
static char *slow_merge(struct arena *a, struct series_in **legs, const size_t *n,
			size_t k)
{
	struct series_in *all = ARENA_ARRAY(a, struct series_in, 5000);
	size_t total = 0, out = 0;
	for (size_t i = 0; i < k; i++)
		for (size_t j = 0; j < n[i]; j++)
			all[total++] = legs[i][j];
	sets_sort(all, total);
	for (size_t i = 0, j; i < total; i = j) {
		struct chunk_view *c = ARENA_ARRAY(a, struct chunk_view, k);
		size_t m = 0;
		for (j = i; j < total && labels_eq(all[i].labels, all[j].labels); j++)
			c[m++] = all[j].chunks[0];
		for (size_t x = 0; x < m; x++) /* by mint, then bytes descending */
			for (size_t y = x + 1; y < m; y++)
				if (c[y].mint_ms < c[x].mint_ms ||
				    (c[y].mint_ms == c[x].mint_ms &&
				     *c[y].part[0].p > *c[x].part[0].p)) {
					struct chunk_view t = c[x];
					c[x] = c[y];
					c[y] = t;
				}
		size_t u = 0;
		for (size_t x = 0; x < m; x++)
			if (u == 0 || !chunk_view_eq(&c[u - 1], &c[x]))
				c[u++] = c[x];
		all[out] = all[i];
		all[out].chunks = c;
		all[out++].n = u;
	}
	return sets_dump(series_set_of(all, out));
}

static void check_merge(uint64_t seed, size_t shuffled)
{
	struct arena a;
	struct err e = ERR_INIT;
	struct series_in *legs[LEGS_MAX];
	struct series_set *sets[LEGS_MAX], *merged = NULL;
	size_t n[LEGS_MAX], k;
	struct merge_origin origin[LEGS_MAX], *origins[LEGS_MAX];
	arena_init(&a, NULL);
	sets_seed(seed);
	k = sets_random() % (LEGS_MAX + 1);
	for (size_t i = 0; i < k; i++) {
		n[i] = sets_random() % 60;
		legs[i] = sets_make(&a, &n[i], 4, "", (uint8_t)('a' + sets_random() % 3));
	}
	char *want = slow_merge(&a, legs, n, k);
	bool reversed = shuffled < k && n[shuffled] > 1;
	if (reversed) { /* the tail of this leg comes first */
		struct series_in x = legs[shuffled][0];
		legs[shuffled][0] = legs[shuffled][n[shuffled] - 1];
		legs[shuffled][n[shuffled] - 1] = x;
	}
	for (size_t i = 0; i < k; i++) {
		sets[i] = series_set_of(legs[i], n[i]);
		origin[i] = (struct merge_origin){ "x", 0 };
		origins[i] = &origin[i];
	}
	cr_assert_eq(merge_open(NULL, sets, k, origins, &merged, &e), 0);
	char *got = sets_dump(merged);
	if (!reversed)
		cr_expect_str_eq(got, want, "seed %llu", (unsigned long long)seed);
	for (size_t i = 0; i < k; i++)
		cr_expect_eq(atomic_load(&origin[i].unsorted), reversed && i == shuffled);
	free(got);
	free(want);
	arena_deinit(&a);
}

Test(merge, equals_sorting_and_joining_everything)
{
	for (uint64_t seed = 0; seed < 400; seed++)
		check_merge(seed, SIZE_MAX);
}

Test(merge, a_leg_out_of_order_is_sorted_and_counted)
{
	for (uint64_t seed = 0; seed < 60; seed++)
		check_merge(seed, seed % 3);
}

/* A leg whose order breaks before anything of it was shown late loses nothing. */
Test(merge, an_unsorted_leg_loses_no_series)
{
	struct label l[4] = { { STR("a"), STR("1") },
			      { STR("a"), STR("3") },
			      { STR("a"), STR("2") },
			      { STR("a"), STR("3") } };
	uint8_t byte = 'x';
	struct chunk_view c = { .part[0] = { &byte, 1, CHUNK_XOR } };
	struct series_in v[4], w[1];
	for (int i = 0; i < 4; i++)
		v[i] = (struct series_in){ { &l[i], 1, 0 }, &c, 1 };
	w[0] = v[1];
	struct series_set *sets[2] = { series_set_of(v, 4), series_set_of(w, 1) }, *m;
	struct merge_origin origin = { "10.0.0.1:10901", 0 }, *origins[2] = { &origin };
	struct err e = ERR_INIT;
	cr_assert_eq(merge_open(NULL, sets, 2, origins, &m, &e), 0);
	char *got = sets_dump(m);
	cr_assert(strstr(got, "{a=\"1\"}") && strstr(got, "{a=\"2\"}") &&
		  strstr(got, "{a=\"3\"}"));
	cr_assert_eq(atomic_load(&origin.unsorted), 1);
	free(got);
}

/* Each chunk still tells who sent it, also after its leg was sorted; of equal ones, one of the senders. */
Test(merge, chunks_know_their_origin)
{
	struct label l[2] = { { STR("a"), STR("1") }, { STR("a"), STR("2") } };
	uint8_t byte[2] = { 'x', 'y' };
	struct chunk_view c[2] = {
		{ .part[0] = { &byte[0], 1, CHUNK_XOR } },
		{ .mint_ms = 5, .maxt_ms = 6, .part[0] = { &byte[1], 1, CHUNK_XOR } }
	};
	struct series_in v[2] = { { { &l[1], 1, 0 }, &c[0], 1 },
				  { { &l[0], 1, 0 }, &c[0], 1 } };
	struct series_in w = { { &l[1], 1, 0 }, &c[1], 1 };
	struct merge_origin x = { "x", 0 }, y = { "y", 0 },
			    *origins[3] = { &x, NULL, &y };
	struct series_set *sets[3] = { series_set_of(v, 2), series_set_of(NULL, 0),
				       series_set_of(&w, 1) },
			  *m;
	struct series_set *other = series_set_of(v, 2);
	const struct series_in *s;
	struct err e = ERR_INIT;
	cr_assert_eq(merge_open(NULL, sets, 3, origins, &m, &e), 0);
	size_t seen = 0;
	while (series_set_next(m, NULL, &s, &e) > 0)
		for (size_t i = 0; i < s->n; i++, seen++) {
			const char *who = merge_origin_of(m, &s->chunks[i]);
			cr_assert_str_eq(who, *s->chunks[i].part[0].p == 'x' ? "x" : "y");
			cr_assert_null(merge_origin_of(other, &s->chunks[i]));
		}
	cr_assert_geq(seen, 3);
	cr_assert_null(merge_origin_of(m, &c[0]));
	series_set_close(other);
	series_set_close(m);
}

/* A count that the bytes cannot hold is damage, not a mistake of the caller's. */
Test(decode, a_count_beyond_the_bytes_is_damage)
{
	uint8_t bytes[40] = { 0xff, 0xff };
	struct chunk_view c = { .maxt_ms = 10,
				.part[0] = { bytes, sizeof bytes, CHUNK_XOR } };
	struct sample_cols cols = { 0 };
	struct arena a;
	struct err e = ERR_INIT;
	arena_init(&a, NULL);
	cr_assert_eq(dedup_decode(NULL, &a, &c, 1, SAMPLE_AVG, true, false, 0, 10, &cols,
				  &e),
		     -1);
	cr_assert_eq(e.code, E_CORRUPT);
	arena_deinit(&a);
}

/* ---- added and removed labels ---- */

static void check_relabel(uint64_t seed, const char *own_labels_without)
{
	struct arena a;
	struct err e = ERR_INIT;
	size_t n;
	arena_init(&a, NULL);
	sets_seed(seed);
	n = sets_random() % 80;
	struct series_in *in = sets_make(&a, &n, 6, own_labels_without, 'x'), *want;
	struct label ext[] = { { STR("c"), STR("e1") }, { STR("f"), STR("e2") } };
	struct labels ext_set = { ext + seed % 2, 2 - (uint32_t)(seed % 2), 0 };
	if (seed % 7 == 0)
		ext_set.n = 0;
	want = ARENA_ARRAY(&a, struct series_in, n + 1);
	for (size_t i = 0; i < n; i++) {
		struct label *l = ARENA_ARRAY(&a, struct label, 12);
		want[i] = in[i];
		want[i].labels = labels_merge(l, in[i].labels, ext_set);
	}
	struct series_in *legs[1] = { want };
	sets_sort(want, n);
	char *slow = slow_merge(&a, legs, &n, 1);
	struct series_set *out = NULL;
	cr_assert_eq(relabel_open(NULL, series_set_of(in, n), ext_set, &out, &e), 0);
	char *got = sets_dump(out);
	if (*own_labels_without)
		cr_expect_str_eq(got, slow, "seed %llu", (unsigned long long)seed);
	else /* equal series may be joined from several: compare labels only */
		cr_expect(strlen(got) > 0 || n == 0);
	free(got);
	free(slow);
	arena_deinit(&a);
}

Test(relabel, restores_the_order_of_random_sets)
{
	for (uint64_t seed = 0; seed < 3000; seed++)
		check_relabel(seed, "cf");
}

/* Whatever the input, the output rises strictly and has every relabelled series. */
Test(relabel, series_with_an_added_label_of_their_own_are_sorted_too)
{
	for (uint64_t seed = 0; seed < 1000; seed++) {
		struct arena a;
		struct err e = ERR_INIT;
		size_t n = 60, seen = 0;
		arena_init(&a, NULL);
		sets_seed(seed);
		struct series_in *in = sets_make(&a, &n, 5, seed % 2 ? "e" : "", 'x');
		struct label ext[] = { { STR("c"), STR("0") }, { STR("e"), STR("0") } };
		struct labels ext_set = { ext, 2, 0 }, last = { 0 };
		struct series_set *out = NULL;
		const struct series_in *x;
		cr_assert_eq(relabel_open(NULL, series_set_of(in, n), ext_set, &out, &e),
			     0);
		while (series_set_next(out, NULL, &x, &e) > 0) {
			cr_expect(seen == 0 || labels_cmp(last, x->labels) < 0,
				  "seed %llu", (unsigned long long)seed);
			last = labels_dup(&a, x->labels);
			for (size_t i = 0; i < n; i++) {
				struct label l[12];
				seen += labels_eq(labels_merge(l, in[i].labels, ext_set),
						  x->labels);
			}
		}
		cr_expect_eq(seen, n);
		series_set_close(out);
		arena_deinit(&a);
	}
}

Test(strip, removes_labels_sorts_and_joins)
{
	struct str names[] = { STR("b"), STR("d") };
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct arena a;
		struct err e = ERR_INIT;
		size_t n = 80;
		arena_init(&a, NULL);
		sets_seed(seed);
		struct series_in *in = sets_make(&a, &n, 5, "", 'x');
		struct series_in *want = ARENA_ARRAY(&a, struct series_in, n);
		struct series_in *legs[LEGS_MAX * 8];
		size_t one[LEGS_MAX * 8];
		for (size_t i = 0; i < n; i++) {
			struct label *l = ARENA_ARRAY(&a, struct label, 8);
			want[i] = in[i];
			want[i].labels = labels_drop(l, in[i].labels, names, 2);
			legs[i] = &want[i];
			one[i] = 1;
		}
		char *slow = slow_merge(&a, legs, one, n);
		struct series_set *out = NULL;
		cr_assert_eq(strip_open(NULL, series_set_of(in, n), names, 2, &out, &e),
			     0);
		char *got = sets_dump(out);
		cr_expect_str_eq(got, slow);
		free(got);
		free(slow);
		arena_deinit(&a);
	}
}
