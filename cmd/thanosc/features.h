/*
 * features.h - --enable-feature, with the names of Prometheus and Thanos.
 */
#ifndef CMD_THANOSC_FEATURES_H
#define CMD_THANOSC_FEATURES_H

#include "conf/flags.h"

struct features {
	unsigned promql; /* PROMQL_ bits of the parser */
	bool delayed_names, start_timestamps, type_labels;
};
/*
 * Each value may list several names, separated by commas. What is on for good and what is unknown is
 * logged as a warning, as there: a feature is no reason not to start.
 */
void features_read(const struct conf_strs *in, struct features *out);

#endif
