/*
 * tsdb/block/meta.c - reading meta.json.
 *
 * The file is pulled token by token; a field is read by the function of its type, which names the
 * field when the value is of another one. Unknown fields are skipped, null leaves a field as it was,
 * of doubled fields the last wins: what Go's decoder does with these files. Beyond types it is
 * checked that the version is 1, that the resolution is one that exists (a block of another must
 * never be taken for raw data), and that no listed path leaves the block's folder, since these paths
 * are opened and deleted by whoever works on the block.
 */
#include "tsdb/block/block.h"

#include "base/limits.h"
#include "base/log.h"
#include "wire/json.h"

struct meta_parser {
	struct jr j;
	struct ctx *ctx;
	struct arena *a;
	struct block_meta *m;
	struct err *e;
	int64_t version;
	bool has_ulid;
};

static const char *const tok_names[] = {
	[JSON_OBJ] = "an object", [JSON_ARR] = "a list",  [JSON_STR] = "a string",
	[JSON_NUM] = "a number",  [JSON_TRUE] = "true",	  [JSON_FALSE] = "false",
	[JSON_NULL] = "null",	  [JSON_EOF] = "nothing",
};

static int bad_json(struct meta_parser *p)
{
	if (rd_left(&p->j.r) == 0)
		return err_set(p->ctx, p->e, E_CORRUPT, "unexpected end of JSON input");
	return err_set(p->ctx, p->e, E_CORRUPT, "invalid JSON at byte %zu",
		       jr_offset(&p->j));
}

static int bad_type(struct meta_parser *p, const char *field, const char *want,
		    enum json_tok got)
{
	if (got == JSON_ERR)
		return bad_json(p);
	return err_set(p->ctx, p->e, E_CORRUPT, "%s: %s where %s is expected", field,
		       (unsigned)got < ARRAY_LEN(tok_names) && tok_names[got]
			       ? tok_names[got]
			       : "something",
		       want);
}

/* 1: the container is open; 0: null; -1. */
static int open_container(struct meta_parser *p, const char *field, enum json_tok want)
{
	enum json_tok t = jr_next(&p->j);

	if (t == want)
		return 1;
	if (t == JSON_NULL)
		return 0;
	return bad_type(p, field, want == JSON_OBJ ? "an object" : "a list", t);
}

/* The next key of the open object: 1, its end: 0, -1. */
static int next_key(struct meta_parser *p, struct str *key)
{
	enum json_tok t = jr_next(&p->j);

	*key = p->j.s;
	if (t == JSON_KEY)
		return 1;
	return t == JSON_OBJ_END ? 0 : bad_json(p);
}

static int skip(struct meta_parser *p)
{
	return jr_skip(&p->j) < 0 ? bad_json(p) : 0;
}

static int get_text(struct meta_parser *p, const char *field, struct str *out)
{
	enum json_tok t = jr_next(&p->j);
	struct str s = p->j.s;

	if (t == JSON_NULL)
		return 0;
	if (t != JSON_STR)
		return bad_type(p, field, "a string", t);
	char *copy = arena_try(p->a, p->ctx, s.n + 1, p->e);
	if (!copy)
		return -1;
	if (s.n)
		memcpy(copy, s.p, s.n);
	copy[s.n] = 0;
	*out = str_n(copy, s.n);
	return 0;
}

static int get_i64(struct meta_parser *p, const char *field, int64_t *out)
{
	enum json_tok t = jr_next(&p->j);

	if (t == JSON_NULL)
		return 0;
	if (t != JSON_NUM)
		return bad_type(p, field, "a number", t);
	if (!str_to_i64(p->j.s, out))
		return err_set(p->ctx, p->e, E_CORRUPT, "%s: %.*s is no 64-bit integer",
			       field, (int)MIN(p->j.s.n, 60), p->j.s.p);
	return 0;
}

static int get_u64(struct meta_parser *p, const char *field, uint64_t *out)
{
	enum json_tok t = jr_next(&p->j);

	if (t == JSON_NULL)
		return 0;
	if (t != JSON_NUM)
		return bad_type(p, field, "a number", t);
	if (!str_to_u64(p->j.s, out))
		return err_set(p->ctx, p->e, E_CORRUPT,
			       "%s: %.*s is no integer of 64 bits from 0", field,
			       (int)MIN(p->j.s.n, 60), p->j.s.p);
	return 0;
}

