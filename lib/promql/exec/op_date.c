/*
 * promql/exec/op_date.c - year, month, day_of_month, ..., minute: parts of a UTC date, of each value taken as Unix seconds,
 * or of the evaluation time where there is no argument.
 *
 * The calendar is the Gregorian one without beginning, counted in days from a 1 March long before any int64 of seconds, in
 * unsigned arithmetic that wraps, as Go's time package does: what is no date (NaN, 1e300) has the parts that it has there.
 */
#include "promql/exec/exec_int.h"

#include <math.h>

#define DAY_S	  86400u
#define ERA_DAYS  146097u /* of 400 years */
#define ZERO_YEAR (-292277022400)
#define UNIX_TO_ZERO                                                                     \
	9223372028741760000ull /* seconds from 1 March of that year to 1970 */

struct date {
	int64_t year;
	unsigned month, day, year_day, week_day, hour, minute;
	bool leap;
};

static bool is_leap(int64_t y)
{
	return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

static struct date date_of(int64_t unix_s)
{
	uint64_t s = (uint64_t)unix_s + UNIX_TO_ZERO, days = s / DAY_S;
	unsigned rest = (unsigned)(s % DAY_S), in_era = (unsigned)(days % ERA_DAYS);
	unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	unsigned from_march = in_era - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * from_march + 2) / 153; /* 0: March */
	bool next = month >= 10; /* January and February are of the next year */
	struct date d = { .year = ZERO_YEAR + (int64_t)(days / ERA_DAYS) * 400 + year +
				  next,
			  .month = next ? month - 9 : month + 3,
			  .day = from_march - (153 * month + 2) / 5 + 1,
			  .week_day = (unsigned)((days + 3) % 7),
			  .hour = rest / 3600,
			  .minute = rest % 3600 / 60 };
	d.leap = is_leap(d.year);
	d.year_day = next ? from_march - 305 : from_march + 60 + d.leap;
	return d;
}

static double part_of(enum fn_id fn, int64_t unix_s)
{
	static const uint8_t month_days[] = { 31, 28, 31, 30, 31, 30,
					      31, 31, 30, 31, 30, 31 };
	struct date d = date_of(unix_s);
	switch (fn) {
	case FN_ID_year: return (double)d.year;
	case FN_ID_month: return d.month;
	case FN_ID_day_of_month: return d.day;
	case FN_ID_day_of_year: return d.year_day;
	case FN_ID_day_of_week: return d.week_day;
	case FN_ID_days_in_month:
		return month_days[d.month - 1] + (d.month == 2 && d.leap);
	case FN_ID_hour: return d.hour;
	case FN_ID_minute: return d.minute;
	default: break;
	}
	BUG_ON(true);
}

/* As amd64 converts: towards zero, and the least integer for what has none. */
static int64_t whole(double v)
{
	return fabs(v) < 9223372036854775808.0 ? (int64_t)v : INT64_MIN;
}

static int date_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	int rc = op_next(op->in[0], x, out, e);
	if (rc <= 0)
		return rc;
	size_t n = 0;
	for (size_t k = 0; k < (*out)->n; k++) {
		struct row r = (*out)->row[k];
		EACH_BIT(i, r.bits, op->grid.n)
		{
			if (r.h && r.h[i])
				bit_clear(r.bits, i);
			else
				r.v[i] = part_of(op->expr->call.fn, whole(r.v[i]));
		}
		r.h = NULL;
		row_drop_name(x, &r);
		if (bits_any(r.bits, op->grid.n))
			(*out)->row[n++] = r;
	}
	(*out)->n = n;
	return 1;
}

static const struct op_ops date_ops = { "date", NULL, date_next, NULL };

/* ---- of the evaluation time ---- */

struct op_now {
	struct op op;
	struct row row;
	struct batch out;
	bool done;
};

static int now_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_now *o = (struct op_now *)op;
	if (o->done)
		return 0;
	o->done = true;
	if (row_new(x, x->arena, op->grid.n, false, &o->row, e) < 0)
		return -1;
	o->row.labels = (struct labels){ 0 };
	for (uint32_t i = 0; i < op->grid.n; i++)
		o->row.v[i] = part_of(op->expr->call.fn, grid_at(op->grid, i) / 1000);
	bits_fill(o->row.bits, op->grid.n);
	o->out = (struct batch){ &o->row, 1 };
	*out = &o->out;
	return 1;
}

static const struct op_ops now_ops = { "date-now", NULL, now_next, NULL };

int op_date_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		struct err *err)
{
	if (e->call.n == 0) {
		*out = op_alloc(x, sizeof(struct op_now), &now_ops, g, TYPE_VECTOR, e);
		(*out)->unique = (*out)->nameless = true;
		return 0;
	}
	struct op *op = op_alloc(x, sizeof(*op), &date_ops, g, TYPE_VECTOR, e);
	if (plan_expr(x, e->call.arg[0], g, &op->in[0], err) < 0)
		return -1;
	return op_unique_new(x, op, out);
}
