/*
 * tsdb/index/reader.c - opening an index, and what is answered from memory.
 *
 * Opening reads symbols and postings offset table once, checks their checksums and keeps them in
 * compact form; postings and series entries stay in the file and are fetched by range. An index
 * and an index-header (header.c) lead to the same reader. Nothing changes after opening, so that any
 * number of requests may share it.
 */
#include "tsdb/index/index_int.h"

#include <stdlib.h>

struct idx_reader *idx_reader_new(struct range_source *index)
{
	struct idx_reader *r = xcalloc(1, sizeof(*r));

	r->index = range_source_ref(index);
	return r;
}

void idx_close(struct idx_reader *r)
{
	if (!r)
		return;
	idx_symbols_deinit(&r->symbols);
	idx_offsets_deinit(&r->offsets);
	range_source_unref(r->index);
	free(r);
}

int idx_reader_load(struct idx_reader *r, struct str symbols, struct str table,
		    const struct idx_toc *toc, struct err *e)
{
	r->series_off = toc->series;
	r->series_end = toc->label_indices > toc->series &&
					toc->label_indices < toc->postings_table
				? toc->label_indices
				: toc->postings_table;
	r->offsets.table = toc->postings_table;
	if (idx_symbols_load(&r->symbols, symbols, e) < 0)
		return -1;
	return idx_offsets_load(&r->offsets, &r->symbols, table, e);
}

int idx_frame_read(struct ctx *ctx, struct range_source *s, struct idx_toc *toc,
		   struct err *e)
{
	struct range need[2];
	struct view v[2] = { { 0 } };
	int rc;

	if (s->size < IDX_HEADER_BYTES + IDX_TOC_BYTES)
		return err_set(ctx, e, E_CORRUPT, "a file of only %llu bytes",
			       (unsigned long long)s->size);
	need[0] = (struct range){ 0, IDX_HEADER_BYTES };
	need[1] = (struct range){ s->size - IDX_TOC_BYTES, IDX_TOC_BYTES };
	if (range_source_read(s, ctx, need, 2, v, e) < 0)
		return -1;
	struct rd r = rd_n(v[0].p, v[0].n);
	uint32_t magic = rd_be32(&r);
	if (magic != IDX_MAGIC)
		rc = err_set(ctx, e, E_CORRUPT, "invalid magic number %08x", magic);
	else
		rc = idx_check_version(rd_u8(&r), e);
	if (rc == 0)
		rc = idx_toc_parse(str_n(v[1].p, v[1].n), s->size, toc, e);
	view_put(&v[0]);
	view_put(&v[1]);
	return rc;
}

int idx_open_index(struct ctx *ctx, struct range_source *index, struct idx_reader **out,
		   struct err *e)
{
	struct idx_reader *r = NULL;
	struct view sym_pin = { 0 }, tab_pin = { 0 };
	struct str symbols, table;
	struct idx_toc toc;
	uint64_t end;
	int rc = -1;

	if (idx_frame_read(ctx, index, &toc, e) < 0)
		return -1;
	end = index->size - IDX_TOC_BYTES;
	if (idx_section_read(index, ctx, toc.symbols, end, "symbols", &sym_pin, &symbols,
			     e) < 0)
		return -1;
	if (idx_section_read(index, ctx, toc.postings_table, end, "postings offset table",
			     &tab_pin, &table, e) < 0)
		goto out;
	r = idx_reader_new(index);
	if (idx_reader_load(r, symbols, table, &toc, e) < 0)
		goto out;
	*out = r;
	r = NULL;
	rc = 0;
out:
	view_put(&sym_pin);
	view_put(&tab_pin);
	idx_close(r);
	return rc;
}

size_t idx_memory(const struct idx_reader *r)
{
	return sizeof(*r) + r->symbols.bytes +
	       r->symbols.count / IDX_SYMBOL_STEP * sizeof(*r->symbols.off) +
	       (size_t)r->offsets.n * (sizeof(*r->offsets.value) + 5) +
	       (size_t)r->offsets.n_names * sizeof(*r->offsets.name);
}

struct str idx_symbol(const struct idx_reader *r, uint32_t ordinal, bool *bad)
{
	if (ordinal >= r->symbols.count) {
		*bad = true;
		return STR_NULL;
	}
	return idx_symbols_get(&r->symbols, ordinal);
}

uint32_t idx_symbol_count(const struct idx_reader *r)
{
	return r->symbols.count;
}

uint32_t idx_symbol_bound(const struct idx_reader *r, struct str v)
{
	bool eq;

	return idx_symbols_find(&r->symbols, 0, v, &eq);
}

bool idx_find_name(const struct idx_reader *r, struct str name, uint32_t *ordinal)
{
	const struct idx_name *m = idx_offsets_name(&r->offsets, &r->symbols, name);

	if (m)
		*ordinal = m->symbol;
	return m != NULL;
}

int idx_label_names(struct idx_reader *r, struct ctx *ctx, struct arena *a,
		    struct str **out, size_t *n, struct err *e)
{
	const struct idx_offsets *o = &r->offsets;
	struct str *v = arena_try(a, ctx, ((size_t)o->n_names + 1) * sizeof(*v), e);
	size_t got = 0;

	if (!v)
		return -1;
	for (uint32_t i = 0; i < o->n_names; i++)
		v[got++] = idx_symbols_get(&r->symbols, o->name[i].symbol);
	*out = v;
	*n = got;
	return 0;
}

int idx_label_values(struct idx_reader *r, struct ctx *ctx, struct arena *a,
		     struct str name, struct str **out, size_t *n, struct err *e)
{
	const struct idx_offsets *o = &r->offsets;
	const struct idx_name *m = idx_offsets_name(o, &r->symbols, name);
	uint32_t count = m ? m->n : 0;
	struct str *v = arena_try(a, ctx, ((size_t)count + 1) * sizeof(*v), e);

	if (!v)
		return -1;
	for (uint32_t i = 0; i < count; i++)
		v[i] = idx_symbols_get(&r->symbols, o->value[m->first + i]);
	*out = v;
	*n = count;
	return 0;
}
