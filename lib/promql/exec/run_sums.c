#include "promql/exec/run_sums.h"

#include <math.h>

#include "model/chunk.h"

#define MANTISSA   ((1ull << 52) - 1)
#define HIDDEN	   (1ull << 52)
#define EXPONENT_0 1075 /* biased exponent of whole numbers below 2^53 */
/* Sums and units stay far from where floats end. */
#define LEAST_EXPONENT	  64
#define GREATEST_EXPONENT 1980

/* ---- anew, as Prometheus does ---- */

static double sum_anew(const double *v, size_t n)
{
	double sum = 0, c = 0;
	for (size_t k = 0; k < n; k++)
		kahan_add(v[k], &sum, &c);
	return isinf(sum) ? sum : sum + c;
}

static double avg_anew(const double *v, size_t n)
{
	double sum = v[0], c = 0, mean = 0;
	bool incremental = false;
	for (size_t k = 1; k < n; k++) {
		double count = (double)(k + 1);
		if (!incremental) {
			double s2 = sum, c2 = c;
			kahan_add(v[k], &s2, &c2);
			if (!isinf(s2)) {
				sum = s2;
				c = c2;
				continue;
			}
			incremental =
				true; /* the sum overflows: go on with the mean itself */
			mean = sum / (count - 1);
			c /= count - 1;
		}
		double q = (count - 1) / count;
		mean = q * mean;
		c = q * c;
		kahan_add(v[k] / count, &mean, &c);
	}
	return incremental ? mean + c : sum / (double)n + c / (double)n;
}

/* ---- exact ---- */

static unsigned exponent_of(uint64_t bits)
{
	return bits >> 52 & 2047;
}

/* The lowest bit set of any value, and the greatest exponent. False: not all are numbers of a middling size. */
static bool survey(const double *v, size_t n, unsigned *lowest, unsigned *greatest)
{
	unsigned low = 4095, max = 0, least = 4095;
	for (size_t k = 0; k < n; k++) {
		uint64_t u = f64_bits(v[k]);
		unsigned e = exponent_of(u);
		if (u << 1 == 0)
			continue;
		least = MIN(least, e);
		max = MAX(max, e);
		low = MIN(low, e + (unsigned)__builtin_ctzll(u | HIDDEN));
	}
	*lowest = max ? low : EXPONENT_0;
	*greatest = max ? max : EXPONENT_0;
	return least >= LEAST_EXPONENT && max <= GREATEST_EXPONENT;
}

/* In units of the lowest bit, what is below it cut off. */
static __int128 whole_of(double v, unsigned lowest)
{
	uint64_t u = f64_bits(v);
	if (u << 1 == 0)
		return 0;
	unsigned e = exponent_of(u);
	uint64_t m = (u & MANTISSA) | HIDDEN;
	__int128 x = e >= lowest ? (__int128)m << (e - lowest)
				 : (__int128)(m >> MIN(lowest - e, 63u));
	return u >> 63 ? -x : x;
}

static bool overlaps(const struct range_call *c, int64_t least)
{
	return c->grid.n >= least && (c->fixed || c->range_ms / c->grid.step_ms >= least);
}

static int sum_up(struct run_sums *r, const double *v, size_t n, unsigned lowest,
		  unsigned greatest, struct range_env *env)
{
	__int128 *upto = range_scratch(env, (n + 1) * sizeof(*upto)), sum = 0;
	if (!upto)
		return -1;
	for (size_t k = 0; k < n; k++) {
		upto[k] = sum;
		sum += whole_of(v[k], lowest);
	}
	upto[n] = sum;
	r->upto = upto;
	r->unit = ldexp(1, (int)lowest - EXPONENT_0);
	r->least = ldexp(RUN_SUMS_LOST, (int)greatest - 1022);
	return 0;
}

int run_sums_open(struct run_sums *r, const struct range_call *c, const double *v,
		  size_t n, struct range_env *env)
{
	unsigned lowest, greatest;
	*r = (struct run_sums){ .v = v };
	if (n == 0 || !overlaps(c, RUN_SUMS_OVERLAP) || !survey(v, n, &lowest, &greatest))
		return 0;
	unsigned bits = greatest + 53 - lowest + (64 - (unsigned)__builtin_clzll(n));
	return bits > 126 ? 0 : sum_up(r, v, n, lowest, greatest, env);
}

/* ---- squares ---- */

#define SQUARE_BITS 62 /* of a value */

static void wide_add(struct wide *a, unsigned __int128 b)
{
	unsigned __int128 low = (unsigned __int128)a->w[0] + (uint64_t)b;
	unsigned __int128 mid =
		(unsigned __int128)a->w[1] + (uint64_t)(b >> 64) + (uint64_t)(low >> 64);
	a->w[0] = (uint64_t)low;
	a->w[1] = (uint64_t)mid;
	a->w[2] += (uint64_t)(mid >> 64);
}

