/*
 * tsdb/block/meta_write.c - meta.json as Prometheus and Thanos write it.
 *
 * Both print Go structs tab-indented: fields in order of declaration, numbers of the statistics and
 * lists left out where they are zero or empty, strings HTML-escaped. Prometheus ends without a
 * newline; Thanos, whenever there is a "thanos" section, with one. Parts carried over raw
 * (rewrites, extensions) are indented anew, so that they look the same wherever they came from.
 */
#include "tsdb/block/block.h"

#include <inttypes.h>

#include "wire/json.h"

struct out {
	struct buf *b;
	unsigned depth;
	bool first; /* nothing stands in this container yet */
};

static void newline(struct out *o)
{
	buf_byte(o->b, '\n');
	for (unsigned i = 0; i < o->depth; i++)
		buf_byte(o->b, '\t');
}

static void item(struct out *o)
{
	if (!o->first)
		buf_byte(o->b, ',');
	o->first = false;
	newline(o);
}

static void open_with(struct out *o, char c)
{
	buf_byte(o->b, (uint8_t)c);
	o->depth++;
	o->first = true;
}

static void close_with(struct out *o, char c)
{
	o->depth--;
	if (!o->first)
		newline(o);
	o->first = false;
	buf_byte(o->b, (uint8_t)c);
}

static void text(struct out *o, struct str s)
{
	struct jw w;

	jw_init(&w, o->b);
	jw_str(&w, s);
}

static void key(struct out *o, const char *name)
{
	item(o);
	buf_fmt(o->b, "\"%s\": ", name);
}

static void key_i64(struct out *o, const char *name, int64_t v)
{
	key(o, name);
	buf_fmt(o->b, "%" PRId64, v);
}

static void key_u64_opt(struct out *o, const char *name, uint64_t v)
{
	if (!v)
		return;
	key(o, name);
	buf_fmt(o->b, "%" PRIu64, v);
}

static void key_text(struct out *o, const char *name, struct str s)
{
	key(o, name);
	text(o, s);
}

static void key_ulid(struct out *o, const char *name, const struct ulid *u)
{
	char id[27];

	ulid_format(u, id);
	key(o, name);
	buf_fmt(o->b, "\"%s\"", id);
}

static void key_texts_opt(struct out *o, const char *name, const struct str *v, size_t n)
{
	if (n == 0)
		return;
	key(o, name);
	open_with(o, '[');
	for (size_t i = 0; i < n; i++) {
		item(o);
		text(o, v[i]);
	}
	close_with(o, ']');
}

/* JSON that was parsed once: only its blanks change. */
static void key_raw_opt(struct out *o, const char *name, struct str raw)
{
	bool quoted = false;

	if (raw.n == 0)
		return;
	key(o, name);
	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];
		if (quoted) {
			buf_byte(o->b, (uint8_t)c);
			if (c == '\\' && i + 1 < raw.n)
				buf_byte(o->b, (uint8_t)raw.p[++i]);
			quoted = c != '"';
		} else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
			continue;
		} else if (c == '}' || c == ']') {
			close_with(o, c);
		} else if (c == ',') {
			buf_byte(o->b, ',');
			newline(o);
		} else {
			if (o->first)
				newline(o);
			o->first = false;
			quoted = c == '"';
			if (c == '{' || c == '[')
				open_with(o, c);
			else
				buf_byte(o->b, (uint8_t)c);
			if (c == ':')
				buf_byte(o->b, ' ');
		}
	}
	o->first = false;
}

static void write_stats(struct out *o, const struct block_meta *m)
{
	key(o, "stats");
	open_with(o, '{');
	key_u64_opt(o, "numSamples", m->stats.samples);
	key_u64_opt(o, "numFloatSamples", m->stats.float_samples);
	key_u64_opt(o, "numHistogramSamples", m->stats.histogram_samples);
	key_u64_opt(o, "numSeries", m->stats.series);
	key_u64_opt(o, "numChunks", m->stats.chunks);
	key_u64_opt(o, "numTombstones", m->stats.tombstones);
	close_with(o, '}');
}

