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

/* In units of the lowest bit. */
static __int128 whole_of(double v, unsigned lowest)
{
	uint64_t u = f64_bits(v);
	if (u << 1 == 0)
		return 0;
	unsigned e = exponent_of(u);
	uint64_t m = (u & MANTISSA) | HIDDEN;
	__int128 x =
		e >= lowest ? (__int128)m << (e - lowest) : (__int128)(m >> (lowest - e));
	return u >> 63 ? -x : x;
}

int run_sums_open(struct run_sums *r, const struct range_call *c, const double *v,
		  size_t n, struct range_env *env)
{
	unsigned lowest, greatest, room = 128 - 2;
	*r = (struct run_sums){ .v = v };
	if (n == 0 || c->grid.n < RUN_SUMS_OVERLAP ||
	    (!c->fixed && c->range_ms / c->grid.step_ms < RUN_SUMS_OVERLAP) ||
	    !survey(v, n, &lowest, &greatest))
		return 0;
	unsigned bits = greatest + 53 - lowest + (64 - (unsigned)__builtin_clzll(n));
	if (bits > room)
		return 0;
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
