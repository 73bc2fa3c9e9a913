/* The shipper: what it uploads, in which order, and what it leaves alone. */
#include <stdio.h>
#include <stdlib.h>

#include "blocks/blocks_int.h"
#include "world.h"

#define EU_1 "01M81YVBWEZNH3H08SPVGX7K64"
#define EU_2 "01M81YVBY4NA3B6XZW802F13GJ"
#define EU_3 "01M81YVC0FJJQ87HKZ11JM4HFZ"
#define OOO  "01M81YVCNRNMYNP70R7FRKH4F0"
#define HIST "01M81YVCHCC17VDZ0DT7QR6H2J"
#define XOR2 "01M81YVCPRJ7E8180809G85TB9"

static bool no_labels(void *arg, struct arena *a, struct labels *out)
{
	return false;
}

static bool eu_a(void *arg, struct arena *a, struct labels *out)
{
	struct label *l = ARENA_ARRAY(a, struct label, 2);
	l[0] = (struct label){ STR("cluster"), STR("eu") };
	l[1] = (struct label){ STR("replica"), STR("a") };
	*out = (struct labels){ l, 2, 0 };
	return true;
}

static struct shipper_opts opts(struct world *w, struct bucket *b)
{
	return (struct shipper_opts){ .dir = w->tsdb,
				      .meta_file = "thanos.shipper.json",
				      .bucket = b,
				      .labels = eu_a,
				      .source = "sidecar" };
}

/* One pass of a new shipper; what it returned. */
static int pass(struct world *w, const struct shipper_opts *o, uint32_t *n, struct err *e)
{
	struct shipper *s = shipper_new(o);
	*e = ERR_INIT;
	int rc = shipper_sync(s, &w->ctx, n, e);
	shipper_free(s);
	return rc;
}

static void ships(struct world *w, const struct shipper_opts *o, uint32_t want)
{
	struct err e;
	uint32_t n;
	cr_assert_eq(pass(w, o, &n, &e), 0, "%s", err_text(&e));
	cr_assert_eq(n, want, "uploaded %u, wanted %u", n, want);
}

static char *at(struct arena *a, const char *dir, const char *name)
{
	return str_dupz(a, str_fmt(a, "%s/%s", dir, name));
}

/* meta.json without the line of upload_time. */
static struct str but_time(struct arena *a, struct str s)
{
	ptrdiff_t from = str_find(s, STR("\t\t\"upload_time\""));
	cr_assert_gt(from, 0);
	ptrdiff_t len = str_find_char(str_from(s, (size_t)from), '\n');
	return str_fmt(a, "%.*s%.*s", (int)from, s.p,
		       STR_FMT(str_from(s, (size_t)(from + len))));
}

Test(shipper, leaves_the_bucket_as_a_thanos_sidecar_does)
{
	static const char *const ids[] = { EU_3, EU_1, EU_2 };
	struct world w;
	struct arena a;
	struct err e = ERR_INIT;
	struct bucket *b;
	world_begin(&w);
	arena_init(&a, NULL);
	for (size_t i = 0; i < 3; i++)
		world_add_block(&w, GOLDEN, ids[i], 0);
	cr_assert_eq(bucket_fs_open(&w.ctx, w.bucket_dir, &b, &e), 0);
	struct shipper_opts o = opts(&w, b);
	ships(&w, &o, 3);
	cr_assert_eq(world_check_whole(&w, b), 3);
	for (size_t i = 0; i < 3; i++) {
		struct str name = str_fmt(&a, "%s/meta.json", ids[i]);
		struct str got = world_read(&w, &a, at(&a, w.bucket_dir, name.p));
		struct str want = world_read(&w, &a, at(&a, GOLDEN, name.p));
		cr_assert_str_eq(but_time(&a, got).p, but_time(&a, want).p);
		name = str_fmt(&a, "%s/index", ids[i]);
		cr_assert(str_eq(world_read(&w, &a, at(&a, w.bucket_dir, name.p)),
				 world_read(&w, &a, at(&a, GOLDEN, name.p))));
	}
	cr_assert_str_eq(world_read(&w, &a, at(&a, w.tsdb, "thanos.shipper.json")).p,
			 world_read(&w, &a, "test/golden/blocks/thanos.shipper.json").p);
	struct fs_names left;
	cr_assert_eq(fs_list(&w.ctx, &a, at(&a, w.tsdb, "thanos/upload"), &left, &e), 0);
	cr_assert_eq(left.n, 0);
	ships(&w, &o, 0);
	bucket_close(b);
	arena_deinit(&a);
	world_end(&w);
}

Test(shipper, asks_nobody_for_blocks_its_file_names)
{
	struct world w;
	world_begin(&w);
	struct bucket *b = bucket_mem_new();
	struct shipper_opts o = opts(&w, b);
	world_add_block(&w, GOLDEN, OOO, 0);
	ships(&w, &o, 1);
	uint64_t calls = bucket_mem_calls(b);
	ships(&w, &o, 0);
	cr_assert_eq(bucket_mem_calls(b), calls);
	bucket_close(b);
	world_end(&w);
}

