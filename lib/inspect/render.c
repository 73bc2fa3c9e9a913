/*
 * inspect/render.c - statistics as text (headings and lines of `promtool tsdb analyze`) and as JSON.
 */
#include <stdio.h>

#include "base/time.h"
#include "inspect/inspect.h"
#include "tsdb/chunk/chunk.h"
#include "wire/json.h"

typedef unsigned long long ull;

struct named_list {
	const char *title, *key;
	const struct inspect_list *l;
};
struct named_dist {
	const char *title, *key;
	const struct inspect_dist *d;
};
#define LISTS 6
#define DISTS 7

static void lists_of(const struct inspect_stats *s, struct named_list out[LISTS])
{
	const struct named_list v[LISTS] = {
		{ "Label pairs most involved in churning", "churn_label_pairs",
		  &s->churn_pairs },
		{ "Label names most involved in churning", "churn_label_names",
		  &s->churn_names },
		{ "Most common label pairs", "common_label_pairs", &s->common_pairs },
		{ "Label names with highest cumulative label value length",
		  "label_value_bytes", &s->value_bytes },
		{ "Highest cardinality labels", "cardinality", &s->cardinality },
		{ "Highest cardinality metric names", "metrics", &s->metrics },
	};
	memcpy(out, v, sizeof(v));
}

static void dists_of(const struct inspect_stats *s, struct named_dist out[DISTS])
{
	const struct named_dist v[DISTS] = {
		{ "samples per float chunk", "float_chunk_samples",
		  &s->float_samples_dist },
		{ "bytes per float chunk", "float_chunk_bytes", &s->float_bytes_dist },
		{ "samples per histogram chunk", "histogram_chunk_samples",
		  &s->hist_samples_dist },
		{ "bytes per histogram chunk", "histogram_chunk_bytes",
		  &s->hist_bytes_dist },
		{ "buckets per histogram chunk", "histogram_chunk_buckets",
		  &s->hist_buckets_dist },
		{ "aggregated samples per chunk", "aggregate_chunk_samples",
		  &s->aggr_samples_dist },
		{ "bytes per aggregate chunk", "aggregate_chunk_bytes",
		  &s->aggr_bytes_dist },
	};
	memcpy(out, v, sizeof(v));
}

/* ---- text ---- */

static void put_dist(struct buf *b, const char *title, const struct inspect_dist *d,
		     uint64_t chunks)
{
	if (d->n == 0) {
		buf_fmt(b, "%s: N/A\n\n", title);
		return;
	}
	buf_fmt(b, "%s (min/avg/max): %llu/%llu/%llu\n", title, (ull)d->min,
		(ull)(d->sum / d->n), (ull)d->max);
	for (size_t i = 0; i < d->n_buckets; i++) {
		uint64_t percent = chunks ? 100 * d->bucket[i].n / chunks : 0;
		buf_fmt(b, "[%6llu, %6llu): %6llu ", (ull)d->bucket[i].low,
			(ull)d->bucket[i].high, (ull)d->bucket[i].n);
		for (uint64_t k = 0; k < percent; k++)
			buf_byte(b, '#');
		buf_byte(b, '\n');
	}
	buf_byte(b, '\n');
}

static void put_time(struct buf *b, int64_t ms)
{
	char s[40];
	int64_t sec = ms / 1000, rest = ms % 1000;
	if (rest < 0)
		sec--, rest += 1000;
	size_t n = time_format_rfc3339(s, sec, (uint32_t)rest * 1000000u, rest ? 3 : 0);
	buf_str(b, str_n(s, n));
}

static void put_head(struct buf *b, const struct inspect_stats *s)
{
	const struct block_meta *m = &s->meta;
	char id[27], dur[64];
	if (!s->has_meta)
		return;
	ulid_format(&m->ulid, id);
	size_t n = time_format_duration_ms(dur, m->maxt_ms - m->mint_ms);
	buf_fmt(b, "Block ID: %s\nTime: ", id);
	put_time(b, m->mint_ms);
	buf_str(b, STR(" to "));
	put_time(b, m->maxt_ms);
	buf_fmt(b, "\nDuration: %.*s\nCompaction level: %d of %zu sources%s\n", (int)n,
		dur, (int)m->compaction.level, m->compaction.n_sources,
		m->compaction.failed ? ", failed" : "");
	if (!m->has_thanos)
		return;
	buf_str(b, STR("External labels: "));
	labels_text(m->thanos.labels, b);
	n = time_format_duration_ms(dur, m->thanos.resolution_ms);
	buf_fmt(b, "\nResolution: %.*s\nSource: %.*s\n", (int)n, dur,
		STR_FMT(m->thanos.source));
}

static void put_extended(struct buf *b, const struct inspect_stats *s)
{
	struct named_dist d[DISTS];
	dists_of(s, d);
	buf_str(b, STR("\nCompaction analysis:\n"));
	buf_fmt(b, "Samples: %llu (%llu floats, %llu histograms)\n", (ull)s->samples,
		(ull)s->float_samples, (ull)s->histogram_samples);
	buf_str(b, STR("Chunks by encoding:"));
	for (unsigned i = 0; i < ARRAY_LEN(s->encoding); i++)
		if (s->encoding[i])
			buf_fmt(b, " %llu %s", (ull)s->encoding[i],
				i == CHUNK_AGGR ? "aggregates" : chunk_enc_name(i));
	if (s->samples && s->chunk_bytes && !s->has_matched)
		buf_fmt(b, "\nBytes per sample: %.2f",
			(double)s->chunk_bytes / (double)s->samples);
	buf_fmt(b, "\nFullness: Amount of samples in chunks (100%% is %d samples)\n",
		CHUNK_SAMPLES);
	for (size_t i = 0; i < ARRAY_LEN(s->fullness); i++)
		buf_fmt(b, "%7zu%%: %llu\n", 10 * (i + 1), (ull)s->fullness[i]);
	buf_byte(b, '\n');
	for (size_t i = 0; i < DISTS; i++)
		if (d[i].d->n || i < 5)
			put_dist(b, d[i].title, d[i].d, s->chunks);
}

