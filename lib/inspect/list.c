/*
 * inspect/list.c - the blocks of a bucket or of a folder: one listing, one read a block, a row each with the columns of
 * `thanos tools bucket inspect`.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/time.h"
#include "blocks/blocks.h"
#include "inspect/inspect_int.h"
#include "wire/json.h"

#define RAW_UNTIL_DOWN                                                                   \
	((int64_t)40 * 3600000) /* when a raw block is downsampled: as long as this */
#define FIVE_UNTIL_DOWN ((int64_t)10 * 86400000)
#define RES_5M		300000

struct listing {
	struct arena *a;
	struct inspect_item *v;
	bool *has_object; /* meta.json is in the listing */
	size_t n, cap, cap_has;
};

static void note_file(struct inspect_item *x, bool *meta, struct str rest,
		      const struct bucket_attrs *at)
{
	x->bytes += at->size;
	x->files++;
	*meta = *meta || str_eqz(rest, "meta.json");
	x->deletion = x->deletion || str_eqz(rest, mark_filename(MARK_DELETION));
	x->no_compact = x->no_compact || str_eqz(rest, mark_filename(MARK_NO_COMPACT));
	x->no_downsample =
		x->no_downsample || str_eqz(rest, mark_filename(MARK_NO_DOWNSAMPLE));
}

static int on_name(void *arg, struct str name, const struct bucket_attrs *at,
		   struct err *e)
{
	struct listing *l = arg;
	struct str rest = name, dir;
	struct ulid id;
	(void)e;
	if (!str_cut(&rest, '/', &dir) || !ulid_parse(dir, &id))
		return 0;
	if (l->n == 0 || !str_eq(l->v[l->n - 1].name, dir)) {
		if (l->n == l->cap)
			l->v = vec_grow(l->v, &l->cap, l->n + 1, sizeof(*l->v));
		if (l->n == l->cap_has)
			l->has_object = vec_grow(l->has_object, &l->cap_has, l->n + 1,
						 sizeof(*l->has_object));
		l->has_object[l->n] = false;
		l->v[l->n++] = (struct inspect_item){ .name = str_dup(l->a, dir) };
	}
	note_file(&l->v[l->n - 1], &l->has_object[l->n - 1], rest, at);
	return 0;
}

static int read_meta(struct ctx *ctx, struct arena *a, struct bucket *b,
		     struct inspect_item *x, struct err *e)
{
	struct err why = ERR_INIT;
	struct buf text;
	buf_init(&text, LIMIT_META_BYTES);
	int rc = bucket_get(b, ctx, str_fmt(a, "%.*s/meta.json", STR_FMT(x->name)),
			    LIMIT_META_BYTES, &text, &why);
	if (rc == 0)
		x->json = str_dup(a, buf_view(&text));
	if (rc == 0)
		rc = block_meta_parse(ctx, a, x->json, &x->meta, &why);
	buf_deinit(&text);
	x->has_meta = rc == 0;
	if (rc == 0)
		return 0;
	x->trouble = str_fmt(a, "%s", err_text(&why));
	if (err_code_class(why.code) != ERR_RETRY && why.code != E_CANCELLED)
		return 0;
	*e = why;
	return -1;
}

int inspect_list_blocks(struct ctx *ctx, struct arena *a, struct bucket *b,
			struct inspect_item **out, size_t *n, struct err *e)
{
	struct listing l = { .a = a };
	int rc = bucket_iter(b, ctx, STR(""), true, on_name, &l, e);
	for (size_t i = 0; rc == 0 && i < l.n; i++) {
		if (l.has_object[i])
			rc = read_meta(ctx, a, b, &l.v[i], e);
		else
			l.v[i].trouble = STR("no meta.json");
	}
	if (rc == 0) {
		*out = ARENA_ARRAY(a, struct inspect_item, l.n + 1);
		if (l.n)
			memcpy(*out, l.v, l.n * sizeof(*l.v));
		*n = l.n;
	}
	free(l.v);
	free(l.has_object);
	return rc;
}

/* ---- rows ---- */

static const char *const heads[] = { "ULID",	    "FROM",	  "UNTIL",
				     "RANGE",	    "UNTIL-DOWN", "#SERIES",
				     "#SAMPLES",    "#CHUNKS",	  "COMP-LEVEL",
				     "COMP-FAILED", "LABELS",	  "RESOLUTION",
				     "SOURCE",	    "SIZE",	  "MARKS" };
#define COLS ARRAY_LEN(heads)

static struct str time_text(struct arena *a, int64_t ms)
{
	char s[40];
	int64_t sec = ms / 1000 - (ms % 1000 < 0);
	return str_dup(a, str_n(s, time_format_rfc3339(s, sec, 0, 0)));
}

static struct str duration_text(struct arena *a, int64_t ms)
{
	char s[64];
	return str_dup(a, str_n(s, time_format_duration_ms(s, ms)));
}