static int get_i32(struct meta_parser *p, const char *field, int32_t *out)
{
	int64_t v = *out;

	if (get_i64(p, field, &v) < 0)
		return -1;
	if (v < INT32_MIN || v > INT32_MAX)
		return err_set(p->ctx, p->e, E_CORRUPT, "%s: %lld is no 32-bit integer",
			       field, (long long)v);
	*out = (int32_t)v;
	return 0;
}

static int get_bool(struct meta_parser *p, const char *field, bool *out)
{
	enum json_tok t = jr_next(&p->j);

	if (t == JSON_TRUE || t == JSON_FALSE)
		*out = t == JSON_TRUE;
	else if (t != JSON_NULL)
		return bad_type(p, field, "true or false", t);
	return 0;
}

static int check_ulid(struct meta_parser *p, const char *field, struct str s,
		      struct ulid *out)
{
	if (ulid_parse(s, out))
		return 0;
	return err_set(p->ctx, p->e, E_CORRUPT, "%s: \"%.*s\" is no ULID", field,
		       (int)MIN(s.n, 60), s.p);
}

static int get_ulid(struct meta_parser *p, const char *field, struct ulid *out)
{
	enum json_tok t = jr_next(&p->j);

	if (t != JSON_STR)
		return bad_type(p, field, "a string", t);
	return check_ulid(p, field, p->j.s, out);
}

/* The text of the next value as it stands; it must be JSON. */
static int get_raw(struct meta_parser *p, struct str *out)
{
	size_t from = jr_offset(&p->j);

	if (skip(p) < 0)
		return -1;
	struct str s = str_trim(str_n(p->j.start + from, jr_offset(&p->j) - from));
	*out = STR_NULL;
	if (str_eqz(s, "null"))
		return 0;
	char *copy = arena_try(p->a, p->ctx, s.n, p->e);
	if (!copy)
		return -1;
	*out = str_n(memcpy(copy, s.p, s.n), s.n);
	return 0;
}

/* Room for one more element behind n; arrays double at powers of two. */
static void *grow(struct meta_parser *p, void *v, size_t n, size_t elem)
{
	if (n & (n - 1))
		return v;
	char *w = arena_try(p->a, p->ctx, (n ? n * 2 : 1) * elem, p->e);
	if (w && n)
		memcpy(w, v, n * elem);
	if (w)
		memset(w + n * elem, 0, (n ? n : 1) * elem);
	return w;
}

/* Elements of a list of strings, one at a time: 1 and *s; 0: end; -1. */
static int next_text(struct meta_parser *p, const char *field, struct str *s)
{
	enum json_tok t = jr_next(&p->j);

	if (t == JSON_ARR_END)
		return 0;
	if (t != JSON_STR)
		return bad_type(p, field, "a string", t);
	char *copy = arena_try(p->a, p->ctx, p->j.s.n + 1, p->e);
	if (!copy)
		return -1;
	if (p->j.s.n)
		memcpy(copy, p->j.s.p, p->j.s.n);
	copy[p->j.s.n] = 0;
	*s = str_n(copy, p->j.s.n);
	return 1;
}

static int get_texts(struct meta_parser *p, const char *field, struct str **v, size_t *n)
{
	struct str s;
	int rc = open_container(p, field, JSON_ARR);

	*n = 0;
	if (rc <= 0)
		return rc;
	while ((rc = next_text(p, field, &s)) > 0) {
		*v = grow(p, *v, *n, sizeof(**v));
		if (!*v)
			return -1;
		(*v)[(*n)++] = s;
	}
	return rc;
}

/* ---- sections ---- */

static int parse_stats(struct meta_parser *p)
{
	static const struct {
		const char *key, *field;
		size_t off;
	} fields[] = {
#define STAT(k, f) { k, "stats." k, offsetof(struct block_meta, stats.f) }
		STAT("numSamples", samples),
		STAT("numFloatSamples", float_samples),
		STAT("numHistogramSamples", histogram_samples),
		STAT("numSeries", series),
		STAT("numChunks", chunks),
		STAT("numTombstones", tombstones),
#undef STAT
	};
	struct str key;
	int rc = open_container(p, "stats", JSON_OBJ);

	if (rc <= 0)
		return rc;
	while ((rc = next_key(p, &key)) > 0) {
		size_t i = 0;
		while (i < ARRAY_LEN(fields) && !str_eqz(key, fields[i].key))
			i++;
		uint64_t *to =
			i < ARRAY_LEN(fields)
				? (uint64_t *)(void *)((char *)p->m + fields[i].off)
				: NULL;
		if ((to ? get_u64(p, fields[i].field, to) : skip(p)) < 0)
			return -1;
	}
	return rc;
}

