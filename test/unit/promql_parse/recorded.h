/*
 * Recorded lines of JSON: reading them, and their fields.
 */
#ifndef TEST_PROMQL_PARSE_RECORDED_H
#define TEST_PROMQL_PARSE_RECORDED_H

#include "base/buf.h"
#include "wire/json.h"

void read_file(const char *path, struct buf *out); /* appended */
void read_gz(const char *path, struct buf *out);   /* out is initialised here */
/* A string of a map; empty: none. */
struct str text_of(const struct doc *map, const char *key);

#endif
