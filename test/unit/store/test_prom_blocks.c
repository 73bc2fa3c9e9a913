/*
 * Which times are read from the blocks beside a Prometheus: the border, blocks that overlap, fail, come and go, samples out
 * of order, and folders that are not this Prometheus'.
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/fs.h"
#include "store/prom_blocks_int.h"
#include "support/tst.h"

#define SOURCE "test/golden/blocks/tombstones/01M81YVCV04NJ9WQ26TQ155FM6"

/* ---- without files ---- */

static size_t spans(struct prom_extent *v, size_t n, int64_t border, int64_t mint,
		    int64_t maxt, char text[256])
{
	struct prom_span s[PROM_SPANS];
	size_t k = prom_spans(v, n, border, mint, maxt, s);
	int at = snprintf(text, 256, "remote");
	for (size_t i = 0; i < k; i++)
		at += snprintf(text + at, 256 - (size_t)at, " %lld-%lld",
			       (long long)s[i].mint_ms, (long long)s[i].maxt_ms);
	at += snprintf(text + at, 256 - (size_t)at, ", blocks");
	for (size_t i = 0; i < n; i++)
		if (v[i].direct)
			at += snprintf(text + at, 256 - (size_t)at, " %zu", i);
	return k;
}

/* blocks: "0-10 10-20! 20-30"; '!': cannot be read. */
static void want_spans(const char *blocks, int64_t border, int64_t mint, int64_t maxt,
		       const char *want)
{
	struct prom_extent v[32];
	size_t n = 0;
	char text[256];
	for (const char *p = blocks; *p; n++) {
		int used = 0;
		long long a = 0, b = 0;
		cr_assert_eq(sscanf(p, "%lld-%lld%n", &a, &b, &used), 2);
		p += used;
		v[n] = (struct prom_extent){ a, b, *p != '!' };
		while (*p == '!' || *p == ' ')
			p++;
	}
	spans(v, n, border, mint, maxt, text);
	cr_assert_str_eq(text, want, "blocks %s, border %lld, [%lld, %lld]: %s", blocks,
			 (long long)border, (long long)mint, (long long)maxt, text);
}

Test(prom_plan, border)
{
	const struct prom_extent v[] = {
		{ 0, 10, true }, { 10, 20, true }, { 15, 40, true }, { 20, 30, false }
	};
	cr_assert_eq(prom_border(v, 4, 9), INT64_MIN);
	cr_assert_eq(prom_border(v, 4, 10), 10);
	cr_assert_eq(prom_border(v, 4, 29), 20);
	cr_assert_eq(prom_border(v, 4, 30), 30);
	cr_assert_eq(prom_border(v, 4, INT64_MAX), 40);
	cr_assert_eq(prom_border(v, 0, 5), INT64_MIN);
}

Test(prom_plan, spans)
{
	static const char three[] = "0-10 10-20 20-30";
	want_spans(three, 30, 0, 29, "remote, blocks 0 1 2");
	want_spans(three, 30, 5, 35, "remote 30-35, blocks 0 1 2");
	want_spans(three, 30, 9, 10, "remote, blocks 0 1");
	want_spans(three, 30, 10, 19, "remote, blocks 1");
	want_spans(three, 30, 29, 30, "remote 30-30, blocks 2");
	want_spans(three, 30, 30, 40, "remote 30-40, blocks");
	want_spans(three, 20, 0, 29, "remote 20-29, blocks 0 1");
	want_spans(three, INT64_MIN, 0, 29, "remote 0-29, blocks");
	want_spans(three, 30, INT64_MIN, INT64_MAX,
		   "remote 30-9223372036854775807, blocks 0 1 2");
	want_spans(three, 30, 9, 8, "remote, blocks");
	want_spans("", 30, 0, 40, "remote 30-40, blocks");
	/* time without blocks is empty before the border */
	want_spans("0-10 20-30", 30, 12, 15, "remote, blocks");
	/* a block over the border is read up to it */
	want_spans("0-10 5-6 20-40", 30, 0, 50, "remote 0-9 30-50, blocks 2");
}

