/*
 * The oracle reads each block by block_series with a matcher that all series pass, and does the rest here
 * by other means than the store: matchers over merged labels, labels left out, lines sorted as text.
 */
#include "bucket_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/vec.h"
#include "fs/fs.h"
#include "support/tst.h"

#define GOLDEN "test/golden/blocks/bucket"

static struct err e;

static char *path_of(struct world *w, const char *dir, const char *name)
{
	return str_dupz(&w->arena, str_fmt(&w->arena, "%s/%s", dir, name));
}

void world_open(struct world *w, const struct bucket_store_opts *o)
{
	struct bucket_store_opts all = { .min_time = { .ms = INT64_MIN },
					 .max_time = { .ms = INT64_MAX } };
	memset(w, 0, sizeof(*w));
	ctx_init(&w->ctx, NULL, 0);
	arena_init(&w->arena, NULL);
	snprintf(w->dir, sizeof(w->dir), "/tmp/thanosc-store-XXXXXX");
	cr_assert(mkdtemp(w->dir) != NULL);
	snprintf(w->bucket_dir, sizeof(w->bucket_dir), "%s/bucket", w->dir);
	snprintf(w->data_dir, sizeof(w->data_dir), "%s/data", w->dir);
	cr_assert_eq(fs_mkdir_p(&w->ctx, w->bucket_dir, &e), 0);
	w->pool = task_pool_new(&(struct task_pool_opts){ .max_request = 4, .cpu = 1 });
	w->metrics = metric_registry_new();
	cr_assert_eq(bucket_fs_open(&w->ctx, w->bucket_dir, &w->bucket, &e), 0);
	if (o)
		all = *o;
	all.bucket = w->bucket;
	all.data_dir = w->data_dir;
	all.pool = w->pool;
	all.metrics = w->metrics;
	all.block_sync_concurrency = 3;
	all.ignore_deletion_marks_ms = -1;
	cr_assert_eq(bucket_store_new(&w->ctx, &all, &w->store, &e), 0, "%s",
		     err_text(&e));
}

void world_close(struct world *w)
{
	bucket_store_free(w->store);
	bucket_close(w->bucket);
	task_pool_free(w->pool);
	metric_registry_free(w->metrics);
	cr_assert_eq(fs_remove_all(&w->ctx, w->dir, &e), 0);
	arena_deinit(&w->arena);
	ctx_deinit(&w->ctx);
}

static void copy_file(struct world *w, const char *from, const char *to)
{
	struct buf b;
	buf_init(&b, (size_t)1 << 30);
	cr_assert_eq(fs_read_file(&w->ctx, from, (size_t)1 << 30, &b, &e), 0, "%s",
		     err_text(&e));
	cr_assert_eq(fs_write_atomic(&w->ctx, to, buf_view(&b), &e), 0);
	buf_deinit(&b);
}

static void copy_folder(struct world *w, const char *from, const char *to)
{
	struct fs_names names;
	struct fs_stat st;
	cr_assert_eq(fs_mkdir_p(&w->ctx, to, &e), 0);
	cr_assert_eq(fs_list(&w->ctx, &w->arena, from, &names, &e), 0, "%s",
		     err_text(&e));
	for (size_t i = 0; i < names.n; i++) {
		const char *src = path_of(w, from, names.name[i].p);
		const char *dst = path_of(w, to, names.name[i].p);
		cr_assert_eq(fs_stat(&w->ctx, src, &st, &e), 0);
		if (st.kind == FS_DIR)
			copy_folder(w, src, dst);
		else
			copy_file(w, src, dst);
	}
}

void world_copy(struct world *w, const char *block)
{
	const char *slash = strrchr(block, '/');
	copy_folder(w, slash ? block : path_of(w, GOLDEN, block),
		    path_of(w, w->bucket_dir, slash ? slash + 1 : block));
}

void world_copy_tree(struct world *w, const char *folder)
{
	copy_folder(w, folder, w->bucket_dir);
}

void world_copy_all(struct world *w)
{
	copy_folder(w, GOLDEN, w->bucket_dir);
}

void world_remove(struct world *w, const char *id)
{
	cr_assert_eq(fs_remove_all(&w->ctx, path_of(w, w->bucket_dir, id), &e), 0);
}

void world_sync(struct world *w)
{
	cr_assert_eq(bucket_store_sync(w->store, &w->ctx, &e), 0, "%s", err_text(&e));
}

void world_flip(struct world *w, const char *name, long off)
{
	FILE *f = fopen(path_of(w, w->bucket_dir, name), "r+");
	cr_assert(f != NULL);
	cr_assert_eq(fseek(f, off, off < 0 ? SEEK_END : SEEK_SET), 0);
	int c = fgetc(f);
	cr_assert_eq(fseek(f, -1, SEEK_CUR), 0);
	fputc(c ^ 0x55, f);
	fclose(f);
}

void world_cut(struct world *w, const char *name, size_t n)
{
	cr_assert_eq(truncate(path_of(w, w->bucket_dir, name), (off_t)n), 0);
}

/* "name=value,name!=value,name=~regex,name!~regex" */
struct matcher *world_matchers(struct world *w, const char *text, size_t *n)
{
	struct matcher *m = ARENA_ARRAY(&w->arena, struct matcher, 8);
	struct str rest = str_of(text), part;
	*n = 0;
	for (bool more = rest.n > 0; more;) {
		more = str_cut(&rest, ';', &part);
		size_t at = 0, len = 1;
		while (part.p[at] != '=' && part.p[at] != '!')
			at++;
		enum match_type t = part.p[at] == '=' ? MATCH_EQ : MATCH_NEQ;
		if (part.p[at] == '!' || part.p[at + 1] == '~') {
			if (part.p[at + 1] == '~')
				t = t == MATCH_EQ ? MATCH_RE : MATCH_NRE;
			len = 2;
		}
		cr_assert_eq(matcher_compile(&w->ctx, &w->arena, t, str_n(part.p, at),
					     str_from(part, at + len), &m[(*n)++], &e),
			     0);
	}
	return m;
}

