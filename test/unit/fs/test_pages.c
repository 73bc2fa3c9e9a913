/* A file through windows, mapped and copied: the same bytes; errors instead of signals. */
#include "fs/fs_pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/fs.h"
#include "support/tst.h"

#define SIZE 5000001u

static uint8_t byte_at(uint64_t off)
{
	return (uint8_t)(off * 2654435761u >> 13);
}

static void make(char *dir, char *path)
{
	struct err e = ERR_INIT;
	cr_assert(mkdtemp(dir));
	sprintf(path, "%s/f", dir);
	char *p = malloc(SIZE);
	for (uint64_t i = 0; i < SIZE; i++)
		p[i] = (char)byte_at(i);
	cr_assert_eq(fs_write_atomic(NULL, path, str_n(p, SIZE), &e), 0);
	free(p);
}

static void look(struct fs_pages *f, uint64_t off, size_t want)
{
	struct err e = ERR_INIT;
	const uint8_t *p;
	size_t n;
	cr_assert_eq(fs_pages_at(f, NULL, off, want, &p, &n, &e), 0, "%s", err_text(&e));
	cr_assert_geq(n, MIN(want, SIZE - off));
	cr_assert_leq(n, SIZE - off);
	for (size_t i = 0; i < n; i += i + 101 < n ? 101 : 1)
		cr_assert_eq(p[i], byte_at(off + i));
}

static void walk(bool copy)
{
	char dir[] = "/tmp/thanosc-pages-XXXXXX", path[64];
	struct err e = ERR_INIT;
	struct fs_pages *f;
	make(dir, path);
	cr_assert_eq(fs_pages_open(NULL, path, &f, &e), 0);
	cr_assert_eq(fs_pages_size(f), SIZE);
	if (copy)
		fs_pages_copy(f);
	for (uint64_t off = 0; off < SIZE; off += 77777)
		look(f, off, 70000);
	look(f, 4095, 3000000); /* more than a window, and back */
	look(f, 3, 1);
	look(f, SIZE - 1, 10);
	look(f, SIZE, 10);
	look(f, 17, 0);
	fs_pages_close(f);
	cr_assert_eq(fs_remove_all(NULL, dir, &e), 0);
}

Test(fs_pages, shows_the_bytes_mapped_and_copied)
{
	walk(false);
	walk(true);
}

Test(fs_pages, a_file_that_was_cut_is_an_error)
{
	char dir[] = "/tmp/thanosc-pages-XXXXXX", path[64];
	struct err e = ERR_INIT;
	const uint8_t *p;
	size_t n;
	struct fs_pages *f;
	make(dir, path);
	cr_assert_eq(fs_pages_open(NULL, path, &f, &e), 0);
	cr_assert_eq(truncate(path, 4096), 0);
	look(f, 0, 0);
	cr_assert_eq(fs_pages_at(f, NULL, 2u << 20, 1, &p, &n, &e), -1);
	cr_assert_eq(e.code, E_IO);
	cr_assert(strstr(err_text(&e), "was cut short by others"), "%s", err_text(&e));
	fs_pages_close(f);
	cr_assert_eq(fs_pages_open(NULL, "/tmp/none/at/all", &f, &e), -1);
	cr_assert_eq(fs_remove_all(NULL, dir, &e), 0);
}
