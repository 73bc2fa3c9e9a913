/*
 * inspect/report.c - findings: counted, and the first of each kind told.
 */
#include <stdarg.h>
#include <stdio.h>

#include "inspect/inspect_int.h"

#define EACH 20

static const struct {
	const char *word;
	bool damage;
} kinds[] = {
#define INSPECT_ROW(id, word, damage) { word, damage },
	INSPECT_KINDS(INSPECT_ROW)
#undef INSPECT_ROW
};

const char *inspect_kind_text(enum inspect_kind k)
{
	return kinds[k].word;
}

void inspect_found(struct inspect_report *r, enum inspect_kind k, const char *file,
		   const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	*(kinds[k].damage ? &r->damage : &r->notes) += 1;
	if (r->n[k]++ >= (r->each ? r->each : EACH) || !r->found)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	const struct inspect_finding f = { k, kinds[k].damage, file, text };
	r->found(r->arg, &f);
}

int inspect_blame(struct inspect_report *r, enum inspect_kind k, const char *file,
		  const struct err *why, struct err *e)
{
	switch (why->code) {
	case E_CANCELLED:
	case E_TIMEOUT:
	case E_UNAVAILABLE:
	case E_REMOTE:
	case E_DENIED: *e = *why; return -1;
	case E_NOT_FOUND: k = INSPECT_MISSING; break;
	default: break;
	}
	inspect_found(r, k, file, "%s", err_text(why));
	return 0;
}
