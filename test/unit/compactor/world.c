#include "world.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "base/vec.h"

static int64_t world_now(void *arg)
{
	return time_wall_ms() + ((struct world *)arg)->shift_ms;
}

void world_begin(struct world *w)
{
	*w = (struct world){ 0 };
	log_setup(getenv("TEST_LOG") ? LOG_DEBUG : LOG_ERROR + 1, LOG_LOGFMT, 2);
	fake_fail(0, E_OK);
	fake_need_disk(0);
	ctx_init(&w->ctx, NULL, 0);
	snprintf(w->dir, sizeof(w->dir), "/tmp/thanosc-compactor-XXXXXX");
	cr_assert_not_null(mkdtemp(w->dir));
	snprintf(w->data, sizeof(w->data), "%s/data", w->dir);
	w->bucket = bucket_mem_new();
	w->metrics = metric_registry_new();
	w->t0_ms = (time_wall_ms() / (336 * HOUR_MS) - 4) * 336 * HOUR_MS;
	w->o = (struct compactor_opts){ .data_dir = w->data,
					.work = &fake_work,
					.metrics = w->metrics,
					.max_level = COMPACTOR_MAX_LEVEL,
					.delete_delay_ms = 48 * HOUR_MS,
					.no_lease = true,
					.retry_backoff_ns = 1000,
					.now_ms = world_now,
					.now_arg = w };
}

void world_end(struct world *w)
{
	struct err e = ERR_INIT;
	bucket_close(w->bucket);
	metric_registry_free(w->metrics);
	cr_assert_eq(fs_remove_all(&w->ctx, w->dir, &e), 0, "%s", err_text(&e));
	ctx_deinit(&w->ctx);
}

void world_put(struct world *w, const char *name, const char *text)
{
	struct err e = ERR_INIT;
	cr_assert_eq(bucket_put_bytes(w->bucket, &w->ctx, str_of(name), str_of(text), &e),
		     0, "%s", err_text(&e));
}

struct ulid world_block(struct world *w, struct block_spec s)
{
	struct ulid u;
	char id[27], name[64], json[2048], index[8192];
	size_t n = 0, samples = 0;
	index[0] = 0;
	int64_t mint = w->t0_ms + s.from_h * HOUR_MS, maxt = w->t0_ms + s.to_h * HOUR_MS;
	memset(u.b, 0, sizeof(u.b));
	for (unsigned i = 0; i < 6; i++)
		u.b[i] = (uint8_t)(mint >> (40 - 8 * i));
	u.b[15] = (uint8_t)++w->next;
	u.b[14] = (uint8_t)(w->next >> 8);
	ulid_format(&u, id);
	for (int h = s.from_h; h < s.to_h; h++, samples++)
		n += (size_t)snprintf(index + n, sizeof(index) - n, "%s %05d\n", s.labels,
				      h);
	if (s.extra)
		n += (size_t)snprintf(index + n, sizeof(index) - n, "%s\n", s.extra);
	snprintf(
		json, sizeof(json),
		"{\"version\":1,\"ulid\":\"%s\",\"minTime\":%lld,\"maxTime\":%lld,"
		"\"stats\":{\"numSamples\":%zu,\"numSeries\":1,\"numTombstones\":%llu},"
		"\"compaction\":{\"level\":%d,\"sources\":[\"%s\"]},\"thanos\":{\"labels\":{%s},"
		"\"downsample\":{\"resolution\":%lld},\"source\":\"%s\","
		"\"segment_files\":[\"000001\"],\"files\":["
		"{\"rel_path\":\"chunks/000001\",\"size_bytes\":6},"
		"{\"rel_path\":\"index\",\"size_bytes\":%zu},{\"rel_path\":\"meta.json\"}]}}",
		id, (long long)mint, (long long)maxt, samples,
		(unsigned long long)s.tombstones, s.level ? s.level : 1, id, s.labels,
		(long long)s.res_ms, s.source ? s.source : "sidecar", n);
	snprintf(name, sizeof(name), "%s/chunks/000001", id);
	world_put(w, name, "chunks");
	snprintf(name, sizeof(name), "%s/index", id);
	world_put(w, name, index);
	snprintf(name, sizeof(name), "%s/meta.json", id);
	world_put(w, name, json);
	return u;
}

void world_blocks(struct world *w, const char *labels, int from_h, int n)
{
	for (int i = 0; i < n; i++)
		world_block(w, (struct block_spec){ .from_h = from_h + 2 * i,
						    .to_h = from_h + 2 * i + 2,
						    .labels = labels });
}

void world_mark(struct world *w, enum mark_kind k, const struct ulid *id, int64_t time_ms)
{
	struct err e = ERR_INIT;
	struct block_mark m = { *id, time_ms / 1000, STR("test"), STR("manual") };
	cr_assert_eq(mark_put(w->bucket, &w->ctx, k, &m, &e), 0);
}

bool world_has(struct world *w, const char *name)
{
	struct err e = ERR_INIT;
	bool there;
	cr_assert_eq(bucket_exists(w->bucket, &w->ctx, str_of(name), &there, &e), 0);
	return there;
}

bool world_has_mark(struct world *w, enum mark_kind k, const struct ulid *id)
{
	char text[27], name[64];
	ulid_format(id, text);
	snprintf(name, sizeof(name), "%s/%s", text, mark_filename(k));
	return world_has(w, name);
}