static int parse_sources(struct meta_parser *p)
{
	struct block_meta *m = p->m;
	struct str s;
	int rc = open_container(p, "compaction.sources", JSON_ARR);

	m->compaction.n_sources = 0;
	if (rc <= 0)
		return rc;
	while ((rc = next_text(p, "compaction.sources", &s)) > 0) {
		size_t n = m->compaction.n_sources;
		m->compaction.sources =
			grow(p, m->compaction.sources, n, sizeof(struct ulid));
		if (!m->compaction.sources ||
		    check_ulid(p, "compaction.sources", s, &m->compaction.sources[n]) < 0)
			return -1;
		m->compaction.n_sources++;
	}
	return rc;
}

static int parse_parent(struct meta_parser *p, struct block_parent *out)
{
	struct str key;
	int rc;

	while ((rc = next_key(p, &key)) > 0) {
		if (str_eqz(key, "ulid"))
			rc = get_ulid(p, "compaction.parents.ulid", &out->ulid);
		else if (str_eqz(key, "minTime"))
			rc = get_i64(p, "compaction.parents.minTime", &out->mint_ms);
		else if (str_eqz(key, "maxTime"))
			rc = get_i64(p, "compaction.parents.maxTime", &out->maxt_ms);
		else
			rc = skip(p);
		if (rc < 0)
			return -1;
	}
	return rc;
}

static int parse_parents(struct meta_parser *p)
{
	struct block_meta *m = p->m;
	enum json_tok t;
	int rc = open_container(p, "compaction.parents", JSON_ARR);

	m->compaction.n_parents = 0;
	if (rc <= 0)
		return rc;
	while ((t = jr_next(&p->j)) == JSON_OBJ) {
		size_t n = m->compaction.n_parents;
		m->compaction.parents =
			grow(p, m->compaction.parents, n, sizeof(struct block_parent));
		if (!m->compaction.parents ||
		    parse_parent(p, &m->compaction.parents[n]) < 0)
			return -1;
		m->compaction.n_parents++;
	}
	if (t != JSON_ARR_END)
		return bad_type(p, "compaction.parents", "an object", t);
	return 0;
}

static int parse_compaction(struct meta_parser *p)
{
	struct block_meta *m = p->m;
	struct str key;
	int rc = open_container(p, "compaction", JSON_OBJ);

	if (rc <= 0)
		return rc;
	while ((rc = next_key(p, &key)) > 0) {
		if (str_eqz(key, "level"))
			rc = get_i32(p, "compaction.level", &m->compaction.level);
		else if (str_eqz(key, "sources"))
			rc = parse_sources(p);
		else if (str_eqz(key, "parents"))
			rc = parse_parents(p);
		else if (str_eqz(key, "hints"))
			rc = get_texts(p, "compaction.hints", &m->compaction.hints,
				       &m->compaction.n_hints);
		else if (str_eqz(key, "deletable"))
			rc = get_bool(p, "compaction.deletable",
				      &m->compaction.deletable);
		else if (str_eqz(key, "failed"))
			rc = get_bool(p, "compaction.failed", &m->compaction.failed);
		else
			rc = skip(p);
		if (rc < 0)
			return -1;
	}
	return rc;
}

/* ---- the Thanos section ---- */

static int parse_labels(struct meta_parser *p)
{
	struct label *l = NULL;
	size_t n = 0, seen = 0;
	struct str key;
	int rc = open_container(p, "thanos.labels", JSON_OBJ);

	p->m->thanos.labels = (struct labels){ 0 };
	if (rc <= 0)
		return rc;
	while ((rc = next_key(p, &key)) > 0) {
		l = grow(p, l, seen++, sizeof(*l));
		char *name = l ? arena_try(p->a, p->ctx, key.n + 1, p->e) : NULL;
		if (!name)
			return -1;
		if (key.n)
			memcpy(name, key.p, key.n);
		l[n] = (struct label){ .name = str_n(name, key.n) };
		if (get_text(p, "thanos.labels", &l[n].value) < 0)
			return -1;
		if (key.n == 0)
			return err_set(p->ctx, p->e, E_CORRUPT,
				       "thanos.labels: a label without a name");
		n += l[n].value.n > 0; /* an empty value is no label */
	}
	if (rc == 0 && !labels_sort(l, n))
		return err_set(p->ctx, p->e, E_CORRUPT, "thanos.labels: a name twice");
	p->m->thanos.labels = (struct labels){ .l = l, .n = (uint32_t)n };
	return rc;
}