Test(shipper, with_a_damaged_file_uploads_what_the_bucket_lacks)
{
	static const char *const bad[] = {
		"test/golden/corrupt/cases/shipper-cut/thanos.shipper.json",
		"test/golden/corrupt/cases/shipper-version/thanos.shipper.json", NULL
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct world w;
		struct arena a;
		struct err e = ERR_INIT;
		world_begin(&w);
		arena_init(&a, NULL);
		struct bucket *b = bucket_mem_new();
		struct shipper_opts o = opts(&w, b);
		world_add_block(&w, GOLDEN, HIST, 0);
		ships(&w, &o, 1);
		world_add_block(&w, GOLDEN, OOO, 0);
		char *state = at(&a, w.tsdb, "thanos.shipper.json");
		if (bad[i])
			cr_assert_eq(fs_write_atomic(&w.ctx, state,
						     world_read(&w, &a, bad[i]), &e),
				     0);
		else
			cr_assert_eq(fs_remove_all(&w.ctx, state, &e), 0);
		ships(&w, &o, 1);
		cr_assert_eq(world_check_whole(&w, b), 2);
		cr_assert_str_eq(world_read(&w, &a, state).p,
				 "{\n\t\"version\": 1,\n\t\"uploaded\": [\n\t\t\"" HIST
				 "\",\n\t\t\"" OOO "\"\n\t]\n}\n");
		bucket_close(b);
		arena_deinit(&a);
		world_end(&w);
	}
}

Test(shipper, waits_for_labels)
{
	struct world w;
	world_begin(&w);
	struct bucket *b = bucket_mem_new();
	struct shipper_opts o = opts(&w, b);
	o.labels = no_labels;
	world_add_block(&w, GOLDEN, OOO, 0);
	ships(&w, &o, 0);
	cr_assert_eq(bucket_mem_calls(b), 0);
	bucket_close(b);
	world_end(&w);
}

Test(shipper, refuses_encodings_nobody_reads_and_ships_the_others)
{
	struct world w;
	struct arena a;
	struct err e = ERR_INIT;
	uint32_t n;
	world_begin(&w);
	arena_init(&a, NULL);
	struct bucket *b = bucket_mem_new();
	struct metric_registry *reg = metric_registry_new();
	struct shipper_opts o = opts(&w, b);
	o.metrics = reg;
	world_add_block(&w, "test/golden/blocks/newer", XOR2, 0);
	world_add_block(&w, GOLDEN, OOO, 0);
	struct shipper *s = shipper_new(&o);
	cr_assert_eq(shipper_sync(s, &w.ctx, &n, &e), 0, "%s", err_text(&e));
	cr_assert_eq(n, 1);
	cr_assert_eq(shipper_sync(s, &w.ctx, &n, &e), 0);
	cr_assert_eq(n, 0);
	shipper_free(s);
	cr_assert_null(strstr(world_names(&w, &a, b), XOR2));
	struct buf out;
	buf_init(&out, 1 << 20);
	metric_write_text(reg, false, &out);
	buf_byte(&out, 0);
	const char *text = (const char *)out.p;
	cr_assert(strstr(text, "\nthanos_shipper_dir_syncs_total 2\n"));
	cr_assert(strstr(text, "\nthanos_shipper_dir_sync_failures_total 0\n"));
	cr_assert(strstr(text, "\nthanos_shipper_uploads_total 1\n"));
	cr_assert(strstr(text, "\nthanos_shipper_upload_failures_total 1\n"));
	cr_assert(strstr(text, "\nthanos_shipper_upload_compacted_done 0\n"));
	cr_assert(strstr(text, "\nthanos_shipper_corrupted_blocks_total 0\n"));
	buf_deinit(&out);
	metric_registry_free(reg);
	bucket_close(b);
	arena_deinit(&a);
	world_end(&w);
}

Test(shipper, ships_compacted_blocks_only_when_told_and_where_nothing_overlaps)
{
	struct world w;
	struct arena a;
	struct err e;
	uint32_t n;
	world_begin(&w);
	arena_init(&a, NULL);
	struct bucket *b = bucket_mem_new();
	struct metric_registry *reg = metric_registry_new();
	struct shipper_opts o = opts(&w, b);
	world_add_block(&w, GOLDEN, HIST, 2);
	world_add_block(&w, GOLDEN, OOO, 2);
	ships(&w, &o, 0);
	cr_assert_eq(bucket_mem_calls(b), 0);
	world_put_block(&w, b, GOLDEN, EU_1); /* the time and labels of HIST */
	world_put_block(&w, b, GOLDEN, "01M81YVC6WDF4WE3GFR0FN50G7"); /* other labels */
	o.upload_compacted = true;
	cr_assert_eq(pass(&w, &o, &n, &e), -1);
	cr_assert_eq(n, 1);
	cr_assert(strstr(err_text(&e), "overlaps block " EU_1), "%s", err_text(&e));
	const char *names = world_names(&w, &a, b);
	cr_assert_not_null(strstr(names, OOO "/meta.json"));
	cr_assert_null(strstr(names, HIST));
	o.allow_out_of_order = true;
	o.metrics = reg;
	ships(&w, &o, 1);
	struct buf out;
	buf_init(&out, 1 << 20);
	metric_write_text(reg, false, &out);
	buf_byte(&out, 0);
	cr_assert(
		strstr((const char *)out.p, "thanos_shipper_upload_compacted_done 1\n"));
	buf_deinit(&out);
	metric_registry_free(reg);
	bucket_close(b);
	arena_deinit(&a);
	world_end(&w);
}