Test(prom_plan, blocks_that_are_asked_for)
{
	want_spans("0-10 10-20! 20-30", 30, 0, 35, "remote 10-19 30-35, blocks 0 2");
	want_spans("0-10 10-20! 20-30", 30, 12, 15, "remote 12-15, blocks");
	want_spans("0-10! 10-20! 20-30", 30, 3, 35, "remote 3-19 30-35, blocks 2");
	want_spans("0-10 10-20 20-30!", 30, 0, 35, "remote 20-35, blocks 0 1");
	/* overlaps, nested ones too */
	want_spans("0-10 10-20 15-25 25-30", 30, 0, 29, "remote 10-24, blocks 0 3");
	want_spans("0-30 10-12 20-22 30-40", 40, 0, 39, "remote 0-29, blocks 3");
	want_spans("0-10 0-10 10-20", 20, 0, 19, "remote 0-9, blocks 2");
	want_spans("-9223372036854775808-0! 0-10", 10, INT64_MIN, 9,
		   "remote -9223372036854775808--1, blocks 1");
}

/* More spans than remote reads: those that lie nearest become one, and take the blocks between them. */
Test(prom_plan, few_spans)
{
	want_spans("0-10! 10-20 20-30! 30-33 33-40! 40-50 50-60! 60-70", 70, 0, 80,
		   "remote 0-9 20-39 50-59 70-80, blocks 1 5 7");
	want_spans(
		"0-1! 10-20 20-21! 30-33 33-34! 34-35 35-36! 60-70 70-71! 71-90 90-91! 95-96",
		99, 0, 120, "remote 0-0 20-35 70-70 90-120, blocks 1 7 9");
}

/* ---- a folder ---- */

struct place {
	struct ctx ctx;
	struct arena a;
	struct err e;
	struct metric_registry *metrics;
	struct prom_blocks *b;
	struct prom_tsdb told;
	char dir[64];
};

static const char *path(struct place *p, const char *name)
{
	return str_fmt(&p->a, "%s/%s", p->dir, name).p;
}

static void write_file(struct place *p, const char *name, struct str data)
{
	cr_assert_eq(fs_write_atomic(&p->ctx, path(p, name), data, &p->e), 0, "%s",
		     err_text(&p->e));
}

static void copy(struct place *p, const char *from, const char *to)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	cr_assert_eq(fs_read_file(&p->ctx, from, 1 << 20, &b, &p->e), 0, "%s",
		     err_text(&p->e));
	write_file(p, to, buf_view(&b));
	buf_deinit(&b);
}

static const char *id_of(struct place *p, char c)
{
	return str_fmt(&p->a, "01M81YVCV04NJ9WQ26TQ155F0%c", c).p;
}

/* Block `name` of [mint, maxt) with the files of a real one; more: members of "compaction". */
static void add(struct place *p, char name, int64_t mint, int64_t maxt, const char *more)
{
	const char *id = id_of(p, name);
	struct str tmp = str_fmt(&p->a, "%s.tmp-for-creation", id);
	cr_assert_eq(fs_mkdir_p(&p->ctx, path(p, str_fmt(&p->a, "%s/chunks", tmp.p).p),
				&p->e),
		     0);
	copy(p, SOURCE "/index", str_fmt(&p->a, "%s/index", tmp.p).p);
	copy(p, SOURCE "/tombstones", str_fmt(&p->a, "%s/tombstones", tmp.p).p);
	copy(p, SOURCE "/chunks/000001", str_fmt(&p->a, "%s/chunks/000001", tmp.p).p);
	write_file(
		p, str_fmt(&p->a, "%s/meta.json", tmp.p).p,
		str_fmt(&p->a,
			"{\"version\":1,\"ulid\":\"%s\",\"minTime\":%lld,\"maxTime\":%lld,"
			"\"stats\":{\"numChunks\":1},\"compaction\":{\"level\":1,\"sources\":[\"%s\"]%s}}",
			id, (long long)mint, (long long)maxt, id, more));
	cr_assert_eq(fs_rename(&p->ctx, path(p, tmp.p), path(p, id), &p->e), 0);
}

static void drop(struct place *p, char name)
{
	cr_assert_eq(fs_remove_all(&p->ctx, path(p, id_of(p, name)), &p->e), 0);
}

