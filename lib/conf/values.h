/*
 * conf/values.h - one typed value from its text, as flags and YAML scalars share it.
 *
 * Thread  CPU
 */
#ifndef CONF_VALUES_H
#define CONF_VALUES_H

#include "conf/flags.h"

struct conf_spec {
	enum opt_type
		type; /* any of one value: neither STRINGS, TEXT, NOT_YET nor NO_EFFECT */
	int64_t min, max; /* both 0: unchecked */
	const char *choices;
};
/*
 * Parse into *field, whose C type is that of the option type (conf/flags.h). Texts become
 * copies in the arena. Errors do not name the option: 'invalid duration "abc"'. *field is
 * untouched then.
 */
MUST_CHECK int conf_value_parse(struct ctx *ctx, struct arena *a,
				const struct conf_spec *spec, struct str text,
				void *field, struct err *e);
size_t conf_value_size(enum opt_type type); /* bytes of the field */
/* Is `text` one of "a|b|c"? False for NULL choices. */
bool conf_is_choice(const char *choices, struct str text);

/* "1m30s", "1.5h", "-2h", "2w", "0"; parts below 1 ms are rounded away from zero. */
bool conf_parse_duration_ms(struct str s, int64_t *ms);
/* "250MB", "1.5GiB", "2GB512MB", "1024": every unit is a power of 1024. */
bool conf_parse_bytes(struct str s, int64_t *bytes);

#endif
