/* A buffered file against the same bytes in memory: writes of all sizes, patches and reads over the buffer's border. */
#include "fs/fs_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/fs.h"
#include "support/tst.h"

static uint32_t rnd(uint32_t *s, uint32_t below)
{
	*s = *s * 1103515245u + 12345;
	return (*s >> 8) % below;
}

struct model {
	uint8_t *p;
	size_t n;
};

static void step(struct fs_out *o, struct ctx *ctx, struct model *m, uint32_t *s)
{
	uint8_t piece[500], got[500];
	struct err e = ERR_INIT;
	size_t n = rnd(s, rnd(s, 5) ? 30 : sizeof(piece));
	for (size_t i = 0; i < n; i++)
		piece[i] = (uint8_t)rnd(s, 256);
	size_t at = m->n ? rnd(s, (uint32_t)m->n) : 0, k = MIN(n, m->n - at);
	switch (rnd(s, 6)) {
	case 0:
		memcpy(m->p + at, piece, k);
		cr_assert_eq(fs_out_patch(o, ctx, at, piece, k, &e), 0);
		break;
	case 1:
		cr_assert_eq(fs_out_read(o, ctx, at, got, k, &e), 0, "%s", err_text(&e));
		cr_assert_eq(memcmp(got, m->p + at, k), 0);
		break;
	default:
		memcpy(m->p + m->n, piece, n);
		m->n += n;
		cr_assert_eq(fs_out_write(o, ctx, piece, n, &e), 0);
	}
	cr_assert_eq(fs_out_pos(o), m->n);
}

Test(fs_out, holds_what_was_written_and_patched)
{
	char dir[] = "/tmp/thanosc-out-XXXXXX", path[64];
	struct model m = { malloc(200000), 0 };
	struct fs_out *o, *again;
	struct ctx ctx;
	struct buf b;
	struct err e = ERR_INIT;
	uint32_t s = 7;
	cr_assert(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	ctx_init(&ctx, NULL, 0);
	cr_assert_eq(fs_out_create(&ctx, path, 100, &o, &e), 0, "%s", err_text(&e));
	for (size_t i = 0; i < 3000; i++)
		step(o, &ctx, &m, &s);
	cr_assert_eq(fs_out_close(o, &ctx, &e), 0);
	buf_init(&b, 1 << 20);
	cr_assert_eq(fs_read_file(&ctx, path, 1 << 20, &b, &e), 0);
	cr_assert(str_eq(buf_view(&b), str_n(m.p, m.n)));
	cr_assert_eq(fs_out_create(&ctx, path, 100, &again, &e), -1);
	cr_assert_eq(e.code, E_EXISTS, "%s", err_text(&e));
	cr_assert_eq(fs_remove_all(&ctx, dir, &e), 0);
	buf_deinit(&b);
	ctx_deinit(&ctx);
	free(m.p);
}
