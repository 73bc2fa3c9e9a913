/*
 * discovery/files.c - addresses in files: Prometheus' file discovery, as --store.sd-files names them.
 *
 *   [ { "targets": ["host:port", "dns+name:port"], "labels": {...} }, ... ]       JSON, or the same as YAML
 *
 * A pattern may have a * in the last part of its path, and matches names that end in .json, .yml or .yaml. Files are
 * looked at each second and read when size, inode or time of change differ; a file that cannot be read, or whose text
 * is wrong, keeps what it said before; one that is gone takes its addresses along.
 */
#include <fnmatch.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "base/vec.h"
#include "conf/yaml.h"
#include "discovery/discovery_int.h"
#include "fs/fs.h"

enum { M_ERRORS, M_MTIME, M_ROWS };
static const struct metric_desc rows[M_ROWS] = {
	[M_ERRORS] = { METRIC_COUNTER,
		       "prometheus_sd_file_read_errors_total",
		       "The number of File-SD read errors.",
		       { 0 },
		       NULL,
		       0,
		       0,
		       NULL },
	[M_MTIME] = { METRIC_GAUGE,
		      "prometheus_sd_file_mtime_seconds",
		      "Timestamp (mtime) of files read by FileSD. Timestamp is set at "
		      "read time.",
		      { "filename" },
		      NULL,
		      0,
		      0,
		      NULL },
};

/* Two changes within a tick of the file system's clock look like one: younger files are read again. */
#define SETTLED_NS (int64_t)(2 * NS_PER_S)

struct pattern {
	char *dir, *name; /* what is listed; matched by fnmatch */
};
struct file {
	char *path;
	struct fs_stat seen; /* when it was read last */
	struct arena arena;  /* of the addresses */
	struct str *addr;
	size_t n;
	bool here;
	bool settled; /* it was not changed just before it was read */
	struct metric *mtime;
	struct file *next;
};
struct disc_files {
	struct pattern *pattern;
	size_t n;
	struct file *files;
	struct metric_set *metrics;
};

static bool has_ending(struct str name)
{
	static const char *const endings[] = { ".json", ".yml", ".yaml",
					       ".JSON", ".YML", ".YAML" };
	for (size_t i = 0; i < ARRAY_LEN(endings); i++)
		if (str_has_suffix(name, str_of(endings[i])))
			return true;
	return false;
}

static int add_pattern(struct disc_files *f, struct str text, struct err *e)
{
	struct pattern *p = &f->pattern[f->n];
	size_t at = text.n;
	while (at > 0 && text.p[at - 1] != '/')
		at--;
	struct str dir = str_n(text.p, at), name = str_from(text, at);
	if (!name.n || !has_ending(name) || str_find_char(dir, '*') >= 0)
		return err_set(NULL, e, E_INVALID,
			       "--store.sd-files: path name \"%.*s\" is not valid for "
			       "file discovery",
			       STR_FMT(text));
	if (!dir.n)
		dir = STR("./");
	f->n++;
	p->dir = xcalloc(1, dir.n + 1);
	memcpy(p->dir, dir.p, dir.n);
	p->name = xcalloc(1, name.n + 1);
	memcpy(p->name, name.p, name.n);
	return 0;
}

int disc_files_new(const struct disc_opts *o, struct disc_files **out, struct err *e)
{
	struct disc_files *f = xcalloc(1, sizeof(*f));
	f->metrics = metric_set_new(o->metrics, rows, M_ROWS);
	f->pattern = xcalloc(o->files.n + 1, sizeof(*f->pattern));
	for (size_t i = 0; i < o->files.n; i++)
		if (add_pattern(f, o->files.v[i], e) < 0) {
			disc_files_free(f);
			return -1;
		}
	*out = f;
	return 0;
}

static void file_free(struct disc_files *f, struct file *x)
{
	if (x->mtime)
		metric_drop(f->metrics, x->mtime);
	arena_deinit(&x->arena);
	free(x->path);
	free(x);
}

void disc_files_free(struct disc_files *f)
{
	if (!f)
		return;
	while (f->files) {
		struct file *x = f->files;
		f->files = x->next;
		file_free(f, x);
	}
	for (size_t i = 0; i < f->n; i++) {
		free(f->pattern[i].dir);
		free(f->pattern[i].name);
	}
	free(f->pattern);
	free(f);
}

/* ---- one file ---- */

struct group_conf {
	struct conf_strs targets;
	const struct doc *labels; /* of no use for endpoints */
};
static const struct yopt group_rows[] = { { .name = "targets",
					    .type = OPT_STRINGS,
					    .nest = YOPT_LIST,
					    .off = offsetof(struct group_conf, targets) },
					  { .name = "labels",
					    .nest = YOPT_ANY,
					    .off = offsetof(struct group_conf, labels) },
					  { 0 } };

