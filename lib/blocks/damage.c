/*
 * blocks/damage.c - the metric that names damaged blocks.
 */
#include "blocks/blocks.h"

static const struct metric_desc row = {
	.kind = METRIC_COUNTER,
	.name = "thanosc_block_damage_total",
	.help = "Times damage was met in a block, by the file that has it.",
	.labels = { "block", "file" },
};

struct metric_set *blocks_damage_set(struct metric_registry *r)
{
	return r ? metric_set_new(r, &row, 1) : NULL;
}

void blocks_damage(struct metric_set *m, const char *id, const char *file)
{
	if (m)
		metric_inc(metric_at(m, 0, str_of(id), str_of(file)));
}
