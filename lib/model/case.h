/*
 * model/case.h - upper and lower case of UTF-8 texts, letter by letter, without locales.
 *
 * Latin with its extensions, Greek, Cyrillic, Armenian and full-width letters; all else stays as it is (Go also knows
 * some rarer scripts).
 * Thread  CPU
 */
#ifndef MODEL_CASE_H
#define MODEL_CASE_H

#include "base/arena.h"
#include "base/str.h"

struct str case_lower(struct arena *a, struct str s);
struct str case_upper(struct arena *a, struct str s);

#endif
