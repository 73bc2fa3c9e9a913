/*
 * promql/parse/ast.c - words for types and operators, places in the text, small
 * walks over the tree.
 */
#include "promql/parse/ast.h"

const char *value_type_text(enum value_type t)
{
	static const char *const texts[] = { [TYPE_SCALAR] = "scalar",
					     [TYPE_VECTOR] = "instant vector",
					     [TYPE_MATRIX] = "range vector",
					     [TYPE_STRING] = "string" };
	return texts[t];
}

const char *op_text(enum bin_op op)
{
	static const char *const texts[OP_COUNT] = {
		[OP_ADD] = "+",	      [OP_SUB] = "-",	      [OP_MUL] = "*",
		[OP_DIV] = "/",	      [OP_MOD] = "%",	      [OP_POW] = "^",
		[OP_ATAN2] = "atan2", [OP_TRIM_UPPER] = "</", [OP_TRIM_LOWER] = ">/",
		[OP_EQ] = "==",	      [OP_NE] = "!=",	      [OP_LT] = "<",
		[OP_GT] = ">",	      [OP_LE] = "<=",	      [OP_GE] = ">=",
		[OP_AND] = "and",     [OP_OR] = "or",	      [OP_UNLESS] = "unless",
	};
	return texts[op];
}

const char *aggr_op_text(enum aggr_op op)
{
	static const char *const texts[AGG_OP_COUNT] = {
		[AGG_SUM] = "sum",
		[AGG_AVG] = "avg",
		[AGG_COUNT] = "count",
		[AGG_MIN] = "min",
		[AGG_MAX] = "max",
		[AGG_GROUP] = "group",
		[AGG_STDDEV] = "stddev",
		[AGG_STDVAR] = "stdvar",
		[AGG_TOPK] = "topk",
		[AGG_BOTTOMK] = "bottomk",
		[AGG_COUNT_VALUES] = "count_values",
		[AGG_QUANTILE] = "quantile",
		[AGG_LIMITK] = "limitk",
		[AGG_LIMIT_RATIO] = "limit_ratio",
	};
	return texts[op];
}

struct expr *expr_strip(struct expr *x)
{
	while (x->kind == EXPR_PAREN)
		x = x->inner;
	return x;
}

int promql_each_selector(struct expr *x, int (*fn)(void *arg, struct select_node *s),
			 void *arg)
{
	int rc = 0;
	switch (x->kind) {
	case EXPR_NUMBER:
	case EXPR_STRING:
	case EXPR_DURATION: return 0;
	case EXPR_VECTOR:
	case EXPR_MATRIX: return fn(arg, &x->s.sel);
	case EXPR_SUBQUERY: return promql_each_selector(x->sub.e, fn, arg);
	case EXPR_CALL:
		for (size_t i = 0; i < x->call.n && rc == 0; i++)
			rc = promql_each_selector(x->call.arg[i], fn, arg);
		return rc;
	case EXPR_AGGR:
		if (x->aggr.param)
			rc = promql_each_selector(x->aggr.param, fn, arg);
		return rc ? rc : promql_each_selector(x->aggr.e, fn, arg);
	case EXPR_BINARY:
		rc = promql_each_selector(x->bin.l, fn, arg);
		return rc ? rc : promql_each_selector(x->bin.r, fn, arg);
	case EXPR_UNARY: return promql_each_selector(x->un.e, fn, arg);
	case EXPR_PAREN: return promql_each_selector(x->inner, fn, arg);
	}
	return 0;
}

void promql_position(struct str query, uint32_t pos, uint32_t *line, uint32_t *col)
{
	uint32_t l = 1, begin = 0;
	for (uint32_t i = 0; i < pos && i < query.n; i++)
		if (query.p[i] == '\n') {
			l++;
			begin = i + 1;
		}
	*line = l;
	*col = pos - begin + 1;
}
