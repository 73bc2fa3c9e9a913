/*
 * compact/check.c - what was written is read once more, from the files, and must be what was given to the writer.
 *
 * A hash over label ordinals, chunk times and checksums, in order, is kept while series go to the writer: those of
 * copied chunks come from their input, so they vouch for the whole way. The same is made of the finished block, where
 * each is compared with the bytes. That re-encoded chunks hold the right samples was
 * seen when they were made (recut.c).
 */
#include <inttypes.h>

#include "base/hash.h"
#include "compact/compact_int.h"

/* The checksum that stands, or will, behind the chunk in its segment. */
static uint32_t stored_crc(const struct chunk_view *c)
{
	if (c->hash) /* what a scan has read and copied to here */
		return (uint32_t)c->hash;
	const struct chunk_part *raw = &c->part[AGGR_RAW];
	uint8_t enc = raw->p ? raw->enc : CHUNK_AGGR;
	uint32_t crc = crc32c(0, &enc, 1);
	if (raw->p)
		return crc32c(crc, raw->p, raw->n);
	struct buf b;
	buf_init(&b, SIZE_MAX / 2);
	chunk_aggr_join(c, &b);
	crc = crc32c(crc, b.p, b.n);
	buf_deinit(&b);
	return crc;
}

uint64_t check_hash(uint64_t h, const uint32_t *label, uint32_t n_labels,
		    const struct chunk_view *c, size_t n)
{
	h = hash_xx64(label, (size_t)n_labels * 2 * sizeof(*label), h);
	for (size_t i = 0; i < n; i++) {
		int64_t one[3] = { c[i].mint_ms, c[i].maxt_ms, stored_crc(&c[i]) };
		h = hash_xx64(one, sizeof(one), h);
	}
	return h;
}

static int read_all(struct job *j, struct block_scan *s, uint64_t *n, uint64_t *chunks,
		    uint64_t *hash, struct err *e)
{
	struct scan_series c;
	struct str sym;
	int rc;

	while ((rc = block_scan_symbol(s, j->ctx, &sym, e)) > 0)
		;
	while (rc == 0 && (rc = block_scan_series(s, j->ctx, &c, e)) > 0) {
		*hash = check_hash(*hash, c.label, c.n_labels, c.chunk, c.n_chunks);
		*chunks += c.n_chunks;
		++*n;
		rc = *n % 64 == 0 ? ctx_check(j->ctx, e) : 0;
	}
	return rc;
}

int check_output(struct job *j, const char *dir, struct err *e)
{
	struct block_source src;
	struct block_scan *s = NULL;
	struct arena a;
	uint64_t n = 0, chunks = 0, hash = 0;

	arena_init(&a, j->ctx->budget);
	int rc = block_source_open_dir(j->ctx, &a, dir, &src, e);
	if (rc == 0) {
		rc = block_scan_open(j->ctx, &src, 0, &s, e);
		if (rc == 0)
			rc = read_all(j, s, &n, &chunks, &hash, e);
		block_scan_close(s);
		block_source_close(&src);
	}
	arena_deinit(&a);
	if (rc == 0 &&
	    (n != j->out_series || chunks != j->out_chunks || hash != j->out_hash))
		rc = err_set(j->ctx, e, E_CORRUPT,
			     "%s: %" PRIu64 " series with %" PRIu64
			     " chunks were written, %" PRIu64 " with %" PRIu64
			     " read back%s",
			     dir, j->out_series, j->out_chunks, n, chunks,
			     hash != j->out_hash ? ", others" : "");
	return rc;
}
