#include "support/tst.h"

#include <stdlib.h>

#include "base/limits.h"
#include "unit/compact/world.h"

/* The two replicas of {cluster="eu"}, and what a real Thanos made of each window of 2 h. */
static const char *const replicas[][2] = {
	{ "01M81YVBWEZNH3H08SPVGX7K64", "01M81YVC3EVHVHW5856NGMRBBV" },
	{ "01M81YVBY4NA3B6XZW802F13GJ", "01M81YVC55WBG00SVR84EHFB03" },
	{ "01M81YVC0FJJQ87HKZ11JM4HFZ", "01M81YVC6WDF4WE3GFR0FN50G7" },
};

static void read_meta(struct world *w, const char *path, struct block_meta *m)
{
	struct buf text;

	buf_init(&text, LIMIT_META_BYTES);
	cr_assert_eq(fs_read_file(&w->f.ctx, path, LIMIT_META_BYTES, &text, &w->f.e), 0,
		     "%s", err_text(&w->f.e));
	cr_assert_eq(block_meta_parse(&w->f.ctx, &w->f.a, buf_view(&text), m, &w->f.e), 0,
		     "%s", err_text(&w->f.e));
	buf_deinit(&text);
}

static bool has_parent(const struct block_meta *m, const struct block_parent *p)
{
	for (size_t i = 0; i < m->compaction.n_parents; i++) {
		const struct block_parent *x = &m->compaction.parents[i];
		if (ulid_cmp(&x->ulid, &p->ulid) == 0)
			return x->mint_ms == p->mint_ms && x->maxt_ms == p->maxt_ms;
	}
	return false;
}

static void same_meta(const struct block_meta *got, const struct block_meta *want)
{
	cr_assert(got->mint_ms == want->mint_ms && got->maxt_ms == want->maxt_ms);
	cr_assert_eq(got->stats.samples, want->stats.samples);
	cr_assert_eq(got->stats.float_samples, want->stats.float_samples);
	cr_assert_eq(got->stats.histogram_samples, want->stats.histogram_samples);
	cr_assert_eq(got->stats.series, want->stats.series);
	cr_assert_eq(got->compaction.level, want->compaction.level);
	cr_assert_eq(got->compaction.n_sources, want->compaction.n_sources);
	for (size_t i = 0; i < got->compaction.n_sources; i++)
		cr_assert_eq(ulid_cmp(&got->compaction.sources[i],
				      &want->compaction.sources[i]),
			     0);
	cr_assert_eq(got->compaction.n_parents, want->compaction.n_parents);
	for (size_t i = 0; i < got->compaction.n_parents; i++)
		cr_assert(has_parent(got, &want->compaction.parents[i]));
	cr_assert_eq(got->compaction.n_hints, want->compaction.n_hints);
	cr_assert(got->has_thanos && want->has_thanos);
	cr_assert_eq(got->thanos.version, want->thanos.version);
	cr_assert(labels_eq(got->thanos.labels, want->thanos.labels));
	cr_assert_eq(got->thanos.resolution_ms, want->thanos.resolution_ms);
	cr_assert(str_eq(got->thanos.source, want->thanos.source));
	cr_assert(str_eq(got->thanos.extensions, want->thanos.extensions));
	/* Thanos looks at the distances of all chunks of a series but the last ones. */
	cr_assert_eq(got->thanos.series_max_size, want->thanos.series_max_size);
	cr_assert_geq(got->thanos.chunk_max_size, want->thanos.chunk_max_size);
	cr_assert_eq(got->thanos.n_segment_files, want->thanos.n_segment_files);
	cr_assert_eq(got->thanos.n_files, want->thanos.n_files);
	for (size_t i = 0; i < got->thanos.n_files; i++) {
		cr_assert(str_eq(got->thanos.files[i].rel_path,
				 want->thanos.files[i].rel_path));
		cr_assert_eq(!got->thanos.files[i].size_bytes,
			     !want->thanos.files[i].size_bytes);
	}
}

static void sizes_are_those_of_files(struct world *w, const struct block_meta *m)
{
	struct fs_stat st;

	for (size_t i = 0; i < m->thanos.n_files; i++) {
		const struct block_file *x = &m->thanos.files[i];
		const char *path =
			str_fmt(&w->f.a, "%s/%.*s", w->out, STR_FMT(x->rel_path)).p;
		cr_assert_eq(fs_stat(&w->f.ctx, path, &st, &w->f.e), 0);
		cr_assert_eq(st.kind, FS_FILE, "%s", path);
		if (x->size_bytes)
			cr_assert_eq(st.size, x->size_bytes);
	}
}

