/*
 * tsdb/write/segments.c - chunks/000001, 000002, ...: chunks one behind the other.
 *
 *   header  u32 BE magic 0x85bd40dd | version 1 | 3 bytes of padding
 *   entry   uvarint length of data | encoding byte | data | u32 BE CRC-32C over encoding and data
 *
 * A file ends before the chunk that would make it larger than the limit, its length field counted as five bytes
 * (as Prometheus does). A file that is full is synced at once, so that the end of the block has little to wait for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tsdb/write/write_int.h"
#include "wire/wr.h"

#define SEGMENT_HEADER 8
#define LENGTH_BYTES   5
#define ENTRY_EXTRA    (1 + 4) /* encoding, CRC */

static int taken(void *arg, struct ctx *ctx, const void *p, size_t n, struct err *e)
{
	struct seg_writer *s = arg;
	return s->wrote(s->arg, ctx, s->n, p, n, e);
}

static int next_file(struct seg_writer *s, struct ctx *ctx, struct err *e)
{
	static const uint8_t header[SEGMENT_HEADER] = { 0x85, 0xbd, 0x40, 0xdd, 1 };
	if (seg_finish(s, ctx, e) < 0)
		return -1;
	size_t room = strlen(s->dir) + 32;
	char *path = xmalloc(room);
	snprintf(path, room, "%s/chunks/%06" PRIu32, s->dir, s->n + 1);
	int rc = fs_out_create(ctx, path, SEGMENT_BUFFER, &s->file, e);
	free(path);
	if (rc < 0)
		return -1;
	s->n++;
	if (s->wrote)
		fs_out_watch(s->file, taken, s);
	return fs_out_write(s->file, ctx, header, sizeof(header), e);
}

int seg_write(struct seg_writer *s, struct ctx *ctx, struct chunk_part c, uint32_t crc,
	      uint64_t *ref, struct err *e)
{
	uint8_t head[16], tail[4];
	uint64_t size = (uint64_t)c.n + LENGTH_BYTES + ENTRY_EXTRA;
	if (!s->file || (fs_out_pos(s->file) + size > s->limit &&
			 fs_out_pos(s->file) > SEGMENT_HEADER))
		if (next_file(s, ctx, e) < 0)
			return -1;
	uint64_t at = fs_out_pos(s->file);
	if (at > UINT32_MAX)
		return err_set(ctx, e, E_LIMIT, "chunk of %" PRIu32 " bytes at %" PRIu64,
			       c.n, at);
	unsigned k = wr_uvarint_to(head, c.n);
	head[k] = c.enc;
	write_be32(tail, crc);
	if (fs_out_write(s->file, ctx, head, k + 1, e) < 0 ||
	    fs_out_write(s->file, ctx, c.p, c.n, e) < 0 ||
	    fs_out_write(s->file, ctx, tail, sizeof(tail), e) < 0)
		return -1;
	*ref = (uint64_t)(s->n - 1) << 32 | at;
	s->chunk_max = MAX(s->chunk_max, k + c.n + ENTRY_EXTRA);
	return 0;
}

int seg_finish(struct seg_writer *s, struct ctx *ctx, struct err *e)
{
	struct fs_out *f = s->file;
	if (!f)
		return 0;
	s->bytes += fs_out_pos(f);
	s->file = NULL; /* closed whatever comes */
	return fs_out_close(f, ctx, e);
}

void seg_drop(struct seg_writer *s)
{
	fs_out_drop(s->file);
	s->file = NULL;
}
