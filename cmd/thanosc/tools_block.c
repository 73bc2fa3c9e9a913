/*
 * cmd/thanosc/tools_block.c - thanosc tools block inspect|verify|dump|ls: blocks in folders or in a bucket.
 *
 * An argument is a block's folder, or a folder of blocks (a Prometheus' data folder, a bucket of type FILESYSTEM); with
 * --objstore.config it is a block's ULID. Ends with 1 where something is damaged.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "base/vec.h"
#include "conf/values.h"
#include "fs/fs.h"
#include "inspect/inspect.h"
#include "promql/parse/ast.h"
#include "tools.h"
#include "wire/json.h"

struct block_opts {
	struct conf_text objstore;
	struct str output, match, mint, maxt;
	int64_t limit;
	bool extended;
};
#define AT(f) offsetof(struct block_opts, f)
#define BUCKET_ROW                                                                                      \
	{                                                                                               \
		.name = "objstore.config", .type = OPT_TEXT, .off = AT(objstore),                       \
		.bits = OPTF_SECRET,                                                                    \
		.help = "YAML file that contains object store configuration. Arguments are ULIDs then." \
	}
#define MATCH_ROW                                                                        \
	{                                                                                \
		.name = "match", .type = OPT_STRING, .off = AT(match), .def = "",        \
		.placeholder = "<selector>",                                             \
		.help = "Series to look at, e.g. 'up{job=\"x\"}'; all without it."       \
	}
const struct opt tools_inspect_rows[] = {
	BUCKET_ROW,
	MATCH_ROW,
	{ .name = "extended",
	  .type = OPT_BOOL,
	  .off = AT(extended),
	  .def = "false",
	  .help = "Read all chunks, too: samples, encodings, sizes." },
	{ .name = "limit",
	  .type = OPT_INT,
	  .off = AT(limit),
	  .def = "20",
	  .min = 1,
	  .max = 1000000,
	  .help = "How many items to show in each list." },
	{ .name = "output",
	  .type = OPT_ENUM,
	  .off = AT(output),
	  .def = "text",
	  .choices = "text|json",
	  .short_name = 'o',
	  .help = "Text, or one line of JSON a block." },
	{ 0 }
};
static const struct opt verify_rows[] = {
	BUCKET_ROW,
	{ .name = "limit",
	  .type = OPT_INT,
	  .off = AT(limit),
	  .def = "20",
	  .min = 1,
	  .max = INT64_MAX,
	  .help = "How many findings of each kind to show; all are counted." },
	{ .name = "output",
	  .type = OPT_ENUM,
	  .off = AT(output),
	  .def = "text",
	  .choices = "text|json",
	  .short_name = 'o',
	  .help = "Text, or one line of JSON a block." },
	{ 0 }
};
const struct opt tools_dump_rows[] = {
	BUCKET_ROW,
	MATCH_ROW,
	{ .name = "min-time",
	  .type = OPT_STRING,
	  .off = AT(mint),
	  .def = "",
	  .placeholder = "<time>",
	  .help = "First time to show: milliseconds, RFC3339, or a duration from now." },
	{ .name = "max-time",
	  .type = OPT_STRING,
	  .off = AT(maxt),
	  .def = "",
	  .placeholder = "<time>",
	  .help = "Last time to show." },
	{ .name = "output",
	  .type = OPT_ENUM,
	  .off = AT(output),
	  .def = "text",
	  .choices = "text|json",
	  .short_name = 'o',
	  .help = "Lines of samples as promtool tsdb dump prints them, or one line of JSON a series." },
	{ 0 }
};
static const struct opt ls_rows[] = {
	BUCKET_ROW,
	{ .name = "output",
	  .type = OPT_ENUM,
	  .off = AT(output),
	  .def = "table",
	  .choices = "table|tsv|csv|json",
	  .short_name = 'o',
	  .help = "A table, values separated by tabs or commas, or one line of JSON a block." },
	{ 0 }
};

/* ---- places ---- */

