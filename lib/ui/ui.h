/*
 * ui/ui.h - pages for people. Nothing is loaded from elsewhere, and what a page needs is in it.
 *
 * Thread  any
 */
#ifndef UI_UI_H
#define UI_UI_H

#include "base/buf.h"

/* A box for queries with a table and a chart; the API is at prefix/api/v1 (escaped as in a link). */
void ui_query_box(struct str prefix, struct buf *out);

#endif
