/*
 * base/log.c - one line, one write(2).
 *
 * The line is put together in one buffer and written in one call, so lines of several threads do not
 * mix. Values are escaped because they may come from outsiders: in logfmt a value is quoted if it has
 * a blank, '=', '"' or anything unprintable, and in both forms control characters are escaped and
 * invalid UTF-8 becomes U+FFFD. A line never holds a raw newline.
 */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/ctx.h"
#include "base/limits.h"
#include "base/time.h"

static _Atomic int min_level = LOG_INFO;
static _Atomic int line_format = LOG_LOGFMT;
static _Atomic int sink_fd = STDERR_FILENO;

static const char *const level_names[] = { "debug", "info", "warn", "error" };

void log_setup(enum log_level min, enum log_format format, int fd)
{
	atomic_store(&min_level, (int)min);
	atomic_store(&line_format, (int)format);
	atomic_store(&sink_fd, fd);
}

bool log_enabled(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&min_level, memory_order_relaxed);
}

static bool needs_quotes(struct str s)
{
	if (s.n == 0)
		return true;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];
		if (c <= ' ' || c == '=' || c == '"' || c == '\\' || c == 0x7f)
			return true;
	}
	return !str_is_utf8(s);
}

/* Both forms share the escapes of JSON strings. */
static void add_quoted(struct buf *b, struct str s)
{
	buf_byte(b, '"');
	for (size_t i = 0; i < s.n;) {
		uint8_t c = (uint8_t)s.p[i];
		unsigned len = str_utf8_len(s.p + i, s.n - i);
		if (len > 1) {
			buf_add(b, s.p + i, len);
			i += len;
			continue;
		}
		i++;
		if (len == 0)
			buf_str(b, STR("\xef\xbf\xbd"));
		else if (c == '"' || c == '\\')
			buf_fmt(b, "\\%c", c);
		else if (c == '\n')
			buf_str(b, STR("\\n"));
		else if (c == '\r')
			buf_str(b, STR("\\r"));
		else if (c == '\t')
			buf_str(b, STR("\\t"));
		else if (c < 0x20 || c == 0x7f)
			buf_fmt(b, "\\u%04x", c);
		else
			buf_byte(b, c);
	}
	buf_byte(b, '"');
}

static void add_pair(struct buf *b, bool json, const char *key, struct str value)
{
	if (json) {
		buf_byte(b, b->n ? ',' : '{');
		buf_fmt(b, "\"%s\":", key);
		add_quoted(b, value);
		return;
	}
	if (b->n)
		buf_byte(b, ' ');
	buf_fmt(b, "%s=", key);
	if (needs_quotes(value))
		add_quoted(b, value);
	else
		buf_str(b, value);
}

static void write_line(int fd, struct str s)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nowhere to complain to */
		s = str_from(s, (size_t)n);
	}
}

static void add_head(struct buf *b, bool json, enum log_level level, const char *file,
		     int line)
{
	char text[320];
	int64_t now = time_wall_ns();
	size_t n = time_format_rfc3339(text, now / (int64_t)NS_PER_S,
				       (uint32_t)(now % (int64_t)NS_PER_S), 3);
	add_pair(b, json, "ts", str_n(text, n));
	const char *slash = strrchr(file, '/');
	snprintf(text, sizeof(text), "%s:%d", slash ? slash + 1 : file, line);
	add_pair(b, json, "caller", str_of(text));
	add_pair(b, json, "level", str_of(level_names[level]));
}

static void add_end(struct buf *b, bool json)
{
	if (json)
		buf_byte(b, '}');
	buf_byte(b, '\n');
	write_line(atomic_load_explicit(&sink_fd, memory_order_relaxed), buf_view(b));
	buf_deinit(b);
}

void log_fields_at(enum log_level level, const char *file, int line,
		   const struct log_field *v, size_t n)
{
	struct buf b;
	bool json = atomic_load_explicit(&line_format, memory_order_relaxed) == LOG_JSON;
	if (!log_enabled(level))
		return;
	int saved_errno = errno;
	buf_init(&b, SIZE_MAX);
	add_head(&b, json, level, file, line);
	for (size_t i = 0; i < n; i++)
		add_pair(&b, json, v[i].key, v[i].value);
	add_end(&b, json);
	errno = saved_errno;
}

void log_at(struct ctx *ctx, enum log_level level, const char *file, int line,
	    const char *fmt, ...)
{
	char small[1024];
	char *msg = small;
	va_list ap, again;
	if (!log_enabled(level))
		return;
	int saved_errno = errno;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(small)) {
		size_t room = MIN((size_t)n + 1, LIMIT_ERR_TEXT_BYTES);
		msg = xmalloc(room);
		vsnprintf(msg, room, fmt, again);
	}
	va_end(again);

	struct buf b;
	buf_init(&b, SIZE_MAX);
	bool json = atomic_load_explicit(&line_format, memory_order_relaxed) == LOG_JSON;
	add_head(&b, json, level, file, line);
	add_pair(&b, json, "msg", str_of(n < 0 ? fmt : msg));
	if (ctx && (ctx->trace.id_hi || ctx->trace.id_lo)) {
		char id[33];
		snprintf(id, sizeof(id), "%016llx%016llx",
			 (unsigned long long)ctx->trace.id_hi,
			 (unsigned long long)ctx->trace.id_lo);
		add_pair(&b, json, "trace_id", str_of(id));
	}
	add_end(&b, json);
	if (msg != small)
		free(msg);
	errno = saved_errno;
}
