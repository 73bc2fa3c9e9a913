/*
 * base/budget.c - byte ledgers in a tree.
 *
 * A ledger has two counts: `used`, charged here, and `drawn`, what it holds of its parent's. The
 * invariant at rest is drawn >= used. A charge first raises `used` (refused beyond the limit), then
 * draws until drawn covers it. Giving back first lowers `used`, then lowers `drawn` and returns the
 * difference, but keeps one step in hand so that a ledger that swings around a multiple of the step
 * does not touch its parent each time.
 *
 * The race between the two: a giver lowers `drawn` while a taker has just raised `used` and still saw
 * the old `drawn`. Both write one count and then read the other (sequentially consistent), so at
 * least one sees the other; the giver looks again after lowering and takes its step back if need be,
 * before the bytes went to the parent. No ledger with a limit is passed except by budget_force.
 */
#include "base/budget.h"

#define STEP_BYTES ((size_t)1 << 20)

void budget_init(struct budget *b, struct budget *parent, const char *name,
		 const char *flag, size_t limit)
{
	b->parent = parent;
	b->name = name;
	b->flag = flag;
	b->limit = limit;
	b->step = parent ? STEP_BYTES : 1;
	atomic_init(&b->used, 0);
	atomic_init(&b->drawn, 0);
	atomic_init(&b->peak, 0);
	atomic_init(&b->refused, false);
	atomic_init(&b->starved, false);
	atomic_init(&b->starved_by, 0);
	b->spare = b->little = b->floor = 0;
}

void budget_deinit(struct budget *b)
{
	BUG_ON(atomic_load(&b->used) != 0);
	size_t drawn = atomic_exchange(&b->drawn, 0);
	if (b->parent && drawn)
		budget_give(b->parent, drawn);
}

static size_t round_up(size_t n, size_t step)
{
	if (step <= 1 || n > SIZE_MAX - step)
		return n;
	return (n + step - 1) / step * step;
}

static void note_peak(struct budget *b, size_t used)
{
	size_t peak = atomic_load_explicit(&b->peak, memory_order_relaxed);
	while (used > peak &&
	       !atomic_compare_exchange_weak_explicit(&b->peak, &peak, used,
						      memory_order_relaxed,
						      memory_order_relaxed))
		;
}

static int refuse(const struct budget *b, struct ctx *ctx, struct err *e)
{
	if (!b->flag)
		return err_set(ctx, e, E_LIMIT, "%s memory limit of %zu bytes exceeded",
			       b->name, b->limit);
	return err_set(ctx, e, E_LIMIT,
		       "%s memory limit of %zu bytes exceeded (set by %s%s)", b->name,
		       b->limit, b->flag[0] == '-' ? "" : "--", b->flag);
}

static int take(struct budget *b, struct ctx *ctx, size_t n, size_t keep_free,
		struct err *e);

/* What is to stay free in the parent when b has drawn `total`. */
static size_t spared(const struct budget *b, size_t total)
{
	return total > b->parent->little ? b->parent->spare : 0;
}

static void starved(struct budget *b, size_t drawn)
{
	size_t all = atomic_load_explicit(&b->parent->used, memory_order_relaxed);
	atomic_store_explicit(&b->starved_by, all - MIN(all, drawn),
			      memory_order_relaxed);
	atomic_store_explicit(&b->starved, true, memory_order_relaxed);
}

/* Make drawn >= used. */
static int draw(struct budget *b, size_t used, struct ctx *ctx, struct err *e)
{
	size_t drawn = atomic_load(&b->drawn);
	while (drawn < used) {
		size_t more = round_up(used, b->step) - drawn;
		/* Near the parent's limit a whole step may be too much, the bytes not. */
		if (take(b->parent, NULL, more, spared(b, drawn + more), NULL) < 0) {
			more = used - drawn;
			if (take(b->parent, ctx, more, spared(b, used), e) < 0) {
				starved(b, drawn);
				return -1;
			}
		}
		if (atomic_compare_exchange_strong(&b->drawn, &drawn, drawn + more))
			return 0;
		budget_give(b->parent, more);
	}
	return 0;
}

static int take(struct budget *b, struct ctx *ctx, size_t n, size_t keep_free,
		struct err *e)
{
	size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
	do {
		size_t limit = b->limit ? b->limit - MIN(keep_free, b->limit) : SIZE_MAX;
		if (n > limit || used > limit - n)
			return refuse(b, ctx, e);
	} while (!atomic_compare_exchange_weak(&b->used, &used, used + n));
	if (b->parent && draw(b, used + n, ctx, e) < 0) {
		atomic_fetch_sub(&b->used, n);
		return -1;
	}
	note_peak(b, used + n);
	return 0;
}

int budget_take(struct budget *b, struct ctx *ctx, size_t n, struct err *e)
{
	if (!b || take(b, ctx, n, 0, e) == 0)
		return 0;
	atomic_store_explicit(&b->refused, true, memory_order_relaxed);
	return -1;
}

bool budget_refused(const struct budget *b)
{
	return b && atomic_load_explicit(&b->refused, memory_order_relaxed);
}

int budget_reserve(struct budget *b, struct ctx *ctx, size_t n, struct err *e)
{
	BUG_ON(!b->parent || b->floor || atomic_load(&b->used) != 0);
	if (take(b->parent, ctx, n, spared(b, n), e) < 0)
		return -1;
	atomic_fetch_add(&b->drawn, n);
	b->floor = n;
	return 0;
}

void budget_force(struct budget *b, size_t n)
{
	if (!b)
		return;
	size_t used = atomic_fetch_add(&b->used, n) + n;
	note_peak(b, used);
	if (!b->parent)
		return;
	size_t drawn = atomic_load(&b->drawn);
	while (drawn < used) {
		size_t more = round_up(used, b->step) - drawn;
		if (budget_take(b->parent, NULL, more, NULL) < 0) {
			more = used - drawn;
			budget_force(b->parent, more);
		}
		if (atomic_compare_exchange_strong(&b->drawn, &drawn, drawn + more))
			return;
		budget_give(b->parent, more);
	}
}

void budget_give(struct budget *b, size_t n)
{
	if (!b || n == 0)
		return;
	size_t before = atomic_fetch_sub(&b->used, n);
	BUG_ON(before < n);
	if (!b->parent)
		return;
	size_t keep = round_up(before - n, b->step);
	keep = keep > SIZE_MAX - b->step ? keep : keep + b->step;
	keep = MAX(keep, b->floor);
	size_t drawn = atomic_load(&b->drawn);
	if (drawn <= keep || !atomic_compare_exchange_strong(&b->drawn, &drawn, keep))
		return; /* whoever changed it looks for itself */
	if (atomic_load(&b->used) > keep)
		atomic_fetch_add(&b->drawn, drawn - keep);
	else
		budget_give(b->parent, drawn - keep);
}

size_t budget_used(const struct budget *b)
{
	return b ? atomic_load_explicit(&b->used, memory_order_relaxed) : 0;
}

size_t budget_left(const struct budget *b)
{
	if (!b)
		return SIZE_MAX;
	size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
	size_t left = !b->limit ? SIZE_MAX : b->limit > used ? b->limit - used : 0;
	if (!b->parent)
		return left;
	size_t drawn = atomic_load_explicit(&b->drawn, memory_order_relaxed);
	size_t spare = drawn > used ? drawn - used : 0;
	size_t above = budget_left(b->parent);
	above -= MIN(above, spared(b, drawn));
	above = above > SIZE_MAX - spare ? SIZE_MAX : above + spare;
	return MIN(left, above);
}
