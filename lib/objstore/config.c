/*
 * objstore/config.c - a bucket from the YAML of --objstore.config.
 *
 *   type: FILESYSTEM
 *   config:
 *     directory: /var/thanos
 *   prefix: tenant-a
 *
 * Types are compared without case, as Thanos does. The types of other providers are known by name, so that
 * the error says what is missing and not that the file is wrong.
 */
#include "objstore/s3_int.h"

static const char *const types[] = { "FILESYSTEM", "S3",	"GCS", "AZURE", "SWIFT",
				     "COS",	   "ALIYUNOSS", "BOS", "OCI",	"OBS" };

struct top {
	struct str type, prefix;
	const struct doc *config;
	struct {
		char none;
	} hedging;
};

static const struct yopt hedging_rows[] = {
	{ .name = "enabled", .type = OPT_NOT_YET, .def = "false", .choices = "false" },
	{ .name = "up_to", .type = OPT_NO_EFFECT },
	{ .name = "quantile", .type = OPT_NO_EFFECT },
	{ 0 }
};
static const struct yopt top_rows[] = {
	{ .name = "type",
	  .type = OPT_STRING,
	  .off = offsetof(struct top, type),
	  .bits = OPTF_REQUIRED },
	{ .name = "config", .nest = YOPT_ANY, .off = offsetof(struct top, config) },
	{ .name = "prefix", .type = OPT_STRING, .off = offsetof(struct top, prefix) },
	{ .name = "hedging_config",
	  .nest = YOPT_MAP,
	  .off = offsetof(struct top, hedging),
	  .rows = hedging_rows },
	{ 0 }
};

struct fs_conf {
	struct str directory;
};
static const struct yopt fs_rows[] = { { .name = "directory",
					 .type = OPT_STRING,
					 .off = offsetof(struct fs_conf, directory),
					 .bits = OPTF_REQUIRED },
				       { 0 } };

static int check_type(struct ctx *ctx, struct str type, const char *what, struct err *e)
{
	if (str_eq_nocase(type, STR("FILESYSTEM")) || str_eq_nocase(type, STR("S3")))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_eq_nocase(type, str_of(types[i])))
			return err_set(
				ctx, e, E_UNSUPPORTED,
				"%s: bucket type %s is not supported by thanosc yet",
				what, types[i]);
	char upper[32];
	struct str known = type;
	if (type.n <= sizeof(upper)) {
		for (size_t i = 0; i < type.n; i++) {
			char c = type.p[i];
			upper[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
		}
		known = str_n(upper, type.n);
	}
	const char *near = conf_nearest(known, types, ARRAY_LEN(types));
	if (near)
		return err_set(ctx, e, E_INVALID,
			       "%s: unknown bucket type '%.*s', did you mean '%s'?", what,
			       STR_FMT(type), near);
	return err_set(ctx, e, E_INVALID, "%s: unknown bucket type '%.*s'", what,
		       STR_FMT(type));
}

static int check_prefix(struct ctx *ctx, struct str prefix, const char *what,
			struct err *e)
{
	while (prefix.n && prefix.p[0] == '/')
		prefix = str_from(prefix, 1);
	while (prefix.n && prefix.p[prefix.n - 1] == '/')
		prefix.n--;
	const char *fault = prefix.n ? bucket_name_fault(prefix, false) : NULL;
	if (fault)
		return err_set(ctx, e, E_INVALID, "%s: prefix '%.*s' %s", what,
			       STR_FMT(prefix), fault);
	return 0;
}

/* "WHAT: LINE:COLUMN" of a key's value, for errors. */
static const char *place(struct arena *a, const struct doc *doc, const char *key,
			 const char *what)
{
	const struct doc *d = doc_get(doc, key);
	return d ? str_dupz(a, str_fmt(a, "%s: %u:%u", what, d->line, d->col)) : what;
}

static int open_folder(struct ctx *ctx, struct arena *a, const struct doc *config,
		       const char *inner, struct bucket **out, struct err *e)
{
	struct fs_conf fs;
	if (conf_bind(ctx, a, config, fs_rows, &fs, sizeof(fs), inner, e) < 0)
		return -1;
	if (fs.directory.n == 0)
		return err_set(ctx, e, E_INVALID, "%s: directory is empty", inner);
	return bucket_fs_open(ctx, str_dupz(a, fs.directory), out, e);
}

static int from_doc(struct ctx *ctx, struct arena *a, const struct doc *doc,
		    const char *what, struct loop *loop, struct bucket **out,
		    struct err *e)
{
	struct top top;
	if (conf_bind(ctx, a, doc, top_rows, &top, sizeof(top), what, e) < 0 ||
	    check_type(ctx, top.type, place(a, doc, "type", what), e) < 0 ||
	    check_prefix(ctx, top.prefix, place(a, doc, "prefix", what), e) < 0)
		return -1;
	bool s3 = str_eq_nocase(top.type, STR("S3"));
	if (!top.config)
		return err_set(ctx, e, E_INVALID, "%s: config: %s for type %s", what,
			       s3 ? "bucket and endpoint are required"
				  : "directory is required",
			       s3 ? "S3" : "FILESYSTEM");
	char *inner = str_dupz(a, str_fmt(a, "%s: config", what));
	int rc = s3 ? bucket_s3_open(ctx, a, top.config, inner, loop, out, e)
		    : open_folder(ctx, a, top.config, inner, out, e);
	if (rc < 0)
		return str_has_prefix(str_of(err_text(e)), str_of(what))
			       ? -1
			       : err_wrap(ctx, e, "%s", what);
	*out = bucket_prefix_new(*out, top.prefix);
	return 0;
}

int bucket_from_yaml(struct ctx *ctx, struct str yaml, const char *what,
		     struct loop *loop, struct metric_registry *m, struct bucket **out,
		     struct err *e)
{
	struct arena a;
	struct doc *doc;
	int rc = -1;
	arena_init(&a, ctx ? ctx->budget : NULL);
	if (yaml_parse(ctx, &a, yaml, &doc, e) < 0)
		err_wrap(ctx, e, "%s", what);
	else
		rc = from_doc(ctx, &a, doc, what, loop, out, e);
	if (rc == 0 && m)
		*out = bucket_metrics_new(*out, m);
	arena_deinit(&a);
	return rc;
}
