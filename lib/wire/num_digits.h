/*
 * wire/num_digits.h - digits of numbers, private to wire/num.c.
 */
#ifndef WIRE_NUM_DIGITS_H
#define WIRE_NUM_DIGITS_H

#include <stdint.h>

#define NUM_U64_MAX 20

/* Decimal digits of v without leading zeros ("0" of 0); returns their number. */
unsigned num_u64(char out[NUM_U64_MAX], uint64_t v);
/*
 * The shortest decimal that reads back as the finite v > 0, the nearest to it if several are as short:
 * v = *digits * 10^*exp10; it does not end in 0.
 */
void num_shortest(double v, uint64_t *digits, int *exp10);

#define NUM_MOST_MAX 32
/*
 * v without an exponent, as most samples are: its length; out is overwritten behind it, too. 0: v is not among those for which
 * there is this short way.
 */
unsigned num_most(char out[NUM_MOST_MAX], double v);

#endif
