/*
 * blocks/mark.c - the markers that compactors, tools and pages lay beside a block.
 *
 *   {"id": ULID, "version": 1, "details": text, "deletion_time": seconds}
 *   no_compact_time and no_downsample_time come with a "reason"
 *
 * Unknown fields are passed over, as Thanos does. Source: thanos.md §3.5.
 */
#include <stdio.h>

#include "blocks/blocks_int.h"
#include "wire/json.h"

static const struct {
	const char *file, *noun, *time;
} kinds[MARK_KINDS] = {
	[MARK_DELETION] = { "deletion-mark.json", "deletion-mark", "deletion_time" },
	[MARK_NO_COMPACT] = { "no-compact-mark.json", "no-compact-mark",
			      "no_compact_time" },
	[MARK_NO_DOWNSAMPLE] = { "no-downsample-mark.json", "no-downsample-mark",
				 "no_downsample_time" },
};

const char *mark_filename(enum mark_kind k)
{
	return kinds[k].file;
}

static bool is(const struct doc *d, enum doc_kind kind)
{
	return d && d->kind == kind;
}

/* An optional text: absent and null are empty. */
static int text_of(struct ctx *ctx, const struct doc *map, enum mark_kind k,
		   const char *key, struct str *out, struct err *e)
{
	const struct doc *d = doc_get(map, key);
	*out = STR_NULL;
	if (!d || d->kind == DOC_NULL)
		return 0;
	if (d->kind != DOC_STR)
		return err_set(ctx, e, E_CORRUPT, "%s file: %s is not a string",
			       kinds[k].noun, key);
	*out = d->s;
	return 0;
}

int mark_parse(struct ctx *ctx, struct arena *a, enum mark_kind k, struct str json,
	       struct block_mark *out, struct err *e)
{
	struct doc *d;
	struct block_mark m = { 0 };
	struct err why = ERR_INIT;
	if (json_parse(ctx, a, json, &d, &why) < 0)
		return err_set(ctx, e, E_CORRUPT, "%s file: %s", kinds[k].noun,
			       err_text(&why));
	if (d->kind != DOC_MAP)
		return err_set(ctx, e, E_CORRUPT, "%s file: not a JSON object",
			       kinds[k].noun);
	const struct doc *version = doc_get(d, "version");
	if (version && version->kind != DOC_INT)
		return err_set(ctx, e, E_CORRUPT, "%s file: version is not an integer",
			       kinds[k].noun);
	if (!version || version->i != 1)
		return err_set(ctx, e, E_CORRUPT,
			       "unexpected %s file version %lld, expected 1",
			       kinds[k].noun, version ? (long long)version->i : 0);
	const struct doc *id = doc_get(d, "id");
	if (!is(id, DOC_STR) || !ulid_parse(id->s, &m.id))
		return err_set(ctx, e, E_CORRUPT, "%s file: id is not a ULID",
			       kinds[k].noun);
	const struct doc *t = doc_get(d, kinds[k].time);
	if (!is(t, DOC_INT))
		return err_set(ctx, e, E_CORRUPT, "%s file: %s is not an integer",
			       kinds[k].noun, kinds[k].time);
	m.time_s = t->i;
	if (text_of(ctx, d, k, "details", &m.details, e) < 0 ||
	    text_of(ctx, d, k, "reason", &m.reason, e) < 0)
		return -1;
	*out = m;
	return 0;
}

void mark_write(enum mark_kind k, const struct block_mark *m, struct buf *out)
{
	struct jw w;
	char id[27];
	ulid_format(&m->id, id);
	jw_init(&w, out);
	jw_obj(&w);
	jw_key(&w, STR("id"));
	jw_str(&w, str_of(id));
	jw_key(&w, STR("version"));
	jw_i64(&w, 1);
	if (m->details.n) {
		jw_key(&w, STR("details"));
		jw_str(&w, m->details);
	}
	jw_key(&w, str_of(kinds[k].time));
	jw_i64(&w, m->time_s);
	if (k != MARK_DELETION) {
		jw_key(&w, STR("reason"));
		jw_str(&w, m->reason);
	}
	jw_obj_end(&w);
}

static struct str name_of(enum mark_kind k, const struct ulid *id, char room[64])
{
	char text[27];
	ulid_format(id, text);
	int n = snprintf(room, 64, "%s/%s", text, kinds[k].file);
	return str_n(room, (size_t)n);
}

int mark_put(struct bucket *b, struct ctx *ctx, enum mark_kind k,
	     const struct block_mark *m, struct err *e)
{
	char room[64];
	struct buf json;
	buf_init(&json, 1u << 20);
	mark_write(k, m, &json);
	int rc = buf_check(&json, ctx, kinds[k].file, e);
	if (rc == 0)
		rc = bucket_put_bytes(b, ctx, name_of(k, &m->id, room), buf_view(&json),
				      e);
	buf_deinit(&json);
	return rc;
}

int mark_remove(struct bucket *b, struct ctx *ctx, enum mark_kind k,
		const struct ulid *id, struct err *e)
{
	char room[64];
	return bucket_delete(b, ctx, name_of(k, id, room), e);
}
