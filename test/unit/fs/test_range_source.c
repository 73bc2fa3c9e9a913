#include "fs/range_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "fs/fs.h"
#include "support/tst.h"

#define FILE_BYTES (3u << 20)

static uint8_t *content;
static char path[64];

static uint8_t byte_at(uint64_t i)
{
	return (uint8_t)(i * 2654435761u >> 13);
}

static struct range_source *open_file(void)
{
	struct err e = ERR_INIT;
	struct range_source *s = NULL;
	content = malloc(FILE_BYTES);
	for (uint64_t i = 0; i < FILE_BYTES; i++)
		content[i] = byte_at(i);
	snprintf(path, sizeof(path), "/tmp/test_range.%ld", (long)getpid());
	cr_assert_eq(fs_write_atomic(NULL, path, str_n(content, FILE_BYTES), &e), 0);
	cr_assert_eq(range_source_file(NULL, path, &s, &e), 0);
	cr_assert_eq(s->size, FILE_BYTES);
	return s;
}

static void close_file(struct range_source *s)
{
	range_source_unref(s);
	unlink(path);
	free(content);
}

Test(range_source, answers_in_the_order_asked)
{
	struct err e = ERR_INIT;
	struct budget b;
	struct ctx ctx;
	struct range r[40];
	struct view v[40];
	budget_init(&b, NULL, "query", NULL, 0);
	ctx_init(&ctx, &b, 0);
	struct range_source *s = open_file();
	for (uint64_t i = 0; i < 40; i++)
		r[i] = (struct range){ i * 7919 * 131 % (FILE_BYTES - 5000),
				       i == 7 ? 0 : i * 97 + 1 };
	for (size_t n = 1; n <= 40; n += 13) {
		cr_assert_eq(range_source_read(s, &ctx, r, n, v, &e), 0);
		for (size_t i = 0; i < n; i++) {
			cr_assert_eq(v[i].n, r[i].len);
			cr_assert(v[i].n == 0 ||
				  memcmp(v[i].p, content + r[i].off, v[i].n) == 0);
		}
		cr_assert_gt(budget_used(&b), 0u);
		for (size_t i = 0; i < n; i++)
			view_put(&v[i]);
		cr_assert_eq(budget_used(&b), 0u);
	}
	close_file(s);
	ctx_deinit(&ctx);
	budget_deinit(&b);
}

Test(range_source, reads_neighbours_in_one_piece)
{
	struct err e = ERR_INIT;
	struct view v[3];
	struct range_source *s = open_file();
	struct range r[] = { { 10, 100 }, { 100000, 50 }, { 2000000, 10 } };
	cr_assert_eq(range_source_read(s, NULL, r, 3, v, &e), 0);
	cr_assert_eq(s->read_calls, 2u);
	cr_assert_eq(s->read_bytes, 100050u - 10u + 10u);
	cr_assert(v[0].pin == v[1].pin && v[1].pin != v[2].pin);
	view_put(&v[0]);
	cr_assert_eq(v[1].p[49], byte_at(100049));
	view_put(&v[1]);
	view_put(&v[2]);
	close_file(s);
}

Test(range_source, refuses_ranges_outside_and_keeps_out_untouched)
{
	struct err e = ERR_INIT;
	struct view v = { .n = 42 };
	struct range_source *s = open_file();
	cr_assert_eq(range_source_read1(s, NULL, FILE_BYTES, 1, &v, &e), -1);
	cr_assert_eq(e.code, E_CORRUPT);
	cr_assert(str_has_suffix(str_of(err_text(&e)), STR(": range past end")));
	cr_assert_eq(range_source_read1(s, NULL, 1, UINT64_MAX, &v, &e), -1);
	cr_assert_eq(range_source_read1(s, NULL, UINT64_MAX, 2, &v, &e), -1);
	cr_assert_eq(v.n, 42u);
	cr_assert_eq(range_source_read1(s, NULL, FILE_BYTES, 0, &v, &e), 0);
	cr_assert_eq(v.n, 0u);
	view_put(&v);
	close_file(s);
}

