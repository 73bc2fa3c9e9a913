#include "support/tst.h"

#include <stdlib.h>
#include <unistd.h>

#include "fs/fs.h"
#include "unit/tsdb_block/golden.h"

/*
 * Every case of test/golden/corrupt that damages a part of a block: the damaged file takes its place
 * in a copy of the sound block, which is opened and read whole. The sentence in the column "expected"
 * says what must come of it.
 */
#define CORRUPT "test/golden/corrupt"
#define ALL_SAMPLES                                                                      \
	31 /* of the sound block; the damaged series or chunk mostly holds 10 */

struct outcome {
	bool opened, read;
	struct rows rows;
	size_t warnings;
	bool ascending;
	size_t bad_lists; /* label pairs whose postings could not be read */
};

static void link_part(struct fix *f, const char *dir, const char *part)
{
	cr_assert_eq(fs_link_or_copy(&f->ctx, str_fmt(&f->a, CORRUPT "/base/%s", part).p,
				     str_fmt(&f->a, "%s/%s", dir, part).p, &f->e),
		     0, "%s", err_text(&f->e));
}

static const char *make_block(struct fix *f, const char *root, struct str name,
			      struct str file)
{
	static const char parts[][16] = { "meta.json", "index", "chunks/000001",
					  "tombstones" };
	const char *dir = str_fmt(&f->a, "%s/%.*s", root, STR_FMT(name)).p;
	struct fs_stat st;

	cr_assert_eq(fs_mkdir_p(&f->ctx, str_fmt(&f->a, "%s/chunks", dir).p, &f->e), 0);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!str_eqz(file, parts[i]))
			link_part(f, dir, parts[i]);
	const char *from =
		str_fmt(&f->a, CORRUPT "/cases/%.*s/%.*s", STR_FMT(name), STR_FMT(file))
			.p;
	cr_assert_eq(fs_stat(&f->ctx, from, &st, &f->e), 0);
	if (st.kind == FS_FILE)
		cr_assert_eq(
			fs_link_or_copy(&f->ctx, from,
					str_fmt(&f->a, "%s/%.*s", dir, STR_FMT(file)).p,
					&f->e),
			0);
	return dir;
}

static size_t try_lists(struct fix *f, struct block *b)
{
	struct str *name, *value;
	size_t n, m, bad = 0;

	cr_assert_eq(idx_label_names(b->index, &f->ctx, &f->a, &name, &n, &f->e), 0);
	for (size_t i = 0; i < n; i++) {
		cr_assert_eq(idx_label_values(b->index, &f->ctx, &f->a, name[i], &value,
					      &m, &f->e),
			     0);
		for (size_t k = 0; k < m; k++) {
			struct matcher match;
			struct postings p;
			cr_assert_eq(matcher_compile(&f->ctx, &f->a, MATCH_EQ, name[i],
						     value[k], &match, &f->e),
				     0);
			if (idx_postings(b->index, &f->ctx, &f->a, &match, 1, &p,
					 &f->e) == 0)
				continue;
			const char *pair = str_fmt(&f->a, "postings of %.*s=\"%.*s\"",
						   STR_FMT(name[i]), STR_FMT(value[k]))
						   .p;
			cr_expect(str_has_prefix(str_of(err_text(&f->e)), str_of(pair)),
				  "%s", err_text(&f->e));
			bad++;
		}
	}
	return bad;
}

static void try_block(struct fix *f, const char *dir, struct outcome *o)
{
	struct block *b = NULL;

	*o = (struct outcome){ .ascending = true };
	o->opened = block_open_dir(&f->ctx, dir, &b, &f->e) == 0;
	if (!o->opened)
		return;
	tombstones_free(b->tombstones); /* all samples count */
	b->tombstones = NULL;
	o->read = rows_of_block(f, b, &req_all, &o->rows) == 0;
	o->warnings = count_warnings(f, "block 01M821NCFRPKGVBHCWCCWQMGB1: ");
	o->bad_lists = try_lists(f, b);
	for (size_t i = 1; i < o->rows.n; i++)
		o->ascending &=
			labels_cmp(o->rows.v[i - 1].labels, o->rows.v[i].labels) < 0;
	for (size_t i = 0; i < o->rows.n; i++) {
		struct labels ls = o->rows.v[i].labels;
		for (uint32_t k = 1; k < ls.n; k++)
			o->ascending &= str_cmp(ls.l[k - 1].name, ls.l[k].name) < 0;
	}
	block_unref(b);
}