static struct str bytes_text(struct arena *a, uint64_t n)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double v = (double)n;
	size_t u = 0;
	for (; v >= 1024 && u + 1 < ARRAY_LEN(units); u++)
		v /= 1024;
	return str_fmt(a, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static struct str plain_labels(struct arena *a, struct labels ls)
{
	struct str s = STR("");
	for (uint32_t i = 0; i < ls.n; i++)
		s = str_fmt(a, "%.*s%s%.*s=%.*s", STR_FMT(s), i ? "," : "",
			    STR_FMT(ls.l[i].name), STR_FMT(ls.l[i].value));
	return s;
}

static struct str until_down(struct arena *a, const struct block_meta *m)
{
	int64_t range = m->maxt_ms - m->mint_ms, res = m->thanos.resolution_ms, left;
	if (res == 0)
		left = RAW_UNTIL_DOWN - range;
	else if (res == RES_5M)
		left = FIVE_UNTIL_DOWN - range;
	else
		return STR("-");
	return left > 0 ? duration_text(a, left) : STR("0s");
}

static struct str marks_text(struct arena *a, const struct inspect_item *x)
{
	struct str s = str_fmt(a, "%s%s%s", x->deletion ? ",deletion" : "",
			       x->no_compact ? ",no-compact" : "",
			       x->no_downsample ? ",no-downsample" : "");
	return s.n ? str_from(s, 1) : STR("-");
}

static void fill_row(struct arena *a, const struct inspect_item *x, struct str c[COLS])
{
	const struct block_meta *m = &x->meta;
	for (size_t i = 0; i < COLS; i++)
		c[i] = STR("-");
	c[0] = x->name;
	c[13] = bytes_text(a, x->bytes);
	c[14] = marks_text(a, x);
	if (!x->has_meta) {
		c[10] = str_fmt(a, "(%.*s)", STR_FMT(x->trouble));
		return;
	}
	c[1] = time_text(a, m->mint_ms);
	c[2] = time_text(a, m->maxt_ms);
	c[3] = duration_text(a, m->maxt_ms - m->mint_ms);
	c[4] = until_down(a, m);
	c[5] = str_fmt(a, "%" PRIu64, m->stats.series);
	c[6] = str_fmt(a, "%" PRIu64, m->stats.samples);
	c[7] = str_fmt(a, "%" PRIu64, m->stats.chunks);
	c[8] = str_fmt(a, "%d", (int)m->compaction.level);
	c[9] = m->compaction.failed ? STR("true") : STR("false");
	c[10] = plain_labels(a, m->thanos.labels);
	c[11] = duration_text(a, m->thanos.resolution_ms);
	c[12] = m->thanos.source;
}

static void put_cell(struct buf *b, struct str s, enum inspect_format f)
{
	bool quote = f == INSPECT_CSV &&
		     (str_find_char(s, ',') >= 0 || str_find_char(s, '"') >= 0 ||
		      str_find_char(s, '\n') >= 0);
	if (quote)
		buf_byte(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (quote && s.p[i] == '"')
			buf_byte(b, '"');
		buf_byte(b, f == INSPECT_TSV && (s.p[i] == '\t' || s.p[i] == '\n')
				    ? ' '
				    : (uint8_t)s.p[i]);
	}
	if (quote)
		buf_byte(b, '"');
}

static void put_rows(const struct inspect_item *v, size_t n, enum inspect_format f,
		     struct buf *b)
{
	size_t width[COLS] = { 0 };
	struct arena a;
	arena_init(&a, NULL);
	struct str(*row)[COLS] = arena_zalloc(&a, (n + 1) * sizeof(*row));
	for (size_t i = 0; i < COLS; i++)
		row[0][i] = str_of(heads[i]);
	for (size_t i = 0; i < n; i++)
		fill_row(&a, &v[i], row[i + 1]);
	for (size_t i = 0; i <= n; i++)
		for (size_t k = 0; k < COLS; k++)
			width[k] = MAX(width[k], row[i][k].n);
	for (size_t i = 0; i <= n; i++)
		for (size_t k = 0; k < COLS; k++) {
			bool last = k + 1 == COLS;
			put_cell(b, row[i][k], f);
			for (size_t w = row[i][k].n;
			     f == INSPECT_TABLE && !last && w < width[k] + 2; w++)
				buf_byte(b, ' ');
			if (!last && f != INSPECT_TABLE)
				buf_byte(b, f == INSPECT_CSV ? ',' : '\t');
			if (last)
				buf_byte(b, '\n');
		}
	arena_deinit(&a);
}

static void put_json(const struct inspect_item *x, struct buf *b)
{
	struct jw w;
	struct buf meta;
	jw_init(&w, b);
	jw_obj(&w);
	jw_key(&w, STR("ulid"));
	jw_str(&w, x->name);
	jw_key(&w, STR("bytes"));
	jw_u64(&w, x->bytes);
	jw_key(&w, STR("files"));
	jw_u64(&w, x->files);
	jw_key(&w, STR("marks"));
	jw_arr(&w);
	if (x->deletion)
		jw_str(&w, STR("deletion"));
	if (x->no_compact)
		jw_str(&w, STR("no-compact"));
	if (x->no_downsample)
		jw_str(&w, STR("no-downsample"));
	jw_arr_end(&w);
	jw_key(&w, STR("meta"));
	buf_init(&meta, (size_t)4 * LIMIT_META_BYTES);
	if (x->has_meta)
		block_meta_write_line(&x->meta, &meta);
	if (x->has_meta)
		jw_raw(&w, buf_view(&meta));
	else
		jw_null(&w);
	buf_deinit(&meta);
	if (!x->has_meta) {
		jw_key(&w, STR("error"));
		jw_str(&w, x->trouble);
	}
	jw_obj_end(&w);
	buf_byte(b, '\n');
}

void inspect_list_text(const struct inspect_item *v, size_t n, enum inspect_format f,
		       struct buf *out)
{
	if (f != INSPECT_JSON) {
		put_rows(v, n, f, out);
		return;
	}
	for (size_t i = 0; i < n; i++)
		put_json(&v[i], out);
}
