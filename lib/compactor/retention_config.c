/*
 * compactor/retention_config.c - --retention.config: which blocks are kept how long and in how much room.
 */
#include <stdlib.h>

#include "compactor/retention_int.h"
#include "conf/values.h"
#include "conf/yaml.h"
#include "promql/parse/ast.h"

struct raw_policy {
	struct conf_strs match, per;
	struct str ms[RESOLUTIONS], max_size;
};
struct raw_config {
	struct conf_list policies;
	struct str max_size;
};
#define AT(f) offsetof(struct raw_policy, f)
static const struct yopt policy_rows[] = {
	{ .name = "match", .type = OPT_STRINGS, .off = AT(match) },
	{ .name = "per", .type = OPT_STRINGS, .off = AT(per) },
	{ .name = "resolution_raw", .type = OPT_STRING, .off = AT(ms[0]) },
	{ .name = "resolution_5m", .type = OPT_STRING, .off = AT(ms[1]) },
	{ .name = "resolution_1h", .type = OPT_STRING, .off = AT(ms[2]) },
	{ .name = "max_size", .type = OPT_STRING, .off = AT(max_size) },
	{ 0 }
};
static const struct yopt config_rows[] = { { .name = "policies",
					     .off = offsetof(struct raw_config, policies),
					     .nest = YOPT_LIST,
					     .rows = policy_rows,
					     .elem = sizeof(struct raw_policy) },
					   { .name = "max_size",
					     .type = OPT_STRING,
					     .off = offsetof(struct raw_config,
							     max_size) },
					   { 0 } };

static int read_size(struct ctx *ctx, struct str text, uint64_t *out, struct err *e)
{
	int64_t v = 0;
	if (text.n && (!conf_parse_bytes(text, &v) || v < 0))
		return err_set(ctx, e, E_INVALID, "invalid max_size \"%.*s\"",
			       STR_FMT(text));
	*out = (uint64_t)v;
	return 0;
}

static int read_policy(struct ctx *ctx, struct retention_config *r,
		       const struct raw_policy *raw, struct policy *out, struct err *e)
{
	static const char *const names[RESOLUTIONS] = { "resolution_raw", "resolution_5m",
							"resolution_1h" };
	out->match = ARENA_ARRAY(&r->arena, struct selector, raw->match.n + 1);
	out->n_match = raw->match.n;
	for (size_t i = 0; i < raw->match.n; i++)
		if (promql_parse_selector(ctx, &r->arena, raw->match.v[i],
					  &out->match[i].m, &out->match[i].n, e) < 0)
			return err_wrap(ctx, e, "match \"%.*s\"",
					STR_FMT(raw->match.v[i]));
	out->per = ARENA_ARRAY(&r->arena, struct str, raw->per.n + 1);
	out->n_per = raw->per.n;
	for (size_t i = 0; i < raw->per.n; i++)
		out->per[i] = str_dup(&r->arena, raw->per.v[i]);
	for (unsigned i = 0; i < RESOLUTIONS; i++) {
		if (!raw->ms[i].n)
			continue;
		out->has_ms[i] = true;
		if (!conf_parse_duration_ms(raw->ms[i], &out->ms[i]) || out->ms[i] < 0)
			return err_set(ctx, e, E_INVALID, "invalid %s \"%.*s\"", names[i],
				       STR_FMT(raw->ms[i]));
	}
	return read_size(ctx, raw->max_size, &out->max_size, e);
}

static int read_all(struct ctx *ctx, struct retention_config *r, struct str yaml,
		    struct err *e)
{
	struct raw_config raw = { 0 };
	struct doc *d;
	if (yaml_parse(ctx, &r->arena, yaml, &d, e) < 0 ||
	    conf_bind(ctx, &r->arena, d, config_rows, &raw, sizeof(raw),
		      "retention.config", e) < 0 ||
	    read_size(ctx, raw.max_size, &r->max_size, e) < 0)
		return -1;
	const struct raw_policy *v = raw.policies.v;
	r->n = raw.policies.n;
	r->v = ARENA_ARRAY(&r->arena, struct policy, r->n + 1);
	for (size_t i = 0; i < r->n; i++)
		if (read_policy(ctx, r, &v[i], &r->v[i], e) < 0)
			return err_wrap(ctx, e, "policy %zu", i + 1);
	return 0;
}

int retention_config_parse(struct ctx *ctx, struct str yaml,
			   struct retention_config **out, struct err *e)
{
	struct retention_config *r = xcalloc(1, sizeof(*r));
	arena_init(&r->arena, NULL);
	if (read_all(ctx, r, yaml, e) < 0) {
		retention_config_free(r);
		return err_wrap(ctx, e, "retention.config");
	}
	*out = r;
	return 0;
}

int retention_config_check(const struct retention_config *r, struct ctx *ctx,
			   struct err *e)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct policy *p = &r->v[i];
		if (p->has_ms[0] && p->ms[0] > 0 && p->ms[0] < DOWNSAMPLE_5M_RANGE)
			return err_set(
				ctx, e, E_INVALID,
				"retention.config: policy %zu: resolution_raw is less than the 40 hours after which blocks are downsampled to 5m",
				i + 1);
		if (p->has_ms[1] && p->ms[1] > 0 && p->ms[1] < DOWNSAMPLE_1H_RANGE)
			return err_set(
				ctx, e, E_INVALID,
				"retention.config: policy %zu: resolution_5m is less than the 10 days after which blocks are downsampled to 1h",
				i + 1);
	}
	return 0;
}

void retention_config_free(struct retention_config *r)
{
	if (!r)
		return;
	arena_deinit(&r->arena);
	free(r);
}

const struct policy *retention_policy(const struct retention_config *r, struct labels ls)
{
	for (size_t i = 0; r && i < r->n; i++) {
		const struct policy *p = &r->v[i];
		bool fits = p->n_match == 0;
		for (size_t k = 0; !fits && k < p->n_match; k++)
			fits = matcher_labels(p->match[k].m, p->match[k].n, ls);
		if (fits)
			return p;
	}
	return NULL;
}

struct str retention_key(struct arena *a, const struct policy *p, struct labels ls)
{
	struct str key = STR("");
	for (size_t i = 0; i < p->n_per; i++)
		key = str_fmt(a, "%.*s%.*s\xff", STR_FMT(key),
			      STR_FMT(labels_get(ls, p->per[i])));
	return key;
}
