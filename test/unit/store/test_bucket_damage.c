/*
 * Every case of test/golden/corrupt that a bucket or a data folder can hold, beside a good block: the store becomes
 * ready and serves the good one whole, always; what is damaged is named in log and metric.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"

#include "bucket_world.h"
#include "fs/fs.h"
#include "support/tst.h"

#define CORRUPT "test/golden/corrupt"
#define GOOD	"01M81YVC0FJJQ87HKZ11JM4HFZ"
#define BAD	"01M821NCFRPKGVBHCWCCWQMGB1"
#define HEADED	"01M81YVCNRNMYNP70R7FRKH4F0" /* whose index-header the fixture has */

static struct err e;

static void put(struct world *w, const char *from, const char *to)
{
	struct buf b;
	buf_init(&b, 1 << 24);
	cr_assert_eq(fs_read_file(&w->ctx, from, 1 << 24, &b, &e), 0, "%s", err_text(&e));
	struct str name = str_fmt(&w->arena, BAD "/%s", to);
	cr_assert_eq(bucket_put_bytes(w->bucket, &w->ctx, name, buf_view(&b), &e), 0);
	buf_deinit(&b);
}

/* The base block with an external label, as if shipped. */
static void put_base(struct world *w)
{
	static const struct label eu = { { "cluster", 7 }, { "eu", 2 } };
	struct block_meta m;
	struct buf b;
	buf_init(&b, 1 << 20);
	cr_assert_eq(fs_read_file(&w->ctx, CORRUPT "/base/meta.json", 1 << 20, &b, &e),
		     0);
	cr_assert_eq(block_meta_parse(&w->ctx, &w->arena, buf_view(&b), &m, &e), 0);
	cr_assert(ulid_parse(STR(BAD), &m.ulid));
	m.has_thanos = true;
	m.thanos.labels = (struct labels){ &eu, 1, 0 };
	m.thanos.source = STR("sidecar");
	buf_reset(&b);
	block_meta_write(&m, &b);
	cr_assert_eq(bucket_put_bytes(w->bucket, &w->ctx, STR(BAD "/meta.json"),
				      buf_view(&b), &e),
		     0);
	buf_deinit(&b);
	put(w, CORRUPT "/base/index", "index");
	put(w, CORRUPT "/base/chunks/000001", "chunks/000001");
}

/* Put the case's file in place, or take it away. */
static void damage(struct world *w, const char *name, const char *file)
{
	struct fs_stat st;
	const char *from = str_fmt(&w->arena, CORRUPT "/cases/%s/%s", name, file).p;
	cr_assert_eq(fs_stat(&w->ctx, from, &st, &e), 0);
	if (st.kind == FS_FILE)
		put(w, from, file);
	else
		cr_assert_eq(bucket_delete(w->bucket, &w->ctx,
					   str_fmt(&w->arena, BAD "/%s", file), &e),
			     0);
}

/* ---- what a case is ---- */

struct kase {
	const char *name, *file, *id;
	struct str damage, expected;
	bool open_fails; /* not served at all */
	bool silent_ok; /* what is shown is sound, or cannot be told from it without decoding */
	int series; /* of the damaged block's that are shown, -1: any */
};

static bool has(struct str s, const char *part)
{
	return str_find(s, str_of(part)) >= 0;
}

static int series_of(const struct kase *c)
{
	if (c->open_fails)
		return 0;
	if (str_eqz(c->expected, "reading this series fails") ||
	    str_has_prefix(c->expected, STR("reading this chunk fails and")))
		return 3;
	if (str_eqz(c->expected, "reading this chunk fails") && !c->silent_ok)
		return 3;
	if (str_has_prefix(c->expected, STR("reading the last chunk fails")))
		return 3;
	return -1;
}

static struct kase kase_of(struct arena *a, struct str *col)
{
	struct kase c = { str_dupz(a, col[0]),
			  str_dupz(a, col[1]),
			  BAD,
			  col[2],
			  col[3],
			  false,
			  false,
			  -1 };
	bool chunks = str_has_prefix(col[1], STR("chunks/"));
	if (str_eqz(col[1], "index-header"))
		c.id = HEADED;
	c.open_fails = has(c.expected, "open fails") && !str_eqz(col[1], "tombstones");
	/* Chunks are passed on as they are: with a valid checksum only who decodes them can tell. */
	c.silent_ok = chunks && has(c.damage, "checksum valid") &&
		      !has(c.expected, "names the encoding");
	c.silent_ok |= has(c.expected, "yields") ||
		       has(c.expected, "every series once") ||
		       has(c.expected, "entries that are there") ||
		       has(c.expected, "come out sorted");
	/* No shipper uploads tombstones, so a store does not look for them. */
	c.silent_ok |= str_eqz(col[1], "tombstones");
	/* A folder without meta.json is an upload under way. */
	c.silent_ok |= str_eqz(col[0], "meta-missing");
	/* Served, and rightly: the section says nothing that would be used. */
	c.silent_ok |= str_has_prefix(c.expected, STR("store: served")) ||
		       str_has_prefix(c.expected, STR("refused or ignored"));
	c.series = series_of(&c);
	return c;
}

/* ---- running it ---- */

