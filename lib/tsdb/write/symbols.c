/*
 * tsdb/write/symbols.c - symbols by ordinal, without holding them: they are read back from the index itself.
 *
 * At most SYM_SAMPLES offsets are kept, of every step-th symbol; when they are full, every other one goes and step
 * doubles. A look-up reads on from where the last one ended, or from the nearest sample. The offset table asks in
 * ascending order within a label name, so that a name with many values is one pass of large reads.
 */
#include <stdlib.h>

#include "tsdb/write/write_int.h"
#include "wire/rd.h"

#define READ_FIRST                                                                       \
	((size_t)4 << 10) /* after a jump; doubled while it goes on from there */
#define READ_MOST  ((size_t)64 << 10)
#define LENGTH_MAX 10

void sym_init(struct sym_table *t, uint64_t base)
{
	*t = (struct sym_table){
		.base = base,
		.step = 1,
		.sample = xmalloc(SYM_SAMPLES * sizeof(*t->sample)),
	};
}

void sym_deinit(struct sym_table *t)
{
	free(t->sample);
	free(t->window.p);
}

void sym_add(struct sym_table *t, size_t entry_bytes)
{
	if (t->count % t->step == 0) {
		if (t->count / t->step == SYM_SAMPLES) {
			for (uint32_t i = 0; i < SYM_SAMPLES / 2; i++)
				t->sample[i] = t->sample[(size_t)2 * i];
			t->step *= 2;
		}
		if (t->count % t->step == 0)
			t->sample[t->count / t->step] = (uint32_t)t->bytes;
	}
	t->count++;
	t->bytes += entry_bytes;
}

/* At least `want` bytes from w->at on, or all that there are. */
static int fill(struct sym_table *t, struct fs_out *file, struct ctx *ctx, size_t want,
		struct err *e)
{
	struct sym_window *w = &t->window;
	if (LIKELY(w->n - w->at >= want || (w->n && w->off + w->n == t->bytes)))
		return 0;
	w->off += w->at;
	w->at = 0;
	w->n = 0;
	size_t n = (size_t)MIN(MAX(w->read, want), t->bytes - w->off);
	if (n > w->cap) {
		free(w->p);
		w->p = xmalloc(n);
		w->cap = n;
	}
	w->read = MIN(2 * w->read, READ_MOST);
	if (fs_out_read(file, ctx, t->base + w->off, w->p, n, e) < 0)
		return -1;
	w->n = n;
	return 0;
}

static void jump(struct sym_table *t, uint32_t ordinal)
{
	struct sym_window *w = &t->window;
	uint64_t to = t->sample[ordinal / t->step];
	w->ordinal = ordinal - ordinal % t->step;
	if (to >= w->off && to - w->off < w->n) {
		w->at = (size_t)(to - w->off);
		return;
	}
	w->off = to;
	w->n = w->at = 0;
	w->read = READ_FIRST;
}

int sym_get(struct sym_table *t, struct fs_out *file, struct ctx *ctx, uint32_t ordinal,
	    struct str *out, struct err *e)
{
	struct sym_window *w = &t->window;
	BUG_ON(ordinal >= t->count);
	if (ordinal < w->ordinal || ordinal - w->ordinal > t->step || !w->read)
		jump(t, ordinal);
	for (;;) {
		if (fill(t, file, ctx, LENGTH_MAX, e) < 0)
			return -1;
		struct rd r = rd_n(w->p + w->at, w->n - w->at);
		uint64_t len = rd_uvarint(&r);
		size_t head = (size_t)(r.p - (w->p + w->at));
		BUG_ON(r.bad || len > t->bytes - w->off - w->at - head);
		if (w->ordinal == ordinal) {
			if (fill(t, file, ctx, head + (size_t)len, e) < 0)
				return -1;
			*out = str_n(w->p + w->at + head, (size_t)len);
			return 0;
		}
		size_t skip = head + (size_t)len;
		if (skip > w->n - w->at) { /* the text itself need not be read */
			w->off += w->at + skip;
			w->n = w->at = 0;
		} else {
			w->at += skip;
		}
		w->ordinal++;
	}
}
