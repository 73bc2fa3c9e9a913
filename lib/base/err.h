/*
 * base/err.h - the error object: what happened (code), said in a chain of nouns (text).
 *
 * The caller owns `struct err`; it is untouched on success. A message of up to 239 bytes lies in
 * `msg` and `text` is NULL (so a struct copy stays right); a longer one lies in memory of the ctx,
 * valid until the ctx ends. Codecs pass NULL for ctx: their messages are short, and are cut at 239
 * bytes. err_set and err_wrap return -1, so that `return err_set(...)` reads well.
 *
 * The class says what a caller can do; each API has its own table code -> status.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

#include "base/base.h"
#include "base/str.h"

struct ctx;

enum err_class {
	ERR_FINAL,	/* trying again gives the same */
	ERR_RETRY,	/* may go through later */
	ERR_QUARANTINE, /* this block or target only; go on with the others */
	ERR_FATAL,	/* this process cannot go on */
};

/* id, text, class */
#define ERR_TABLE(X)                                                                     \
	X(OK, "ok", FINAL)                                                               \
	X(INVALID, "invalid argument", FINAL)                                            \
	X(PARSE, "parse error", FINAL)                                                   \
	X(EXEC, "execution error", FINAL)                                                \
	X(NOT_FOUND, "not found", FINAL)                                                 \
	X(EXISTS, "already exists", FINAL)                                               \
	X(UNSUPPORTED, "unsupported", FINAL)                                             \
	X(LIMIT, "limit exceeded", FINAL)                                                \
	X(CANCELLED, "cancelled", FINAL)                                                 \
	X(ABORTED, "aborted", FINAL)                                                     \
	X(DENIED, "permission denied", FINAL)                                            \
	X(TIMEOUT, "timed out", RETRY)                                                   \
	X(UNAVAILABLE, "unavailable", RETRY)                                             \
	X(REMOTE, "remote error", RETRY)                                                 \
	X(IO, "input/output error", RETRY)                                               \
	X(CORRUPT, "corrupt data", QUARANTINE)                                           \
	X(NOSPACE, "no space left", RETRY)                                               \
	X(LOCKED, "directory in use", FATAL)                                             \
	X(INTERNAL, "internal error", FINAL)

enum err_code {
#define ERR_ID(id, text, cls) E_##id,
	ERR_TABLE(ERR_ID)
#undef ERR_ID
		E_COUNT
};

struct err {
	enum err_code code;
	const char *text; /* NULL: msg */
	char msg[240];
};

#define ERR_INIT ((struct err){ .code = E_OK })

int err_set(struct ctx *ctx, struct err *e, enum err_code code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
int err_setv(struct ctx *ctx, struct err *e, enum err_code code, const char *fmt,
	     va_list ap) PRINTF_LIKE(4, 0);
/* Put this layer's noun in front once: "block 01H…: " + old text. */
int err_wrap(struct ctx *ctx, struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* errno -> code and "noun: strerror"; pass errno's saved value. */
int err_errno(struct ctx *ctx, struct err *e, int saved_errno, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* Copy `from` so that it does not depend on another ctx's memory (long text is moved to ctx's). */
int err_copy(struct ctx *ctx, struct err *e, const struct err *from);

const char *err_text(const struct err *e);
const char *err_code_text(enum err_code code);
enum err_class err_code_class(enum err_code code);

#endif