struct places {
	struct inspect_place *v;
	size_t n, cap;
	struct bucket **bucket; /* all that were opened */
	size_t n_buckets, cap_buckets;
};

static void places_free(struct places *p)
{
	for (size_t i = 0; i < p->n_buckets; i++)
		bucket_close(p->bucket[i]);
	free(p->bucket);
	free(p->v);
}

static void keep_bucket(struct places *p, struct bucket *b)
{
	if (p->n_buckets == p->cap_buckets)
		p->bucket = vec_grow(p->bucket, &p->cap_buckets, p->n_buckets + 1,
				     sizeof(struct bucket *));
	p->bucket[p->n_buckets++] = b;
}

static void add_place(struct places *p, struct bucket *b, struct str prefix,
		      const char *id)
{
	if (p->n == p->cap)
		p->v = vec_grow(p->v, &p->cap, p->n + 1, sizeof(*p->v));
	p->v[p->n++] = (struct inspect_place){ b, prefix, id };
}

struct folders {
	struct tool_env *t;
	struct places *p;
	struct bucket *b;
	size_t n;
};

static int on_folder(void *arg, struct str name, const struct bucket_attrs *at,
		     struct err *e)
{
	struct folders *f = arg;
	struct ulid id;
	(void)at, (void)e;
	if (!str_has_suffix(name, STR("/")) ||
	    !ulid_parse(str_n(name.p, name.n - 1), &id))
		return 0;
	f->n++;
	add_place(f->p, f->b, str_dup(&f->t->arena, name),
		  str_dupz(&f->t->arena, str_n(name.p, name.n - 1)));
	return 0;
}

/* All blocks of a bucket, or those that are named. */
static int bucket_places(struct tool_env *t, struct bucket *b, const struct str *id,
			 size_t n, struct places *p, struct err *e)
{
	struct folders f = { t, p, b, 0 };
	struct ulid u;
	for (size_t i = 0; i < n; i++) {
		if (!ulid_parse(id[i], &u))
			return err_set(
				&t->ctx, e, E_INVALID,
				"%.*s: with --objstore.config arguments are ULIDs of blocks",
				STR_FMT(id[i]));
		add_place(p, b, str_fmt(&t->arena, "%.*s/", STR_FMT(id[i])),
			  str_dupz(&t->arena, id[i]));
	}
	return n ? 0 : bucket_iter(b, &t->ctx, STR(""), false, on_folder, &f, e);
}

static bool is_block(struct tool_env *t, struct str dir)
{
	static const char *const parts[] = { "meta.json", "index", "chunks" };
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		struct err e = ERR_INIT;
		struct fs_stat st;
		const char *path =
			str_fmt(&t->arena, "%.*s/%s", STR_FMT(dir), parts[i]).p;
		if (fs_stat(&t->ctx, path, &st, &e) == 0 && st.kind != FS_NONE)
			return true;
	}
	return false;
}

static struct str without_slashes(struct str s)
{
	while (s.n > 1 && s.p[s.n - 1] == '/')
		s.n--;
	return s;
}

static int folder_places(struct tool_env *t, struct str arg, struct places *p,
			 struct err *e)
{
	struct str dir = without_slashes(arg), rest = dir, base = dir;
	struct fs_stat st;
	struct bucket *b;
	char *path = str_dupz(&t->arena, dir);
	if (fs_stat(&t->ctx, path, &st, e) < 0)
		return -1;
	if (st.kind != FS_DIR)
		return err_set(&t->ctx, e, E_NOT_FOUND, "%s: no such folder", path);
	if (bucket_fs_open(&t->ctx, path, &b, e) < 0)
		return -1;
	keep_bucket(p, b);
	if (is_block(t, dir)) {
		while (str_cut(&rest, '/', &base))
			;
		add_place(p, b, STR(""), str_dupz(&t->arena, base));
		return 0;
	}
	size_t before = p->n;
	if (bucket_places(t, b, NULL, 0, p, e) < 0)
		return -1;
	if (p->n == before)
		return err_set(&t->ctx, e, E_NOT_FOUND,
			       "%s: neither a block nor a folder of blocks", path);
	return 0;
}