static struct wide wide_sub(struct wide a, struct wide b)
{
	uint64_t borrow = 0;
	for (int i = 0; i < 3; i++) {
		unsigned __int128 d = (unsigned __int128)a.w[i] - b.w[i] - borrow;
		a.w[i] = (uint64_t)d;
		borrow = (uint64_t)(d >> 64) & 1;
	}
	return a;
}

static struct wide wide_times(struct wide a, uint64_t n)
{
	uint64_t carry = 0;
	for (int i = 0; i < 3; i++) {
		unsigned __int128 p = (unsigned __int128)a.w[i] * n + carry;
		a.w[i] = (uint64_t)p;
		carry = (uint64_t)(p >> 64);
	}
	return a;
}

static struct wide wide_square(unsigned __int128 x)
{
	uint64_t low = (uint64_t)x, high = (uint64_t)(x >> 64);
	struct wide r = wide_times((struct wide){ { low, high, 0 } }, low),
		    s = wide_times((struct wide){ { low, high, 0 } }, high);
	/* one limb up; what is beyond 192 bits is nothing, as its caller sees to */
	unsigned __int128 up = (unsigned __int128)s.w[1] << 64 | s.w[0];
	unsigned __int128 mid = ((unsigned __int128)r.w[2] << 64 | r.w[1]) + up;
	return (struct wide){ { r.w[0], (uint64_t)mid, (uint64_t)(mid >> 64) } };
}

static double wide_float(struct wide a)
{
	return (double)a.w[2] * 0x1p128 + (double)a.w[1] * 0x1p64 + (double)a.w[0];
}

int run_sums_open_squares(struct run_sums *r, const struct range_call *c, const double *v,
			  size_t n, struct range_env *env)
{
	unsigned lowest, greatest;
	*r = (struct run_sums){ .v = v };
	/* squares of units must be floats */
	if (n == 0 || n >> 31 || !overlaps(c, RUN_SUMS_SPREAD) ||
	    !survey(v, n, &lowest, &greatest) || greatest < EXPONENT_0 - 300 ||
	    greatest > EXPONENT_0 + 300)
		return 0;
	unsigned first = greatest + 53 - SQUARE_BITS;
	if (lowest < first) { /* what is cut off matters to small spreads only */
		lowest = first;
		r->least_var = 0x1p96;
	}
	struct wide *squares = range_scratch(env, (n + 1) * sizeof(*squares)),
		    sum = { { 0, 0, 0 } };
	if (!squares || sum_up(r, v, n, lowest, greatest, env) < 0)
		return -1;
	for (size_t k = 0; k < n; k++) {
		int64_t x = (int64_t)whole_of(v[k], lowest);
		squares[k] = sum;
		wide_add(&sum, (unsigned __int128)((__int128)x * x));
	}
	squares[n] = sum;
	r->squares = squares;
	return 0;
}

/* Welford's, compensated. */
static double var_anew(const double *v, size_t n)
{
	double count = 0, mean = 0, c_mean = 0, aux = 0, c_aux = 0;
	for (size_t k = 0; k < n; k++) {
		count++;
		double delta = v[k] - (mean + c_mean);
		kahan_add(delta / count, &mean, &c_mean);
		kahan_add(delta * (v[k] - (mean + c_mean)), &aux, &c_aux);
	}
	return (aux + c_aux) / count;
}

double run_sums_var(const struct run_sums *r, size_t lo, size_t hi)
{
	size_t n = hi - lo;
	if (!r->squares)
		return var_anew(r->v + lo, n);
	__int128 s = r->upto[hi] - r->upto[lo];
	struct wide s2 = wide_square((unsigned __int128)(s < 0 ? -s : s));
	struct wide q = wide_times(wide_sub(r->squares[hi], r->squares[lo]), n);
	double spread = wide_float(wide_sub(q, s2)); /* variance x n^2 */
	if (spread == 0 && r->least_var == 0)
		return 0; /* all are equal */
	if (wide_float(s2) > 1e4 * spread ||
	    spread < r->least_var * ((double)n * (double)n))
		return var_anew(r->v + lo, n);
	return spread / ((double)n * (double)n) * (r->unit * r->unit);
}

/* ---- sums and means ---- */

/* The sum as a float and what that leaves out; false: not to be trusted. */
static bool exact(const struct run_sums *r, size_t lo, size_t hi, double *sum,
		  double *rest)
{
	if (!r->upto)
		return false;
	__int128 s = r->upto[hi] - r->upto[lo];
	double f = (double)s;
	*sum = f * r->unit;
	*rest = (double)(s - (__int128)f) * r->unit;
	return fabs(*sum) >= r->least * (double)(hi - lo);
}

double run_sums_sum(const struct run_sums *r, size_t lo, size_t hi)
{
	double sum, rest;
	if (exact(r, lo, hi, &sum, &rest))
		return sum;
	return sum_anew(r->v + lo, hi - lo);
}

double run_sums_avg(const struct run_sums *r, size_t lo, size_t hi)
{
	double sum, rest, n = (double)(hi - lo);
	if (exact(r, lo, hi, &sum, &rest))
		return sum / n + rest / n;
	return avg_anew(r->v + lo, hi - lo);
}
