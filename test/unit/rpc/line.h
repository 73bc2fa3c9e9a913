/*
 * test/unit/rpc/line.h - a line between a client and a server that takes its time each way.
 */
#ifndef TEST_UNIT_RPC_LINE_H
#define TEST_UNIT_RPC_LINE_H

#include <stdint.h>

#include "base/base.h"

struct line;
/* From *addr, which becomes the line's own end, to what it named; one connection. */
struct line *line_new(char *addr, size_t cap, uint64_t delay_ns);
void line_free(struct line *l); /* when both ends have closed */

#endif
