/*
 * model/log2.h - logarithm and power to the base 2 by the formulas of FreeBSD's msun (e_log.c, e_exp.c), which Go's library
 * follows, too: interpolated quantiles agree with Prometheus' to the last bit, which the C library's better rounded ones do not.
 * Private to model.
 */
#ifndef MODEL_LOG2_H
#define MODEL_LOG2_H

#include <math.h>

/* ln x for 0 < x < inf. */
static inline double fd_log(double x)
{
	static const double ln2_hi = 6.93147180369123816490e-01,
			    ln2_lo = 1.90821492927058770002e-10;
	static const double l[] = { 6.666666666666735130e-01, 3.999999999940941908e-01,
				    2.857142874366239149e-01, 2.222219843214978396e-01,
				    1.818357216161805012e-01, 1.531383769920937332e-01,
				    1.479819860511658591e-01 };
	int e;
	double m = frexp(x, &e);
	if (m < M_SQRT2 / 2) {
		m *= 2;
		e--;
	}
	double f = m - 1, k = e, s = f / (2 + f), s2 = s * s, s4 = s2 * s2;
	double odd = s2 * (l[0] + s4 * (l[2] + s4 * (l[4] + s4 * l[6])));
	double even = s4 * (l[1] + s4 * (l[3] + s4 * l[5]));
	double half = 0.5 * f * f;
	return k * ln2_hi - ((half - (s * (half + (odd + even)) + k * ln2_lo)) - f);
}

static inline double fd_log2(double x)
{
	int e;
	if (!(x > 0) || isinf(x))
		return log2(x);
	double m = frexp(x, &e);
	if (m == 0.5) /* a power of two: exact */
		return e - 1;
	return fd_log(m) * M_LOG2E + e;
}

static inline double fd_exp2(double x)
{
	static const double ln2_hi = 6.93147180369123816490e-01,
			    ln2_lo = 1.90821492927058770002e-10;
	static const double p[] = { 1.66666666666666657415e-01,
				    -2.77777777770155933842e-03,
				    6.61375632143793436117e-05,
				    -1.65339022054652515390e-06,
				    4.13813679705723846039e-08 };
	if (!(x <= 1.0239999999999999e+03 && x >= -1.0740e+03))
		return exp2(x);
	int k = x > 0 ? (int)(x + 0.5) : (int)(x - 0.5);
	double t = x - k, hi = t * ln2_hi, lo = -t * ln2_lo, r = hi - lo;
	t = r * r;
	double c = r - t * (p[0] + t * (p[1] + t * (p[2] + t * (p[3] + t * p[4]))));
	return ldexp(1 - ((lo - (r * c) / (2 - c)) - hi), k);
}

#endif