static int parse(struct ctx *ctx, struct arena *a, const char *path, struct str text,
		 struct str **addr, size_t *n, struct err *e)
{
	struct doc *doc = NULL;
	size_t cap = 0, k = 0;
	struct str *v = NULL;
	bool json = str_has_suffix(str_of(path), STR("json")) ||
		    str_has_suffix(str_of(path), STR("JSON"));
	int rc = json ? json_parse(ctx, a, text, &doc, e)
		      : yaml_parse(ctx, a, text, &doc, e);
	if (rc < 0 || !doc)
		return -1;
	if (doc->kind != DOC_LIST && doc->kind != DOC_NULL)
		return err_set(ctx, e, E_INVALID, "want a list of target groups");
	for (size_t i = 0; i < doc->n; i++) {
		struct group_conf g;
		if (conf_bind(ctx, a, doc->item[i], group_rows, &g, sizeof(g), "group",
			      e) < 0) {
			free(v);
			return -1;
		}
		if (k + g.targets.n > cap)
			v = vec_grow(v, &cap, k + g.targets.n, sizeof(*v));
		for (size_t j = 0; j < g.targets.n; j++)
			v[k++] = g.targets.v[j];
	}
	*addr = ARENA_ARRAY(a, struct str, k + 1);
	if (k)
		memcpy(*addr, v, k * sizeof(*v));
	*n = k;
	free(v);
	return 0;
}

/* Addresses that make no sense are left out alone. */
static size_t only_good(const char *path, struct str *addr, size_t n)
{
	size_t k = 0;
	for (size_t i = 0; i < n; i++) {
		struct disc_addr x;
		struct err e = ERR_INIT;
		if (disc_addr_parse(addr[i], &x, &e) == 0)
			addr[k++] = addr[i];
		else
			log_warn(NULL, "%s: %s", path, err_text(&e));
	}
	return k;
}

static bool same_addrs(const struct file *x, const struct str *addr, size_t n)
{
	if (x->n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!str_eq(x->addr[i], addr[i]))
			return false;
	return true;
}

/* True: its addresses changed. */
static bool read_file(struct disc_files *f, struct ctx *ctx, struct file *x,
		      const struct fs_stat *st)
{
	struct err e = ERR_INIT;
	struct arena a;
	struct buf b;
	struct str *addr = NULL;
	size_t n = 0;
	arena_init(&a, NULL);
	buf_init(&b, LIMIT_META_BYTES);
	x->seen = *st;
	x->settled = time_wall_ns() - st->mtime_ns > SETTLED_NS;
	if (fs_read_file(ctx, x->path, LIMIT_META_BYTES, &b, &e) < 0 ||
	    parse(ctx, &a, x->path, buf_view(&b), &addr, &n, &e) < 0) {
		metric_inc(metric_plain(f->metrics, M_ERRORS));
		log_error(NULL, "%s: %s; %zu addresses read before stay", x->path,
			  err_text(&e), x->n);
		buf_deinit(&b);
		arena_deinit(&a);
		return false;
	}
	buf_deinit(&b);
	n = only_good(x->path, addr, n);
	bool changed = !same_addrs(x, addr, n);
	arena_deinit(&x->arena);
	x->arena = a;
	x->addr = addr;
	x->n = n;
	metric_set_value(x->mtime, (double)st->mtime_ns / 1e9);
	return changed;
}

/* ---- all files ---- */

static bool visit(struct disc_files *f, struct ctx *ctx, const char *path, bool all)
{
	struct fs_stat st;
	struct err e = ERR_INIT;
	struct file *x = f->files;
	if (fs_stat(ctx, path, &st, &e) < 0 || st.kind != FS_FILE)
		return false;
	while (x && strcmp(x->path, path) != 0)
		x = x->next;
	if (x && x->here) /* two patterns match it */
		return false;
	if (!x) {
		x = xcalloc(1, sizeof(*x));
		x->path = xcalloc(1, strlen(path) + 1);
		strcpy(x->path, path);
		arena_init(&x->arena, NULL);
		x->mtime = metric_at(f->metrics, M_MTIME, str_of(path));
		x->next = f->files;
		f->files = x;
	}
	x->here = true;
	bool same = x->settled && st.size == x->seen.size && st.ino == x->seen.ino &&
		    st.mtime_ns == x->seen.mtime_ns;
	return (!same || all) && read_file(f, ctx, x, &st);
}

static bool drop_gone(struct disc_files *f)
{
	bool changed = false;
	for (struct file **at = &f->files; *at;) {
		struct file *x = *at;
		if (x->here) {
			at = &x->next;
			continue;
		}
		log_info(NULL, "%s is gone, and %zu addresses with it", x->path, x->n);
		changed |= x->n > 0;
		*at = x->next;
		file_free(f, x);
	}
	return changed;
}

bool disc_files_read(struct disc_files *f, struct ctx *ctx, bool all)
{
	bool changed = false;
	for (struct file *x = f->files; x; x = x->next)
		x->here = false;
	for (size_t i = 0; i < f->n; i++) {
		const struct pattern *p = &f->pattern[i];
		struct fs_names names = { 0 };
		struct err e = ERR_INIT;
		struct arena a;
		arena_init(&a, NULL);
		if (fs_list(ctx, &a, p->dir, &names, &e) < 0)
			log_debug(NULL, "%s", err_text(&e));
		for (size_t k = 0; k < names.n; k++)
			if (fnmatch(p->name, names.name[k].p, FNM_PERIOD) == 0)
				changed |= visit(f, ctx,
						 str_dupz(&a, str_fmt(&a, "%s%s", p->dir,
								      names.name[k].p)),
						 all);
		arena_deinit(&a);
	}
	return drop_gone(f) || changed;
}

size_t disc_files_addrs(struct disc_files *f, struct arena *a, struct str **out)
{
	size_t n = 0;
	for (struct file *x = f->files; x; x = x->next)
		n += x->n;
	struct str *v = ARENA_ARRAY(a, struct str, n + 1);
	n = 0;
	for (struct file *x = f->files; x; x = x->next)
		for (size_t i = 0; i < x->n; i++)
			v[n++] = x->addr[i];
	*out = v;
	return n;
}
