/*
 * compact/meta.c - meta.json of the output, from those of the inputs.
 */
#include <inttypes.h>

#include "base/vec.h"
#include "compact/compact_int.h"

int meta_check(struct job *j, struct err *e)
{
	for (uint32_t i = 1; i < j->n; i++)
		if (j->in[i].src->meta->thanos.resolution_ms != j->resolution_ms)
			return err_set(j->ctx, e, E_INVALID,
				       "block %s has resolution %" PRId64
				       ", block %s %" PRId64,
				       j->in[0].id, j->resolution_ms, j->in[i].id,
				       j->in[i].src->meta->thanos.resolution_ms);
	return 0;
}

static int cmp_ulids(const void *a, const void *b, void *arg UNUSED)
{
	return ulid_cmp(a, b);
}

static void unite_sources(const struct job *j, struct block_meta *m)
{
	size_t n = 0, k = 0;

	for (uint32_t i = 0; i < j->n; i++)
		n += j->in[i].src->meta->compaction.n_sources;
	struct ulid *v = ARENA_ARRAY(j->a, struct ulid, n + 1);
	n = 0;
	for (uint32_t i = 0; i < j->n; i++) {
		const struct block_meta *x = j->in[i].src->meta;
		for (size_t s = 0; s < x->compaction.n_sources; s++)
			v[n++] = x->compaction.sources[s];
	}
	vec_sort(v, n, sizeof(*v), cmp_ulids, NULL);
	for (size_t i = 0; i < n; i++)
		if (k == 0 || ulid_cmp(&v[k - 1], &v[i]) != 0)
			v[k++] = v[i];
	m->compaction.sources = v;
	m->compaction.n_sources = k;
}

static bool has_hint(const struct block_meta *m, const char *hint)
{
	for (size_t i = 0; i < m->compaction.n_hints; i++)
		if (str_eqz(m->compaction.hints[i], hint))
			return true;
	return false;
}

/* Classes of series that some input has; out of order only if all inputs are. */
static void unite_hints(const struct job *j, struct block_meta *m)
{
	static const char *const any[] = { "from-stale-series", "from-selected-series" };
	static const char all[] = "from-out-of-order";
	struct str *v = ARENA_ARRAY(j->a, struct str, 3);
	size_t n = 0;

	for (size_t k = 0; k < ARRAY_LEN(any); k++)
		for (uint32_t i = 0; i < j->n; i++)
			if (has_hint(j->in[i].src->meta, any[k])) {
				v[n++] = str_of(any[k]);
				break;
			}
	uint32_t with = 0;
	for (uint32_t i = 0; i < j->n; i++)
		with += has_hint(j->in[i].src->meta, all);
	if (with == j->n)
		v[n++] = str_of(all);
	m->compaction.hints = v;
	m->compaction.n_hints = n;
}

static struct str common_extensions(const struct job *j)
{
	struct str first = j->in[0].src->meta->thanos.extensions;

	for (uint32_t i = 1; i < j->n; i++)
		if (!str_eq(first, j->in[i].src->meta->thanos.extensions))
			return STR_NULL;
	return str_dup(j->a, first);
}

void meta_make(const struct job *j, struct block_meta *m)
{
	const struct block_meta *first = j->in[0].src->meta;

	*m = (struct block_meta){ .ulid = j->o->ulid,
				  .mint_ms = first->mint_ms,
				  .maxt_ms = first->maxt_ms,
				  .has_thanos = true };
	m->compaction.parents = ARENA_ARRAY(j->a, struct block_parent, j->n);
	for (uint32_t i = 0; i < j->n; i++) {
		const struct block_meta *x = j->in[i].src->meta;
		m->mint_ms = MIN(m->mint_ms, x->mint_ms);
		m->maxt_ms = MAX(m->maxt_ms, x->maxt_ms);
		m->compaction.level = MAX(m->compaction.level, x->compaction.level);
		m->compaction.parents[m->compaction.n_parents++] =
			(struct block_parent){ x->ulid, x->mint_ms, x->maxt_ms };
	}
	m->compaction.level++;
	unite_sources(j, m);
	unite_hints(j, m);
	m->thanos.labels = labels_dup(j->a, j->o->labels);
	m->thanos.resolution_ms = j->resolution_ms;
	m->thanos.source =
		str_dup(j->a, str_of(j->o->source ? j->o->source : "compactor"));
	m->thanos.extensions = common_extensions(j);
}

/* Which files a block has, as Thanos lists them: meta.json without its size. */
int meta_files(struct ctx *ctx, struct arena *a, const char *dir, uint32_t segments,
	       struct block_meta *m, struct err *e)
{
	struct arena tmp;
	struct fs_stat st;
	int rc = 0;

	arena_init(&tmp, NULL);
	m->thanos.segment_files = ARENA_ARRAY(a, struct str, segments + 1);
	m->thanos.files = ARENA_ARRAY(a, struct block_file, segments + 2);
	m->thanos.n_segment_files = m->thanos.n_files = 0;
	for (uint32_t i = 0; i < segments + 1 && rc == 0; i++) {
		struct str name = STR("index");
		if (i < segments) {
			m->thanos.segment_files[i] = str_fmt(a, "%06u", i + 1);
			m->thanos.n_segment_files++;
			name = str_fmt(a, "chunks/%06u", i + 1);
		}
		rc = fs_stat(ctx, str_fmt(&tmp, "%s/%.*s", dir, STR_FMT(name)).p, &st, e);
		m->thanos.files[m->thanos.n_files++] =
			(struct block_file){ .rel_path = name, .size_bytes = st.size };
	}
	m->thanos.files[m->thanos.n_files++] =
		(struct block_file){ .rel_path = STR("meta.json") };
	arena_deinit(&tmp);
	return rc;
}
