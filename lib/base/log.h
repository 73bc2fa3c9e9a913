/*
 * base/log.h - log lines in logfmt or JSON on one sink (stderr by default).
 *
 *   ts=2026-09-21T14:00:00.000Z caller=sync.c:120 level=info msg="block loaded" ...
 *
 * Thread  SHARED. One line is one write(2).
 * Secrets are never logged: whoever holds one does not pass it.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

void log_setup(enum log_level min, enum log_format format, int fd);
bool log_enabled(enum log_level level);
/* The message is printf-formatted; put values of outsiders into it with %.*s, they are escaped. */
void log_at(struct ctx *ctx, enum log_level level, const char *file, int line,
	    const char *fmt, ...) PRINTF_LIKE(5, 6);
/* A line of pairs instead, in their order, behind ts, caller and level. Keys are plain words with dots. */
struct log_field {
	const char *key;
	struct str value;
};
void log_fields_at(enum log_level level, const char *file, int line,
		   const struct log_field *v, size_t n);
#define log_fields(level, v, n) log_fields_at((level), __FILE__, __LINE__, (v), (n))

#define log_debug(ctx, ...)                                                              \
	do {                                                                             \
		if (log_enabled(LOG_DEBUG))                                              \
			log_at((ctx), LOG_DEBUG, __FILE__, __LINE__, __VA_ARGS__);       \
	} while (0)
#define log_info(ctx, ...)  log_at((ctx), LOG_INFO, __FILE__, __LINE__, __VA_ARGS__)
#define log_warn(ctx, ...)  log_at((ctx), LOG_WARN, __FILE__, __LINE__, __VA_ARGS__)
#define log_error(ctx, ...) log_at((ctx), LOG_ERROR, __FILE__, __LINE__, __VA_ARGS__)

#endif
