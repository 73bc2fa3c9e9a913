/*
 * metrics/metrics.h - what a process tells about itself: families declared as rows, cells
 * that are looked up once and kept, text exposition.
 *
 *   enum { M_RUNS, M_OPS, M_COUNT };
 *   static const struct metric_desc rows[M_COUNT] = {
 *     [M_RUNS] = { METRIC_COUNTER, "thanos_compact_iterations_total", "Passes finished.",
 *     {0} },
 *     [M_OPS]  = { METRIC_COUNTER, "thanos_objstore_bucket_operations_total", "Calls.",
 *                  { "bucket", "operation" } } };
 *   struct metric_set *m = metric_set_new(reg, rows, M_COUNT);
 *   struct metric *gets = metric_at(m, M_OPS, STR("b1"), STR("get"));
 *   metric_inc(gets);
 *
 * Thread  SHARED: counting touches a per-thread slot or an atomic; metric_at takes a
 * lock.
 * Memory  each family has a bound of cells (default 1000); beyond it one cell with every
 * label
 *         value "other" takes all.
 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include "base/buf.h"

enum metric_kind {
	METRIC_COUNTER,
	METRIC_GAUGE,
	METRIC_HISTOGRAM, /* classic; bounds in the row */
	METRIC_SUMMARY,	  /* of the last ten minutes; quantiles in the row's bounds */
};
#define METRIC_MAX_LABELS 6

struct metric_desc {
	enum metric_kind kind;
	const char *name, *help;
	const char *labels[METRIC_MAX_LABELS]; /* NULL-ended */
	const double *bounds; /* ascending; HISTOGRAM: without +Inf; SUMMARY: 0 to 1 */
	uint32_t n_bounds;
	uint32_t max_cells; /* 0: 1000 */
	const char
		*alias; /* a second name under which the family is also shown, or NULL */
};

struct metric_registry;
struct metric_set;
struct metric;

struct metric_registry *metric_registry_new(void);
void metric_registry_free(struct metric_registry *r);
/* Rows must outlive the registry; the set is owned by it. A family may be registered by
 * several sets (same kind and labels): equal label values are then the same cell. A
 * family without labels has its one cell from the start, so that it is shown as 0. */
struct metric_set *metric_set_new(struct metric_registry *r,
				  const struct metric_desc *rows, uint32_t n);
/* The cell of family `row` with these label values (cut at 1024 bytes), made at need;
 * valid as long as the registry, or until it is dropped. */
struct metric *metric_cell(struct metric_set *m, uint32_t row, const struct str *values,
			   size_t n);
#define metric_at(m, row, ...)                                                           \
	metric_cell((m), (row), (const struct str[]){ __VA_ARGS__ },                     \
		    sizeof((const struct str[]){ __VA_ARGS__ }) / sizeof(struct str))
#define metric_plain(m, row) metric_cell((m), (row), NULL, 0)
/* Remove a cell (an endpoint that went away); the pointer is dead afterwards. */
void metric_drop(struct metric_set *m, struct metric *c);

void metric_inc(struct metric *c);
void metric_add(struct metric *c, double v); /* counters ignore v < 0 and NaN */
void metric_set_value(struct metric *c, double v);
void metric_observe(struct metric *c, double v);
double
metric_value(const struct metric *c); /* counter, gauge; histogram, summary: count */
/* The value of a counter or gauge is asked at exposition; fn must be SHARED, must not
 * block and must not use this registry. fn NULL: no more; when it returns, the old fn is
 * not running. */
void metric_callback(struct metric *c, double (*fn)(void *arg), void *arg);

/* process_* of this process, refreshed at exposition. Once a registry. */
void metric_process_register(struct metric_registry *r);

/* Text format 0.0.4 (families sorted by name, cells by label values) or OpenMetrics 1.0;
 * a buf that is too small fails as always (buf_check). May run on a loop: nothing in it
 * waits but for the lock. */
void metric_write_text(struct metric_registry *r, bool openmetrics, struct buf *out);

#endif