/* Damage HIST, the older of two. */
static void damage(struct world *w, struct arena *a)
{
	struct err e = ERR_INIT;
	char *p = at(a, w->tsdb, HIST "/chunks/000001");
	struct str s = world_read(w, a, p);
	s.n -= 3;
	cr_assert_eq(fs_write_atomic(&w->ctx, p, s, &e), 0);
}

Test(shipper, stops_at_a_damaged_block_unless_told_otherwise)
{
	struct world w;
	struct arena a;
	struct err e;
	uint32_t n;
	world_begin(&w);
	arena_init(&a, NULL);
	struct bucket *b = bucket_mem_new();
	struct shipper_opts o = opts(&w, b);
	world_add_block(&w, GOLDEN, HIST, 0);
	world_add_block(&w, GOLDEN, OOO, 0);
	damage(&w, &a);
	cr_assert_eq(pass(&w, &o, &n, &e), -1);
	cr_assert_eq(n, 0);
	cr_assert_eq(e.code, E_CORRUPT);
	cr_assert(strstr(err_text(&e), HIST), "%s", err_text(&e));
	cr_assert(strstr(err_text(&e), "cut off"), "%s", err_text(&e));
	o.skip_corrupted = true;
	ships(&w, &o, 1);
	o.skip_corrupted = false;
	o.allow_out_of_order = true;
	cr_assert_eq(pass(&w, &o, &n, &e), -1);
	cr_assert(strstr(err_text(&e), "1 block could not be shipped"), "%s",
		  err_text(&e));
	bucket_close(b);
	arena_deinit(&a);
	world_end(&w);
}

Test(shipper, an_unreadable_meta_holds_up_nobody_and_is_told)
{
	struct world w;
	struct arena a;
	struct err e = ERR_INIT;
	uint32_t n;
	world_begin(&w);
	arena_init(&a, NULL);
	struct bucket *b = bucket_mem_new();
	struct shipper_opts o = opts(&w, b);
	world_add_block(&w, GOLDEN, HIST, 0);
	world_add_block(&w, GOLDEN, OOO, 0);
	cr_assert_eq(fs_mkdir_p(&w.ctx, at(&a, w.tsdb, XOR2), &e), 0); /* no meta.json */
	cr_assert_eq(fs_write_atomic(&w.ctx, at(&a, w.tsdb, HIST "/meta.json"),
				     STR("{\"ulid\":"), &e),
		     0);
	cr_assert_eq(pass(&w, &o, &n, &e), -1);
	cr_assert_eq(n, 1);
	cr_assert(strstr(err_text(&e), HIST), "%s", err_text(&e));
	bucket_close(b);
	arena_deinit(&a);
	world_end(&w);
}

Test(shipper, hashes_files_when_told)
{
	struct world w;
	struct err e = ERR_INIT;
	world_begin(&w);
	struct bucket *b = bucket_mem_new();
	struct shipper_opts o = opts(&w, b);
	o.hash_sha256 = true;
	world_add_block(&w, GOLDEN, OOO, 0);
	ships(&w, &o, 1);
	struct buf out;
	buf_init(&out, 1 << 20);
	cr_assert_eq(bucket_get(b, &w.ctx, STR(OOO "/meta.json"), 1 << 20, &out, &e), 0);
	buf_byte(&out, 0);
	char cmd[200], hex[65] = "";
	snprintf(cmd, sizeof(cmd), "sha256sum %s/%s/index", w.tsdb, OOO);
	FILE *f = popen(cmd, "r");
	cr_assert_not_null(f);
	cr_assert_eq(fread(hex, 1, 64, f), 64);
	pclose(f);
	cr_assert(strstr((const char *)out.p, hex), "%s in %s", hex, out.p);
	cr_assert(strstr((const char *)out.p, "\"hashFunc\": \"SHA256\""));
	buf_deinit(&out);
	bucket_close(b);
	world_end(&w);
}

Test(shipper, knows_when_a_disk_is_nearly_full)
{
	cr_assert(ship_space_is_low(99, 1000, 100));
	cr_assert_not(ship_space_is_low(100, 1000, 100));
	cr_assert(ship_space_is_low(49, 1000, 10));
	cr_assert_not(ship_space_is_low(50, 1000, 10));
}
