/*
 * test/promqltest/promqltest.h - what a script of Prometheus' PromQL test language consists of.
 *
 * Source  prometheus.md §2.11. Times are ms from the epoch. Everything lies in the arena that its maker was given.
 */
#ifndef PROMQLTEST_H
#define PROMQLTEST_H

#include "promql/exec/engine.h"

/* A slot of a series: `_` is omitted, else a float or a histogram. */
struct slot {
	bool omitted;
	bool hint_set; /* counter_reset_hint was written: expectations compare it */
	double v;
	const struct hist *h;
};
struct series_text {
	struct labels labels;
	struct slot *slot;
	size_t n;
};
/* `metric{a="b"} 1 2+3x4 _ {{sum:1}}`; E_PARSE says what is wrong. */
MUST_CHECK int series_text_parse(struct arena *a, struct str line,
				 struct series_text *out, struct err *e);
/* `metric{a="b"}@st -1m _x2 -1m+1sx3`: is it one? Slots are ms in v. */
bool series_text_is_start(struct str line);
MUST_CHECK int series_text_parse_start(struct arena *a, struct str line,
				       struct series_text *out, struct err *e);
/* ParseInt with its prefixes, else ParseFloat. */
bool number_parse(struct str s, double *out);
/* A Go or PromQL string literal. */
MUST_CHECK int string_parse(struct arena *a, struct str s, struct str *out,
			    struct err *e);

/* ---- histograms ---- */
/* The text between {{ and }}. */
MUST_CHECK int hist_text_parse(struct arena *a, struct str s, struct hist **out,
			       bool *hint_set, struct err *e);
/* a + sign * b, as a series `{{}}+{{}}xN` counts on. */
MUST_CHECK int hist_text_step(struct arena *a, const struct hist *x, const struct hist *y,
			      double sign, struct hist **out, struct err *e);
bool hist_almost_eq(const struct hist *want, const struct hist *got, bool hint);
bool almost_eq(double a, double b);

/* ---- storage: real chunks ---- */
struct storage;
struct storage *storage_new(void);
void storage_free(struct storage *s);
void storage_clear(struct storage *s);
/* Slots at 0, step, 2 step, ...; starts: NULL or n slots relative to each sample's time. */
MUST_CHECK int storage_add(struct storage *s, const struct series_text *t,
			   int64_t step_ms, const struct slot *starts, struct err *e);
MUST_CHECK int storage_add_sample(struct storage *s, struct labels ls, int64_t t_ms,
				  const struct slot *v, int64_t st_ms, struct err *e);
struct store *storage_store(struct storage *s);
/* load_with_nhcb: classic histograms of the lines as histograms with custom buckets, too. */
MUST_CHECK int nhcb_add(struct storage *s, const struct series_text *t, size_t n,
			int64_t step_ms, struct err *e);

/* ---- expectations ---- */
enum expect_kind {
	EXPECT_ORDERED,
	EXPECT_FAIL,
	EXPECT_WARN,
	EXPECT_NO_WARN,
	EXPECT_INFO,
	EXPECT_NO_INFO,
	EXPECT_KINDS
};
struct expect {
	enum expect_kind kind;
	struct str message; /* compared whole if re is NULL */
	struct regex *re;
	bool any;
};
struct eval {
	struct str text;
	size_t line;
	bool range;
	int64_t start_ms, end_ms, step_ms; /* instant: start is the time */
	struct expect *expect;
	size_t n_expect;
	bool some_warn, some_info; /* of the old _warn and _info */
	bool wants_scalar, wants_string, range_vector;
	double scalar;
	struct str string;
	int64_t from_ms, to_ms, every_ms; /* of a range vector */
	struct series_text *series;
	size_t n_series;
};
bool eval_wants(const struct eval *ev, enum expect_kind kind);
/* An error answers the expectation to fail: true. */
bool expect_error(const struct eval *ev, struct str got);
/* false with why in `out`. */
bool expect_notes(const struct eval *ev, const struct notes_view *got, struct buf *out);
bool expect_result(const struct eval *ev, const struct promql_result *got,
		   struct buf *out);

/* ---- one eval with all its executions; false with why in `out` ---- */
struct runner {
	struct task_pool *pool;
	struct storage *storage;
	size_t passed, failed;
	bool eager_names; /* metric names go at once, as without promql-delayed-name-removal */
	bool type_labels; /* as with type-and-unit-labels */
};
bool eval_run(struct runner *r, const struct eval *ev, struct buf *out);

#endif