Test(range_source, obeys_budget_and_cancel)
{
	struct err e = ERR_INIT;
	struct budget b;
	struct ctx ctx;
	struct range r[] = { { 0, 1000 }, { 1500000, 1000 } };
	struct view v[2] = { { .n = 42 }, { .n = 43 } };
	budget_init(&b, NULL, "query", "query.max-memory", 1500);
	ctx_init(&ctx, &b, 0);
	struct range_source *s = open_file();
	cr_assert_eq(range_source_read(s, &ctx, r, 2, v, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	cr_assert(v[0].n == 42 && v[1].n == 43);
	cr_assert_eq(budget_used(&b), 0u);
	cancel_now(ctx.cancel, "gone");
	cr_assert_eq(range_source_read(s, &ctx, r, 1, v, &e), -1);
	cr_assert_eq(e.code, E_CANCELLED);
	close_file(s);
	ctx_deinit(&ctx);
	budget_deinit(&b);
}

Test(range_source, a_deleted_file_is_read_and_a_cut_one_is_corrupt)
{
	struct err e = ERR_INIT;
	struct view v;
	struct range_source *s = open_file();
	cr_assert_eq(truncate(path, 1000), 0);
	unlink(path);
	cr_assert_eq(range_source_read1(s, NULL, 500, 500, &v, &e), 0);
	cr_assert_eq(v.p[499], byte_at(999));
	view_put(&v);
	cr_assert_eq(range_source_read1(s, NULL, 500, 501, &v, &e), -1);
	cr_assert_eq(e.code, E_CORRUPT);
	cr_assert(str_has_suffix(str_of(err_text(&e)), STR(": short read")));
	close_file(s);
}

Test(range_source, open_names_the_path)
{
	struct err e = ERR_INIT;
	struct range_source *s = NULL;
	cr_assert_eq(range_source_file(NULL, "/no/such/file", &s, &e), -1);
	cr_assert_eq(e.code, E_NOT_FOUND);
	cr_assert_not_null(strstr(err_text(&e), "/no/such/file"));
	cr_assert_eq(range_source_file(NULL, "/tmp", &s, &e), -1);
	cr_assert_eq(e.code, E_INVALID);
	cr_assert_null(s);
}

Test(range_source, memory_copies_nothing)
{
	static const char text[] = "0123456789";
	struct err e = ERR_INIT;
	struct range r[] = { { 5, 2 }, { 0, 10 } };
	struct view v[2];
	struct range_source *s = range_source_mem("text", text, 10);
	range_source_unref(range_source_ref(s));
	cr_assert_eq(range_source_read(s, NULL, r, 2, v, &e), 0);
	cr_assert(v[0].p == (const uint8_t *)text + 5 && v[1].n == 10);
	cr_assert_eq(range_source_read1(s, NULL, 10, 1, v, &e), -1);
	cr_assert_str_eq(err_text(&e), "text: range past end");
	range_source_unref(s);
	range_source_unref(NULL);
}

Test(range_coalesce, joins_within_the_gap_up_to_the_longest)
{
	static const struct range r[] = { { 0, 10 },   { 15, 5 },  { 16, 2 },  { 31, 10 },
					  { 31, 100 }, { 500, 1 }, { 505, 50 } };
	struct range parts[7];
	size_t of[7];
	cr_assert_eq(range_coalesce(r, 7, 10, 0, parts, of), 3u);
	cr_assert(parts[0].off == 0 && parts[0].len == 20);
	cr_assert(parts[1].off == 31 && parts[1].len == 100);
	cr_assert(parts[2].off == 500 && parts[2].len == 55);
	cr_assert(of[2] == 0 && of[3] == 1 && of[4] == 1 && of[6] == 2);
	cr_assert_eq(range_coalesce(r, 7, 1000, 60, parts, of), 3u);
	cr_assert(parts[0].len == 41 && parts[1].len == 100 && parts[2].len == 55);
	cr_assert_eq(range_coalesce(r, 7, 11, 0, parts, of), 2u);
	cr_assert_eq(range_coalesce(r, 0, 11, 0, parts, of), 0u);
}