/* A path below the block's folder: relative, no "..", no NUL. */
static int check_path(struct meta_parser *p, const char *field, struct str path)
{
	struct str rest = path, part;
	bool bad = path.n == 0 || path.p[0] == '/' || memchr(path.p, 0, path.n) != NULL;

	for (bool more = !bad; more;) {
		more = str_cut(&rest, '/', &part);
		bad |= str_eqz(part, "..");
	}
	if (!bad)
		return 0;
	return err_set(p->ctx, p->e, E_CORRUPT, "%s: \"%.*s\" leaves the block", field,
		       (int)MIN(path.n, 100), path.p);
}

static int parse_hash(struct meta_parser *p, struct block_file *f)
{
	struct str key;
	int rc = open_container(p, "thanos.files.hash", JSON_OBJ);

	if (rc <= 0)
		return rc;
	while ((rc = next_key(p, &key)) > 0) {
		if (str_eqz(key, "hashFunc"))
			rc = get_text(p, "thanos.files.hash.hashFunc", &f->hash_func);
		else if (str_eqz(key, "value"))
			rc = get_text(p, "thanos.files.hash.value", &f->hash);
		else
			rc = skip(p);
		if (rc < 0)
			return -1;
	}
	return rc;
}

static int parse_file(struct meta_parser *p, struct block_file *f)
{
	struct str key;
	int rc;

	while ((rc = next_key(p, &key)) > 0) {
		if (str_eqz(key, "rel_path"))
			rc = get_text(p, "thanos.files.rel_path", &f->rel_path);
		else if (str_eqz(key, "size_bytes"))
			rc = get_u64(p, "thanos.files.size_bytes", &f->size_bytes);
		else if (str_eqz(key, "hash"))
			rc = parse_hash(p, f);
		else
			rc = skip(p);
		if (rc < 0)
			return -1;
	}
	return rc < 0 ? -1 : check_path(p, "thanos.files.rel_path", f->rel_path);
}

static int parse_files(struct meta_parser *p)
{
	struct block_meta *m = p->m;
	enum json_tok t;
	int rc = open_container(p, "thanos.files", JSON_ARR);

	m->thanos.n_files = 0;
	if (rc <= 0)
		return rc;
	while ((t = jr_next(&p->j)) == JSON_OBJ) {
		size_t n = m->thanos.n_files;
		m->thanos.files = grow(p, m->thanos.files, n, sizeof(struct block_file));
		if (!m->thanos.files || parse_file(p, &m->thanos.files[n]) < 0)
			return -1;
		m->thanos.n_files++;
	}
	if (t != JSON_ARR_END)
		return bad_type(p, "thanos.files", "an object", t);
	return 0;
}

static int parse_segment_files(struct meta_parser *p)
{
	struct block_meta *m = p->m;

	if (get_texts(p, "thanos.segment_files", &m->thanos.segment_files,
		      &m->thanos.n_segment_files) < 0)
		return -1;
	for (size_t i = 0; i < m->thanos.n_segment_files; i++)
		if (check_path(p, "thanos.segment_files", m->thanos.segment_files[i]) < 0)
			return -1;
	return 0;
}

/* An object of which one or two integers are wanted. */
static int parse_numbers(struct meta_parser *p, const char *field, const char *k1,
			 int64_t *v1, const char *k2, int64_t *v2)
{
	struct str key;
	int rc = open_container(p, field, JSON_OBJ);

	if (rc <= 0)
		return rc;
	while ((rc = next_key(p, &key)) > 0) {
		if (str_eqz(key, k1))
			rc = get_i64(p, field, v1);
		else if (k2 && str_eqz(key, k2))
			rc = get_i64(p, field, v2);
		else
			rc = skip(p);
		if (rc < 0)
			return -1;
	}
	return rc;
}

