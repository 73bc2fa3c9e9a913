/*
 * ui/query_box.c - the files of the query box, taken into the program as they are.
 */
#include "ui/ui.h"

#define TAKE_IN(name, path)                                                              \
	__asm__(".pushsection .rodata\n" #name ": .incbin \"" path                       \
		"\"\n1:\t.balign 8\n" #name "_size: .quad 1b - " #name                   \
		"\n.popsection\n");                                                      \
	extern const char name[];                                                        \
	extern const uint64_t name##_size

TAKE_IN(ui_query_html, "lib/ui/query.html");
TAKE_IN(ui_query_js, "lib/ui/query.js");

void ui_query_box(struct str prefix, struct buf *out)
{
	buf_add(out, ui_query_html, ui_query_html_size);
	buf_str(out,
		STR("<script>\ndocument.getElementById(\"form\").dataset.prefix = \""));
	buf_str(out, prefix);
	buf_str(out, STR("\";\n"));
	buf_add(out, ui_query_js, ui_query_js_size);
	buf_str(out, STR("</script>\n"));
}