/* ---- lines ---- */

static void add_series(struct lines *l, struct labels ls, const struct series_in *in)
{
	struct buf b;
	char tail[96];
	buf_init(&b, 1 << 20);
	labels_text(ls, &b);
	buf_byte(&b, 0);
	for (size_t i = 0; i < in->n; i++) {
		const struct chunk_view *c = &in->chunks[i];
		const struct chunk_part *p = &c->part[AGGR_RAW];
		uint64_t h = hash_xx64(p->p, p->n, 0);
		snprintf(tail, sizeof(tail), "|%lld|%lld|%d|%016llx",
			 (long long)c->mint_ms, (long long)c->maxt_ms, p->enc,
			 (unsigned long long)h);
		if (l->n == l->cap)
			l->v = vec_grow(l->v, &l->cap, l->n + 1, sizeof(char *));
		size_t size = b.n + strlen(tail);
		l->v[l->n] = xcalloc(1, size);
		snprintf(l->v[l->n++], size, "%s%s", (char *)b.p, tail);
	}
	buf_deinit(&b);
}

void lines_free(struct lines *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct lines){ 0 };
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void lines_sort(struct lines *l)
{
	size_t n = 0;
	if (l->n)
		qsort(l->v, l->n, sizeof(char *), by_text);
	for (size_t i = 0; i < l->n; i++) {
		if (n && strcmp(l->v[n - 1], l->v[i]) == 0)
			free(l->v[i]);
		else
			l->v[n++] = l->v[i];
	}
	l->n = n;
}

void lines_equal(struct lines *got, struct lines *want, const char *what)
{
	size_t n = got->n;
	lines_sort(got);
	cr_assert_eq(got->n, n, "%s: the store showed a chunk twice", what);
	lines_sort(want);
	for (size_t i = 0; i < got->n && i < want->n; i++)
		cr_assert_str_eq(got->v[i], want->v[i], "%s: line %zu", what, i);
	cr_assert_eq(got->n, want->n, "%s: %zu lines, not %zu", what, got->n, want->n);
}

/* ---- both ways ---- */

int world_answer(struct world *w, const struct store_series_req *req, struct lines *out,
		 struct err *err)
{
	const struct series_in *in;
	struct series_set *set;
	struct labels last = { 0 };
	struct arena keep;
	int rc;
	if (store_series(bucket_store_store(w->store), &w->ctx, req, &set, err) < 0)
		return -1;
	arena_init(&keep, NULL);
	while ((rc = series_set_next(set, &w->ctx, &in, err)) > 0) {
		cr_assert(last.n == 0 || labels_cmp(last, in->labels) < 0,
			  "series out of order");
		last = labels_dup(&keep, in->labels);
		for (size_t i = 0; i < in->n; i++) {
			const struct chunk_part *p = &in->chunks[i].part[AGGR_RAW];
			cr_assert(!p->p ||
				  in->chunks[i].hash == hash_xx64(p->p, p->n, 0));
		}
		add_series(out, in->labels, in);
	}
	series_set_close(set);
	arena_deinit(&keep);
	return rc;
}

static void expect_block(struct world *w, const struct store_series_req *req,
			 const char *id, struct lines *out)
{
	size_t n;
	const struct block_series_req all = { .mint_ms = req->mint_ms,
					      .maxt_ms = req->maxt_ms,
					      .matchers = world_matchers(w, "zzz=", &n),
					      .n_matchers = 1 };
	const struct series_in *in;
	struct series_set *set;
	struct block *b;
	cr_assert_eq(block_open_dir(&w->ctx, path_of(w, w->bucket_dir, id), &b, &e), 0,
		     "%s", err_text(&e));
	cr_assert_eq(block_series(b, &w->ctx, &all, &set, &e), 0);
	while (series_set_next(set, &w->ctx, &in, &e) > 0) {
		struct labels ext = b->meta.thanos.labels;
		struct label *merged =
			xcalloc(2ul * (in->labels.n + ext.n), sizeof(*merged));
		struct label *shown = merged + in->labels.n + ext.n;
		struct labels ls = labels_merge(merged, in->labels, ext);
		if (matcher_labels(req->matchers, req->n_matchers, ls))
			add_series(out,
				   labels_drop(shown, ls, req->without_replica_labels,
					       req->n_without),
				   in);
		free(merged);
	}
	series_set_close(set);
	block_unref(b);
}

void world_expect(struct world *w, const struct store_series_req *req,
		  const char *const *ids, struct lines *out)
{
	struct fs_names names;
	for (; ids && *ids; ids++)
		expect_block(w, req, *ids, out);
	if (ids)
		return;
	cr_assert_eq(fs_list(&w->ctx, &w->arena, w->bucket_dir, &names, &e), 0);
	for (size_t i = 0; i < names.n; i++)
		expect_block(w, req, names.name[i].p, out);
}

double world_metric(struct world *w, const char *name)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	metric_write_text(w->metrics, false, &b);
	struct str text = buf_view(&b), line;
	double v = -1;
	size_t n = strlen(name);
	for (bool more = true; more;) {
		more = str_cut(&text, '\n', &line);
		if (line.n > n && memcmp(line.p, name, n) == 0 && line.p[n] == ' ')
			cr_assert(str_to_f64(str_from(line, n + 1), &v));
	}
	buf_deinit(&b);
	return v;
}
