/*
 * conf/yaml.h - YAML documents bound to structs by rows; errors carry line:column and the
 * path of the key; unknown keys are errors that suggest the nearest name.
 *
 * Row types are those of flags (conf/flags.h) plus nesting; OPT_NOT_YET rows refuse any
 * value but their default (and null, and an empty list or mapping). A key whose value is
 * null is as if absent.
 *
 *   bucket.yml: 4:3: config.part_size: unknown key, did you mean 'part_size_bytes'?
 *
 * Thread  CPU.  Memory  lists and texts live in the arena; texts may be those of the
 * document.
 */
#ifndef CONF_YAML_H
#define CONF_YAML_H

#include "conf/flags.h"
#include "wire/json.h"

enum yopt_nest {
	YOPT_SCALAR,
	YOPT_MAP,
	YOPT_LIST,
	YOPT_ANY /* const struct doc *: kept as it is, NULL if absent */
};
struct yopt {
	const char *name;
	enum opt_type type; /* of a scalar or a list's scalars; STRINGS: list of texts */
	size_t off;
	const char *def;
	int64_t min, max;
	const char *choices;
	unsigned bits;
	enum yopt_nest nest;
	const struct yopt
		*rows; /* MAP: of the nested struct at off; LIST: of each element */
	size_t elem;   /* LIST: size of an element; field is struct conf_list */
};
struct conf_list {
	void *v;
	size_t n;
};
/*
 * Fill *out (size bytes, zeroed, defaults first) from a map node (or DOC_NULL: an empty
 * one). `what` begins every error: the file's name. Errors are E_INVALID. OPTF_REQUIRED
 * rows must be given, those of a nested map only if that map is given.
 */
MUST_CHECK int conf_bind(struct ctx *ctx, struct arena *a, const struct doc *map,
			 const struct yopt *rows, void *out, size_t size,
			 const char *what, struct err *e);

#endif