static void set_up(struct world *w, const struct kase *c)
{
	struct buf b;
	world_copy(w, GOOD);
	if (strcmp(c->id, BAD) == 0) {
		put_base(w);
		damage(w, c->name, c->file);
		return;
	}
	world_copy(w, HEADED);
	const char *dir = str_fmt(&w->arena, "%s/" HEADED, w->data_dir).p;
	const char *to = str_fmt(&w->arena, "%s/index-header", dir).p;
	const char *from =
		str_fmt(&w->arena, CORRUPT "/cases/%s/index-header", c->name).p;
	buf_init(&b, 1 << 24);
	cr_assert_eq(fs_mkdir_p(&w->ctx, dir, &e), 0);
	cr_assert_eq(fs_read_file(&w->ctx, from, 1 << 24, &b, &e), 0);
	cr_assert_eq(fs_write_atomic(&w->ctx, to, buf_view(&b), &e), 0);
	buf_deinit(&b);
}

static double damage_metric(struct world *w, const struct kase *c)
{
	const char *file =
		str_has_prefix(str_of(c->file), STR("chunks/")) ? "chunks" : c->file;
	/* damage of the index may also stand against what it leads to */
	const char *also = strcmp(file, "index") == 0 ? "chunks" : file;
	double sum = 0;
	for (int i = 0; i < 1 + (also != file); i++) {
		double v = world_metric(
			w, str_fmt(&w->arena,
				   "thanosc_block_damage_total{block=\"%s\",file=\"%s\"}",
				   c->id, i ? also : file)
				   .p);
		sum += v > 0 ? v : 0;
	}
	return sum;
}

/* Series of the answer that the good block has not; all of the good one's must be there. */
static int others(const struct kase *c, struct lines *got, struct lines *want)
{
	size_t at = 0;
	lines_sort(got);
	lines_sort(want);
	for (size_t i = 0; i < want->n; i++) {
		while (at < got->n && strcmp(got->v[at], want->v[i]) < 0)
			at++;
		cr_assert(at < got->n && strcmp(got->v[at], want->v[i]) == 0,
			  "%s: %s lacks", c->name, want->v[i]);
	}
	return (int)(got->n - want->n);
}

static struct str log_text(struct world *w, int fd)
{
	off_t n = lseek(fd, 0, SEEK_END);
	char *p = arena_alloc(&w->arena, (size_t)n + 1);
	cr_assert_eq(pread(fd, p, (size_t)n, 0), n);
	return str_n(p, (size_t)n);
}

static bool log_names(struct str text, const struct kase *c)
{
	struct str line;
	bool named = false;
	while (str_cut(&text, '\n', &line))
		named |= has(line, "level=warn") && has(line, c->id);
	return named;
}

static void run_case(const struct kase *c)
{
	static const char *const good[] = { GOOD, NULL };
	struct lines got = { 0 }, want = { 0 };
	struct world w;
	FILE *log = tmpfile();
	log_setup(LOG_INFO, LOG_LOGFMT, fileno(log));
	world_open(&w, NULL);
	set_up(&w, c);
	world_sync(&w);
	struct store_series_req r = { .mint_ms = INT64_MIN, .maxt_ms = INT64_MAX };
	r.matchers = world_matchers(&w, "zzz=", &r.n_matchers);
	cr_assert_eq(world_answer(&w, &r, &got, &e), 0, "%s: %s", c->name, err_text(&e));
	world_expect(&w, &r, good, &want);
	int n = others(c, &got, &want);
	/* One list of postings is read by this matcher only. */
	struct lines second = { 0 };
	r.matchers = world_matchers(&w, "i=2", &r.n_matchers);
	cr_assert_eq(world_answer(&w, &r, &second, &e), 0, "%s: %s", c->name,
		     err_text(&e));
	lines_free(&second);
	log_setup(LOG_INFO, LOG_LOGFMT, STDERR_FILENO);
	cr_expect(c->series < 0 || n == c->series, "%s: %d series", c->name, n);
	bool logged = log_names(log_text(&w, fileno(log)), c);
	double counted = damage_metric(&w, c);
	cr_expect(c->silent_ok || logged, "%s: the log does not name it", c->name);
	/* A newer section is read as far as it is known, and only logged. */
	bool newer = strcmp(c->name, "meta-thanos-version") == 0;
	cr_expect(c->silent_ok || newer || counted > 0, "%s: the metric does not name it",
		  c->name);
	fclose(log);
	lines_free(&got);
	lines_free(&want);
	world_close(&w);
}

Test(bucket_damage, a_good_block_is_served_whole_beside_any_damage)
{
	struct arena a;
	struct ctx ctx;
	struct buf b;
	struct str text, line, col[5];
	size_t n = 0, must_say = 0;
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, NULL);
	buf_init(&b, 1 << 20);
	cr_assert_eq(fs_read_file(&ctx, CORRUPT "/cases.tsv", 1 << 20, &b, &e), 0);
	text = buf_view(&b);
	str_cut(&text, '\n', &line); /* head */
	while (str_cut(&text, '\n', &line)) {
		for (int i = 0; i < 5; i++)
			str_cut(&line, '\t', &col[i]);
		if (str_eqz(col[1], "thanos.shipper.json"))
			continue; /* of a sidecar's folder */
		struct kase c = kase_of(&a, col);
		run_case(&c);
		must_say += !c.silent_ok;
		n++;
	}
	cr_assert_eq(n, 75);
	cr_assert_gt(must_say, 50);
	buf_deinit(&b);
	arena_deinit(&a);
	ctx_deinit(&ctx);
}
