/*
 * model/regex_shim.h - the C face of RE2, private to this module. Plain types only, since the other
 * headers are not C++.
 */
#ifndef MODEL_REGEX_SHIM_H
#define MODEL_REGEX_SHIM_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct regex_span {
	const char *p;
	size_t n;
};
/* NULL: refused, and why (cut to why_size, NUL-terminated). */
void *regex_shim_new(const char *p, size_t n, char *why, size_t why_size);
void regex_shim_free(void *re);
/* Anchored at both ends; the first n groups go to sub[] (0 is the whole). */
bool regex_shim_match(const void *re, const char *p, size_t n, struct regex_span *sub,
		      size_t n_sub);
int regex_shim_groups(const void *re);
size_t regex_shim_insts(const void *re); /* instructions of the program */
int regex_shim_group_index(const void *re, const char *name, size_t n);
/* Is this one UTF-8 sequence printable in Go's sense? */
bool regex_shim_is_print(const char *p, size_t n);

#ifdef __cplusplus
}
#endif
#endif
