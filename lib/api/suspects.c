/*
 * api/suspects.c - queries that were under way when the process ended abnormally: DIR/queries.suspects, a JSON list.
 *
 *   [{"query":"...","hash":"0123456789abcdef","ends":2,"last_sec":N}, ...]
 *
 * Whoever stood in the active-query log at ENDS ends is refused for HOUR seconds, counted from the start that found it: a
 * query that kills the process shall not do so at each reload of its page. A query with fewer ends is forgotten after a day.
 * The text is told apart by its hash, since the log may have cut it. Made at the start, only read afterwards.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/api_int.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/time.h"
#include "base/vec.h"
#include "fs/fs.h"
#include "wire/json.h"

#define ENDS	  2
#define HOUR	  3600
#define DAY	  (24 * HOUR)
#define MAX_KEPT  1000u
#define MAX_BYTES ((size_t)16 << 20)

struct suspect {
	struct str query;
	uint64_t hash;
	int64_t ends, last_s;
	bool now; /* found at this start */
};
struct suspects {
	struct arena arena;
	const char *path;
	struct suspect *v;
	size_t n, cap;
	bool changed;
};

uint64_t suspects_hash(struct str query)
{
	return hash_xx64(query.p, query.n, 0);
}

static struct suspect *find(const struct suspects *s, uint64_t hash)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].hash == hash)
			return &s->v[i];
	return NULL;
}

static struct suspect *add(struct suspects *s, struct str query, uint64_t hash)
{
	if (s->n == MAX_KEPT)
		return NULL;
	if (s->n == s->cap)
		s->v = vec_grow(s->v, &s->cap, s->n + 1, sizeof(*s->v));
	struct suspect *q = &s->v[s->n++];
	*q = (struct suspect){ .query = str_dup(&s->arena, query), .hash = hash };
	return q;
}

static int64_t now_s(void)
{
	return time_wall_ms() / 1000;
}

static bool is_kept(const struct suspect *q, int64_t now)
{
	/* a clock that went back must not refuse for longer */
	return q->ends > 0 && q->last_s <= now &&
	       now - q->last_s < (q->ends < ENDS ? DAY : HOUR);
}

uint64_t suspects_hash_of(struct str hex)
{
	uint64_t v = 0;
	for (size_t i = 0; i < hex.n && i < 16; i++) {
		char c = hex.p[i];
		v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return v;
}

static void take(struct suspects *s, const struct doc *d)
{
	const struct doc *query = doc_get(d, "query"), *hash = doc_get(d, "hash"),
			 *ends = doc_get(d, "ends"), *last = doc_get(d, "last_sec");
	struct suspect q = { 0 };
	if (!query || !hash || !ends || !last)
		return;
	q.ends = ends->i;
	q.last_s = last->i;
	q.hash = suspects_hash_of(hash->s);
	if (!is_kept(&q, now_s()) || find(s, q.hash)) {
		s->changed = true;
		return;
	}
	struct suspect *to = add(s, query->s, q.hash);
	if (to) {
		to->ends = q.ends;
		to->last_s = q.last_s;
	}
}

static int read_file(struct suspects *s, struct err *e)
{
	struct fs_stat st;
	struct doc *d;
	struct buf b;
	if (fs_stat(NULL, s->path, &st, e) < 0)
		return -1;
	if (st.kind != FS_FILE)
		return 0;
	buf_init(&b, MAX_BYTES);
	int rc = fs_read_file(NULL, s->path, MAX_BYTES, &b, e);
	if (rc == 0)
		rc = json_parse(NULL, &s->arena, buf_view(&b), &d, e);
	if (rc == 0 && d->kind == DOC_LIST)
		for (size_t i = 0; i < d->n; i++)
			if (d->item[i]->kind == DOC_MAP)
				take(s, d->item[i]);
	buf_deinit(&b);
	return rc;
}

struct suspects *suspects_open(const char *dir)
{
	struct suspects *s = xcalloc(1, sizeof(*s));
	struct err e = ERR_INIT;
	arena_init(&s->arena, NULL);
	s->path = str_fmt(&s->arena, "%s/queries.suspects%c", dir, 0).p;
	if (read_file(s, &e) < 0)
		log_warn(NULL, "unfinished queries of earlier runs are not known: %s",
			 err_text(&e));
	return s;
}

void suspects_close(struct suspects *s)
{
	if (!s)
		return;
	free(s->v);
	arena_deinit(&s->arena);
	free(s);
}

void suspects_found(struct suspects *s, struct str query, uint64_t hash)
{
	struct suspect *q = find(s, hash);
	if (!q)
		q = add(s, query, hash);
	if (!q || q->now) /* several times at one end are one */
		return;
	q->now = s->changed = true;
	q->ends++;
	q->last_s = now_s();
	if (q->ends < ENDS)
		return;
	const struct log_field f[] = {
		{ "msg", STR("a query is refused for an hour: it was under way at more "
			     "than one abnormal end") },
		{ "query", q->query },
		{ "ends", str_fmt(&s->arena, "%lld", (long long)q->ends) },
	};
	log_fields(LOG_WARN, f, ARRAY_LEN(f));
}

int suspects_save(struct suspects *s, struct err *e)
{
	struct buf b;
	struct jw w;
	if (!s->changed)
		return 0;
	buf_init(&b, MAX_BYTES);
	jw_init(&w, &b);
	jw_arr(&w);
	for (size_t i = 0; i < s->n; i++) {
		const struct suspect *q = &s->v[i];
		char hex[17];
		snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)q->hash);
		jw_obj(&w);
		jw_key(&w, STR("query"));
		jw_str(&w, q->query);
		jw_key(&w, STR("hash"));
		jw_str(&w, str_of(hex));
		jw_key(&w, STR("ends"));
		jw_i64(&w, q->ends);
		jw_key(&w, STR("last_sec"));
		jw_i64(&w, q->last_s);
		jw_obj_end(&w);
	}
	jw_arr_end(&w);
	int rc = buf_check(&b, NULL, s->path, e);
	if (rc == 0)
		rc = fs_write_atomic(NULL, s->path, buf_view(&b), e);
	buf_deinit(&b);
	return rc;
}

int suspects_check(const struct suspects *s, struct ctx *ctx, struct str query,
		   struct err *e)
{
	const struct suspect *q = s && s->n ? find(s, suspects_hash(query)) : NULL;
	if (!q || q->ends < ENDS || !is_kept(q, now_s()))
		return 0;
	char until[40];
	size_t n = time_format_rfc3339(until, q->last_s + HOUR, 0, 0);
	return err_set(ctx, e, E_EXEC,
		       "query refused until %.*s: it was under way at %lld abnormal ends "
		       "of this process (see --query.active-query-path)",
		       (int)n, until, (long long)q->ends);
}