/* What a Prometheus with these blocks tells. */
static void tell(struct place *p, double blocks, double lowest)
{
	static const char *const files[] = { "index", "chunks/000001", "meta.json",
					     "tombstones" };
	struct fs_stat st;
	double bytes = 0;
	struct fs_names names;
	cr_assert_eq(fs_list(&p->ctx, &p->a, p->dir, &names, &p->e), 0);
	for (size_t i = 0; i < names.n; i++)
		for (size_t k = 0; k < 4 && names.name[i].n == 26; k++) {
			const char *file = str_fmt(&p->a, "%.*s/%s",
						   STR_FMT(names.name[i]), files[k])
						   .p;
			cr_assert_eq(fs_stat(&p->ctx, path(p, file), &st, &p->e), 0);
			bytes += (double)st.size;
		}
	p->told = (struct prom_tsdb){ .lowest_ms = lowest,
				      .head_mint_ms = 3000,
				      .head_maxt_ms = 4500,
				      .blocks = blocks,
				      .blocks_bytes = bytes,
				      .wal_bytes = 5,
				      .wal_segment = 7,
				      .min_block_ms = 1000 };
}

static void learn(struct place *p)
{
	struct prom_wal before = prom_blocks_wal(p->b, &p->ctx);
	prom_blocks_learn(p->b, &p->ctx, before, &p->told);
}

static void open_place(struct place *p)
{
	memset(p, 0, sizeof(*p));
	ctx_init(&p->ctx, NULL, 0);
	arena_init(&p->a, NULL);
	p->metrics = metric_registry_new();
	snprintf(p->dir, sizeof(p->dir), "/tmp/thanosc-prom-XXXXXX");
	cr_assert(mkdtemp(p->dir) != NULL);
	cr_assert_eq(fs_mkdir_p(&p->ctx, path(p, "wal/checkpoint.000006"), &p->e), 0);
	cr_assert_eq(fs_mkdir_p(&p->ctx, path(p, "wbl"), &p->e), 0);
	write_file(p, "wal/00000007", STR("abc"));
	write_file(p, "wal/checkpoint.000006/00000000", STR("de"));
	write_file(p, "wbl/00000000", STR(""));
	add(p, 'A', 0, 1000, "");
	add(p, 'B', 1000, 2000, "");
	add(p, 'C', 2000, 3000, "");
	p->b = prom_blocks_new(p->dir, false, p->metrics);
	tell(p, 3, 0);
	learn(p);
}

static void close_place(struct place *p)
{
	prom_blocks_free(p->b);
	metric_registry_free(p->metrics);
	cr_assert_eq(fs_remove_all(&p->ctx, p->dir, &p->e), 0);
	arena_deinit(&p->a);
	ctx_deinit(&p->ctx);
}

/* "A B | 3000-5000": blocks read, times asked for. */
static void want(struct place *p, int64_t mint, int64_t maxt, const char *text)
{
	struct prom_plan plan;
	char got[256];
	int at = 0;
	cr_assert_eq(prom_blocks_plan(p->b, &p->ctx, &p->a, mint, maxt, &plan, &p->e), 0);
	for (size_t i = 0; i < plan.n_blocks; i++)
		at += snprintf(got + at, sizeof(got) - (size_t)at, "%c ",
			       plan.block[i]->id[25]);
	at += snprintf(got + at, sizeof(got) - (size_t)at, "|");
	for (size_t i = 0; i < plan.n_remote; i++)
		at += snprintf(got + at, sizeof(got) - (size_t)at, " %lld-%lld",
			       (long long)plan.remote[i].mint_ms,
			       (long long)plan.remote[i].maxt_ms);
	prom_plan_free(&plan);
	cr_assert_str_eq(got, text);
}

Test(prom_blocks, blocks_and_head)
{
	struct place p;
	open_place(&p);
	want(&p, 0, 5000, "A B C | 3000-5000");
	want(&p, 1500, 1600, "B |");
	want(&p, 3000, 5000, "| 3000-5000");
	/* in order, half a block before the head's end may still come */
	p.told.head_maxt_ms = 3499;
	learn(&p);
	want(&p, 0, 5000, "A B | 2000-5000");
	p.told.head_mint_ms = 900; /* its block is written, the head not cut yet */
	learn(&p);
	want(&p, 0, 5000, "| 0-5000");
	close_place(&p);
}