static int find_places(struct tool_env *t, struct places *p, struct err *e)
{
	const struct block_opts *o = t->opts;
	struct bucket *b;
	if (tool_bucket(t, &o->objstore, "--objstore.config", &b, e) < 0)
		return -1;
	if (b) {
		keep_bucket(p, b);
		return bucket_places(t, b, t->flags.args, t->flags.n_args, p, e);
	}
	if (t->flags.n_args == 0)
		return err_set(
			&t->ctx, e, E_INVALID,
			"name a block's folder, a folder of blocks, or a bucket by --objstore.config");
	for (size_t i = 0; i < t->flags.n_args; i++)
		if (folder_places(t, t->flags.args[i], p, e) < 0)
			return -1;
	return 0;
}

static void print(const struct buf *b)
{
	fwrite(b->p, 1, b->n, stdout);
}

/* ---- verify ---- */

struct findings {
	const char *id;
	FILE *f;      /* text */
	struct jw *w; /* JSON */
};

static void on_found(void *arg, const struct inspect_finding *f)
{
	struct findings *to = arg;
	if (to->f)
		fprintf(to->f, "%s: %s: %s%s\n", to->id, f->file,
			f->damage ? "" : "note: ", f->text);
	if (!to->w)
		return;
	const char *const pairs[][2] = { { "file", f->file },
					 { "kind", inspect_kind_text(f->kind) },
					 { "text", f->text } };
	jw_obj(to->w);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		jw_key(to->w, str_of(pairs[i][0]));
		jw_str(to->w, str_of(pairs[i][1]));
	}
	jw_key(to->w, STR("damage"));
	jw_bool(to->w, f->damage);
	jw_obj_end(to->w);
}

static void verdict_text(const char *id, const struct inspect_report *r)
{
	for (unsigned k = 0; k < INSPECT_KIND_N; k++)
		if (r->n[k] > r->each)
			printf("%s: %llu more of: %s\n", id,
			       (unsigned long long)(r->n[k] - r->each),
			       inspect_kind_text((enum inspect_kind)k));
	if (r->damage)
		printf("%s: DAMAGED, %llu findings\n", id, (unsigned long long)r->damage);
	else
		printf("%s: ok\n", id);
}

static int verify_one(struct tool_env *t, const struct inspect_place *p, bool json,
		      bool *damaged, struct err *e)
{
	const struct block_opts *o = t->opts;
	struct buf b;
	struct jw w;
	struct findings to = { p->id, json ? NULL : stdout, json ? &w : NULL };
	struct inspect_report r = { .found = on_found,
				    .arg = &to,
				    .each = (uint64_t)o->limit };
	buf_init(&b, (size_t)1 << 30);
	jw_init(&w, &b);
	jw_obj(&w);
	jw_key(&w, STR("block"));
	jw_str(&w, str_of(p->id));
	jw_key(&w, STR("findings"));
	jw_arr(&w);
	int rc = inspect_verify(&t->ctx, p, &r, e);
	jw_arr_end(&w);
	jw_key(&w, STR("damage"));
	jw_u64(&w, r.damage);
	jw_key(&w, STR("notes"));
	jw_u64(&w, r.notes);
	jw_obj_end(&w);
	buf_byte(&b, '\n');
	if (rc == 0 && json)
		print(&b);
	else if (rc == 0)
		verdict_text(p->id, &r);
	*damaged = *damaged || r.damage;
	buf_deinit(&b);
	return rc < 0 ? err_wrap(&t->ctx, e, "block %s", p->id) : 0;
}

