/*
 * Ten times the series, the labels and the chunks: the same memory. Counted by ASan's hooks, byte by byte.
 */
#include <stdio.h>
#include <stdlib.h>

#include "support/tst.h"
#include "unit/tsdb_write/world.h"

#ifdef __SANITIZE_ADDRESS__
/* gcc's sanitizer/allocator_interface.h, which comes with another package than the library. */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *,
								size_t),
					      void (*on_free)(const volatile void *));
size_t __sanitizer_get_allocated_size(const volatile void *p);

#define ID    "01M81YVBWEZNH3H08SPVGX7K64"
#define NAMES 5

static size_t live, peak;

static void on_malloc(const volatile void *p, size_t n)
{
	live += n;
	peak = MAX(peak, live);
}

static void on_free(const volatile void *p)
{
	if (p)
		live -= __sanitizer_get_allocated_size(p);
}

static void label_set(uint32_t i, uint32_t *label)
{
	const uint32_t value[NAMES] = { i / 1000, i % 1000, i * 7 % 11, i, i % 3 };
	for (uint32_t k = 0; k < NAMES; k++) {
		label[2 * k] = k;
		label[2 * k + 1] = NAMES + value[k];
	}
}

static void write_series(struct world *w, struct block_writer *bw, uint32_t n)
{
	static const char *const names[NAMES] = { "__name__", "env", "job", "pod",
						  "rack" };
	struct chunk_encoder *enc = chunk_encoder_new();
	uint32_t label[2 * NAMES];
	for (uint32_t k = 0; k < NAMES; k++)
		cr_assert_eq(block_writer_symbol(bw, &w->ctx, str_of(names[k]), &w->e),
			     0);
	for (uint32_t i = 0; i < n; i++) {
		char s[20];
		int len = snprintf(s, sizeof(s), "value-%07u", i);
		cr_assert_eq(block_writer_symbol(bw, &w->ctx, str_n(s, (size_t)len),
						 &w->e),
			     0);
	}
	for (uint32_t i = 0; i < n; i++) {
		struct chunk_view c[3] = { 0 };
		label_set(i, label);
		chunk_encoder_begin(enc, CHUNK_XOR);
		cr_assert_eq(chunk_encoder_float(enc, 1000, i, &w->e), 0);
		for (unsigned k = 0; k < ARRAY_LEN(c); k++) {
			c[k].mint_ms = 1000 + k;
			c[k].maxt_ms = 1000 + k;
			c[k].part[AGGR_RAW] = chunk_encoder_part(enc);
		}
		cr_assert_eq(block_writer_series(bw, &w->ctx, label, NAMES, c,
						 ARRAY_LEN(c), &w->e),
			     0, "%s", err_text(&w->e));
	}
	chunk_encoder_free(enc);
}

static void check_lists(struct world *w, uint32_t n)
{
	static const struct {
		const char *name, *value;
		uint32_t every;
	} rows[] = { { "job", "value-0000003", 11 },
		     { "rack", "value-0000000", 3 },
		     { "env", "value-0000777", 1000 } };
	struct block *b;
	struct postings p;
	struct matcher m;
	cr_assert_eq(block_open_dir(&w->ctx, world_path(w, "%s/" ID, w->dir), &b, &w->e),
		     0, "%s", err_text(&w->e));
	cr_assert_eq(idx_postings(b->index, &w->ctx, &w->a, NULL, 0, &p, &w->e), 0);
	cr_assert_eq(p.n, n);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cr_assert_eq(matcher_compile(&w->ctx, &w->a, MATCH_EQ,
					     str_of(rows[i].name), str_of(rows[i].value),
					     &m, &w->e),
			     0);
		cr_assert_eq(idx_postings(b->index, &w->ctx, &w->a, &m, 1, &p, &w->e), 0,
			     "%s", err_text(&w->e));
		cr_assert(p.n == n / rows[i].every || p.n == n / rows[i].every + 1,
			  "%s: %zu", rows[i].name, p.n);
	}
	block_unref(b);
}

/* Peak of the heap, beyond what there was before, while a block of n series is written. */
static size_t measure(uint32_t n, struct budget *budget)
{
	struct world w;
	struct block_writer *bw;
	struct block_meta m = { .maxt_ms = 2000 };
	world_begin(&w);
	w.ctx.budget = budget;
	struct block_writer_opts o = { .dir = w.dir,
				       .ulid = world_ulid(ID),
				       .memory = 1 << 20 };
	struct block_writer_stats st;
	size_t before = peak = live;
	cr_assert_eq(block_writer_open(&w.ctx, &o, &bw, &w.e), 0);
	write_series(&w, bw, n);
	cr_assert_eq(block_writer_finish(bw, &w.ctx, &m, false, &st, &w.e), 0, "%s",
		     err_text(&w.e));
	size_t most = peak - before;
	cr_assert_eq(st.series, n);
	cr_assert_eq(budget_used(budget), 0);
	w.ctx.budget = NULL;
	check_lists(&w, n);
	world_end(&w);
	return most;
}

Test(write_memory, does_not_grow_with_series_labels_or_chunks)
{
	struct budget budget;
	__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
	budget_init(&budget, NULL, "block", NULL, 0);
	size_t small = measure(20000, &budget);
	size_t charged = budget.peak;
	size_t large = measure(200000, &budget);
	cr_log_info("20 000 series: %zu bytes, charged %zu; 200 000: %zu, charged %zu",
		    small, charged, large, (size_t)budget.peak);
	cr_assert_leq(large, small + (100 << 10), "%zu, then %zu", small, large);
	cr_assert_leq(large, (size_t)budget.peak + (100 << 10));
	cr_assert_leq(large, (size_t)4 << 20);
	cr_assert_eq(budget.peak, charged);
	budget_deinit(&budget);
}
#endif
