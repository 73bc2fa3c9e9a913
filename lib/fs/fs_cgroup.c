/*
 * fs/fs_cgroup.c - the memory that the control groups of this process allow it.
 *
 * A group's limit holds for all below it, so the least on the way from the process' own group up to where its hierarchy is
 * mounted counts. Version 2 (memory.max) and 1 (memory.limit_in_bytes); of a container that sees the host's path of its group,
 * but its own group as the mount's root, that root is left out.
 * Source  cgroups(7), proc(5): mountinfo
 */
#include "fs/fs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX ((size_t)1 << 20)

struct hierarchy {
	bool v1;
	struct str root, point; /* of the mount */
	struct str path;	/* of the process' group */
};

static struct str read_text(struct arena *a, const char *path)
{
	struct err ignored = ERR_INIT;
	struct buf b;
	buf_init(&b, TEXT_MAX);
	struct str s = { 0 };
	if (fs_read_file(NULL, path, TEXT_MAX, &b, &ignored) == 0)
		s = str_dup(a, buf_view(&b));
	buf_deinit(&b);
	return s;
}

static bool has_word(struct str list, const char *word)
{
	struct str w;
	bool more;
	do {
		more = str_cut(&list, ',', &w);
		if (str_eq(w, str_of(word)))
			return true;
	} while (more);
	return false;
}

/* "36 35 0:28 ROOT POINT options [tags] - TYPE source superoptions" */
static bool take_mount(struct str line, struct hierarchy *h)
{
	struct str f[32];
	size_t n = 0, dash = 0;
	while (n < ARRAY_LEN(f) && str_cut(&line, ' ', &f[n++]))
		;
	for (size_t i = 6; i < n && !dash; i++)
		if (str_eq(f[i], STR("-")))
			dash = i;
	if (!dash || dash + 3 >= n)
		return false;
	h->v1 = str_eq(f[dash + 1], STR("cgroup"));
	h->root = f[3];
	h->point = f[4];
	return h->v1 ? has_word(f[dash + 3], "memory")
		     : str_eq(f[dash + 1], STR("cgroup2"));
}

/* "4:memory:/path", "0::/path" */
static bool take_path(struct str line, struct hierarchy *h)
{
	struct str number, names;
	if (!str_cut(&line, ':', &number) || !str_cut(&line, ':', &names))
		return false;
	h->path = line;
	return h->v1 ? has_word(names, "memory") : names.n == 0;
}

static bool each_line(struct str text, bool (*fn)(struct str line, struct hierarchy *h),
		      struct hierarchy *h)
{
	struct str line;
	while (str_cut(&text, '\n', &line))
		if (fn(line, h))
			return true;
	return false;
}

static uint64_t one_limit(struct arena *a, const char *dir, const char *name)
{
	struct str s = str_trim(read_text(a, str_fmt(a, "%s/%s", dir, name).p));
	uint64_t n;
	return str_to_u64(s, &n) ? n : UINT64_MAX; /* "max" */
}

static uint64_t least_limit(struct arena *a, const char *top, const struct hierarchy *h)
{
	struct str rel = h->path;
	uint64_t least = UINT64_MAX;
	if (h->root.n > 1 && rel.n >= h->root.n &&
	    memcmp(rel.p, h->root.p, h->root.n) == 0)
		rel = str_from(rel, h->root.n);
	for (;;) {
		while (rel.n && rel.p[rel.n - 1] == '/')
			rel.n--;
		const char *dir =
			str_fmt(a, "%s%.*s%.*s", top, STR_FMT(h->point), STR_FMT(rel)).p;
		least = MIN(least,
			    one_limit(a, dir,
				      h->v1 ? "memory.limit_in_bytes" : "memory.max"));
		if (!rel.n)
			return least;
		while (rel.n && rel.p[rel.n - 1] != '/')
			rel.n--;
	}
}

uint64_t fs_cgroup_memory(const char *top)
{
	struct arena a;
	uint64_t least = UINT64_MAX;
	arena_init(&a, NULL);
	struct str mounts = read_text(&a, str_fmt(&a, "%s/proc/self/mountinfo", top).p);
	struct str paths = read_text(&a, str_fmt(&a, "%s/proc/self/cgroup", top).p), line;
	while (str_cut(&mounts, '\n', &line)) {
		struct hierarchy h = { 0 };
		if (take_mount(line, &h) && each_line(paths, take_path, &h))
			least = MIN(least, least_limit(&a, top, &h));
	}
	arena_deinit(&a);
	return least;
}
