/*
 * api/active.c - the queries under way, as Prometheus keeps them: DIR/queries.active, mapped into memory, so that the
 * kernel has it whatever becomes of the process.
 *
 *   '[' | entry 0 | entry 1 | ...     an entry: 1000 bytes, {"query":"...","timestamp_sec":N}, zeros, ',' last
 *
 * A query that was cut has a third member, "hash": what suspects.c knows it by.
 * An entry that is not in use is zeros. Without its zeros, and with its last comma made a bracket, the file is a JSON list.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/api_int.h"
#include "base/log.h"
#include "base/time.h"
#include "fs/fs.h"
#include "wire/json.h"

#define ENTRY	  1000u
#define MAX_BYTES ((size_t)16 << 20) /* of a file that an earlier run left */

struct active_log {
	uint8_t *map;
	size_t size;
	uint32_t n;
	_Atomic bool *used;
	struct suspects *suspects;
};

/* One entry's text; what does not read as one was cut short by the crash and is shown as it is. */
static void say_unfinished(struct suspects *suspects, struct str text)
{
	struct arena a;
	struct doc *d;
	struct err e = ERR_INIT;
	arena_init(&a, NULL);
	if (json_parse(NULL, &a, text, &d, &e) == 0 && d->kind == DOC_MAP) {
		const struct doc *query = doc_get(d, "query"),
				 *since = doc_get(d, "timestamp_sec"),
				 *hash = doc_get(d, "hash");
		char at[40];
		size_t n = time_format_rfc3339(at, since ? since->i : 0, 0, 0);
		const struct log_field f[] = {
			{ "msg", STR("a query did not finish in the last run") },
			{ "query", query ? query->s : STR("") },
			{ "started", str_n(at, n) },
		};
		log_fields(LOG_WARN, f, ARRAY_LEN(f));
		if (query)
			suspects_found(suspects, query->s,
				       hash ? suspects_hash_of(hash->s)
					    : suspects_hash(query->s));
	} else {
		log_warn(NULL, "a query did not finish in the last run: %.*s",
			 STR_FMT(text));
	}
	arena_deinit(&a);
}

static int read_last_run(const char *path, struct suspects *suspects, struct err *e)
{
	struct fs_stat st;
	struct buf b;
	if (fs_stat(NULL, path, &st, e) < 0)
		return -1;
	if (st.kind != FS_FILE || st.size <= 1)
		return 0;
	buf_init(&b, MAX_BYTES);
	int rc = fs_read_file(NULL, path, MAX_BYTES, &b, e);
	for (size_t at = 1; rc == 0 && at < b.n; at += ENTRY) {
		struct str entry = str_n((const char *)b.p + at, MIN(ENTRY, b.n - at));
		const char *end = memchr(entry.p, 0, entry.n);
		if (end)
			entry.n = (size_t)(end - entry.p);
		else if (entry.n == ENTRY)
			entry.n--; /* the comma */
		if (entry.n)
			say_unfinished(suspects, entry);
	}
	buf_deinit(&b);
	return rc;
}

/* A file without holes: a write into the mapping must not find the disk full. */
static int make_file(const char *path, size_t size, int *fd, struct err *e)
{
	*fd = open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0666);
	if (*fd < 0)
		return err_errno(NULL, e, errno, "%s", path);
	int failed = posix_fallocate(*fd, 0, (off_t)size);
	if (failed) {
		close(*fd);
		return err_errno(NULL, e, failed, "%s", path);
	}
	return 0;
}

int active_log_open(const char *dir, uint32_t n, struct active_log **out, struct err *e)
{
	struct arena a;
	int fd;
	size_t size = 1 + (size_t)n * ENTRY;
	arena_init(&a, NULL);
	const char *path = str_fmt(&a, "%s/queries.active%c", dir, 0).p;
	struct suspects *suspects = NULL;
	int rc = fs_mkdir_p(NULL, dir, e);
	if (rc == 0) {
		suspects = suspects_open(dir);
		if (read_last_run(path, suspects, e) < 0) {
			log_warn(NULL, "unfinished queries are not known: %s",
				 err_text(e));
			*e = ERR_INIT;
		}
		/* before the log is emptied: an end between both counts twice, none is lost */
		rc = suspects_save(suspects, e);
	}
	if (rc == 0)
		rc = make_file(path, size, &fd, e);
	if (rc == 0) {
		void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED) {
			rc = err_errno(NULL, e, errno, "%s", path);
		} else {
			*out = xcalloc(1, sizeof(**out));
			**out = (struct active_log){ map, size, n,
						     xcalloc(n, sizeof(_Atomic bool)),
						     suspects };
			suspects = NULL;
			(*out)->map[0] = '[';
		}
		close(fd);
	}
	suspects_close(suspects);
	arena_deinit(&a);
	return rc;
}

int active_log_check(const struct active_log *l, struct ctx *ctx, struct str query,
		     struct err *e)
{
	return l ? suspects_check(l->suspects, ctx, query, e) : 0;
}

void active_log_close(struct active_log *l)
{
	if (!l)
		return;
	munmap(l->map, l->size);
	suspects_close(l->suspects);
	free(l->used);
	free(l);
}

/* As much of the query as fits an entry. */
static void make_entry(struct buf *b, struct str whole)
{
	char hash[17];
	struct str query = str_n(whole.p, MIN(whole.n, (size_t)ENTRY));
	snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)suspects_hash(whole));
	for (;;) {
		struct jw w;
		buf_reset(b);
		jw_init(&w, b);
		jw_obj(&w);
		jw_key(&w, STR("query"));
		jw_str(&w, query);
		jw_key(&w, STR("timestamp_sec"));
		jw_i64(&w, time_wall_ms() / 1000);
		if (query.n < whole.n) {
			jw_key(&w, STR("hash"));
			jw_str(&w, str_of(hash));
		}
		jw_obj_end(&w);
		if (b->n < ENTRY)
			return;
		size_t n = MIN(query.n, (size_t)ENTRY);
		n -= MIN(n, MAX((b->n - ENTRY) / 6, (size_t)1));
		while (n && ((uint8_t)query.p[n] & 0xc0) == 0x80)
			n--; /* not inside a character */
		query.n = n;
	}
}

int active_log_add(struct active_log *l, struct str query)
{
	struct buf b;
	uint32_t i = 0;
	bool no;
	if (!l)
		return -1;
	for (;; i++) {
		if (i == l->n)
			return -1;
		no = false;
		if (atomic_compare_exchange_strong(&l->used[i], &no, true))
			break;
	}
	buf_init(&b, 1 << 20);
	make_entry(&b, query);
	uint8_t *to = l->map + 1 + (size_t)i * ENTRY;
	memcpy(to, b.p, MIN(b.n, ENTRY - 1));
	to[ENTRY - 1] = ',';
	buf_deinit(&b);
	return (int)i;
}

void active_log_remove(struct active_log *l, int at)
{
	if (!l || at < 0)
		return;
	memset(l->map + 1 + (size_t)at * ENTRY, 0, ENTRY);
	atomic_store(&l->used[at], false);
}