static void write_compaction(struct out *o, const struct block_meta *m)
{
	key(o, "compaction");
	open_with(o, '{');
	key_i64(o, "level", m->compaction.level);
	if (m->compaction.n_sources) {
		key(o, "sources");
		open_with(o, '[');
		for (size_t i = 0; i < m->compaction.n_sources; i++) {
			char id[27];
			ulid_format(&m->compaction.sources[i], id);
			item(o);
			buf_fmt(o->b, "\"%s\"", id);
		}
		close_with(o, ']');
	}
	if (m->compaction.deletable) {
		key(o, "deletable");
		buf_str(o->b, STR("true"));
	}
	if (m->compaction.n_parents) {
		key(o, "parents");
		open_with(o, '[');
		for (size_t i = 0; i < m->compaction.n_parents; i++) {
			const struct block_parent *p = &m->compaction.parents[i];
			item(o);
			open_with(o, '{');
			key_ulid(o, "ulid", &p->ulid);
			key_i64(o, "minTime", p->mint_ms);
			key_i64(o, "maxTime", p->maxt_ms);
			close_with(o, '}');
		}
		close_with(o, ']');
	}
	if (m->compaction.failed) {
		key(o, "failed");
		buf_str(o->b, STR("true"));
	}
	key_texts_opt(o, "hints", m->compaction.hints, m->compaction.n_hints);
	close_with(o, '}');
}

static void write_files(struct out *o, const struct block_meta *m)
{
	if (m->thanos.n_files == 0)
		return;
	key(o, "files");
	open_with(o, '[');
	for (size_t i = 0; i < m->thanos.n_files; i++) {
		const struct block_file *f = &m->thanos.files[i];
		item(o);
		open_with(o, '{');
		key_text(o, "rel_path", f->rel_path);
		key_u64_opt(o, "size_bytes", f->size_bytes);
		if (f->hash_func.n) {
			key(o, "hash");
			open_with(o, '{');
			key_text(o, "hashFunc", f->hash_func);
			key_text(o, "value", f->hash);
			close_with(o, '}');
		}
		close_with(o, '}');
	}
	close_with(o, ']');
}

static void write_thanos(struct out *o, const struct block_meta *m)
{
	key(o, "thanos");
	open_with(o, '{');
	if (m->thanos.version)
		key_i64(o, "version", m->thanos.version);
	key(o, "labels");
	open_with(o, '{');
	for (uint32_t i = 0; i < m->thanos.labels.n; i++) {
		item(o);
		text(o, m->thanos.labels.l[i].name);
		buf_str(o->b, STR(": "));
		text(o, m->thanos.labels.l[i].value);
	}
	close_with(o, '}');
	key(o, "downsample");
	open_with(o, '{');
	key_i64(o, "resolution", m->thanos.resolution_ms);
	close_with(o, '}');
	key_text(o, "source", m->thanos.source);
	key_texts_opt(o, "segment_files", m->thanos.segment_files,
		      m->thanos.n_segment_files);
	write_files(o, m);
	key_raw_opt(o, "rewrites", m->thanos.rewrites);
	key(o, "index_stats");
	open_with(o, '{');
	key_u64_opt(o, "series_max_size", (uint64_t)m->thanos.series_max_size);
	key_u64_opt(o, "chunk_max_size", (uint64_t)m->thanos.chunk_max_size);
	close_with(o, '}');
	key_raw_opt(o, "extensions", m->thanos.extensions);
	if (m->thanos.upload_time.n)
		key_text(o, "upload_time", m->thanos.upload_time);
	close_with(o, '}');
}

void block_meta_write(const struct block_meta *m, struct buf *out)
{
	struct out o = { .b = out, .first = true };

	open_with(&o, '{');
	key_ulid(&o, "ulid", &m->ulid);
	key_i64(&o, "minTime", m->mint_ms);
	key_i64(&o, "maxTime", m->maxt_ms);
	write_stats(&o, m);
	write_compaction(&o, m);
	key_i64(&o, "version", 1);
	if (m->has_thanos)
		write_thanos(&o, m);
	close_with(&o, '}');
	if (m->has_thanos)
		buf_byte(out, '\n');
}

/* Line ends and tabs are layout only: inside strings both are escaped. */
void block_meta_write_line(const struct block_meta *m, struct buf *out)
{
	struct buf b;
	buf_init(&b, out->max);
	block_meta_write(m, &b);
	for (size_t i = 0; i < b.n; i++)
		if (b.p[i] != '\n' && b.p[i] != '\t')
			buf_byte(out, b.p[i]);
	out->failed = out->failed || b.failed;
	buf_deinit(&b);
}
