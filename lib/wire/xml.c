/*
 * wire/xml.c - expat driven over a whole document.
 *
 * The path and the text of open elements lie in two buffers that grow and shrink as a stack. A DOCTYPE is refused
 * before any entity could be declared; expat itself guards against the rest.
 */
#include "wire/xml.h"

#include <expat.h>

#define DEPTH_MAX  16u
#define TEXT_MAX   ((size_t)64 << 10)
#define NAME_BYTES 256u

struct walk {
	XML_Parser parser;
	const struct xml_events *ev;
	struct buf path, text;
	size_t path_at[DEPTH_MAX], text_at[DEPTH_MAX];
	unsigned depth;
	bool failed;
	struct err *e;
};

static void stop(struct walk *w)
{
	w->failed = true;
	XML_StopParser(w->parser, XML_FALSE);
}

static void limit(struct walk *w, const char *what)
{
	if (!w->failed)
		err_set(NULL, w->e, E_LIMIT, "XML: %s", what);
	stop(w);
}

static void on_start(void *arg, const char *name, const char **attrs UNUSED)
{
	struct walk *w = arg;
	const char *local = strrchr(name, ':');
	struct str n = str_of(local ? local + 1 : name);
	if (w->failed)
		return;
	if (w->depth == DEPTH_MAX || n.n > NAME_BYTES) {
		limit(w, "nested too deeply, or a name too long");
		return;
	}
	w->path_at[w->depth] = w->path.n;
	w->text_at[w->depth++] = w->text.n;
	if (w->path.n)
		buf_byte(&w->path, '/');
	buf_str(&w->path, n);
	if (w->ev->begin && w->ev->begin(w->ev->arg, buf_view(&w->path), w->e) < 0)
		stop(w);
}

static void on_text(void *arg, const char *p, int n)
{
	struct walk *w = arg;
	buf_add(&w->text, p, (size_t)n);
	if (w->text.failed)
		limit(w, "a text too long");
}

static void on_end(void *arg, const char *name UNUSED)
{
	struct walk *w = arg;
	if (w->failed)
		return;
	size_t at = w->text_at[--w->depth];
	struct str text = str_from(buf_view(&w->text), at);
	if (w->ev->end(w->ev->arg, buf_view(&w->path), text, w->e) < 0)
		stop(w);
	w->text.n = at;
	w->path.n = w->path_at[w->depth];
}

static void on_doctype(void *arg, const char *a UNUSED, const char *b UNUSED,
		       const char *c UNUSED, int d UNUSED)
{
	struct walk *w = arg;
	if (!w->failed)
		err_set(NULL, w->e, E_PARSE, "XML: a DOCTYPE is refused");
	stop(w);
}

int xml_walk(struct str doc, const struct xml_events *ev, struct err *e)
{
	struct walk w = { .ev = ev, .e = e };
	if (doc.n > INT32_MAX)
		return err_set(NULL, e, E_LIMIT, "XML: document too large");
	w.parser = XML_ParserCreate(NULL);
	BUG_ON(!w.parser);
	buf_init(&w.path, DEPTH_MAX * (NAME_BYTES + 1));
	buf_init(&w.text, TEXT_MAX);
	XML_SetUserData(w.parser, &w);
	XML_SetElementHandler(w.parser, on_start, on_end);
	XML_SetCharacterDataHandler(w.parser, on_text);
	XML_SetStartDoctypeDeclHandler(w.parser, on_doctype);
	int ok = XML_Parse(w.parser, doc.n ? doc.p : "", (int)doc.n, 1) == XML_STATUS_OK;
	if (!ok && !w.failed)
		err_set(NULL, e, E_PARSE, "XML: line %lu: %s",
			(unsigned long)XML_GetCurrentLineNumber(w.parser),
			XML_ErrorString(XML_GetErrorCode(w.parser)));
	XML_ParserFree(w.parser);
	buf_deinit(&w.path);
	buf_deinit(&w.text);
	return ok && !w.failed ? 0 : -1;
}

void xml_escape(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '&' || c == '<' || c == '>' || c == '"' || c < 0x20)
			buf_fmt(out, "&#%u;", c);
		else
			buf_byte(out, c);
	}
}
