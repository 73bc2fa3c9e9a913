/*
 * fuzz_json.c - any bytes through the pull reader and the document builder. Both must
 * agree on what is JSON (limits aside), and what was read and is written again must read
 * the same.
 */
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void write_doc(struct jw *w, const struct doc *d)
{
	switch (d->kind) {
	case DOC_NULL: jw_null(w); break;
	case DOC_BOOL: jw_bool(w, d->b); break;
	case DOC_INT: jw_i64(w, d->i); break;
	case DOC_FLOAT: jw_f64(w, d->f); break;
	case DOC_STR: jw_str(w, d->s); break;
	case DOC_LIST:
		jw_arr(w);
		for (size_t i = 0; i < d->n; i++)
			write_doc(w, d->item[i]);
		jw_arr_end(w);
		break;
	case DOC_MAP:
		jw_obj(w);
		for (size_t i = 0; i < d->n; i++) {
			jw_key(w, d->key[i]->s);
			write_doc(w, d->item[i]);
		}
		jw_obj_end(w);
		break;
	}
}

/* Write d, read it, write it again and so on: from the second text on nothing may change
 * (the first may turn -0e1 into -0, which then is the integer 0). */
static void check_round_trip(struct arena *a, struct doc *d)
{
	struct err e = ERR_INIT;
	struct buf b[3];
	struct jw w;

	for (int i = 0; i < 3; i++)
		buf_init(&b[i], 64u << 20);
	for (int i = 0; i < 3; i++) {
		jw_init(&w, &b[i]);
		write_doc(&w, d);
		BUG_ON(b[i].failed);
		/* Escapes make text longer: only the size limit may refuse it. */
		if (json_parse(NULL, a, buf_view(&b[i]), &d, &e) < 0) {
			BUG_ON(e.code != E_LIMIT);
			goto out;
		}
	}
	BUG_ON(!str_eq(buf_view(&b[1]), buf_view(&b[2])));
out:
	for (int i = 0; i < 3; i++)
		buf_deinit(&b[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct arena a;
	struct err e = ERR_INIT;
	struct doc *d = NULL;
	struct jr j;
	enum json_tok t;

	if (n > 1u << 20)
		return 0;
	arena_init(&a, NULL);
	jr_init(&j, &a, str_n(p, n));
	do
		t = jr_next(&j);
	while (t > JSON_EOF);
	BUG_ON(jr_offset(&j) > n);
	int rc = json_parse(NULL, &a, str_n(p, n), &d, &e);
	BUG_ON(rc == 0 && t != JSON_EOF);
	if (rc == 0)
		check_round_trip(&a, d);
	jr_init(&j, &a, str_n(p, n));
	BUG_ON(jr_skip(&j) == 0 && j.r.bad);
	arena_deinit(&a);
	return 0;
}
