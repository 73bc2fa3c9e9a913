/*
 * compactor/snapshot_list.c - the list of a snapshot's blocks:
 *
 *   thanosc/snapshots/<name>.json
 *   {"version": 1, "name": text, "time": seconds, "blocks": [{"ulid": ULID, "files": [{"rel_path": text, "size_bytes": n}]}]}
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/vec.h"
#include "compactor/snapshot_int.h"
#include "wire/json.h"

bool snap_name_is_valid(struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      (c >= '0' && c <= '9') || c == '-' || c == '_' || (c == '.' && i)))
			return false;
	}
	return name.n > 0 && name.n <= 100;
}

/* ---- reading ---- */

static const struct doc *member(const struct doc *d, const char *key, enum doc_kind kind)
{
	const struct doc *x = d->kind == DOC_MAP ? doc_get(d, key) : NULL;
	return x && x->kind == kind ? x : NULL;
}

static bool read_block(struct arena *a, const struct doc *d, struct snap_block *out)
{
	const struct doc *id = member(d, "ulid", DOC_STR),
			 *files = member(d, "files", DOC_LIST);
	if (!id || !files || !ulid_parse(id->s, &out->ulid))
		return false;
	out->file = ARENA_ARRAY(a, struct snap_file, files->n + 1);
	out->n_files = files->n;
	for (size_t i = 0; i < files->n; i++) {
		const struct doc *rel = member(files->item[i], "rel_path", DOC_STR),
				 *size = member(files->item[i], "size_bytes", DOC_INT);
		if (!rel || !size || size->i < 0)
			return false;
		out->file[i] = (struct snap_file){ rel->s, (uint64_t)size->i };
	}
	return true;
}

static bool read_snap(struct ctx *ctx, struct arena *a, struct str json, struct snap *out)
{
	struct err none = ERR_INIT;
	struct doc *d;
	if (json_parse(ctx, a, json, &d, &none) < 0)
		return false;
	const struct doc *version = member(d, "version", DOC_INT),
			 *name = member(d, "name", DOC_STR),
			 *time = member(d, "time", DOC_INT),
			 *blocks = member(d, "blocks", DOC_LIST);
	if (!version || version->i != 1 || !name || !time || !blocks ||
	    !snap_name_is_valid(name->s))
		return false;
	*out = (struct snap){ .name = name->s, .time_s = time->i };
	out->block = ARENA_ARRAY(a, struct snap_block, blocks->n + 1);
	for (; out->n < blocks->n; out->n++)
		if (!read_block(a, blocks->item[out->n], &out->block[out->n]))
			return false;
	return true;
}

struct names {
	struct arena *a;
	struct str *v;
	size_t n, cap;
};

static int note(void *arg, struct str name, const struct bucket_attrs *at,
		struct err *e UNUSED)
{
	struct names *l = arg;
	if (!at || !str_has_suffix(name, STR(".json")))
		return 0;
	if (l->n == l->cap)
		l->v = vec_grow(l->v, &l->cap, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = str_dup(l->a, name);
	return 0;
}

static int by_time(const void *a, const void *b, void *arg UNUSED)
{
	const struct snap *x = a, *y = b;
	if (x->time_s != y->time_s)
		return x->time_s < y->time_s ? -1 : 1;
	return str_cmp(x->name, y->name);
}

int snap_read_all(struct ctx *ctx, struct arena *a, struct bucket *b, struct snap **out,
		  size_t *n, struct err *e)
{
	struct names l = { .a = a };
	int rc = bucket_iter(b, ctx, STR(SNAPSHOT_DIR), true, note, &l, e);
	*out = ARENA_ARRAY(a, struct snap, l.n + 1);
	*n = 0;
	for (size_t i = 0; rc == 0 && i < l.n; i++) {
		struct buf raw;
		buf_init(&raw, SNAPSHOT_BYTES);
		rc = bucket_get(b, ctx, l.v[i], SNAPSHOT_BYTES, &raw, e);
		if (rc == 0 && read_snap(ctx, a, buf_view(&raw), &(*out)[*n]))
			++*n;
		else if (rc == 0)
			log_error(ctx, "%.*s is damaged and left out", STR_FMT(l.v[i]));
		buf_deinit(&raw);
	}
	free(l.v);
	if (rc == 0 && *n > 1)
		vec_sort(*out, *n, sizeof(**out), by_time, NULL);
	return rc < 0 ? err_wrap(ctx, e, "snapshots") : 0;
}

/* ---- writing ---- */

static struct str name_of(struct arena *a, struct str name)
{
	return str_fmt(a, SNAPSHOT_DIR "/%.*s.json", STR_FMT(name));
}

int snap_put(struct ctx *ctx, struct bucket *b, const struct snap *s, struct err *e)
{
	struct arena a;
	struct buf out;
	struct jw w;
	arena_init(&a, NULL);
	buf_init(&out, SNAPSHOT_BYTES);
	jw_init(&w, &out);
	jw_obj(&w);
	jw_key(&w, STR("version"));
	jw_i64(&w, 1);
	jw_key(&w, STR("name"));
	jw_str(&w, s->name);
	jw_key(&w, STR("time"));
	jw_i64(&w, s->time_s);
	jw_key(&w, STR("blocks"));
	jw_arr(&w);
	for (size_t i = 0; i < s->n; i++) {
		char id[27];
		ulid_format(&s->block[i].ulid, id);
		jw_obj(&w);
		jw_key(&w, STR("ulid"));
		jw_str(&w, str_of(id));
		jw_key(&w, STR("files"));
		jw_arr(&w);
		for (size_t k = 0; k < s->block[i].n_files; k++) {
			jw_obj(&w);
			jw_key(&w, STR("rel_path"));
			jw_str(&w, s->block[i].file[k].rel);
			jw_key(&w, STR("size_bytes"));
			jw_u64(&w, s->block[i].file[k].size);
			jw_obj_end(&w);
		}
		jw_arr_end(&w);
		jw_obj_end(&w);
	}
	jw_arr_end(&w);
	jw_obj_end(&w);
	int rc = buf_check(&out, ctx, "snapshot", e);
	if (rc == 0)
		rc = bucket_put_bytes(b, ctx, name_of(&a, s->name), buf_view(&out), e);
	buf_deinit(&out);
	arena_deinit(&a);
	return rc;
}

int snap_delete(struct ctx *ctx, struct bucket *b, struct str name, struct err *e)
{
	struct arena a;
	arena_init(&a, NULL);
	int rc = bucket_delete(b, ctx, name_of(&a, name), e);
	arena_deinit(&a);
	return rc;
}

int snapshot_list(struct ctx *ctx, struct arena *a, struct bucket *b,
		  struct snapshot_info **out, size_t *n, struct err *e)
{
	struct snap *v;
	if (snap_read_all(ctx, a, b, &v, n, e) < 0)
		return -1;
	*out = ARENA_ARRAY(a, struct snapshot_info, *n + 1);
	for (size_t i = 0; i < *n; i++) {
		struct snapshot_info *s = &(*out)[i];
		*s = (struct snapshot_info){ v[i].name, v[i].time_s * 1000, v[i].n, 0 };
		for (size_t k = 0; k < v[i].n; k++)
			for (size_t f = 0; f < v[i].block[k].n_files; f++)
				s->bytes += v[i].block[k].file[f].size;
	}
	return 0;
}
