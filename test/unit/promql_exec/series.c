#include "series.h"

#include <math.h>

#include "model/chunk.h"
#include "promql/exec/start_time.h"

static uint64_t state;

void series_seed(uint64_t seed)
{
	state = seed * 2654435769u + 88172645463325252ull;
}

uint64_t series_random(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % n;
}

static double value(unsigned like, double before)
{
	static const double odd[] = { NAN, INFINITY, -INFINITY, -0.0 };
	if ((like & SERIES_NAN) && series_random(12) == 0)
		return odd[series_random(ARRAY_LEN(odd))];
	if ((like & SERIES_HUGE) && series_random(2))
		return ldexp((double)series_random(1u << 30) - 5e8,
			     980 + (int)series_random(16));
	if (like & SERIES_SMALL)
		return (double)series_random(5) - 2;
	if (like & SERIES_FALLS)
		return series_random(6) && before == before && fabs(before) < 1e9
			       ? before + (double)series_random(50) / 8
			       : (double)series_random(10);
	return ldexp((double)series_random(1u << 30) - 5e8, (int)series_random(40) - 30);
}

void series_make(struct rand_series *s, unsigned like)
{
	static const struct hist hist = { .count = 1, .sum = 1 };
	size_t n = series_random(SERIES_MAX) + 1;
	int64_t now = (int64_t)series_random(20000);
	double before = 0;
	for (size_t i = 0; i < n; i++) {
		s->t[i] = now + (series_random(8) ? 0 : (int64_t)series_random(500));
		now += 15000 * (int64_t)(series_random(20) ? 1 : 1 + series_random(30));
		before = s->v[i] = value(like, before);
		s->h[i] = (like & SERIES_HISTS) && series_random(10) == 0 ? &hist : NULL;
		s->st[i] = 0;
		int64_t last = i ? s->t[i - 1] : s->t[i] - 15000;
		switch (series_random(6)) {
		case 0: s->st[i] = last; break;
		case 1: s->st[i] = last + 1 + (int64_t)series_random(9000); break;
		case 2: s->st[i] = i ? s->st[i - 1] : 0; break;
		case 3: s->st[i] = s->t[i] + (int64_t)series_random(2); break;
		case 4: s->st[i] = last - (int64_t)series_random(40000); break;
		default: break;
		}
	}
	s->cols = (struct series_cols){ .t_ms = s->t,
					.v = s->v,
					.h = like & SERIES_HISTS ? s->h : NULL,
					.st_ms = like & SERIES_STARTS ? s->st : NULL,
					.n = n };
}

struct range_call call_make(void)
{
	static const int64_t steps[] = { 60000, 15000, 1000, 7000, 400000 },
			     ranges[] = { 300000, 30000, 61000, 15000, 1500000 };
	return (struct range_call){
		.grid = { (int64_t)series_random(60000) - 30000,
			  steps[series_random(ARRAY_LEN(steps))],
			  (uint32_t)series_random(STEPS_MAX) + 1 },
		.range_ms = ranges[series_random(ARRAY_LEN(ranges))],
		.offset_ms = series_random(3) ? 0 : 45000,
		.fixed = series_random(10) == 0,
		.at_ms = (int64_t)series_random(1000000),
		.look_ms = 100000,
	};
}

int answer_of(struct answer *a, const struct range_call *c, const struct series_cols *s,
	      enum fn_id fn,
	      int (*eval)(const struct range_call *, const struct series_cols *,
			  struct range_env *, struct row *))
{
	static const struct expr arg = { .kind = EXPR_MATRIX, .pos = 3 };
	struct expr *args[1] = { (struct expr *)(uintptr_t)&arg };
	struct expr call = { .kind = EXPR_CALL };
	struct promql_query q = { .text = STR("f(metric[5m])") };
	struct ctx ctx;
	struct notes_view notes;
	struct sample_tally tally = { 0 };
	call.call.fn = fn;
	call.call.arg = args;
	call.call.n = 1;
	*a = (struct answer){ .err = ERR_INIT };
	arena_init(&a->arena, NULL);
	ctx_init(&ctx, NULL, 0);
	struct exec x = { .ctx = &ctx, .q = &q, .arena = &a->arena };
	annos_init(&x.annos);
	struct range_call with = *c;
	with.call = &call;
	with.at = &arg;
	with.tally = &tally;
	struct range_env env = {
		.x = &x, .arena = &a->arena, .metric = STR("metric"), .e = &a->err
	};
	struct row row = { .v = a->v, .bits = a->bits };
	int rc = eval ? eval(&with, s, &env, &row)
		      : range_fn_of(fn)->eval(&with, s, &env, &row);
	start_overlaps_say(&x);
	annos_tell(&x);
	annos_deinit(&x.annos);
	notes_view(ctx.notes, &a->arena, &notes);
	a->n_warnings = notes.n_warnings;
	a->n_infos = notes.n_infos;
	if (notes.n_warnings)
		a->warning = str_dup(&a->arena, notes.warnings[0]);
	if (notes.n_infos)
		a->info = str_dup(&a->arena, notes.infos[0]);
	a->samples = tally.n;
	ctx_deinit(&ctx);
	return rc;
}

void answer_free(struct answer *a)
{
	arena_deinit(&a->arena);
}

size_t plain_window(const struct series_cols *s, int64_t from, int64_t to, double *v,
		    int64_t *t, size_t *hists)
{
	size_t n = 0;
	*hists = 0;
	for (size_t k = 0; k < s->n; k++) {
		if (s->t_ms[k] <= from || s->t_ms[k] > to)
			continue;
		if (s->h && s->h[k]) {
			++*hists;
			continue;
		}
		t[n] = s->t_ms[k];
		v[n++] = s->v[k];
	}
	return n;
}

bool same_bits(double a, double b)
{
	return f64_bits(a) == f64_bits(b) || (isnan(a) && isnan(b));
}
