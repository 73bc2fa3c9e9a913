/*
 * wire/doc_int.h - between the files that make documents.
 */
#ifndef WIRE_DOC_INT_H
#define WIRE_DOC_INT_H

#include "wire/json.h"

/* Set kind and value of an unquoted YAML scalar from its text d->s. */
void doc_resolve_plain(struct doc *d);
/*
 * The same for a scalar with an explicit tag (without the leading "tag:yaml.org,2002:" if
 * it has that, so "int", "str", "binary"; others make STR). False: the text is none of
 * that type.
 */
bool doc_resolve_tagged(struct arena *a, struct doc *d, struct str tag);

#endif
