/*
 * promql/exec/histq_notes.c - annotations of histogram_quantile and its kin.  Source  prometheus.md §2.8
 */
#include "promql/exec/histq_int.h"

#include "base/time.h"
#include "wire/num.h"

/*
 * Where counts had to be made to rise, over all of one metric.
 *
 * COMPAT: Prometheus 3.14 merges what several calls say of one metric, and shows the place of the call that is evaluated first;
 * of all other annotations, the place of the last (anno.c).
 */
struct forced_note {
	struct forced_note *next;
	const struct expr *at;
	struct str name; /* empty while names are dropped early */
	uint64_t count;
	int64_t mint_ms, maxt_ms;
	struct forced f;
};

/* Metrics are named only while their names are still there: where they are dropped at the end of the query. */
static struct str name_of(const struct exec *x, struct labels ls)
{
	return x->q->delayed_names ? labels_get(ls, LABEL_NAME) : STR_NULL;
}

/* ` for metric name "x"` */
static void put_name(struct str name, struct buf *out)
{
	if (!name.n)
		return;
	buf_str(out, STR(" for metric name "));
	label_quote(name, out);
}

enum level { WARN, INFO };

static void say(struct exec *x, const struct expr *at, enum level level, struct str name,
		const char *text)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	put_name(name, &b);
	if (level == WARN)
		anno_warn(x, at, "%s%.*s", text, STR_FMT(buf_view(&b)));
	else
		anno_info(x, at, "%s%.*s", text, STR_FMT(buf_view(&b)));
	buf_deinit(&b);
}

void histq_say_notes(struct op_histq *o, struct exec *x, struct labels ls, unsigned notes)
{
	struct str name = name_of(x, ls);
	if (notes & HIST_NAN_RESULT)
		say(x, o->vector, INFO, name,
		    "input to histogram_quantile has NaN observations, result is NaN");
	if (notes & HIST_NAN_SKEW)
		say(x, o->vector, INFO, name,
		    "input to histogram_quantile has NaN observations, result is skewed "
		    "higher");
	if (notes & HIST_NAN_EXCLUDED)
		say(x, o->vector, INFO, name,
		    "input to histogram_fraction has NaN observations, which are excluded "
		    "from all fractions");
}

void histq_say_bad_le(struct op_histq *o, struct exec *x, struct labels ls, struct str le)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	label_quote(le, &b);
	put_name(name_of(x, ls), &b);
	anno_warn(x, o->vector,
		  "bucket label \"le\" is missing or has a malformed value of %.*s",
		  STR_FMT(buf_view(&b)));
	buf_deinit(&b);
}

void histq_say_mixed(struct op_histq *o, struct exec *x, struct labels ls)
{
	say(x, o->vector, WARN, name_of(x, ls),
	    "vector contains a mix of classic and native histograms");
}

void histq_warn_quantiles(struct op_histq *o, struct exec *x)
{
	for (size_t k = 0; k < o->n_params; k++) {
		const double *q = o->param[k].v;
		for (uint32_t i = 0; i < o->op.grid.n; i++) {
			if (q[i] >= 0 && q[i] <= 1)
				continue;
			if (i && f64_bits(q[i]) == f64_bits(q[i - 1]))
				continue;
			char num[NUM_MAX];
			size_t len = num_f64_g(num, q[i]);
			anno_warn_by(x, o->op.expr, o->param_expr[k],
				     "quantile value should be between 0 and 1, got %.*s",
				     (int)len, num);
		}
	}
}

static struct forced_note *forced_of(struct forced_note *n, struct str name)
{
	while (n && !str_eq(n->name, name))
		n = n->next;
	return n;
}

static void merge_forced(struct forced_note *to, const struct forced_note *n)
{
	to->count += n->count;
	to->mint_ms = MIN(to->mint_ms, n->mint_ms);
	to->maxt_ms = MAX(to->maxt_ms, n->maxt_ms);
	to->f.min_bucket = MIN(to->f.min_bucket, n->f.min_bucket);
	to->f.max_bucket = MAX(to->f.max_bucket, n->f.max_bucket);
	to->f.max_diff = MAX(to->f.max_diff, n->f.max_diff);
	if (n->at->end < to->at->end)
		to->at = n->at;
}

void histq_note_forced(struct op_histq *o, struct exec *x, struct labels ls, int64_t t_ms,
		       const struct forced *f)
{
	struct forced_note one = { NULL, o->vector, name_of(x, ls), 1, t_ms, t_ms, *f };
	struct forced_note *n = forced_of(o->forced, one.name);
	if (n) {
		merge_forced(n, &one);
		return;
	}
	n = ARENA_NEW(x->arena, struct forced_note);
	*n = one;
	n->name = str_dup(x->arena, one.name);
	n->next = o->forced;
	o->forced = n;
}

void histq_say_forced(struct op_histq *o, struct exec *x)
{
	struct annos *all = &x->annos;
	pthread_mutex_lock(&all->mu);
	for (struct forced_note *n = o->forced, *next; n; n = next) {
		struct forced_note *have = forced_of(all->forced, n->name);
		next = n->next;
		if (have) {
			merge_forced(have, n);
			continue;
		}
		n->next = all->forced;
		all->forced = n;
	}
	o->forced = NULL;
	pthread_mutex_unlock(&all->mu);
}

static void add_forced(struct exec *x, const struct forced_note *n)
{
	struct buf b;
	char lo[NUM_MAX], hi[NUM_MAX], from[40], to[40];
	size_t nl = num_f64_g(lo, n->f.min_bucket), nh = num_f64_g(hi, n->f.max_bucket);
	time_format_rfc3339(from, n->mint_ms / 1000, 0, 0);
	time_format_rfc3339(to, n->maxt_ms / 1000, 0, 0);
	buf_init(&b, 1 << 20);
	put_name(n->name, &b);
	anno_info(
		x, n->at,
		"input to histogram_quantile needed to be fixed for monotonicity (see "
		"https://prometheus.io/docs/prometheus/latest/querying/functions/"
		"#histogram_quantile)%.*s, from buckets %.*s to %.*s, with a max diff of %.2g, "
		"over %llu samples from %s to %s",
		STR_FMT(buf_view(&b)), (int)nl, lo, (int)nh, hi, n->f.max_diff,
		(unsigned long long)n->count, from, to);
	buf_deinit(&b);
}

void annos_add_forced(struct exec *x)
{
	for (const struct forced_note *n = x->annos.forced; n; n = n->next)
		add_forced(x, n);
}
