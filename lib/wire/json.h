/*
 * wire/json.h - JSON: a writer for hot output, a pull reader for large or foreign input,
 * and small documents, JSON or YAML, as a tree.
 *
 * Writer: HTML-escaped as Go's encoder does (< > & as \u00XX, U+2028/9), invalid UTF-8
 * becomes U+FFFD. The caller keeps the grammar (commas are the writer's affair: it knows
 * whether one is due). Reader: depth 64; strings are decoded into the arena only when
 * they hold escapes or invalid UTF-8 (which becomes U+FFFD); otherwise they are views of
 * the input. The arena may be NULL: then strings are raw.
 * Thread  CPU
 */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "wire/rd.h"

/* ---- writer ---- */
struct jw {
	struct buf *b;
	bool comma; /* the next value needs one before it */
	bool plain; /* no HTML escaping (as encoders with SetEscapeHTML(false)) */
};
void jw_init(struct jw *w, struct buf *b);
void jw_obj(struct jw *w);
void jw_obj_end(struct jw *w);
void jw_arr(struct jw *w);
void jw_arr_end(struct jw *w);
void jw_key(struct jw *w, struct str key);
void jw_str(struct jw *w, struct str s);
void jw_i64(struct jw *w, int64_t v);
void jw_u64(struct jw *w, uint64_t v);
/* A bare JSON number as Go's encoding/json prints floats; infinities and NaN, which JSON
 * cannot say, become null. */
void jw_f64(struct jw *w, double v);
void jw_bool(struct jw *w, bool v);
void jw_null(struct jw *w);
void jw_raw(struct jw *w, struct str s); /* one value, already JSON */

/* ---- pull reader ---- */
enum json_tok {
	JSON_ERR = -1,
	JSON_EOF = 0, /* the one top-level value has ended and only blanks follow */
	JSON_OBJ,
	JSON_OBJ_END,
	JSON_ARR,
	JSON_ARR_END,
	JSON_KEY, /* .s */
	JSON_STR, /* .s */
	JSON_NUM, /* .s: text of the number */
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL
};
struct jr {
	struct rd r;
	struct arena *a;
	const uint8_t *start;
	struct str s;
	uint8_t stack[64]; /* LIMIT_JSON_DEPTH */
	uint8_t depth, want;
};
void jr_init(struct jr *j, struct arena *a, struct str text);
enum json_tok jr_next(struct jr *j);
/* Skip the value that begins with the next token (after a KEY: its value); -1: there is
 * none. */
MUST_CHECK int jr_skip(struct jr *j);
size_t jr_offset(const struct jr *j); /* bytes read, for errors */

/* ---- documents ---- */
/*
 * A small JSON or YAML document as nodes with their place; every node knows line and
 * column (1-based; an aliased node those of its anchor). Everything lies in the arena;
 * the text is not needed afterwards. At most 64 levels and 1e6 nodes (YAML: after
 * aliases).
 *
 * YAML: one document; anchors, aliases and `<<` resolved, YAML 1.1 scalars as go-yaml
 * reads them (yes, no, on, off are BOOL; y and n stay STR), duplicate keys refused.
 * Aliases share nodes: a tree may be a graph without cycles. JSON: of equal keys doc_get
 * finds the last.
 */
enum doc_kind { DOC_NULL, DOC_BOOL, DOC_INT, DOC_FLOAT, DOC_STR, DOC_LIST, DOC_MAP };
struct doc {
	enum doc_kind kind;
	uint32_t line, col;
	struct str s; /* scalar text as written (after unquoting) */
	bool quoted;  /* STR only because it was quoted */
	bool b;
	int64_t i;
	double f;	   /* INT, too */
	struct doc **item; /* LIST: items; MAP: values */
	struct doc **key;  /* MAP: keys (STR) */
	size_t n;
};
/* <= LIMIT_CONFIG_BYTES; an empty document is DOC_NULL; a second document is refused. */
MUST_CHECK int yaml_parse(struct ctx *ctx, struct arena *a, struct str text,
			  struct doc **out, struct err *e);
/* <= LIMIT_META_BYTES; text after the value is refused. */
MUST_CHECK int json_parse(struct ctx *ctx, struct arena *a, struct str text,
			  struct doc **out, struct err *e);
const struct doc *doc_get(const struct doc *map, const char *key); /* NULL: absent */

#endif