static int parse_thanos_field(struct meta_parser *p, struct str key)
{
	struct block_meta *m = p->m;

	if (str_eqz(key, "version"))
		return get_i32(p, "thanos.version", &m->thanos.version);
	if (str_eqz(key, "labels"))
		return parse_labels(p);
	if (str_eqz(key, "downsample"))
		return parse_numbers(p, "thanos.downsample", "resolution",
				     &m->thanos.resolution_ms, NULL, NULL);
	if (str_eqz(key, "source"))
		return get_text(p, "thanos.source", &m->thanos.source);
	if (str_eqz(key, "segment_files"))
		return parse_segment_files(p);
	if (str_eqz(key, "files"))
		return parse_files(p);
	if (str_eqz(key, "index_stats"))
		return parse_numbers(p, "thanos.index_stats", "series_max_size",
				     &m->thanos.series_max_size, "chunk_max_size",
				     &m->thanos.chunk_max_size);
	if (str_eqz(key, "rewrites"))
		return get_raw(p, &m->thanos.rewrites);
	if (str_eqz(key, "extensions"))
		return get_raw(p, &m->thanos.extensions);
	if (str_eqz(key, "upload_time"))
		return get_text(p, "thanos.upload_time", &m->thanos.upload_time);
	return skip(p);
}

static int parse_thanos(struct meta_parser *p)
{
	struct block_meta *m = p->m;
	struct str key;
	int rc = open_container(p, "thanos", JSON_OBJ);

	if (rc <= 0)
		return rc;
	m->has_thanos = true;
	while ((rc = next_key(p, &key)) > 0)
		if (parse_thanos_field(p, key) < 0)
			return -1;
	if (rc < 0)
		return -1;
	int64_t res = m->thanos.resolution_ms;
	if (res != 0 && res != 300000 && res != 3600000)
		return err_set(p->ctx, p->e, E_UNSUPPORTED,
			       "thanos.downsample.resolution: %lld is not supported",
			       (long long)res);
	if (m->thanos.series_max_size < 0 || m->thanos.chunk_max_size < 0)
		return err_set(p->ctx, p->e, E_CORRUPT,
			       "thanos.index_stats: a size below 0");
	return 0;
}

static int parse_field(struct meta_parser *p, struct str key)
{
	struct block_meta *m = p->m;

	if (str_eqz(key, "ulid")) {
		p->has_ulid = true;
		return get_ulid(p, "ulid", &m->ulid);
	}
	if (str_eqz(key, "minTime"))
		return get_i64(p, "minTime", &m->mint_ms);
	if (str_eqz(key, "maxTime"))
		return get_i64(p, "maxTime", &m->maxt_ms);
	if (str_eqz(key, "version"))
		return get_i64(p, "version", &p->version);
	if (str_eqz(key, "stats"))
		return parse_stats(p);
	if (str_eqz(key, "compaction"))
		return parse_compaction(p);
	if (str_eqz(key, "thanos"))
		return parse_thanos(p);
	return skip(p);
}

int block_meta_parse(struct ctx *ctx, struct arena *a, struct str json,
		     struct block_meta *out, struct err *e)
{
	struct block_meta m = { 0 };
	struct meta_parser p = { .ctx = ctx, .a = a, .m = &m, .e = e };
	struct str key;
	enum json_tok t;
	int rc;

	if (json.n > LIMIT_META_BYTES)
		return err_set(ctx, e, E_LIMIT, "larger than %u bytes", LIMIT_META_BYTES);
	jr_init(&p.j, a, json);
	t = jr_next(&p.j);
	if (t != JSON_OBJ)
		return t == JSON_ERR ? bad_json(&p)
				     : bad_type(&p, "meta", "an object", t);
	while ((rc = next_key(&p, &key)) > 0)
		if (parse_field(&p, key) < 0)
			return -1;
	if (rc < 0)
		return -1;
	if (jr_next(&p.j) != JSON_EOF)
		return err_set(ctx, e, E_CORRUPT, "text behind the JSON object");
	if (p.version != 1)
		return err_set(ctx, e, E_CORRUPT, "unexpected meta file version %lld",
			       (long long)p.version);
	if (!p.has_ulid)
		return err_set(ctx, e, E_CORRUPT, "ulid: missing");
	if (m.thanos.version > 1) {
		char id[27];
		ulid_format(&m.ulid, id);
		log_warn(ctx,
			 "block %s: meta.json: thanos section of version %d, 1 is "
			 "known; read as 1",
			 id, m.thanos.version);
	}
	*out = m;
	return 0;
}
