/*
 * fuzz_yaml.c - any bytes as YAML; the tree is walked as its users would, which must end
 * soon however its aliases multiply.
 */
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static size_t walk(const struct doc *d, unsigned depth)
{
	size_t total = 1 + d->s.n % 2;

	BUG_ON(depth > 65);
	BUG_ON(d->line == 0 || d->col == 0);
	for (size_t i = 0; i < d->n; i++) {
		BUG_ON(d->kind == DOC_MAP && d->key[i]->kind != DOC_STR);
		BUG_ON(d->kind == DOC_MAP && !doc_get(d, d->key[i]->s.p) &&
		       strlen(d->key[i]->s.p) == d->key[i]->s.n);
		total += walk(d->item[i], depth + 1);
	}
	return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct arena a;
	struct err e = ERR_INIT;
	struct doc *d = NULL;

	if (n > 64u << 10)
		return 0;
	arena_init(&a, NULL);
	if (yaml_parse(NULL, &a, str_n(p, n), &d, &e) == 0)
		BUG_ON(walk(d, 0) > 3000000);
	else
		BUG_ON(e.code != E_PARSE && e.code != E_LIMIT);
	arena_deinit(&a);
	return 0;
}
