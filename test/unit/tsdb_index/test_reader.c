#include "support/tst.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/fs.h"
#include "tsdb/index/index.h"

#define BUCKET	"test/golden/blocks/bucket"
#define HEADERS "test/golden/indexheader"

struct fix {
	struct ctx ctx;
	struct arena a;
	struct err e;
};

static void begin(struct fix *f)
{
	ctx_init(&f->ctx, NULL, 0);
	arena_init(&f->a, NULL);
	f->e = ERR_INIT;
}

static void end(struct fix *f)
{
	arena_deinit(&f->a);
	ctx_deinit(&f->ctx);
}

static struct range_source *open_file(struct fix *f, const char *path)
{
	struct range_source *s = NULL;
	cr_assert_eq(range_source_file(&f->ctx, path, &s, &f->e), 0, "%s",
		     err_text(&f->e));
	return s;
}

static struct idx_reader *open_index(struct fix *f, const char *path)
{
	struct range_source *s = open_file(f, path);
	struct idx_reader *r = NULL;
	int rc = idx_open_index(&f->ctx, s, &r, &f->e);
	range_source_unref(s);
	cr_assert_eq(rc, 0, "%s: %s", path, err_text(&f->e));
	return r;
}

/* All series of an index with their labels. */
struct all {
	struct postings p;
	struct idx_series *s;
	struct labels *labels;
};

static void read_all(struct fix *f, struct idx_reader *r, struct all *out)
{
	struct idx_series_req req = { .mint_ms = INT64_MIN, .maxt_ms = INT64_MAX };

	cr_assert_eq(idx_postings(r, &f->ctx, &f->a, NULL, 0, &out->p, &f->e), 0, "%s",
		     err_text(&f->e));
	out->s = ARENA_ARRAY(&f->a, struct idx_series, out->p.n + 1);
	out->labels = ARENA_ARRAY(&f->a, struct labels, out->p.n + 1);
	cr_assert_eq(idx_series_read(r, &f->ctx, &f->a, out->p.ref, out->p.n, &req,
				     out->s, &f->e),
		     0);
	for (size_t i = 0; i < out->p.n; i++) {
		struct label *l =
			ARENA_ARRAY(&f->a, struct label, out->s[i].n_labels + 1);
		cr_assert(!out->s[i].bad);
		cr_assert(idx_series_labels(r, &out->s[i], l));
		out->labels[i] = (struct labels){ .l = l, .n = out->s[i].n_labels };
		if (i > 0)
			cr_assert(labels_cmp(out->labels[i - 1], out->labels[i]) < 0);
	}
}

struct row {
	enum match_type type;
	char name[24], value[40];
};
static const struct row rows[][3] = {
	{ { MATCH_EQ, "__name__", "up" } },
	{ { MATCH_EQ, "__name__", "nothing_of_that_name" } },
	{ { MATCH_EQ, "no_such_label", "x" } },
	{ { MATCH_EQ, "no_such_label", "" } },
	{ { MATCH_NEQ, "no_such_label", "" } },
	{ { MATCH_NEQ, "__name__", "up" } },
	{ { MATCH_EQ, "instance", "" } },
	{ { MATCH_NEQ, "instance", "" } },
	{ { MATCH_RE, "__name__", ".+" } },
	{ { MATCH_RE, "__name__", ".*" } },
	{ { MATCH_NRE, "__name__", ".+" } },
	{ { MATCH_NRE, "__name__", ".*" } },
	{ { MATCH_RE, "__name__", "up|http.*" } },
	{ { MATCH_RE, "__name__", "up|" } },
	{ { MATCH_RE, "__name__", "h.*|.*_total" } },
	{ { MATCH_NRE, "__name__", "up|" } },
	{ { MATCH_NRE, "__name__", "up|http_requests_total" } },
	{ { MATCH_NRE, "__name__", "http.*" } },
	{ { MATCH_RE, "instance", "pod-[0-3].*" }, { MATCH_NEQ, "__name__", "up" } },
	{ { MATCH_RE, "__name__", ".+" },
	  { MATCH_RE, "instance", ".*" },
	  { MATCH_NEQ, "instance", "" } },
	{ { MATCH_RE, "job", "a.*|b.*|c.*" }, { MATCH_NRE, "code", "5.." } },
	{ { MATCH_NRE, "code", "2..|" }, { MATCH_RE, "__name__", "http.*" } },
	{ { MATCH_EQ, "i", "" }, { MATCH_NRE, "le", ".+" } },
	{ { MATCH_NRE, "le", ".+" }, { MATCH_RE, "le", "1|2" } },
};

