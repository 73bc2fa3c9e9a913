/*
 * Random series sets for the tests of merges.
 */
#ifndef TEST_DEDUP_SETS_H
#define TEST_DEDUP_SETS_H

#include "dedup/dedup.h"

uint64_t sets_random(void); /* the same sequence in every run */
void sets_seed(uint64_t seed);
/* A sorted label set of up to `max` labels out of a..h with values 1..3, without the names in `not`. */
struct labels sets_labels(struct arena *a, uint32_t max, const char * not );
/* n random series, sorted, unique; each with one raw chunk whose byte is `mark`. */
struct series_in *sets_make(struct arena *a, size_t *n, uint32_t max_labels,
			    const char * not, uint8_t mark);
void sets_sort(struct series_in *v, size_t n);
/* All series of a set as text, one a line: labels and the chunks' bytes. Closes it. */
char *sets_dump(struct series_set *s);

#endif
