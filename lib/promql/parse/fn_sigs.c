/*
 * promql/parse/fn_sigs.c - the signatures of functions, from fn.def.
 */
#include "promql/parse/ast.h"

#define ARGS(min, max, ...) .arg = { __VA_ARGS__ }, .min_args = (min), .max_args = (max)
#define FN(n, a, r, t, d)   [FN_ID_##n] = { .name = #n, a, .result = (r), .traits = (t) },
const struct fn_sig fn_sigs[FN_ID_COUNT] = {
#include "promql/parse/fn.def"
};
#undef FN