Test(prom_blocks, compaction_and_deletion)
{
	struct place p;
	open_place(&p);
	want(&p, 0, 5000, "A B C | 3000-5000");
	/* in place, its parents not yet gone */
	add(&p, 'D', 0, 2000,
	    str_fmt(&p.a,
		    ",\"parents\":[{\"ulid\":\"%s\",\"minTime\":0,\"maxTime\":1000},"
		    "{\"ulid\":\"%s\",\"minTime\":1000,\"maxTime\":2000}]",
		    id_of(&p, 'A'), id_of(&p, 'B'))
		    .p);
	want(&p, 0, 5000, "D C | 3000-5000");
	drop(&p, 'A');
	want(&p, 0, 5000, "D C | 3000-5000");
	drop(&p, 'B');
	want(&p, 0, 5000, "D C | 3000-5000");
	/* a new one behind the border that the heartbeat gave: not before the next */
	add(&p, 'E', 3000, 4000, "");
	want(&p, 0, 5000, "D C | 3000-5000");
	add(&p, 'F', 500, 600, ",\"deletable\":true");
	want(&p, 0, 5000, "D C | 3000-5000");
	add(&p, 'G', 2500, 2600, ",\"hints\":[\"from-out-of-order\"]");
	want(&p, 0, 5000, "D | 2000-5000");
	drop(&p, 'G');
	drop(&p, 'D');
	want(&p, 0, 5000, "C | 3000-5000");
	close_place(&p);
}

Test(prom_blocks, vanished_between_listing_and_opening)
{
	struct place p;
	struct stat st;
	open_place(&p);
	/* an old mtime: the listing is not done again */
	const struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };
	cr_assert_eq(utimensat(AT_FDCWD, p.dir, old, 0), 0);
	want(&p, 2500, 2600, "C |");
	drop(&p, 'A');
	cr_assert_eq(utimensat(AT_FDCWD, p.dir, old, 0), 0);
	want(&p, 0, 5000, "B C | 3000-5000");
	/* half of it, with its name still there: asked for, not left out */
	cr_assert_eq(unlink(path(&p, str_fmt(&p.a, "%s/index", id_of(&p, 'B')).p)), 0);
	want(&p, 1000, 1001, "B |"); /* it is open */
	cr_assert_eq(stat(path(&p, id_of(&p, 'B')), &st), 0);
	close_place(&p);
}

Test(prom_blocks, what_cannot_be_read_is_asked_for)
{
	struct place p;
	struct err why = ERR_INIT;
	open_place(&p);
	write_file(&p, str_fmt(&p.a, "%s/index", id_of(&p, 'B')).p, STR("junk"));
	want(&p, 0, 5000, "A C | 1000-1999 3000-5000");
	err_set(NULL, &why, E_CORRUPT, "a chunk");
	prom_blocks_failed(p.b, id_of(&p, 'A'), &why);
	want(&p, 0, 5000, "C | 0-1999 3000-5000");
	prom_blocks_failed(p.b, "nothing", &why);
	if (getuid()) { /* a meta.json that may not be read hides what times it is about */
		cr_assert_eq(chmod(path(&p,
					str_fmt(&p.a, "%s/meta.json", id_of(&p, 'C')).p),
				   0),
			     0);
		add(&p, 'H', 2900, 3000, "");
		want(&p, 0, 5000, "C H | 0-1999 3000-5000");
	}
	close_place(&p);
}

/* Tombstones are read again when they have changed; who reads the block goes on with the old ones. */
Test(prom_blocks, new_tombstones)
{
	struct place p;
	struct prom_plan one, two, three;
	open_place(&p);
	cr_assert_eq(prom_blocks_plan(p.b, &p.ctx, &p.a, 0, 500, &one, &p.e), 0);
	cr_assert_eq(prom_blocks_plan(p.b, &p.ctx, &p.a, 0, 500, &two, &p.e), 0);
	cr_assert_eq(one.block[0], two.block[0]);
	write_file(&p, str_fmt(&p.a, "%s/tombstones", id_of(&p, 'A')).p,
		   str_n("\x01\x30\xba\x30\x01\0\0\0\0", 9));
	cr_assert_eq(prom_blocks_plan(p.b, &p.ctx, &p.a, 0, 500, &three, &p.e), 0);
	cr_assert_neq(one.block[0], three.block[0]);
	cr_assert_not_null(one.block[0]->tombstones);
	prom_plan_free(&one);
	prom_plan_free(&two);
	prom_plan_free(&three);
	close_place(&p);
}

