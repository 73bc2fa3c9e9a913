/*
 * wire/num_shim.cc - shortest digits by double-conversion (Grisu3, with bignums where
 * that gives up). The only C++ of this module.
 */
#include "wire/num_shim.h"

#include <double-conversion/double-conversion.h>

extern "C" int num_shim_digits(double v, char out[NUM_DIGITS_MAX + 1], int *point)
{
	bool sign;
	int n;

	double_conversion::DoubleToStringConverter::DoubleToAscii(
		v, double_conversion::DoubleToStringConverter::SHORTEST, 0, out,
		NUM_DIGITS_MAX + 1, &sign, &n, point);
	return n;
}
