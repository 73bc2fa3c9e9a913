#include "support/tst.h"

#include <stdlib.h>

#include "base/hash.h"
#include "unit/tsdb_block/golden.h"
#include "wire/wr.h"

static void begin(struct buf *b)
{
	buf_init(b, 1 << 16);
	wr_be32(b, 0x0130ba30);
	buf_byte(b, 1);
}

static void entry(struct buf *b, uint64_t ref, int64_t mint, int64_t maxt)
{
	wr_uvarint(b, ref);
	wr_varint(b, mint);
	wr_varint(b, maxt);
}

static int parse(struct fix *f, struct buf *b, struct tombstones **out)
{
	wr_be32(b, crc32c(0, b->p + 5, b->n - 5));
	int rc = tombstones_parse(&f->ctx, buf_view(b), out, &f->e);
	buf_deinit(b);
	return rc;
}

Test(tombstones, ranges_are_sorted_and_joined)
{
	struct fix f;
	struct buf b;
	struct tombstones *t = NULL;
	size_t n;

	fix_begin(&f);
	begin(&b);
	entry(&b, 7, 50, 60);
	entry(&b, 3, 1, INT64_MAX);
	entry(&b, 7, 10, 20);
	entry(&b, 7, 21, 30); /* touches the one before */
	entry(&b, 7, 55, 70);
	entry(&b, 7, 9, 5); /* nothing */
	entry(&b, 3, 5, 6);
	cr_assert_eq(parse(&f, &b, &t), 0, "%s", err_text(&f.e));
	const struct tombstone_range *r = tombstones_of(t, 7, &n);
	cr_assert_eq(n, 2);
	cr_assert(r[0].mint_ms == 10 && r[0].maxt_ms == 30);
	cr_assert(r[1].mint_ms == 50 && r[1].maxt_ms == 70);
	r = tombstones_of(t, 3, &n);
	cr_assert(n == 1 && r[0].mint_ms == 1 && r[0].maxt_ms == INT64_MAX);
	cr_assert_null(tombstones_of(t, 4, &n));
	cr_assert_eq(n, 0);
	cr_assert_null(tombstones_of(NULL, 4, &n));
	tombstones_free(t);
	fix_end(&f);
}

Test(tombstones, an_empty_file_is_nine_bytes)
{
	struct fix f;
	struct buf b;
	struct tombstones *t = NULL;
	size_t n;

	fix_begin(&f);
	begin(&b);
	cr_assert_eq(parse(&f, &b, &t), 0);
	cr_assert_null(tombstones_of(t, 0, &n));
	tombstones_free(t);
	fix_end(&f);
}

Test(tombstones, cut_entries_and_huge_references_are_refused)
{
	struct fix f;
	struct buf b;
	struct tombstones *t = NULL;

	fix_begin(&f);
	begin(&b);
	wr_uvarint(&b, 5);
	cr_assert_eq(parse(&f, &b, &t), -1);
	begin(&b);
	entry(&b, 1ull << 40, 1, 2);
	cr_assert_eq(parse(&f, &b, &t), -1);
	cr_assert_eq(f.e.code, E_CORRUPT);
	fix_end(&f);
}
