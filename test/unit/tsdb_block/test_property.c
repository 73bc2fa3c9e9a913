#include "support/tst.h"

#include <stdlib.h>

#include "base/vec.h"
#include "unit/tsdb_block/golden.h"
#include "unit/tsdb_block/make_index.h"

/* Random label sets over few names, so that they nest and collide, against a slow reference. */
#define SETS 4000

static uint64_t rng = 0x9e3779b97f4a7c15ull;

static uint32_t rnd(uint32_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng % below);
}

static const char names[6][4] = { "a", "b", "d", "f", "h", "rep" };
static const char values[5][4] = { "1", "1a", "2", "x", "y" };

static int cmp_labels(const void *a, const void *b, void *arg)
{
	(void)arg;
	return labels_cmp(*(const struct labels *)a, *(const struct labels *)b);
}

static size_t unique(struct labels *v, size_t n)
{
	size_t k = 0;
	vec_sort(v, n, sizeof(*v), cmp_labels, NULL);
	for (size_t i = 0; i < n; i++)
		if (k == 0 || !labels_eq(v[k - 1], v[i]))
			v[k++] = v[i];
	return k;
}

static size_t random_sets(struct arena *a, struct labels *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct label *l = ARENA_ARRAY(a, struct label, ARRAY_LEN(names));
		uint32_t k = 0;
		for (size_t j = 0; j < ARRAY_LEN(names); j++)
			if (rnd(3))
				l[k++] = (struct label){
					str_of(names[j]),
					str_of(values[rnd(ARRAY_LEN(values))])
				};
		if (k == 0)
			l[k++] = (struct label){ str_of(names[0]), str_of(values[0]) };
		v[i] = (struct labels){ .l = l, .n = k };
	}
	return unique(v, n);
}

static struct block *block_of(struct fix *f, const struct buf *file)
{
	struct range_source *s = range_source_mem("index", file->p, file->n);
	struct idx_reader *r = NULL;
	struct block_meta meta = { 0 };
	struct block *b = NULL;

	cr_assert_eq(idx_open_index(&f->ctx, s, &r, &f->e), 0, "%s", err_text(&f->e));
	range_source_unref(s);
	cr_assert_eq(block_open_sources(&f->ctx, &meta, r, NULL, NULL, &b, &f->e), 0);
	return b;
}

static void check_order(struct fix *f, struct block *b, const struct labels *sets,
			size_t n)
{
	static const char ext_names[8][4] = { "A", "a", "c", "e", "g", "i", "rep", "zz" };
	struct block_series_req req = req_all;
	struct label ext[2];
	struct str without[1];
	struct labels *want = ARENA_ARRAY(&f->a, struct labels, n);
	struct series_set *set = NULL;
	const struct series_in *s;
	uint32_t e1 = rnd(8), e2 = rnd(8);
	int rc;

	ext[0] = (struct label){ str_of(ext_names[MIN(e1, e2)]), STR("1") };
	ext[1] = (struct label){ str_of(ext_names[MAX(e1, e2)]), STR("2") };
	req.external = (struct labels){ .l = ext, .n = e1 == e2 ? rnd(2) : 2 };
	without[0] = str_of(names[rnd(6)]);
	req.without = without;
	req.n_without = rnd(2);
	req.skip_chunks = true;
	req.batch = rnd(2) ? rnd(20) : 0;
	for (size_t i = 0; i < n; i++) {
		struct label *m = ARENA_ARRAY(&f->a, struct label, 10);
		struct label *d = ARENA_ARRAY(&f->a, struct label, 10);
		want[i] = labels_drop(d, labels_merge(m, sets[i], req.external),
				      req.without, req.n_without);
	}
	n = unique(want, n);
	cr_assert_eq(block_series(b, &f->ctx, &req, &set, &f->e), 0);
	size_t k = 0;
	for (; (rc = series_set_next(set, &f->ctx, &s, &f->e)) > 0; k++)
		cr_assert(k < n && labels_eq(s->labels, want[k]), "series %zu", k);
	cr_assert_eq(rc, 0);
	cr_assert_eq(k, n);
	series_set_close(set);
}

Test(block_property, any_labels_added_or_left_out_keep_the_order)
{
	struct labels *sets = xcalloc(SETS, sizeof(*sets));

	for (int round = 0; round < 12; round++) {
		struct fix f;
		struct buf file;
		fix_begin(&f);
		buf_init(&file, 16 << 20);
		size_t n = random_sets(&f.a, sets, 1 + rnd(SETS));
		make_index(sets, n, &file);
		struct block *b = block_of(&f, &file);
		for (int i = 0; i < 12; i++)
			check_order(&f, b, sets, n);
		block_unref(b);
		buf_deinit(&file);
		fix_end(&f);
	}
	free(sets);
}

static void check_match(struct fix *f, struct block *b, const struct labels *sets,
			size_t n)
{
	static const char re[8][12] = {
		".*", ".+", "1.*", "1|2", "", "|x", "x", ".*[a1]"
	};
	struct matcher m[3];
	struct postings p, all;
	size_t k = 0, n_m = 1 + rnd(3);

	for (size_t i = 0; i < n_m; i++) {
		enum match_type type = (enum match_type)rnd(4);
		const char *v =
			type >= MATCH_RE ? re[rnd(8)] : (rnd(4) ? values[rnd(5)] : "");
		cr_assert_eq(matcher_compile(&f->ctx, &f->a, type,
					     rnd(8) ? str_of(names[rnd(6)]) : STR("none"),
					     str_of(v), &m[i], &f->e),
			     0);
	}
	cr_assert_eq(idx_postings(b->index, &f->ctx, &f->a, NULL, 0, &all, &f->e), 0);
	cr_assert_eq(all.n, n);
	cr_assert_eq(idx_postings(b->index, &f->ctx, &f->a, m, n_m, &p, &f->e), 0);
	for (size_t i = 0; i < n; i++)
		if (matcher_labels(m, n_m, sets[i])) {
			cr_assert(k < p.n && p.ref[k] == all.ref[i]);
			k++;
		}
	cr_assert_eq(k, p.n);
}

Test(block_property, any_matchers_find_what_trying_each_series_finds)
{
	struct labels *sets = xcalloc(SETS, sizeof(*sets));

	for (int round = 0; round < 6; round++) {
		struct fix f;
		struct buf file;
		fix_begin(&f);
		buf_init(&file, 16 << 20);
		size_t n = random_sets(&f.a, sets, 1 + rnd(SETS));
		make_index(sets, n, &file);
		struct block *b = block_of(&f, &file);
		for (int i = 0; i < 100; i++)
			check_match(&f, b, sets, n);
		block_unref(b);
		buf_deinit(&file);
		fix_end(&f);
	}
	free(sets);
}
