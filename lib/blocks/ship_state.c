/*
 * blocks/ship_state.c - thanos.shipper.json: which blocks of this folder are in the bucket.
 *
 *   {"version": 1, "uploaded": [ULID, ...]}, tab-indented
 *
 * It saves asking the bucket, no more: when it is lost or damaged the shipper asks block by block. Other
 * programs read it (Prometheus' delayed compaction waits for blocks named here), so its form is kept.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/vec.h"
#include "blocks/blocks_int.h"
#include "fs/fs.h"
#include "wire/json.h"

void ship_state_deinit(struct ship_state *s)
{
	free(s->v);
	*s = (struct ship_state){ 0 };
}

bool ship_state_has(const struct ship_state *s, const struct ulid *id)
{
	for (size_t i = 0; i < s->n; i++)
		if (ulid_cmp(&s->v[i], id) == 0)
			return true;
	return false;
}

void ship_state_add(struct ship_state *s, const struct ulid *id)
{
	if (s->n == s->cap)
		s->v = vec_grow(s->v, &s->cap, s->n + 1, sizeof(*s->v));
	s->v[s->n++] = *id;
}

static int take(struct ship_state *s, struct ctx *ctx, const struct doc *d, struct err *e)
{
	if (d->kind != DOC_MAP)
		return err_set(ctx, e, E_CORRUPT, "not a JSON object");
	const struct doc *version = doc_get(d, "version");
	const struct doc *list = doc_get(d, "uploaded");
	if (!version || version->kind != DOC_INT || version->i != 1)
		return err_set(ctx, e, E_CORRUPT, "unexpected version %.*s, expected 1",
			       version ? (int)version->s.n : 0,
			       version && version->s.n ? version->s.p : "");
	if (!list || list->kind == DOC_NULL)
		return 0;
	if (list->kind != DOC_LIST)
		return err_set(ctx, e, E_CORRUPT, "uploaded is not a list");
	for (size_t i = 0; i < list->n; i++) {
		struct ulid id;
		if (list->item[i]->kind != DOC_STR || !ulid_parse(list->item[i]->s, &id))
			return err_set(ctx, e, E_CORRUPT, "uploaded[%zu] is not a ULID",
				       i);
		ship_state_add(s, &id);
	}
	return 0;
}

int ship_state_read(struct ship_state *s, struct ctx *ctx, const char *path,
		    struct err *e)
{
	struct arena a;
	struct buf raw;
	struct doc *d;
	struct fs_stat st;
	*s = (struct ship_state){ 0 };
	if (fs_stat(ctx, path, &st, e) < 0)
		return -1;
	if (st.kind == FS_NONE)
		return 0;
	arena_init(&a, NULL);
	buf_init(&raw, LIMIT_META_BYTES);
	int rc = fs_read_file(ctx, path, LIMIT_META_BYTES, &raw, e);
	if (rc == 0 && json_parse(ctx, &a, buf_view(&raw), &d, e) < 0) {
		e->code = E_CORRUPT;
		rc = -1;
	}
	if (rc == 0)
		rc = take(s, ctx, d, e);
	buf_deinit(&raw);
	arena_deinit(&a);
	if (rc < 0) {
		ship_state_deinit(s);
		return err_wrap(ctx, e, "%s", path);
	}
	return 0;
}

static void render(const struct ship_state *s, struct buf *out)
{
	buf_str(out, STR("{\n\t\"version\": 1,\n\t\"uploaded\": ["));
	for (size_t i = 0; i < s->n; i++) {
		char id[27];
		ulid_format(&s->v[i], id);
		buf_fmt(out, "%s\n\t\t\"%s\"", i ? "," : "", id);
	}
	buf_fmt(out, "%s]\n}\n", s->n ? "\n\t" : "");
}

int ship_state_write(const struct ship_state *s, struct ctx *ctx, const char *path,
		     struct err *e)
{
	struct buf now, was;
	struct err none = ERR_INIT;
	buf_init(&now, LIMIT_META_BYTES);
	buf_init(&was, LIMIT_META_BYTES);
	render(s, &now);
	int rc = buf_check(&now, ctx, path, e);
	bool same = rc == 0 &&
		    fs_read_file(ctx, path, LIMIT_META_BYTES, &was, &none) == 0 &&
		    str_eq(buf_view(&now), buf_view(&was));
	if (rc == 0 && !same)
		rc = fs_write_atomic(ctx, path, buf_view(&now), e);
	buf_deinit(&now);
	buf_deinit(&was);
	return rc;
}
