/*
 * wire/xml.h - small XML answers, element by element. No DTD, no entities but the five; depth, text and
 * attributes are bounded.
 *
 * Thread  CPU
 */
#ifndef WIRE_XML_H
#define WIRE_XML_H

#include "base/buf.h"

/*
 * fn at the end of each element: path is "ListBucketResult/Contents/Key" (local names), text is its own character
 * data. begin, if given, at its start. fn -1 stops with its error; otherwise E_PARSE, E_LIMIT.
 */
struct xml_events {
	int (*begin)(void *arg, struct str path, struct err *e); /* NULL allowed */
	int (*end)(void *arg, struct str path, struct str text, struct err *e);
	void *arg;
};
MUST_CHECK int xml_walk(struct str doc, const struct xml_events *ev, struct err *e);
/* Text with & < > " and control characters escaped. */
void xml_escape(struct str s, struct buf *out);

#endif
