/*
 * wire/num_shim.h - the C face of double-conversion, private to wire/num.c.
 */
#ifndef WIRE_NUM_SHIM_H
#define WIRE_NUM_SHIM_H

#ifdef __cplusplus
extern "C" {
#endif

#define NUM_DIGITS_MAX 17

/*
 * Shortest decimal digits that read back as the finite v > 0, without leading or trailing
 * zeros: v = 0.d1d2d3... * 10^*point. Returns their number (1..17); out is not
 * NUL-terminated.
 */
int num_shim_digits(double v, char out[NUM_DIGITS_MAX + 1], int *point);

#ifdef __cplusplus
}
#endif

#endif