Test(prom_blocks, samples_out_of_order)
{
	struct place p;
	open_place(&p);
	p.told.ooo_window_ms = 700;
	p.told.head_mint_ms = 150000;
	p.told.head_maxt_ms = 151500;
	learn(&p);
	want(&p, 0, 200000, "A B C | 3000-200000");
	/* first seen by a call: none is older than 151500 - 700 and two minutes for those under way */
	write_file(&p, "wbl/00000000", STR("x"));
	want(&p, 0, 200000, "A B C | 3000-200000");
	p.told.ooo_window_ms = 151500 - 120000 - 2000;
	learn(&p);
	want(&p, 0, 200000, "A B | 2000-200000");
	/* a smaller window is true of later ones only */
	p.told.ooo_window_ms = 0;
	p.told.head_maxt_ms = 161500;
	learn(&p);
	want(&p, 0, 200000, "A B | 2000-200000");
	/* New segments alone do not help, nor that the old one goes: the rest came since the second look, and that
	 * was with the large window. Once that is gone, too, it does. */
	write_file(&p, "wbl/00000001", STR("y"));
	learn(&p);
	want(&p, 0, 200000, "A B | 2000-200000");
	cr_assert_eq(unlink(path(&p, "wbl/00000000")), 0);
	learn(&p);
	want(&p, 0, 200000, "A B | 2000-200000");
	write_file(&p, "wbl/00000002", STR("z"));
	cr_assert_eq(unlink(path(&p, "wbl/00000001")), 0);
	learn(&p);
	want(&p, 0, 200000, "A B C | 3000-200000");
	close_place(&p);
	/* found with samples: it is not known from which window */
	open_place(&p);
	prom_blocks_free(p.b);
	write_file(&p, "wbl/00000003", STR("x"));
	p.b = prom_blocks_new(p.dir, true, p.metrics);
	learn(&p);
	want(&p, 0, 5000, "| 0-5000");
	write_file(&p, "wbl/00000004", STR("y"));
	cr_assert_eq(unlink(path(&p, "wbl/00000003")), 0);
	p.told.head_mint_ms = 150000;
	p.told.head_maxt_ms = 151500;
	learn(&p); /* all is younger than the first look, at which the head ended at 4500 */
	want(&p, 0, 5000, "| 0-5000");
	write_file(&p, "wbl/00000005", STR("z"));
	cr_assert_eq(unlink(path(&p, "wbl/00000004")), 0);
	learn(&p);
	want(&p, 0, 5000, "A B C | 3000-5000");
	close_place(&p);
}

static void refused(struct place *p, const char *what)
{
	char text[64];
	snprintf(text, sizeof(text), "| 0-5000");
	learn(p);
	want(p, 0, 5000, text);
	tell(p, 3, 0);
	learn(p);
	want(p, 0, 5000, "A B C | 3000-5000");
	(void)what;
}

Test(prom_blocks, not_this_prometheus)
{
	struct place p;
	open_place(&p);
	p.told.blocks = 4;
	refused(&p, "number of blocks");
	p.told.blocks = 2;
	refused(&p, "number of blocks");
	p.told.lowest_ms = 500;
	refused(&p, "lowest timestamp");
	p.told.wal_segment = 8;
	refused(&p, "segment");
	p.told.wal_bytes = 6;
	refused(&p, "bytes of wal");
	p.told.remote_read = true;
	refused(&p, "remote_read");
	p.told.blocks = NAN;
	refused(&p, "blocks not told");
	p.told.min_block_ms = 0;
	refused(&p, "block duration not told");
	p.told.head_mint_ms = 9.2e18;
	refused(&p, "no samples yet");
	p.told.wal_bytes = NAN; /* of 2.x: not told */
	learn(&p);
	want(&p, 0, 5000, "A B C | 3000-5000");
	/* bytes that are not those of the blocks, at the first look */
	prom_blocks_free(p.b);
	p.b = prom_blocks_new(p.dir, false, p.metrics);
	tell(&p, 3, 0);
	double right = p.told.blocks_bytes;
	p.told.blocks_bytes = right + 3 * 64 + 1;
	refused(&p, "more bytes");
	prom_blocks_free(p.b);
	p.b = prom_blocks_new(p.dir, false, p.metrics);
	tell(&p, 3, 0);
	p.told.blocks_bytes = right - 3000;
	refused(&p, "fewer bytes");
	want(&p, 0, 5000, "A B C | 3000-5000");
	close_place(&p);
}
