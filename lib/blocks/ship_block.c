/*
 * blocks/ship_block.c - one block on its way: a look at its chunks, and its stage.
 *
 * Prometheus 3.14 can write chunks of encodings 4 to 6, which no Thanos component can read; such a block
 * would make every query over its time fail, so it is found out before its upload. A segment is
 *   magic 0x85BD40DD | version 1 | 3 bytes | entries: uvarint length, encoding byte, data, CRC32 (4)
 * and its entries lie one behind the other, so stepping over the data finds every encoding. CRCs are left to
 * readers: one damaged chunk shall not keep the others from the bucket.
 *
 * The stage thanos/upload/<ULID> holds hard links, so that the bytes stay there although Prometheus deletes
 * or compacts the block during the upload.
 */
#include <stdlib.h>

#include "blocks/blocks_int.h"
#include "fs/fs.h"
#include "wire/codec.h"

#define WINDOW_BYTES   ((uint64_t)1 << 20)
#define SEGMENT_MAGIC  0x85bd40ddu
#define SEGMENT_HEADER 8u
#define ENTRY_HEAD_MAX 6u /* uvarint of 32 bits, encoding */

static bool is_known(unsigned enc)
{
	return (enc >= 1 && enc <= 3) || enc == 0xff;
}

/* Uvarint of up to 5 bytes; its length, 0: cut or too long. */
static unsigned uvarint32(const uint8_t *p, size_t n, uint64_t *out)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < 5 && i < n; i++) {
		v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
		if (!(p[i] & 0x80)) {
			*out = v;
			return i + 1;
		}
	}
	return 0;
}

static int bad_encoding(struct ctx *ctx, unsigned enc, uint64_t off, struct err *e)
{
	if (enc >= 4 && enc <= 6)
		return err_set(ctx, e, E_UNSUPPORTED,
			       "chunk encoding %s (%u) at %llu, which Thanos cannot read",
			       chunk_enc_name(enc), enc, (unsigned long long)off);
	return err_set(ctx, e, E_CORRUPT, "unknown chunk encoding %u at %llu", enc,
		       (unsigned long long)off);
}

/* Entries that begin in the window [*off, *off + v.n); *off moves to the first that does not. */
static int scan_window(struct ctx *ctx, struct view v, uint64_t size, uint64_t *off,
		       struct err *e)
{
	uint64_t base = *off, at = 0;
	bool last = base + v.n == size;
	while (at < v.n && (last || v.n - at >= ENTRY_HEAD_MAX)) {
		uint64_t len;
		unsigned head = uvarint32(v.p + at, v.n - at, &len);
		uint64_t left = size - base - at;
		if (!head || left < head + 1u || left - head - 1u < 4 ||
		    left - head - 5u < len)
			return err_set(ctx, e, E_CORRUPT, "chunk at %llu is cut off",
				       (unsigned long long)(base + at));
		if (at + head >= v.n)
			break;
		if (!is_known(v.p[at + head]))
			return bad_encoding(ctx, v.p[at + head], base + at, e);
		at += head + 1u + len + 4u;
	}
	*off = base + at;
	return 0;
}