/* Every row against trying the matchers on each series' labels. */
static void check_matchers(struct fix *f, struct idx_reader *r, const struct all *all)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct matcher m[3];
		struct postings p;
		size_t n = 0, k = 0;
		for (; n < 3 && rows[i][n].name[0]; n++)
			cr_assert_eq(matcher_compile(&f->ctx, &f->a, rows[i][n].type,
						     str_of(rows[i][n].name),
						     str_of(rows[i][n].value), &m[n],
						     &f->e),
				     0);
		cr_assert_eq(idx_postings(r, &f->ctx, &f->a, m, n, &p, &f->e), 0, "%s",
			     err_text(&f->e));
		for (size_t s = 0; s < all->p.n; s++) {
			if (!matcher_labels(m, n, all->labels[s]))
				continue;
			cr_assert(k < p.n && p.ref[k] == all->p.ref[s], "row %zu", i);
			k++;
		}
		cr_assert(k == p.n, "row %zu: %zu for %zu", i, p.n, k);
	}
}

/* Label names and values equal those found in the series. */
static void check_labels(struct fix *f, struct idx_reader *r, const struct all *all)
{
	struct str *names, *values;
	size_t n, m, pairs = 0;

	cr_assert_eq(idx_label_names(r, &f->ctx, &f->a, &names, &n, &f->e), 0);
	for (size_t i = 0; i < n; i++) {
		cr_assert(i == 0 || str_cmp(names[i - 1], names[i]) < 0);
		cr_assert_eq(idx_label_values(r, &f->ctx, &f->a, names[i], &values, &m,
					      &f->e),
			     0);
		cr_assert(m > 0);
		for (size_t k = 0; k < m; k++) {
			bool found = false;
			for (size_t s = 0; s < all->p.n && !found; s++)
				found = str_eq(labels_get(all->labels[s], names[i]),
					       values[k]);
			cr_assert(found);
			cr_assert(k == 0 || str_cmp(values[k - 1], values[k]) < 0);
		}
		pairs += m;
	}
	cr_assert(pairs > 0);
	cr_assert_eq(idx_label_values(r, &f->ctx, &f->a, STR("zzz_none"), &values, &m,
				      &f->e),
		     0);
	cr_assert_eq(m, 0);
}

static size_t list_dir(struct fix *f, const char *path, struct str **out)
{
	struct fs_names names;
	cr_assert_eq(fs_list(&f->ctx, &f->a, path, &names, &f->e), 0, "%s",
		     err_text(&f->e));
	*out = names.name;
	return names.n;
}

Test(idx_reader, matchers_find_what_trying_each_series_finds)
{
	struct fix f;
	struct str *id;

	begin(&f);
	size_t n = list_dir(&f, BUCKET, &id), seen = 0;
	for (size_t i = 0; i < n; i++) {
		struct all all;
		if (id[i].n != 26)
			continue;
		struct idx_reader *r =
			open_index(&f,
				   str_fmt(&f.a, BUCKET "/%.*s/index", STR_FMT(id[i])).p);
		read_all(&f, r, &all);
		cr_assert(all.p.n > 0);
		check_matchers(&f, r, &all);
		check_labels(&f, r, &all);
		cr_assert(idx_memory(r) > 0);
		idx_close(r);
		seen++;
	}
	cr_assert(seen >= 13);
	end(&f);
}

static void check_headers(const char *bucket, size_t expected)
{
	struct fix f;
	struct str *id;
	char dir[] = "/tmp/idx-header-XXXXXX";
	size_t seen = 0;

	begin(&f);
	cr_assert_not_null(mkdtemp(dir));
	size_t n = list_dir(&f, bucket, &id);
	for (size_t i = 0; i < n; i++) {
		struct buf got, want;
		const char *index =
			str_fmt(&f.a, "%s/%.*s/index", bucket, STR_FMT(id[i])).p;
		const char *path = str_fmt(&f.a, "%s/%.*s", dir, STR_FMT(id[i])).p;
		if (id[i].n != 26)
			continue;
		struct range_source *s = open_file(&f, index);
		cr_assert_eq(idx_build_header(&f.ctx, s, path, &f.e), 0, "%s",
			     err_text(&f.e));
		buf_init(&got, 1 << 20);
		buf_init(&want, 1 << 20);
		cr_assert_eq(fs_read_file(&f.ctx, path, 1 << 20, &got, &f.e), 0);
		cr_assert_eq(fs_read_file(&f.ctx,
					  str_fmt(&f.a, HEADERS "/%.*s/index-header",
						  STR_FMT(id[i]))
						  .p,
					  1 << 20, &want, &f.e),
			     0, "%s", err_text(&f.e));
		cr_assert(str_eq(buf_view(&got), buf_view(&want)), "%s", path);
		buf_deinit(&got);
		buf_deinit(&want);

		/* The header leads to the same series as the index. */
		struct range_source *h = open_file(&f, path);
		struct idx_reader *r = NULL;
		struct all all;
		cr_assert_eq(idx_open_header(&f.ctx, h, s, &r, &f.e), 0, "%s",
			     err_text(&f.e));
		read_all(&f, r, &all);
		check_matchers(&f, r, &all);
		idx_close(r);
		range_source_unref(h);
		range_source_unref(s);
		seen++;
	}
	cr_assert_eq(seen, expected);
	cr_assert_eq(fs_remove_all(&f.ctx, dir, &f.e), 0);
	end(&f);
}