int world_iterate(struct world *w, struct compactor_report *r, struct err *e)
{
	struct compactor *c;
	struct compactor_opts o = w->o;
	o.bucket = w->bucket;
	*e = ERR_INIT;
	*r = (struct compactor_report){ 0 };
	if (compactor_new(&w->ctx, &o, &c, e) < 0)
		return -1;
	int rc = compactor_iterate(c, &w->ctx, r, e);
	compactor_free(c);
	return rc;
}

/* ---- looking ---- */

static struct catalogue *catalogue(struct world *w, struct fetcher **f, bool store)
{
	struct err e = ERR_INIT;
	struct catalogue *c;
	*f = fetcher_new(&(struct fetcher_opts){ .bucket = w->bucket,
						 .ignore_deletion_marks_ms = -1,
						 .dedup_sources = store,
						 .objects = true });
	cr_assert_eq(fetcher_sync(*f, &w->ctx, &c, &e), 0, "%s", err_text(&e));
	return c;
}

static int by_labels_time(const void *a, const void *b, void *arg)
{
	const struct block_meta *x = &((const struct fetched_block *)a)->meta;
	const struct block_meta *y = &((const struct fetched_block *)b)->meta;
	int c = labels_cmp(x->thanos.labels, y->thanos.labels);
	if (c)
		return c;
	if (x->thanos.resolution_ms != y->thanos.resolution_ms)
		return x->thanos.resolution_ms < y->thanos.resolution_ms ? -1 : 1;
	if (x->mint_ms != y->mint_ms)
		return x->mint_ms < y->mint_ms ? -1 : 1;
	return x->maxt_ms < y->maxt_ms ? -1 : x->maxt_ms > y->maxt_ms;
}

const char *world_show(struct world *w, struct arena *a)
{
	struct fetcher *f;
	struct catalogue *c = catalogue(w, &f, false);
	struct str s = STR("");
	if (c->n > 1)
		vec_sort(c->block, c->n, sizeof(*c->block), by_labels_time, NULL);
	for (size_t i = 0; i < c->n; i++) {
		const struct block_meta *m = &c->block[i].meta;
		struct str ls = labels_str(a, m->thanos.labels);
		if (c->block[i].deletion_time_s)
			continue;
		s = str_fmt(a, "%.*s%.*s %s%lld-%lld L%d; ", STR_FMT(s), STR_FMT(ls),
			    m->thanos.resolution_ms == 0	? ""
			    : m->thanos.resolution_ms == 300000 ? "5m "
								: "1h ",
			    (long long)((m->mint_ms - w->t0_ms) / HOUR_MS),
			    (long long)((m->maxt_ms - w->t0_ms) / HOUR_MS),
			    m->compaction.level);
	}
	ref_put(&c->ref);
	fetcher_free(f);
	return str_dupz(a, s);
}

static int by_text(const void *a, const void *b, void *arg)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static const char *lines(struct world *w, struct arena *a, bool store)
{
	struct fetcher *f;
	struct catalogue *c = catalogue(w, &f, store);
	static struct str v[100000];
	size_t n = 0;
	struct buf out;
	buf_init(&out, 16 << 20);
	for (size_t i = 0; i < c->n; i++) {
		char id[27];
		struct err e = ERR_INIT;
		struct buf raw;
		struct str rest, line;
		if ((c->block[i].deletion_time_s && !store) ||
		    c->block[i].meta.thanos.resolution_ms)
			continue;
		ulid_format(&c->block[i].meta.ulid, id);
		buf_init(&raw, 1 << 20);
		cr_assert_eq(bucket_get(w->bucket, &w->ctx, str_fmt(a, "%s/index", id),
					1 << 20, &raw, &e),
			     0, "%s", err_text(&e));
		rest = str_dup(a, buf_view(&raw));
		buf_deinit(&raw);
		while (str_cut(&rest, '\n', &line))
			v[n++] = line;
	}
	if (n > 1)
		vec_sort(v, n, sizeof(*v), by_text, NULL);
	for (size_t i = 0; i < n; i++) {
		cr_assert(i == 0 || !str_eq(v[i], v[i - 1]), "twice: %.*s",
			  STR_FMT(v[i]));
		buf_fmt(&out, "%.*s\n", STR_FMT(v[i]));
	}
	const char *text = str_dupz(a, buf_view(&out));
	buf_deinit(&out);
	ref_put(&c->ref);
	fetcher_free(f);
	return text;
}

const char *world_lines(struct world *w, struct arena *a)
{
	return lines(w, a, false);
}

const char *world_served(struct world *w, struct arena *a)
{
	return lines(w, a, true);
}

void world_check_whole(struct world *w)
{
	struct fetcher *f;
	struct catalogue *c = catalogue(w, &f, false);
	for (size_t i = 0; i < c->n; i++) {
		struct str missing = STR("");
		cr_assert(known_is_whole(c->block[i].known, &missing), "%.*s is missing",
			  STR_FMT(missing));
	}
	ref_put(&c->ref);
	fetcher_free(f);
}

double world_metric(struct world *w, const char *line)
{
	struct buf out;
	double v = NAN;
	char key[200];
	buf_init(&out, 1 << 20);
	metric_write_text(w->metrics, false, &out);
	buf_byte(&out, 0);
	snprintf(key, sizeof(key), "\n%s ", line);
	const char *at = strstr((const char *)out.p, key);
	if (at)
		v = atof(at + strlen(key));
	buf_deinit(&out);
	return v;
}
