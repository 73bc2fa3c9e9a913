/*
 * Segment files: the first four bytes are references (offset / 8 each), the rest is the file.
 */
#include <stdlib.h>

#include "tsdb/chunk/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct segments *s = NULL;
	struct segment_need need[4] = { 0 };
	struct err e;
	if (n < 4)
		return 0;
	struct range_source *src = range_source_mem("segment", p + 4, n - 4);
	if (segments_open(NULL, &src, 1, &s, &e) < 0)
		return 0;
	for (int i = 0; i < 4; i++) {
		need[i].ref = i == 3 ? 8 : p[i];
		need[i].len_hint = p[i] % 16;
	}
	if (segments_read(s, NULL, need, 4, NULL, NULL, &e) == 0)
		for (int i = 0; i < 4; i++)
			view_put(&need[i].pin);
	segments_close(s);
	return 0;
}
