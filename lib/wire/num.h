/*
 * wire/num.h - numbers as text, exactly as Go prints them.
 */
#ifndef WIRE_NUM_H
#define WIRE_NUM_H

#include "base/buf.h"

/* Thread  CPU. All return the length; nothing is NUL-terminated. */
#define NUM_MAX	     400 /* bytes any of these may need */
#define NUM_JSON_MAX 64	 /* num_f64_json */

/* Shortest round trip, plain decimal ('f', -1): "0.000001", "+Inf", "-Inf", "NaN". */
size_t num_f64_plain(char out[NUM_MAX], double v);
/* Prometheus' JSON sample value: plain unless |v| < 1e-6 or >= 1e21, then 'e' with an
 * exponent of at least two digits: "1e-07", "1e+21". */
size_t num_f64_json(char out[NUM_JSON_MAX], double v);
/* Go's %v and 'g' with shortest digits: exponent (two digits at least) when |v| < 1e-4 or
 * >= 1e6: "100000", "1e+06", "1.2345678e+07". Prometheus' text exposition prints values
 * so. */
size_t num_f64_g(char out[NUM_MAX], double v);
/* The same with ".0" behind what would look like an integer, as labels le and quantile are written: "1.0". */
size_t num_f64_openmetrics(char out[NUM_MAX], double v);
/* Shortest mantissa in 'e' form: "1e+00". */
size_t num_f64_e(char out[NUM_MAX], double v);
/* Prometheus' JSON timestamp in seconds: "1.001", "1", "-0.500". */
size_t num_ts_json(char out[32], int64_t t_ms);

#endif