static int scan_segment(struct ctx *ctx, struct range_source *src, struct err *e)
{
	struct view v;
	uint64_t off = SEGMENT_HEADER;
	if (src->size < SEGMENT_HEADER)
		return err_set(ctx, e, E_CORRUPT, "header is cut off");
	if (range_source_read1(src, ctx, 0, SEGMENT_HEADER, &v, e) < 0)
		return -1;
	uint32_t magic = (uint32_t)v.p[0] << 24 | (uint32_t)v.p[1] << 16 |
			 (uint32_t)v.p[2] << 8 | v.p[3];
	unsigned version = v.p[4];
	view_put(&v);
	if (magic != SEGMENT_MAGIC)
		return err_set(ctx, e, E_CORRUPT, "magic number is %08x", magic);
	if (version != 1)
		return err_set(ctx, e, E_CORRUPT, "version is %u, expected 1", version);
	while (off < src->size) {
		uint64_t n = MIN(WINDOW_BYTES, src->size - off);
		if (ctx_check(ctx, e) < 0 ||
		    range_source_read1(src, ctx, off, n, &v, e) < 0)
			return -1;
		int rc = scan_window(ctx, v, src->size, &off, e);
		view_put(&v);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static int list_segments(struct ctx *ctx, struct arena *a, const char *dir, char **chunks,
			 struct fs_names *out, struct err *e)
{
	*chunks = str_dupz(a, str_fmt(a, "%s/chunks", dir));
	return fs_list(ctx, a, *chunks, out, e);
}

int ship_check_block(struct ctx *ctx, const char *dir, struct err *e)
{
	struct arena a;
	struct fs_names names;
	struct block *b;
	char *chunks;
	arena_init(&a, NULL);
	int rc = list_segments(ctx, &a, dir, &chunks, &names, e);
	for (size_t i = 0; rc == 0 && i < names.n; i++) {
		struct range_source *src;
		char *p = str_dupz(&a, str_fmt(&a, "%s/%.*s", chunks,
					       STR_FMT(names.name[i])));
		rc = range_source_file(ctx, p, &src, e);
		if (rc < 0)
			break;
		rc = scan_segment(ctx, src, e);
		range_source_unref(src);
		if (rc < 0)
			err_wrap(ctx, e, "chunks/%.*s", STR_FMT(names.name[i]));
	}
	arena_deinit(&a);
	if (rc < 0)
		return -1;
	/* Index, meta.json and the number of segments are looked at as any reader does. */
	rc = block_open_dir(ctx, dir, &b, e);
	if (rc == 0)
		block_unref(b);
	return rc;
}

int blocks_hash(struct ctx *ctx, struct arena *a, struct range_source *src,
		struct str *out, struct err *e)
{
	uint8_t digest[32];
	char *hex = arena_zalloc(a, 65);
	struct sha256 *h = sha256_new();
	int rc = 0;
	for (uint64_t off = 0; rc == 0 && off < src->size;) {
		struct view v;
		uint64_t n = MIN(WINDOW_BYTES, src->size - off);
		rc = ctx_check(ctx, e);
		if (rc == 0)
			rc = range_source_read1(src, ctx, off, n, &v, e);
		if (rc < 0)
			break;
		sha256_feed(h, str_n(v.p, v.n));
		view_put(&v);
		off += n;
	}
	sha256_done(h, digest);
	hex_encode(digest, sizeof(digest), hex);
	*out = str_n(hex, 64);
	return rc;
}

static int hash_file(struct ctx *ctx, struct arena *a, const char *path, struct str *out,
		     struct err *e)
{
	struct range_source *src;
	if (range_source_file(ctx, path, &src, e) < 0)
		return -1;
	int rc = blocks_hash(ctx, a, src, out, e);
	range_source_unref(src);
	return rc;
}

static int describe_file(struct ctx *ctx, struct arena *a, const char *dir,
			 struct str rel, bool sha256, struct block_file *out,
			 struct err *e)
{
	struct fs_stat st;
	char *path = str_dupz(a, str_fmt(a, "%s/%.*s", dir, STR_FMT(rel)));
	if (fs_stat(ctx, path, &st, e) < 0)
		return -1;
	if (st.kind != FS_FILE)
		return err_set(ctx, e, E_NOT_FOUND, "%s is not a file", path);
	*out = (struct block_file){ .rel_path = rel, .size_bytes = st.size };
	if (!sha256)
		return 0;
	out->hash_func = STR("SHA256");
	return hash_file(ctx, a, path, &out->hash, e);
}

int block_describe_files(struct ctx *ctx, struct arena *a, const char *dir, bool sha256,
			 struct block_meta *meta, struct err *e)
{
	struct fs_names names = { 0 };
	struct fs_stat st;
	char *chunks = str_dupz(a, str_fmt(a, "%s/chunks", dir));
	if (fs_stat(ctx, chunks, &st, e) < 0)
		return -1;
	if (st.kind == FS_DIR && fs_list(ctx, a, chunks, &names, e) < 0)
		return -1;
	struct block_file *v = arena_try(a, ctx, (names.n + 2) * sizeof(*v), e);
	if (!v)
		return -1;
	size_t n = 0;
	for (; n < names.n; n++) {
		struct str rel = str_fmt(a, "chunks/%.*s", STR_FMT(names.name[n]));
		if (describe_file(ctx, a, dir, rel, sha256, &v[n], e) < 0)
			return -1;
	}
	if (describe_file(ctx, a, dir, STR("index"), sha256, &v[n], e) < 0)
		return -1;
	n++;
	v[n++] = (struct block_file){ .rel_path = STR(BLOCKS_META_NAME) };
	meta->thanos.files = v;
	meta->thanos.n_files = n;
	meta->thanos.segment_files = names.name;
	meta->thanos.n_segment_files = names.n;
	return 0;
}

static int link_file(struct ctx *ctx, struct arena *a, const char *from, const char *to,
		     struct str rel, struct err *e)
{
	char *src = str_dupz(a, str_fmt(a, "%s/%.*s", from, STR_FMT(rel)));
	char *dst = str_dupz(a, str_fmt(a, "%s/%.*s", to, STR_FMT(rel)));
	return fs_link_or_copy(ctx, src, dst, e);
}

int ship_stage_block(struct ctx *ctx, struct arena *a, const char *from, const char *to,
		     bool sha256, struct block_meta *meta, struct err *e)
{
	struct fs_names names;
	char *chunks;
	if (list_segments(ctx, a, from, &chunks, &names, e) < 0 ||
	    fs_mkdir_p(ctx, str_dupz(a, str_fmt(a, "%s/chunks", to)), e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++)
		if (link_file(ctx, a, from, to,
			      str_fmt(a, "chunks/%.*s", STR_FMT(names.name[i])), e) < 0)
			return -1;
	if (link_file(ctx, a, from, to, STR("index"), e) < 0)
		return -1;
	return block_describe_files(ctx, a, to, sha256, meta, e);
}