Test(idx_reader, built_index_headers_equal_those_of_a_real_store)
{
	check_headers(BUCKET, 13);
	check_headers("test/golden/compacted/long/bucket", 6);
}

Test(idx_reader, damaged_index_headers_are_refused)
{
	static const char cases[][24] = { "header-empty",   "header-cut",
					  "header-magic",   "header-version",
					  "header-toc-crc", "header-toc-offset" };
	struct fix f;

	begin(&f);
	struct range_source *index =
		open_file(&f, BUCKET "/01M81YVCNRNMYNP70R7FRKH4F0/index");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *path =
			str_fmt(&f.a, "test/golden/corrupt/cases/%s/index-header",
				cases[i])
				.p;
		struct range_source *h = NULL;
		struct idx_reader *r = NULL;
		if (range_source_file(&f.ctx, path, &h, &f.e) < 0)
			continue; /* an empty file may be refused here */
		cr_assert_eq(idx_open_header(&f.ctx, h, index, &r, &f.e), -1, "%s",
			     cases[i]);
		cr_assert_eq(f.e.code, E_CORRUPT, "%s", cases[i]);
		range_source_unref(h);
	}
	/* and one of another block, though sound in itself */
	struct range_source *h =
		open_file(&f, HEADERS "/01M81YVBWEZNH3H08SPVGX7K64/index-header");
	struct idx_reader *r = NULL;
	cr_assert_eq(idx_open_header(&f.ctx, h, index, &r, &f.e), -1);
	range_source_unref(h);
	range_source_unref(index);
	end(&f);
}

Test(idx_reader, version_1_is_refused_by_name)
{
	struct fix f;
	struct buf b;
	struct idx_reader *r = NULL;

	begin(&f);
	buf_init(&b, 1 << 20);
	cr_assert_eq(fs_read_file(&f.ctx, "test/golden/corrupt/base/index", 1 << 20, &b,
				  &f.e),
		     0);
	b.p[4] = 1;
	struct range_source *s = range_source_mem("index", b.p, b.n);
	cr_assert_eq(idx_open_index(&f.ctx, s, &r, &f.e), -1);
	cr_assert_eq(f.e.code, E_UNSUPPORTED);
	cr_assert_str_eq(err_text(&f.e), "index format version 1 is not supported");
	b.p[4] = 3;
	cr_assert_eq(idx_open_index(&f.ctx, s, &r, &f.e), 0, "%s", err_text(&f.e));
	idx_close(r);
	range_source_unref(s);
	buf_deinit(&b);
	end(&f);
}

Test(idx_reader, chunks_outside_the_asked_times_are_left_out)
{
	struct fix f;
	struct all all;

	begin(&f);
	struct idx_reader *r = open_index(&f, BUCKET "/01M81YVBWEZNH3H08SPVGX7K64/index");
	read_all(&f, r, &all);
	struct idx_series *part = ARENA_ARRAY(&f.a, struct idx_series, all.p.n);
	for (int skip = 0; skip < 2; skip++) {
		struct idx_series_req req = { .mint_ms = 1789980000000,
					      .maxt_ms = 1789981000000,
					      .skip_chunks = skip };
		cr_assert_eq(idx_series_read(r, &f.ctx, &f.a, all.p.ref, all.p.n, &req,
					     part, &f.e),
			     0);
		for (size_t i = 0; i < all.p.n; i++) {
			uint32_t want = 0;
			for (uint32_t k = 0; k < all.s[i].n_chunks; k++) {
				const struct idx_chunk *c = &all.s[i].chunk[k];
				if (c->maxt_ms < req.mint_ms || c->mint_ms > req.maxt_ms)
					continue;
				if (!skip)
					cr_assert_eq(part[i].chunk[want].ref, c->ref);
				want++;
			}
			cr_assert_eq(part[i].n_chunks, want);
			cr_assert_eq(idx_series_in_range(&part[i]), want > 0);
			cr_assert(!skip || part[i].chunk == NULL);
		}
	}
	idx_close(r);
	end(&f);
}
