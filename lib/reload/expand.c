/*
 * reload/expand.c - the configuration as Prometheus reads it: unpacked, variables replaced, put in place whole.
 */
#include "conf/flags.h"
#include "fs/fs.h"
#include "reload/reload_int.h"
#include "wire/codec.h"

static bool is_gzip(struct str s)
{
	return str_has_prefix(s, STR("\x1f\x8b\x08"));
}

/* Does the file hold these bytes already? Then Prometheus' own watchers are not bothered. */
static bool holds(struct ctx *ctx, const char *path, struct str want)
{
	struct buf b;
	struct err none = ERR_INIT;
	buf_init(&b, RELOAD_FILE_BYTES);
	bool same = fs_read_file(ctx, path, RELOAD_FILE_BYTES, &b, &none) == 0 &&
		    str_eq(buf_view(&b), want);
	buf_deinit(&b);
	return same;
}

static int expand(const struct reloader_opts *o, struct ctx *ctx, struct arena *a,
		  struct buf *raw, struct buf *plain, struct err *e)
{
	struct str text, out;
	if (fs_read_file(ctx, o->config_file, RELOAD_FILE_BYTES, raw, e) < 0)
		return -1;
	text = buf_view(raw);
	if (is_gzip(text)) {
		if (gzip_decode(text, RELOAD_FILE_BYTES, plain, e) < 0)
			return err_wrap(ctx, e, "unpack %s", o->config_file);
		text = buf_view(plain);
	}
	if (conf_env_expand(ctx, a, text, &out, e) < 0)
		return err_wrap(ctx, e, "%s", o->config_file);
	if (holds(ctx, o->output_file, out))
		return 0;
	return fs_write_atomic(ctx, o->output_file, out, e);
}

int reload_expand(const struct reloader_opts *o, struct ctx *ctx, struct err *e)
{
	struct arena a;
	struct buf raw, plain;
	arena_init(&a, NULL);
	buf_init(&raw, RELOAD_FILE_BYTES);
	buf_init(&plain, RELOAD_FILE_BYTES);
	int rc = expand(o, ctx, &a, &raw, &plain, e);
	buf_deinit(&raw);
	buf_deinit(&plain);
	arena_deinit(&a);
	return rc;
}
