/*
 * base/err.c - building error texts.
 *
 * A text is first formatted apart and only then stored, because an argument may be the old text of
 * the same error. What does not fit `msg` goes to the notes of the ctx, which lock and live until the
 * ctx ends; without notes it is cut at a character, and ends in "...".
 */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ctx.h"
#include "base/limits.h"

struct code_row {
	const char *text;
	enum err_class cls;
};

static const struct code_row codes[E_COUNT] = {
#define ROW(id, text, cls) [E_##id] = { text, ERR_##cls },
	ERR_TABLE(ROW)
#undef ROW
};

static void store(struct ctx *ctx, struct err *e, enum err_code code, const char *text,
		  size_t n)
{
	const size_t max = sizeof(e->msg) - 1;
	const char *kept = NULL;
	if (n > max && ctx && ctx->notes)
		kept = notes_keep(ctx->notes, text, MIN(n, LIMIT_ERR_TEXT_BYTES));
	if (!kept) {
		size_t cut = n;
		if (n > max) {
			cut = max - 3;
			while (cut > 0 && ((uint8_t)text[cut] & 0xc0) == 0x80)
				cut--;
		}
		memmove(e->msg, text, cut);
		memcpy(e->msg + cut, n > max ? "..." : "", n > max ? 4 : 1);
	} else {
		e->msg[0] = '\0';
	}
	e->code = code;
	e->text = kept;
}

/* Format with `behind` appended, and store. */
static int set_with(struct ctx *ctx, struct err *e, enum err_code code,
		    const char *behind, const char *fmt, va_list ap)
	__attribute__((format(printf, 5, 0)));
static int set_with(struct ctx *ctx, struct err *e, enum err_code code,
		    const char *behind, const char *fmt, va_list ap)
{
	char small[512];
	char *text = small;
	va_list again;
	if (!e)
		return -1;
	va_copy(again, ap);
	size_t tail = strlen(behind);
	int rc = vsnprintf(small, sizeof(small), fmt, ap);
	BUG_ON(rc < 0);
	size_t n = (size_t)rc;
	if (n + tail >= sizeof(small)) {
		text = xmalloc(n + tail + 1);
		rc = vsnprintf(text, n + 1, fmt, again);
		BUG_ON(rc < 0);
	}
	va_end(again);
	memcpy(text + n, behind, tail + 1);
	store(ctx, e, code, text, n + tail);
	if (text != small)
		free(text);
	return -1;
}

int err_setv(struct ctx *ctx, struct err *e, enum err_code code, const char *fmt,
	     va_list ap)
{
	return set_with(ctx, e, code, "", fmt, ap);
}

int err_set(struct ctx *ctx, struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	set_with(ctx, e, code, "", fmt, ap);
	va_end(ap);
	return -1;
}

int err_wrap(struct ctx *ctx, struct err *e, const char *fmt, ...)
{
	va_list ap;
	if (!e)
		return -1;
	const char *old = err_text(e);
	size_t n = strlen(old);
	char *behind = xmalloc(n + 3);
	memcpy(behind, ": ", 2);
	memcpy(behind + 2, old, n + 1);
	va_start(ap, fmt);
	set_with(ctx, e, e->code, behind, fmt, ap);
	va_end(ap);
	free(behind);
	return -1;
}

static enum err_code code_of_errno(int n)
{
	switch (n) {
	case ENOENT:
	case ENOTDIR: return E_NOT_FOUND;
	case EEXIST:
	case ENOTEMPTY: return E_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS: return E_DENIED;
	case ENOSPC:
	case EDQUOT: return E_NOSPACE;
	case EINVAL:
	case ENAMETOOLONG:
	case EISDIR:
	case ELOOP: return E_INVALID;
	case ETIMEDOUT: return E_TIMEOUT;
	case ECANCELED: return E_CANCELLED;
	case ENOMEM:
	case EFBIG: return E_LIMIT;
	case EOPNOTSUPP:
	case ENOSYS: return E_UNSUPPORTED;
	case EAGAIN:
	case EMFILE:
	case ENFILE:
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EPIPE: return E_UNAVAILABLE;
	default: return E_IO;
	}
}

int err_errno(struct ctx *ctx, struct err *e, int saved_errno, const char *fmt, ...)
{
	char behind[128];
	va_list ap;
	const char *what = strerrordesc_np(saved_errno);
	if (what)
		snprintf(behind, sizeof(behind), ": %s", what);
	else
		snprintf(behind, sizeof(behind), ": error %d", saved_errno);
	va_start(ap, fmt);
	set_with(ctx, e, code_of_errno(saved_errno), behind, fmt, ap);
	va_end(ap);
	return -1;
}

int err_copy(struct ctx *ctx, struct err *e, const struct err *from)
{
	if (!e)
		return -1;
	if (from->text)
		store(ctx, e, from->code, from->text, strlen(from->text));
	else if (e != from)
		*e = *from;
	return -1;
}

const char *err_text(const struct err *e)
{
	return e->text ? e->text : e->msg;
}

const char *err_code_text(enum err_code code)
{
	return (unsigned)code < E_COUNT ? codes[code].text : "unknown error";
}

enum err_class err_code_class(enum err_code code)
{
	return (unsigned)code < E_COUNT ? codes[code].cls : ERR_FINAL;
}