static int each_place(struct tool_env *t, struct err *e,
		      int (*fn)(struct tool_env *t, const struct inspect_place *p,
				bool json, bool *damaged, struct err *e))
{
	const struct block_opts *o = t->opts;
	struct places p = { 0 };
	bool damaged = false;
	int rc = find_places(t, &p, e);
	for (size_t i = 0; rc == 0 && i < p.n; i++)
		rc = fn(t, &p.v[i], str_eqz(o->output, "json"), &damaged, e);
	places_free(&p);
	return rc < 0 ? -1 : damaged;
}

static int run_verify(struct tool_env *t, struct err *e)
{
	return each_place(t, e, verify_one);
}

/* ---- inspect ---- */

static int match_flag(struct tool_env *t, const struct matcher **out, size_t *n,
		      struct err *e)
{
	const struct block_opts *o = t->opts;
	struct matcher *m = NULL;
	if (o->match.n &&
	    promql_parse_selector(&t->ctx, &t->arena, o->match, &m, n, e) < 0)
		return err_wrap(&t->ctx, e, "flag '--match'");
	*out = m;
	return 0;
}

static int inspect_one(struct tool_env *t, const struct inspect_place *p, bool json,
		       bool *damaged, struct err *e)
{
	const struct block_opts *o = t->opts;
	struct inspect_stats_opts so = { .limit = (size_t)o->limit,
					 .extended = o->extended };
	struct findings to = { p->id, stderr, NULL };
	struct inspect_report r = { .found = on_found, .arg = &to };
	struct inspect_stats *s;
	struct arena a;
	struct buf b;
	if (match_flag(t, &so.matchers, &so.n_matchers, e) < 0)
		return -1;
	arena_init(&a, NULL);
	buf_init(&b, (size_t)1 << 30);
	s = ARENA_NEW(&a, struct inspect_stats);
	int rc = inspect_stats(&t->ctx, &a, p, &so, &r, s, e);
	if (rc == 0 && json)
		inspect_stats_json(s, o->extended, &b);
	else if (rc == 0)
		inspect_stats_text(s, o->extended, &b);
	print(&b);
	if (!json && rc == 0)
		printf("\n");
	*damaged = *damaged || r.damage;
	buf_deinit(&b);
	arena_deinit(&a);
	return rc < 0 ? err_wrap(&t->ctx, e, "block %s", p->id) : 0;
}

static int run_inspect(struct tool_env *t, struct err *e)
{
	return each_place(t, e, inspect_one);
}

/* ---- dump ---- */

