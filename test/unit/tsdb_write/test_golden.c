/*
 * Blocks that Prometheus' head and compactor, and Thanos' compactor and downsampler wrote, written again from what our
 * reader shows: index and segments must come out byte by byte.
 */
#include <stdio.h>

#include "base/hash.h"
#include "support/tst.h"
#include "unit/tsdb_write/world.h"

static void compare_file(struct world *w, const char *from, const char *id,
			 const char *name)
{
	struct str want = world_read(w, world_path(w, "%s/%s/%s", from, id, name));
	struct str got = world_read(w, world_path(w, "%s/%s/%s", w->dir, id, name));
	size_t i = 0, n = MIN(want.n, got.n);
	while (i < n && want.p[i] == got.p[i])
		i++;
	cr_expect(str_eq(want, got), "%s/%s/%s: %zu bytes, written %zu, differ at %zu",
		  from, id, name, want.n, got.n, i);
}

static void check_block(const char *from, const char *id, size_t memory)
{
	struct world w;
	struct copy c;
	struct block_writer_stats st;
	world_begin(&w);
	copy_open(&w, world_path(&w, "%s/%s", from, id), &c);
	struct block_writer_opts o = { .dir = w.dir,
				       .ulid = world_ulid(id),
				       .newer_encodings = true };
	struct write_limits l = WRITE_LIMITS;
	l.memory = memory;
	struct block_meta m = c.block->meta, was = m;
	cr_assert_eq(copy_write_within(&w, &c, &o, &l, &m, m.thanos.resolution_ms != 0,
				       &st),
		     0, "%s/%s: %s", from, id, err_text(&w.e));
	compare_file(&w, from, id, "index");
	compare_file(&w, from, id, "chunks/000001");
	cr_expect_eq(world_names(&w).n, 1);
	cr_expect_eq(st.series, was.stats.series);
	cr_expect_eq(st.chunks, was.stats.chunks);
	cr_expect_eq(st.samples, was.stats.samples, "%s/%s", from, id);
	cr_expect_eq(st.segments, 1);
	struct str index = world_read(&w, world_path(&w, "%s/%s/index", w.dir, id));
	cr_expect_eq(st.index_crc, crc32c(0, index.p, index.n));
	if (was.thanos.resolution_ms == 0) {
		cr_expect_eq(st.float_samples, was.stats.float_samples);
		cr_expect_eq(st.histogram_samples, was.stats.histogram_samples);
	}
	copy_close(&c);
	world_end(&w);
}

static void check_folder(const char *from, size_t want, size_t memory)
{
	struct world w;
	struct fs_names l;
	size_t n = 0;
	world_begin(&w);
	cr_assert_eq(fs_list(&w.ctx, &w.a, from, &l, &w.e), 0, "%s", err_text(&w.e));
	for (size_t i = 0; i < l.n; i++)
		if (l.name[i].n == 26) {
			check_block(from, l.name[i].p, memory);
			n++;
		}
	cr_assert_eq(n, want);
	world_end(&w);
}

Test(write_golden, blocks_of_prometheus_come_out_byte_by_byte)
{
	check_folder(GOLDEN "/bucket", 13, 0);
	check_folder(GOLDEN "/tombstones", 1, 0);
}

Test(write_golden, blocks_of_newer_encodings_come_out_byte_by_byte)
{
	check_folder(GOLDEN "/newer", 3, 0);
}

Test(write_golden, compacted_and_downsampled_blocks_of_thanos_come_out_byte_by_byte)
{
	check_folder(COMPACTED "/long/bucket", 6, 0);
	check_folder(COMPACTED "/custom/bucket", 2, 0);
}

/* 64 bytes sort two pairs at a time: hundreds of runs, merged two by two over many levels. */
Test(write_golden, neither_memory_nor_levels_of_merging_change_a_byte)
{
	check_folder(GOLDEN "/bucket", 13, 64);
	check_folder(GOLDEN "/bucket", 13, 1000);
	check_folder(GOLDEN "/bucket", 13, 100000);
}