static bool as_expected(const struct outcome *o, struct str want)
{
	bool hurt = o->warnings > 0 || o->rows.failed > 0;
	uint64_t samples = o->rows.samples;

	if (str_eqz(want, "open fails") || str_eqz(want, "refused") ||
	    str_eqz(want, "never taken for raw data") ||
	    str_has_prefix(want, STR("refused or ignored: nothing outside")))
		return !o->opened;
	if (str_eqz(want, "open or read fails"))
		return !o->opened || !o->read || o->bad_lists ||
		       (hurt && samples < ALL_SAMPLES);
	if (str_has_prefix(want, STR("reading this chunk fails after the samples")))
		return o->opened && o->read && hurt && samples >= ALL_SAMPLES - 10;
	if (str_has_prefix(want, STR("reading this")))
		return o->opened && o->read && hurt && samples == ALL_SAMPLES - 10;
	if (str_has_prefix(want, STR("reading the last chunk fails")))
		return o->opened && o->read && hurt && samples == ALL_SAMPLES - 1;
	if (str_has_prefix(want, STR("read fails or labels come out sorted")))
		return o->opened && o->ascending &&
		       (samples == ALL_SAMPLES || (hurt && samples == ALL_SAMPLES - 10));
	if (str_has_prefix(want, STR("fails, or every series once")))
		return !o->opened || !o->read ||
		       (o->ascending && o->rows.n == 4 && samples == ALL_SAMPLES);
	if (str_has_prefix(want, STR("store: served without labels")))
		return o->opened && o->read && samples == ALL_SAMPLES;
	return str_has_prefix(want, STR("fails or yields")) ||
	       str_has_prefix(want, STR("refused, or the entries")) ||
	       str_has_prefix(want, STR("served or refused"));
}

static bool is_block_part(struct str file)
{
	return str_eqz(file, "meta.json") || str_eqz(file, "index") ||
	       str_eqz(file, "chunks/000001") || str_eqz(file, "tombstones");
}

static void check_case(const char *root, struct str name, struct str file,
		       struct str want)
{
	struct fix f;
	struct outcome o;

	fix_begin(&f);
	const char *dir = make_block(&f, root, name, file);
	try_block(&f, dir, &o);
	cr_expect(as_expected(&o, want),
		  "%.*s: opened %d read %d samples %llu failed %zu warnings %zu: %s",
		  STR_FMT(name), o.opened, o.read, (unsigned long long)o.rows.samples,
		  o.rows.failed, o.warnings, f.e.code ? err_text(&f.e) : "");
	if (!o.opened) {
		cr_expect(str_has_prefix(str_of(err_text(&f.e)), STR("block ")), "%s",
			  err_text(&f.e));
		cr_expect(str_find(str_of(err_text(&f.e)), str_eqz(file, "chunks/000001")
								   ? STR("chunks")
								   : file) >= 0,
			  "%.*s: %s", STR_FMT(name), err_text(&f.e));
	}
	free(o.rows.v);
	fix_end(&f);
}

Test(block_corrupt, each_damage_has_the_outcome_its_case_names)
{
	struct fix f;
	struct buf text;
	struct str rest, line;
	char root[] = "/tmp/block-corrupt-XXXXXX";
	size_t seen = 0;

	fix_begin(&f);
	cr_assert_not_null(mkdtemp(root));
	buf_init(&text, 1 << 20);
	cr_assert_eq(fs_read_file(&f.ctx, CORRUPT "/cases.tsv", 1 << 20, &text, &f.e), 0);
	rest = buf_view(&text);
	str_cut(&rest, '\n', &line);
	for (bool more = true; more;) {
		struct str name, file, damage, want;
		more = str_cut(&rest, '\n', &line);
		if (!str_cut(&line, '\t', &name) || !str_cut(&line, '\t', &file) ||
		    !str_cut(&line, '\t', &damage))
			continue;
		str_cut(&line, '\t', &want);
		if (!is_block_part(file))
			continue;
		check_case(root, name, file, want);
		seen++;
	}
	cr_assert_eq(seen, 65, "%zu", seen);
	cr_assert_eq(fs_remove_all(&f.ctx, root, &f.e), 0);
	buf_deinit(&text);
	fix_end(&f);
}

Test(block_corrupt, the_sound_block_is_read_whole)
{
	struct fix f;
	struct rows got;

	fix_begin(&f);
	struct block *b = open_block(&f, CORRUPT "/base");
	tombstones_free(b->tombstones);
	b->tombstones = NULL;
	cr_assert_eq(rows_of_block(&f, b, &req_all, &got), 0);
	cr_assert_eq(got.n, 4);
	cr_assert_eq(got.samples, ALL_SAMPLES);
	free(got.v);
	block_unref(b);
	fix_end(&f);
}
