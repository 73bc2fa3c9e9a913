/*
 * promql/exec/select_damage.c - the samples of a series, and what becomes of chunks that cannot be decoded.
 *
 * Chunks are decoded far behind the merge, so a store that sends damaged ones is found out here. Only then is
 * each chunk of the series tried alone, to learn which are damaged and who sent them. With partial response they are
 * left out, and a warning names the store, the series and the damage, like for a store that fails in any other way;
 * without it the query fails with the same text. A chunk whose sender is not known is always an error.
 */
#include "promql/exec/select_int.h"

#include <stdlib.h>

#include "base/limits.h"

static int decode(struct exec *x, const struct select_spec *spec, struct arena *a,
		  struct chunk_view *chunks, size_t n, struct sample_cols *c,
		  struct err *e)
{
	return dedup_decode(x->ctx, a, chunks, n, spec->want, x->q->dedup,
			    spec->want == SAMPLE_COUNTER, spec->mint_ms, spec->maxt_ms, c,
			    e);
}

static int fail(struct exec *x, const char *series, const struct err *why, struct err *e)
{
	err_copy(x->ctx, e, why);
	return err_wrap(x->ctx, e, "series %s", series);
}

static bool is_damage(enum err_code code)
{
	return code == E_CORRUPT || code == E_UNSUPPORTED;
}

/* Moves the chunks that can be decoded to the front; how many those are, or -1. */
static ssize_t sort_out(struct exec *x, const struct select_spec *spec,
			const struct series_set *set, const char *text,
			struct chunk_view *chunks, size_t n, struct err *e)
{
	struct arena tmp;
	size_t good = 0;
	int rc = 0;
	arena_init(&tmp, x->ctx->budget);
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct sample_cols c = { 0 };
		struct err why = ERR_INIT;
		const char *who = merge_origin_of(set, &chunks[i]);
		if (decode(x, spec, &tmp, &chunks[i], 1, &c, &why) == 0)
			chunks[good++] = chunks[i];
		else if (!who || !is_damage(why.code))
			rc = fail(x, text, &why, e);
		else if (x->q->partial == PARTIAL_ABORT)
			rc = err_set(x->ctx, e, why.code,
				     "receive series from %s: series %s: %s", who, text,
				     err_text(&why));
		else
			notes_warn(
				x->ctx->notes,
				"receive series from %s: series %s: a chunk is left out: %s",
				who, text, err_text(&why));
		arena_reset(&tmp);
	}
	arena_deinit(&tmp);
	return rc < 0 ? -1 : (ssize_t)good;
}

int select_decode(struct exec *x, const struct select_spec *spec,
		  const struct series_set *set, struct labels labels,
		  struct chunk_view *chunks, size_t n, struct arena *a,
		  struct sample_cols *c, struct err *e)
{
	struct err why = ERR_INIT;
	struct buf text;
	if (LIKELY(decode(x, spec, a, chunks, n, c, &why) == 0))
		return 0;
	buf_init(&text, LIMIT_ERR_TEXT_BYTES);
	labels_text(labels, &text);
	buf_byte(&text, 0);
	const char *name = text.failed ? "(long labels)" : (const char *)text.p;
	ssize_t good = (ssize_t)n;
	if (is_damage(why.code))
		good = sort_out(x, spec, set, name, chunks, n, e);
	int rc = good < 0 ? -1 : 0;
	*c = (struct sample_cols){ 0 };
	if (good == (ssize_t)n ||
	    (good >= 0 && decode(x, spec, a, chunks, (size_t)good, c, &why) < 0))
		rc = fail(x, name, &why, e); /* no chunk is damaged alone */
	c->again = false;
	buf_deinit(&text);
	return rc;
}