void inspect_stats_text(const struct inspect_stats *s, bool extended, struct buf *b)
{
	struct named_list l[LISTS];
	lists_of(s, l);
	put_head(b, s);
	buf_fmt(b, "Series: %llu\n", (ull)s->series);
	if (s->has_matched)
		buf_fmt(b, "Matched series: %llu\n", (ull)s->matched);
	buf_fmt(b,
		"Label names: %llu\nPostings (unique label pairs): %llu\n"
		"Postings entries (total label pairs): %llu\nChunks: %llu\n"
		"Symbols: %llu in %llu bytes\nFiles: index %llu bytes, %llu segments %llu bytes\n",
		(ull)s->label_names, (ull)s->label_pairs, (ull)s->pair_entries,
		(ull)s->chunks, (ull)s->symbols, (ull)s->symbol_bytes,
		(ull)s->index_bytes, (ull)s->segments, (ull)s->chunk_bytes);
	for (size_t i = 0; i < LISTS; i++) {
		buf_fmt(b, "\n%s:\n", l[i].title);
		for (size_t k = 0; k < l[i].l->n; k++)
			buf_fmt(b, "%llu %.*s\n", (ull)l[i].l->v[k].v,
				STR_FMT(l[i].l->v[k].key));
	}
	if (extended)
		put_extended(b, s);
}

/* ---- JSON ---- */

static void put_u64(struct jw *w, const char *key, uint64_t v)
{
	jw_key(w, str_of(key));
	jw_u64(w, v);
}

static void json_list(struct jw *w, const struct named_list *l)
{
	jw_key(w, str_of(l->key));
	jw_arr(w);
	for (size_t i = 0; i < l->l->n; i++) {
		jw_arr(w);
		jw_str(w, l->l->v[i].key);
		jw_u64(w, l->l->v[i].v);
		jw_arr_end(w);
	}
	jw_arr_end(w);
}

static void json_dist(struct jw *w, const struct named_dist *d)
{
	jw_key(w, str_of(d->key));
	jw_obj(w);
	put_u64(w, "count", d->d->n);
	put_u64(w, "min", d->d->min);
	put_u64(w, "avg", d->d->n ? d->d->sum / d->d->n : 0);
	put_u64(w, "max", d->d->max);
	jw_key(w, STR("buckets"));
	jw_arr(w);
	for (size_t i = 0; i < d->d->n_buckets; i++) {
		jw_arr(w);
		jw_u64(w, d->d->bucket[i].low);
		jw_u64(w, d->d->bucket[i].high);
		jw_u64(w, d->d->bucket[i].n);
		jw_arr_end(w);
	}
	jw_arr_end(w);
	jw_obj_end(w);
}

static void json_extended(struct jw *w, const struct inspect_stats *s)
{
	struct named_dist d[DISTS];
	dists_of(s, d);
	put_u64(w, "samples", s->samples);
	put_u64(w, "float_samples", s->float_samples);
	put_u64(w, "histogram_samples", s->histogram_samples);
	jw_key(w, STR("encodings"));
	jw_obj(w);
	for (unsigned i = 0; i < ARRAY_LEN(s->encoding); i++)
		if (s->encoding[i])
			put_u64(w, i == CHUNK_AGGR ? "aggregates" : chunk_enc_name(i),
				s->encoding[i]);
	jw_obj_end(w);
	jw_key(w, STR("fullness"));
	jw_arr(w);
	for (size_t i = 0; i < ARRAY_LEN(s->fullness); i++)
		jw_u64(w, s->fullness[i]);
	jw_arr_end(w);
	for (size_t i = 0; i < DISTS; i++)
		json_dist(w, &d[i]);
}

void inspect_stats_json(const struct inspect_stats *s, bool extended, struct buf *b)
{
	struct named_list l[LISTS];
	struct jw w;
	lists_of(s, l);
	jw_init(&w, b);
	jw_obj(&w);
	if (s->has_meta) {
		struct buf meta;
		buf_init(&meta, 64 << 20);
		block_meta_write_line(&s->meta, &meta);
		jw_key(&w, STR("meta"));
		jw_raw(&w, buf_view(&meta));
		buf_deinit(&meta);
	}
	put_u64(&w, "series", s->series);
	if (s->has_matched)
		put_u64(&w, "matched_series", s->matched);
	put_u64(&w, "label_names", s->label_names);
	put_u64(&w, "label_pairs", s->label_pairs);
	put_u64(&w, "label_pair_entries", s->pair_entries);
	put_u64(&w, "chunks", s->chunks);
	put_u64(&w, "symbols", s->symbols);
	put_u64(&w, "symbol_bytes", s->symbol_bytes);
	put_u64(&w, "index_bytes", s->index_bytes);
	put_u64(&w, "segments", s->segments);
	put_u64(&w, "chunk_bytes", s->chunk_bytes);
	for (size_t i = 0; i < LISTS; i++)
		json_list(&w, &l[i]);
	if (extended)
		json_extended(&w, s);
	jw_obj_end(&w);
	buf_byte(b, '\n');
}
