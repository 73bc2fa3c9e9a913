/*
 * cmd/thanosc/tools_bucket.c - thanosc tools bucket snapshot|restore|snapshots: selected blocks in a second bucket or prefix.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "compactor/compactor.h"
#include "conf/values.h"
#include "promql/parse/ast.h"
#include "tools.h"

struct bucket_opts {
	struct conf_text objstore, snapshots;
	struct str name, mint, maxt, resolution;
	struct conf_strs match;
	int64_t concurrency, keep_ms, keep_last;
	bool with_marked, dry_run, unmark;
};
#define AT(f) offsetof(struct bucket_opts, f)
#define BUCKET_ROW                                                                       \
	{                                                                                \
		.name = "objstore.config", .type = OPT_TEXT, .off = AT(objstore),        \
		.bits = OPTF_SECRET | OPTF_REQUIRED,                                     \
		.help = "YAML file that contains object store configuration."            \
	}
#define SNAPSHOTS_ROW                                                                                                                                        \
	{                                                                                                                                                    \
		.name = "snapshot.objstore.config", .type = OPT_TEXT,                                                                                        \
		.off = AT(snapshots), .bits = OPTF_SECRET | OPTF_REQUIRED,                                                                                   \
		.help = "YAML file that contains the configuration of the object store that holds snapshots: another bucket, or the same one with a prefix." \
	}
#define SELECT_ROWS                                                                                                                  \
	{                                                                                                                            \
		.name = "match",                                                                                                     \
		.type = OPT_STRINGS,                                                                                                 \
		.off = AT(match),                                                                                                    \
		.placeholder = "<selector>",                                                                                         \
		.help = "Blocks by external labels and __block_id, e.g. '{tenant=\"a\"}' (repeatable: any of them); all without it." \
	},                                                                                                                           \
		{ .name = "min-time",                                                                                                \
		  .type = OPT_STRING,                                                                                                \
		  .off = AT(mint),                                                                                                   \
		  .def = "",                                                                                                         \
		  .placeholder = "<time>",                                                                                           \
		  .help = "Blocks that end behind this: milliseconds, RFC3339, or a duration from now." },                           \
		{ .name = "max-time",                                                                                                \
		  .type = OPT_STRING,                                                                                                \
		  .off = AT(maxt),                                                                                                   \
		  .def = "",                                                                                                         \
		  .placeholder = "<time>",                                                                                           \
		  .help = "Blocks that begin before this." },                                                                        \
		{ .name = "resolution",                                                                                              \
		  .type = OPT_ENUM,                                                                                                  \
		  .off = AT(resolution),                                                                                             \
		  .def = "all",                                                                                                      \
		  .choices = "all|raw|5m|1h",                                                                                        \
		  .help = "Blocks of one resolution only." },                                                                        \
		{ .name = "concurrency",                                                                                             \
		  .type = OPT_INT,                                                                                                   \
		  .off = AT(concurrency),                                                                                            \
		  .def = "4",                                                                                                        \
		  .min = 1,                                                                                                          \
		  .max = 64,                                                                                                         \
		  .help = "Blocks copied at the same time." },                                                                       \
	{                                                                                                                            \
		.name = "dry-run", .type = OPT_BOOL, .off = AT(dry_run), .def = "false",                                             \
		.help = "Say what would be copied, change nothing."                                                                  \
	}
const struct opt tools_take_rows[] = {
	BUCKET_ROW,
	SNAPSHOTS_ROW,
	{ .name = "name",
	  .type = OPT_STRING,
	  .off = AT(name),
	  .def = "",
	  .placeholder = "<name>",
	  .help = "Name of the snapshot; the time without it (20260921T140000Z)." },
	SELECT_ROWS,
	{ .name = "with-marked",
	  .type = OPT_BOOL,
	  .off = AT(with_marked),
	  .def = "false",
	  .help = "Blocks marked for deletion, too." },
	{ .name = "keep",
	  .type = OPT_DURATION_MS,
	  .off = AT(keep_ms),
	  .def = "0d",
	  .help = "Afterwards remove snapshots older than this, and blocks that none of the others lists. 0d: keep all." },
	{ .name = "keep-last",
	  .type = OPT_INT,
	  .off = AT(keep_last),
	  .def = "1",
	  .min = 0,
	  .max = 1000000,
	  .help = "So many of the newest snapshots stay, however old they are." },
	{ 0 }
};
const struct opt tools_restore_rows[] = {
	BUCKET_ROW,
	SNAPSHOTS_ROW,
	{ .name = "name",
	  .type = OPT_STRING,
	  .off = AT(name),
	  .def = "",
	  .placeholder = "<name>",
	  .help = "Name of the snapshot; the newest without it." },
	SELECT_ROWS,
	{ .name = "unmark",
	  .type = OPT_BOOL,
	  .off = AT(unmark),
	  .def = "false",
	  .help = "Take deletion marks off blocks of the snapshot that are in the bucket." },
	{ 0 }
};
static const struct opt list_rows[] = { SNAPSHOTS_ROW, { 0 } };

/* ---- what is asked for ---- */

struct buckets {
	struct bucket *live, *snapshots;
};

static void close_buckets(struct buckets *b)
{
	bucket_close(b->live);
	bucket_close(b->snapshots);
}

static int open_buckets(struct tool_env *t, struct buckets *b, struct err *e)
{
	const struct bucket_opts *o = t->opts;
	if (tool_bucket(t, &o->objstore, "--objstore.config", &b->live, e) < 0)
		return -1;
	return tool_bucket(t, &o->snapshots, "--snapshot.objstore.config", &b->snapshots,
			   e);
}