static void as_thanos(const char *folder, size_t window, const char *id,
		      enum compact_overlap overlap, bool swap)
{
	struct label label = { STR("cluster"), STR("eu") };
	struct block_meta got, want;
	struct rows rows, expected;
	struct world w;

	world_begin(&w);
	for (int i = 0; i < 2; i++)
		world_add(&w, str_fmt(&w.f.a, GOLDEN "/bucket/%s",
				      replicas[window][i ^ (int)swap])
				      .p);
	w.o.overlap = overlap;
	w.o.labels = (struct labels){ &label, 1, 0 };
	world_must_compact(&w);
	world_rows(&w, &rows);
	rows_expected_aggr(
		&w.f,
		str_fmt(&w.f.a, COMPACTED "/%s/expected/%s.series.tsv", folder, id).p,
		"raw", &expected);
	rows_compare(id, &rows, &expected, false);
	read_meta(&w, str_fmt(&w.f.a, "%s/meta.json", w.out).p, &got);
	read_meta(&w, str_fmt(&w.f.a, COMPACTED "/%s/metas/%s.json", folder, id).p,
		  &want);
	same_meta(&got, &want);
	sizes_are_those_of_files(&w, &got);
	free(rows.v);
	free(expected.v);
	world_end(&w);
}

Test(compact_golden, one_to_one_as_thanos)
{
	static const char *const id[] = { "01M81ZFWSWG09QZY7N9M88YJZS",
					  "01M81ZFWVJY72J97G492JMY2Y7",
					  "01M81ZFWWVZBDNP3S4FMY4KS5T" };
	for (size_t i = 0; i < 3; i++)
		for (int swap = 0; swap < 2; swap++)
			as_thanos("ha-1to1", i, id[i], COMPACT_ONE_TO_ONE, swap);
}

Test(compact_golden, penalty_as_thanos)
{
	static const char *const id[] = { "01M81ZFX6M81193QC82V79TTQK",
					  "01M81ZFX7SA2Q3WZ6965D4ZCYV",
					  "01M81ZFX8W2FEP9K8SHTFW23QX" };
	for (size_t i = 0; i < 3; i++)
		for (int swap = 0; swap < 2; swap++)
			as_thanos("ha-penalty", i, id[i], COMPACT_PENALTY, swap);
}

/* Chunks of three windows one behind the other, as they stand; series that only one block has, too. */
Test(compact_golden, horizontal_keeps_every_chunk)
{
	uint64_t samples = 0, chunks = 0;
	struct block_meta m;
	struct rows rows;
	struct world w;

	world_begin(&w);
	for (size_t i = 3; i-- > 0;) /* the order they are given in does not matter */
		world_add(&w, str_fmt(&w.f.a, GOLDEN "/bucket/%s", replicas[i][0]).p);
	world_add(&w, GOLDEN "/bucket/01M81YVCHCC17VDZ0DT7QR6H2J");
	for (size_t i = 0; i < w.n; i++) {
		samples += w.src[i].meta->stats.samples;
		chunks += w.src[i].meta->stats.chunks;
	}
	world_must_compact(&w);
	cr_assert_eq(w.r.merged_chunks, 0);
	cr_assert_eq(w.r.copied_chunks, chunks);
	cr_assert_eq(w.r.stats.chunks, chunks);
	cr_assert_eq(w.r.stats.samples, samples);
	world_rows(&w, &rows);
	cr_assert_eq(rows.samples, samples);
	for (size_t i = 1; i < rows.n; i++)
		cr_assert_lt(labels_cmp(rows.v[i - 1].labels, rows.v[i].labels), 0);
	read_meta(&w, str_fmt(&w.f.a, "%s/meta.json", w.out).p, &m);
	cr_assert(m.mint_ms == 1789977600000 && m.maxt_ms == 1789999200000);
	cr_assert_eq(m.compaction.n_parents, 4);
	const struct ulid *first = &m.compaction.parents[0].ulid; /* both begin then */
	cr_assert(ulid_cmp(first, &w.src[3].meta->ulid) == 0 ||
		  ulid_cmp(first, &w.src[2].meta->ulid) == 0);
	free(rows.v);
	world_end(&w);
}
