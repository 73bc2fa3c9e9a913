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

struct watcher {
	uint8_t got[4000];
	size_t n, stop_at; /* stop_at: refuses what reaches it */
};

static int watch(void *arg, struct ctx *ctx, const void *p, size_t n, struct err *e)
{
	struct watcher *w = arg;
	memcpy(w->got + w->n, p, n);
	w->n += n;
	return w->n < w->stop_at ? 0 : err_set(ctx, e, E_CORRUPT, "seen");
}

/* Pieces of 0 to 249 bytes through a buffer of 100; how many were taken before the watcher refused. */
static int write_watched(const char *path, struct watcher *w, uint8_t *all, size_t *total)
{
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct fs_out *o;
	uint8_t next = 0;
	int rc = 0, n = 0;
	ctx_init(&ctx, NULL, 0);
	cr_assert_eq(fs_out_create(&ctx, path, 100, &o, &e), 0, "%s", err_text(&e));
	fs_out_watch(o, watch, w);
	for (*total = 0; rc == 0 && n < 20; n++) {
		size_t k = (size_t)n * 53 % 250;
		for (size_t i = 0; i < k; i++)
			all[*total + i] = next++;
		rc = fs_out_write(o, &ctx, all + *total, k, &e);
		*total += k;
	}
	if (rc == 0)
		rc = fs_out_close(o, &ctx, &e);
	else
		fs_out_drop(o);
	cr_assert_eq(e.code, rc < 0 ? E_CORRUPT : E_OK);
	cr_assert_eq(unlink(path), 0);
	ctx_deinit(&ctx);
	return rc < 0 ? n : -1;
}

Test(fs_out, whoever_watches_is_told_of_all_bytes_in_order_and_may_end_it)
{
	char dir[] = "/tmp/thanosc-out-XXXXXX", path[64];
	uint8_t all[4000];
	size_t n;
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	struct watcher w = { .stop_at = SIZE_MAX };
	cr_assert_eq(write_watched(path, &w, all, &n), -1);
	cr_assert(w.n == n && memcmp(w.got, all, n) == 0);
	w = (struct watcher){ .stop_at = 1000 };
	int stopped = write_watched(path, &w, all, &n);
	cr_assert(stopped > 5 && stopped < 20, "%d", stopped);
	w = (struct watcher){ .stop_at = w.n + 1 }; /* another piece is the last */
	cr_assert_gt(write_watched(path, &w, all, &n), stopped);
	cr_assert_eq(rmdir(dir), 0);
}