static int time_flag(struct tool_env *t, const char *flag, struct str s, int64_t def,
		     int64_t *out, struct err *e)
{
	static const struct conf_spec spec = { .type = OPT_TIME };
	*out = def;
	if (s.n == 0 || str_to_i64(s, out))
		return 0;
	if (conf_value_parse(&t->ctx, &t->arena, &spec, s, out, e) < 0)
		return err_wrap(&t->ctx, e, "flag '--%s'", flag);
	return 0;
}

static int selection(struct tool_env *t, struct snapshot_select *s, struct err *e)
{
	static const int64_t resolutions[] = { 0, 300000, 3600000 };
	const struct bucket_opts *o = t->opts;
	const struct matcher **sets =
		ARENA_ARRAY(&t->arena, const struct matcher *, o->match.n + 1);
	size_t *counts = ARENA_ARRAY(&t->arena, size_t, o->match.n + 1);
	for (size_t i = 0; i < o->match.n; i++) {
		struct matcher *m;
		if (promql_parse_selector(&t->ctx, &t->arena, o->match.v[i], &m,
					  &counts[i], e) < 0)
			return err_wrap(&t->ctx, e, "flag '--match'");
		sets[i] = m;
	}
	s->sets = sets;
	s->n_matchers = counts;
	s->n_sets = o->match.n;
	s->with_marked = o->with_marked;
	s->n_resolutions = !str_eqz(o->resolution, "all");
	s->resolution_ms = str_eqz(o->resolution, "5m")	  ? &resolutions[1]
			   : str_eqz(o->resolution, "1h") ? &resolutions[2]
							  : &resolutions[0];
	if (o->mint.n == 0 && o->maxt.n == 0)
		return 0;
	if (time_flag(t, "min-time", o->mint, INT64_MIN, &s->mint_ms, e) < 0)
		return -1;
	return time_flag(t, "max-time", o->maxt, INT64_MAX, &s->maxt_ms, e);
}

static int prepare(struct tool_env *t, struct buckets *b, struct snapshot_opts *so,
		   struct err *e)
{
	const struct bucket_opts *o = t->opts;
	so->name = o->name;
	so->concurrency = (uint32_t)o->concurrency;
	so->pool = t->pool;
	so->keep_ms = o->keep_ms;
	so->keep_last = (uint32_t)o->keep_last;
	so->dry_run = o->dry_run;
	so->overwrite = o->unmark;
	if (selection(t, &so->select, e) < 0)
		return -1;
	return open_buckets(t, b, e);
}

static void tell(const struct snapshot_report *r, const char *what, bool dry_run)
{
	printf("%s%s %s: %llu blocks, %llu copied, %llu there already, %llu bytes\n",
	       dry_run ? "would be: " : "", what, r->name, (unsigned long long)r->blocks,
	       (unsigned long long)r->copied, (unsigned long long)r->skipped,
	       (unsigned long long)r->bytes);
	if (r->expired || r->deleted_blocks)
		printf("%llu old snapshots and %llu of their blocks removed\n",
		       (unsigned long long)r->expired,
		       (unsigned long long)r->deleted_blocks);
}

/* ---- tools ---- */

static int copy(struct tool_env *t, bool restore, struct err *e)
{
	struct snapshot_opts so = { 0 };
	struct snapshot_report r = { 0 };
	struct buckets b = { 0 };
	int rc = prepare(t, &b, &so, e);
	so.from = restore ? b.snapshots : b.live;
	so.to = restore ? b.live : b.snapshots;
	if (rc == 0)
		rc = (restore ? snapshot_restore : snapshot_take)(&t->ctx, &so, &r, e);
	if (rc == 0)
		tell(&r, restore ? "restore" : "snapshot", so.dry_run);
	close_buckets(&b);
	return rc;
}

static int run_take(struct tool_env *t, struct err *e)
{
	return copy(t, false, e);
}

static int run_restore(struct tool_env *t, struct err *e)
{
	return copy(t, true, e);
}

static int run_list(struct tool_env *t, struct err *e)
{
	struct buckets b = { 0 };
	struct snapshot_info *v;
	size_t n;
	int rc = open_buckets(t, &b, e);
	if (rc == 0)
		rc = snapshot_list(&t->ctx, &t->arena, b.snapshots, &v, &n, e);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		char time[40];
		time_format_rfc3339(time, v[i].time_ms / 1000, 0, 0);
		printf("%.*s\t%.20s\t%llu blocks\t%llu bytes\n", STR_FMT(v[i].name), time,
		       (unsigned long long)v[i].blocks, (unsigned long long)v[i].bytes);
	}
	close_buckets(&b);
	return rc;
}

static const struct opt *const take_tables[] = { tools_take_rows, NULL },
			       *const restore_tables[] = { tools_restore_rows, NULL },
			       *const list_tables[] = { list_rows, NULL };
const struct conf_cmd tools_take_cmd = { "tools bucket snapshot",
					 "Selected blocks to a second bucket or prefix.",
					 take_tables, NULL };
static const struct conf_cmd
	restore_cmd = { "tools bucket restore",
			"The blocks of a snapshot back into a bucket.", restore_tables,
			NULL },
	list_cmd = { "tools bucket snapshots", "What snapshots there are.", list_tables,
		     NULL };
const struct tool_row tools_bucket[] = {
	{ &tools_take_cmd, sizeof(struct bucket_opts), run_take },
	{ &restore_cmd, sizeof(struct bucket_opts), run_restore },
	{ &list_cmd, sizeof(struct bucket_opts), run_list },
};
const size_t n_tools_bucket = ARRAY_LEN(tools_bucket);
