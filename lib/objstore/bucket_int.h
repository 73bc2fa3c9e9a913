/*
 * objstore/bucket_int.h - what the implementations of buckets share.
 */
#ifndef OBJSTORE_BUCKET_INT_H
#define OBJSTORE_BUCKET_INT_H

#include "objstore/bucket.h"

#define BUCKET_NAME_BYTES 1024u
#define BUCKET_COPY_BYTES ((size_t)256 << 10) /* put sources are read in steps of this */

/*
 * What is wrong with an object's name, NULL if nothing: names are relative, their parts are neither
 * empty nor "." nor "..", and hold no NUL. `dir`: the empty name and one final "/" are allowed.
 */
const char *bucket_name_fault(struct str name, bool dir);

/* A name of a listing, kept until all are known and sorted. */
struct bucket_entry {
	struct str name;
	struct bucket_attrs attrs;
	bool folder;
};
void bucket_entries_sort(struct bucket_entry *v, size_t n);

#endif
