/*
 * cmd/thanosc/features.c - --enable-feature: names of Prometheus and Thanos, and what they turn on here.
 */
#include "features.h"

#include "base/log.h"
#include "promql/parse/ast.h"

enum effect { PARSER, DELAYED_NAMES, START_TIMESTAMPS, TYPE_LABELS, ALWAYS_ON, IGNORED };

static const struct {
	const char *name;
	enum effect effect;
	unsigned bit; /* PARSER */
} known[] = {
	{ "promql-experimental-functions", PARSER, PROMQL_EXPERIMENTAL_FUNCTIONS },
	{ "promql-extended-range-selectors", PARSER, PROMQL_EXTENDED_RANGE },
	{ "promql-binop-fill-modifiers", PARSER, PROMQL_FILL },
	{ "promql-delayed-name-removal", DELAYED_NAMES, 0 },
	{ "use-start-timestamps", START_TIMESTAMPS, 0 },
	{ "type-and-unit-labels", TYPE_LABELS, 0 },
	{ "promql-at-modifier", ALWAYS_ON, 0 },
	{ "promql-negative-offset", ALWAYS_ON, 0 },
	{ "promql-duration-expr", ALWAYS_ON, 0 },
	{ "native-histograms", ALWAYS_ON, 0 },
	{ "ooo-native-histograms", ALWAYS_ON, 0 },
	{ "query-pushdown", IGNORED, 0 },
};

static void enable(struct str name, struct features *out)
{
	size_t i = 0;
	while (i < ARRAY_LEN(known) && !str_eqz(name, known[i].name))
		i++;
	if (i == ARRAY_LEN(known)) {
		log_warn(NULL, "unknown option for --enable-feature: %.*s",
			 STR_FMT(name));
		return;
	}
	switch (known[i].effect) {
	case PARSER: out->promql |= known[i].bit; break;
	case DELAYED_NAMES: out->delayed_names = true; break;
	case START_TIMESTAMPS: out->start_timestamps = true; break;
	case TYPE_LABELS: out->type_labels = true; break;
	case ALWAYS_ON:
		log_warn(NULL, "--enable-feature=%s is always on and changes nothing",
			 known[i].name);
		return;
	case IGNORED:
		log_warn(NULL, "--enable-feature=%s is no longer supported and ignored",
			 known[i].name);
		return;
	}
	log_info(NULL, "experimental feature %s is on", known[i].name);
}

void features_read(const struct conf_strs *in, struct features *out)
{
	*out = (struct features){ 0 };
	for (size_t i = 0; i < in->n; i++) {
		struct str rest = in->v[i], name;
		bool more = true;
		while (more) {
			more = str_cut(&rest, ',', &name);
			name = str_trim(name);
			if (name.n)
				enable(name, out);
		}
	}
}
