#include "support/tst.h"

#include <stdlib.h>

#include "base/hash.h"
#include "unit/compact/made.h"

/*
 * Blocks with changed bytes whose checksums were made right again, beside a sound one: they are compacted or refused with
 * an error that names a block, and nothing else happens.
 */
struct entry {
	size_t at, n; /* of the body */
	size_t crc;
};

static size_t entry_of(const struct buf *b, size_t at, size_t extra, struct entry *out)
{
	size_t len = 0, k = 0;
	while (b->p[at + k] & 0x80) {
		len |= (size_t)(b->p[at + k] & 0x7f) << (7 * k);
		k++;
	}
	len |= (size_t)b->p[at + k] << (7 * k);
	*out = (struct entry){ at + k + 1, len + extra, at + k + 1 + len + extra };
	return out->crc + 4;
}

static void seal(struct buf *b, const struct entry *x)
{
	uint32_t crc = __builtin_bswap32(crc32c(0, b->p + x->at, x->n));
	memcpy(b->p + x->crc, &crc, 4);
}

static uint32_t draw(uint64_t *s, uint32_t n)
{
	*s = *s * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*s >> 33) % n;
}

static uint64_t toc(const struct buf *b, size_t slot)
{
	uint64_t v;
	memcpy(&v, b->p + b->n - 52 + slot * 8, 8);
	return __builtin_bswap64(v);
}

static void try_once(struct world *w, size_t *fine, size_t *refused)
{
	int rc = world_compact(w);
	if (rc == 0) {
		++*fine;
		cr_assert_eq(fs_remove_all(NULL, w->out, &w->f.e), 0);
		return;
	}
	++*refused;
	cr_assert(str_has_prefix(str_of(err_text(&w->f.e)), STR("block ")), "%s",
		  err_text(&w->f.e));
	cr_assert(w->f.e.code == E_CORRUPT || w->f.e.code == E_INVALID, "%s",
		  err_text(&w->f.e));
}

static void changed(enum compact_overlap mode, bool chunks)
{
	struct made_chunk x[3] = { { .n = 0 }, { .n = 0 }, { .n = 0 } };
	uint64_t seed = 7 + (uint64_t)mode * 2 + chunks;
	size_t fine = 0, refused = 0;
	struct raw_block b;
	struct world w;

	for (int i = 0; i < 40; i++)
		for (int c = 0; c < 3; c++) {
			x[c].t[x[c].n] = c * 600 + i * 15 + (i * 7 + c) % 5;
			x[c].v[x[c].n++] = i % 3 ? i : 1.0 / (i + 1);
		}
	struct raw_chunk rc[3] = { { x[0].t[0], x[0].t[39], x[0] },
				   { x[1].t[0], x[1].t[39], x[1] },
				   { x[2].t[0], x[2].t[39], x[2] } };
	struct raw_series s[2] = { { { 1, 3 }, 1, rc, 3 }, { { 1, 4, 2, 3 }, 2, rc, 2 } };
	struct raw_block sound;
	world_begin(&w);
	raw_make(&w, &b, 0, 4000, s, 2);
	for (int c = 0; c < 3; c++) { /* the other replica */
		for (int i = 0; i < 40; i++)
			x[c].t[i] += 3;
		rc[c] = (struct raw_chunk){ x[c].t[0], x[c].t[39], x[c] };
	}
	raw_make(&w, &sound, 0, 4000, s, 2);
	w.o.overlap = mode;
	w.o.accept_malformed_index = true;
	struct buf *bytes = chunks ? &b.segment : &b.index;
	for (int i = 0; i < 150; i++) {
		struct str before = str_dup(&w.f.a, buf_view(bytes));
		struct entry e;
		size_t at = chunks ? 8 : toc(&b.index, 1);
		for (uint32_t skip = draw(&seed, chunks ? 5 : 2) + 1; skip > 0; skip--) {
			if (!chunks)
				at = (at + 15) / 16 * 16;
			at = entry_of(bytes, at, chunks, &e);
		}
		for (uint32_t k = draw(&seed, 3) + 1; k > 0; k--)
			bytes->p[e.at + draw(&seed, (uint32_t)e.n)] =
				(uint8_t)draw(&seed, 256);
		seal(bytes, &e);
		try_once(&w, &fine, &refused);
		memcpy(bytes->p, before.p, before.n);
	}
	cr_assert_gt(refused, 10, "%zu refused, %zu fine", refused, fine);
	world_end(&w);
	raw_free(&b);
	raw_free(&sound);
}

Test(compact_hostile, changed_entries)
{
	changed(COMPACT_ONE_TO_ONE, false);
	changed(COMPACT_PENALTY, false);
}

Test(compact_hostile, changed_chunks)
{
	changed(COMPACT_ONE_TO_ONE, true);
	changed(COMPACT_PENALTY, true);
}