static int on_text(void *arg, struct str s, struct err *e)
{
	(void)arg;
	if (fwrite(s.p, 1, s.n, stdout) == s.n)
		return 0;
	return err_set(NULL, e, E_IO, "standard output does not take more");
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

static int dump_one(struct tool_env *t, const struct inspect_place *p, bool json,
		    bool *damaged, struct err *e)
{
	const struct block_opts *o = t->opts;
	struct inspect_dump_opts d = { .json = json, .write = on_text };
	struct notes_view notes;
	if (time_flag(t, "min-time", o->mint, INT64_MIN, &d.mint_ms, e) < 0 ||
	    time_flag(t, "max-time", o->maxt, INT64_MAX, &d.maxt_ms, e) < 0 ||
	    match_flag(t, &d.matchers, &d.n_matchers, e) < 0)
		return -1;
	struct err why = ERR_INIT;
	int rc = inspect_dump(&t->ctx, p, &d, &why);
	if (rc < 0 && why.code == E_CORRUPT) {
		fprintf(stderr, "thanosc tools block dump: %s\n", err_text(&why));
		*damaged = true;
		return 0;
	}
	if (rc < 0) {
		*e = why;
		return -1;
	}
	notes_view(t->ctx.notes, &t->arena, &notes);
	for (size_t i = 0; i < notes.n_warnings; i++)
		fprintf(stderr, "thanosc tools block dump: %.*s\n",
			STR_FMT(notes.warnings[i]));
	*damaged = *damaged || notes.n_warnings;
	return 0;
}

static int run_dump(struct tool_env *t, struct err *e)
{
	return each_place(t, e, dump_one);
}

/* ---- ls ---- */

static int list_bucket(struct tool_env *t, struct bucket *b, struct inspect_item **v,
		       size_t *n, struct err *e)
{
	struct inspect_item *more;
	size_t n_more;
	if (inspect_list_blocks(&t->ctx, &t->arena, b, &more, &n_more, e) < 0)
		return -1;
	struct inspect_item *all =
		ARENA_ARRAY(&t->arena, struct inspect_item, *n + n_more + 1);
	if (*n)
		memcpy(all, *v, *n * sizeof(*all));
	if (n_more)
		memcpy(all + *n, more, n_more * sizeof(*all));
	*v = all;
	*n += n_more;
	return 0;
}

static int list_all(struct tool_env *t, struct inspect_item **v, size_t *n, struct err *e)
{
	const struct block_opts *o = t->opts;
	struct bucket *b;
	if (tool_bucket(t, &o->objstore, "--objstore.config", &b, e) < 0)
		return -1;
	if (!b && t->flags.n_args == 0)
		return err_set(
			&t->ctx, e, E_INVALID,
			"name a folder of blocks, or a bucket by --objstore.config");
	if (b) {
		int rc = list_bucket(t, b, v, n, e);
		bucket_close(b);
		return rc;
	}
	for (size_t i = 0; i < t->flags.n_args; i++) {
		char *path = str_dupz(&t->arena, t->flags.args[i]);
		struct fs_stat st;
		if (fs_stat(&t->ctx, path, &st, e) < 0)
			return -1;
		if (st.kind != FS_DIR)
			return err_set(&t->ctx, e, E_NOT_FOUND, "%s: no such folder",
				       path);
		if (bucket_fs_open(&t->ctx, path, &b, e) < 0)
			return -1;
		int rc = list_bucket(t, b, v, n, e);
		bucket_close(b);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static int run_ls(struct tool_env *t, struct err *e)
{
	const struct block_opts *o = t->opts;
	enum inspect_format f = str_eqz(o->output, "json")  ? INSPECT_JSON
				: str_eqz(o->output, "tsv") ? INSPECT_TSV
				: str_eqz(o->output, "csv") ? INSPECT_CSV
							    : INSPECT_TABLE;
	struct inspect_item *v = NULL;
	size_t n = 0;
	struct buf b;
	if (list_all(t, &v, &n, e) < 0)
		return -1;
	buf_init(&b, (size_t)1 << 30);
	inspect_list_text(v, n, f, &b);
	print(&b);
	buf_deinit(&b);
	return 0;
}

static const struct opt *const inspect_tables[] = { tools_inspect_rows, NULL },
			       *const verify_tables[] = { verify_rows, NULL },
			       *const dump_tables[] = { tools_dump_rows, NULL },
			       *const ls_tables[] = { ls_rows, NULL };
static const struct conf_cmd inspect_cmd = { "tools block inspect",
					     "What a block holds, in numbers.",
					     inspect_tables, "DIR|ULID..." },
			     verify_cmd = { "tools block verify",
					    "Is every part of a block sound?",
					    verify_tables, "DIR|ULID..." },
			     dump_cmd = { "tools block dump",
					  "The samples of a block as text.", dump_tables,
					  "DIR|ULID..." },
			     ls_cmd = { "tools block ls",
					"The blocks of a bucket or folder.", ls_tables,
					"[DIR...]" };
const struct tool_row tools_block[] = {
	{ &inspect_cmd, sizeof(struct block_opts), run_inspect },
	{ &verify_cmd, sizeof(struct block_opts), run_verify },
	{ &dump_cmd, sizeof(struct block_opts), run_dump },
	{ &ls_cmd, sizeof(struct block_opts), run_ls },
};
const size_t n_tools_block = ARRAY_LEN(tools_block);
