/*
 * promql/parse/ast.h - the syntax tree of a PromQL expression, type-checked.
 *
 * All nodes and strings live in the arena given to promql_parse; FROZEN afterwards. Positions are byte
 * offsets into the query text. Times are ms. The language is that of Prometheus 3.14; what is
 * experimental there needs its feature bit.
 * Source  prometheus.md §2.2, §2.3, §2.12
 */
#ifndef PROMQL_PARSE_AST_H
#define PROMQL_PARSE_AST_H

#include "model/matcher.h"

enum expr_kind {
	EXPR_NUMBER,   /* num */
	EXPR_STRING,   /* str */
	EXPR_VECTOR,   /* sel: instant selector */
	EXPR_MATRIX,   /* sel + range: x[5m] */
	EXPR_SUBQUERY, /* sub: e[1h:5m] */
	EXPR_CALL,     /* call */
	EXPR_AGGR,     /* aggr */
	EXPR_BINARY,   /* bin */
	EXPR_UNARY,    /* un */
	EXPR_PAREN,    /* inner */
	EXPR_DURATION, /* dur: arithmetic inside [] and behind offset, until promql_resolve */
};
enum value_type { TYPE_SCALAR, TYPE_VECTOR, TYPE_MATRIX, TYPE_STRING };
const char *
value_type_text(enum value_type t); /* "scalar", "instant vector", ... of errors */

enum bin_op {
	OP_ADD,
	OP_SUB,
	OP_MUL,
	OP_DIV,
	OP_MOD,
	OP_POW,
	OP_ATAN2,
	OP_TRIM_UPPER, /* </: what lies above is cut off a histogram */
	OP_TRIM_LOWER, /* >/ */
	OP_EQ,
	OP_NE,
	OP_LT,
	OP_GT,
	OP_LE,
	OP_GE, /* comparisons, contiguous */
	OP_AND,
	OP_OR,
	OP_UNLESS, /* set operators, contiguous */
	OP_COUNT
};
static inline bool op_is_cmp(enum bin_op op)
{
	return op >= OP_EQ && op <= OP_GE;
}
static inline bool op_is_set(enum bin_op op)
{
	return op >= OP_AND && op <= OP_UNLESS;
}
const char *op_text(enum bin_op op); /* "+", "and" */

/* Aggregators. */
enum aggr_op {
	AGG_SUM,
	AGG_AVG,
	AGG_COUNT,
	AGG_MIN,
	AGG_MAX,
	AGG_GROUP,
	AGG_STDDEV,
	AGG_STDVAR,
	AGG_TOPK,
	AGG_BOTTOMK,
	AGG_COUNT_VALUES,
	AGG_QUANTILE,
	AGG_LIMITK,
	AGG_LIMIT_RATIO,
	AGG_OP_COUNT
};
const char *aggr_op_text(enum aggr_op op);

/* Functions: ids from fn.def, with signatures. */
enum fn_id {
#define FN(name, ...) FN_ID_##name,
#include "promql/parse/fn.def"
#undef FN
	FN_ID_COUNT
};
struct fn_sig {
	const char *name;
	enum value_type arg[6]; /* types of the first arguments */
	uint8_t min_args;
	int8_t max_args; /* -1: the last type repeats without end */
	enum value_type result;
	unsigned traits; /* FN_... bits of fn.def */
};
#define FN_DROP_NAME	1u  /* the result has no metric name */
#define FN_COUNTER	2u  /* reads counters: rate increase irate resets */
#define FN_NO_ARG_TIME	4u  /* vector argument defaults to vector(time()) */
#define FN_EXPERIMENTAL 8u  /* needs PROMQL_EXPERIMENTAL_FUNCTIONS */
#define FN_X		16u /* Thanos': without PROMQL_X_FUNCTIONS it does not exist */
extern const struct fn_sig fn_sigs[FN_ID_COUNT];
/* How many types the signature names; what follows has the last one's. */
static inline size_t fn_n_types(const struct fn_sig *f)
{
	return f->min_args + (f->min_args != f->max_args ? 1u : 0u);
}
static inline enum value_type fn_arg_type(const struct fn_sig *f, size_t i)
{
	size_t last = MIN(fn_n_types(f), ARRAY_LEN(f->arg)) - 1;
	return f->arg[MIN(i, last)];
}

enum at_kind { AT_NONE, AT_TIME, AT_START, AT_END };
struct select_node {		  /* instant or range selector */
	struct str name;	  /* outer metric name; empty: none */
	struct matcher *matchers; /* compiled, in source order, the outer name's last */
	size_t n_matchers;
	int64_t offset_ms; /* as written: positive looks back */
	struct expr *
		offset_expr; /* NULL: a literal; else offset_ms is set by promql_resolve */
	enum at_kind at;
	int64_t at_ms;
	bool anchored, smoothed;
	bool of_info; /* second argument of info: chooses labels of info series, not series */
};
struct match_node {	    /* of a vector-vector operator */
	bool on;	    /* on(...) given; else ignoring(...) or nothing */
	bool given;	    /* on or ignoring was written */
	struct str *labels; /* sorted */
	size_t n_labels;
	struct str *written; /* as they stand in the text */
	size_t n_written;
	enum {
		CARD_ONE_TO_ONE,
		CARD_MANY_TO_ONE,
		CARD_ONE_TO_MANY,
		CARD_MANY_TO_MANY
	} card;
	struct str *include; /* group_left(...) labels, as written */
	size_t n_include;
	bool fill_left,
		fill_right; /* fill, fill_left, fill_right: what stands for a missing side */
	double left, right;
};
/* Arithmetic on durations; leaves are EXPR_NUMBER (seconds). */
enum dur_op {
	DUR_ADD,
	DUR_SUB,
	DUR_MUL,
	DUR_DIV,
	DUR_MOD,
	DUR_POW,
	DUR_NEG,   /* l NULL */
	DUR_POS,   /* l NULL: a sign, or what parentheses around a number make */
	DUR_STEP,  /* step() of the query; l, r NULL */
	DUR_RANGE, /* range() of the query; l, r NULL */
	DUR_MIN_OF,
	DUR_MAX_OF
};

struct expr {
	enum expr_kind kind;
	enum value_type type;
	uint32_t pos, end; /* byte range in the query */
	uint32_t depth;	   /* of the tree from here: 1 + that of the deepest child */
	bool unit; /* NUMBER: written as a duration, as which it is printed, too */
	union {
		double num;
		struct str str;
		struct {
			struct select_node sel;
			int64_t range_ms; /* MATRIX */
			struct expr *
				range_expr; /* NULL: a literal; else promql_resolve sets range_ms */
		} s;
		struct {
			struct expr *e;
			int64_t range_ms, step_ms; /* step 0: the default */
			int64_t offset_ms;
			struct expr *range_expr, *step_expr,
				*offset_expr; /* as in selectors */
			enum at_kind at;
			int64_t at_ms;
		} sub;
		struct {
			enum fn_id fn;
			struct expr **arg;
			size_t n;
		} call;
		struct {
			enum aggr_op op;
			struct expr *e, *param; /* param NULL: none */
			struct str *labels;	/* sorted, unique */
			size_t n_labels;
			struct str *written; /* as they stand in the text */
			size_t n_written;
			bool without, given; /* given: by or without was written */
		} aggr;
		struct {
			enum bin_op op;
			struct expr *l, *r;
			uint32_t op_pos;
			bool ret_bool;
			struct match_node match; /* vector-vector only */
		} bin;
		struct {
			enum dur_op op;
			struct expr *l, *r;
			bool wrapped; /* in parentheses */
		} dur;
		struct {
			bool neg; /* -x; else +x */
			struct expr *e;
		} un;
		struct expr *inner;
	};
};

/* What of the experimental language is on. */
#define PROMQL_EXPERIMENTAL_FUNCTIONS                                                    \
	1u /* promql-experimental-functions: and limitk, limit_ratio */
#define PROMQL_EXTENDED_RANGE 2u /* promql-extended-range-selectors: smoothed, anchored */
#define PROMQL_FILL	      4u /* promql-binop-fill-modifiers */
#define PROMQL_X_FUNCTIONS    8u /* --query.enable-x-functions: xrate, xincrease, xdelta */
#define PROMQL_ALL	      7u /* of Prometheus */

/*
 * Parse and type-check. On failure e is E_PARSE and its text as Prometheus':
 * "1:5: parse error: unexpected ..." (line:col, 1-based, byte columns). The tree is never deeper than
 * LIMIT_PROMQL_DEPTH, so that walks over it may recurse; E_LIMIT if the arena's budget is used up or the
 * text is too long. CPU class.
 */
MUST_CHECK int promql_parse(struct ctx *ctx, struct arena *a, struct str query,
			    unsigned features, struct expr **out, struct err *e);
/*
 * Set the milliseconds of all duration expressions for a query of this window (instant: start == end, step 0).
 * To be called once, before the tree is evaluated; without any it does nothing. E_EXEC with Prometheus' text for what is
 * not a number, or not positive where it must be.
 */
MUST_CHECK int promql_resolve(struct expr *x, struct str query, int64_t start_ms,
			      int64_t end_ms, int64_t step_ms, struct err *e);
/*
 * Text that parses to the same tree. promql_print gives one line, as error messages and dashboards show it;
 * promql_format breaks lines longer than 100 bytes, as /api/v1/format_query. Source  prometheus.md §2.12
 */
struct buf;
void promql_print(const struct expr *x, struct buf *out);
void promql_format(const struct expr *x, struct buf *out);
/* JSON of the tree as /api/v1/parse_query gives it. */
void promql_ast_json(const struct expr *x, struct buf *out);

/*
 * A metric selector alone (match[] parameters): `up{job="x"}`; matchers in the arena. One of them must
 * not match the empty value.
 */
MUST_CHECK int promql_parse_selector(struct ctx *ctx, struct arena *a, struct str text,
				     struct matcher **out, size_t *n, struct err *e);
/* "line:col" of a byte offset, for annotations. */
void promql_position(struct str query, uint32_t pos, uint32_t *line, uint32_t *col);
/* fn of each selector, in the order of the text where it is not an aggregation's parameter, which comes first; ends with
 * what fn returns if that is not 0. */
int promql_each_selector(struct expr *x, int (*fn)(void *arg, struct select_node *s),
			 void *arg);
/* Without parentheses around. */
struct expr *expr_strip(struct expr *x);

#endif
