/*
 * rpc/rpc_status.c - status codes and the texts of gRPC headers: grpc-message, grpc-timeout, paths.
 *
 * Source  "gRPC over HTTP2" (grpc/grpc doc/PROTOCOL-HTTP2.md), "HTTP to gRPC Status Code Mapping".
 */
#include "base/time.h"
#include "proto/reflect.h"
#include "rpc/rpc_int.h"

static const struct {
	enum rpc_code rpc;
	enum err_code err;
	const char *name;
} codes[] = {
	{ RPC_OK, E_OK, "OK" },
	{ RPC_CANCELLED, E_CANCELLED, "Canceled" },
	{ RPC_UNKNOWN, E_REMOTE, "Unknown" },
	{ RPC_INVALID_ARGUMENT, E_INVALID, "InvalidArgument" },
	{ RPC_DEADLINE_EXCEEDED, E_TIMEOUT, "DeadlineExceeded" },
	{ RPC_NOT_FOUND, E_NOT_FOUND, "NotFound" },
	{ RPC_ALREADY_EXISTS, E_EXISTS, "AlreadyExists" },
	{ RPC_PERMISSION_DENIED, E_DENIED, "PermissionDenied" },
	{ RPC_RESOURCE_EXHAUSTED, E_LIMIT, "ResourceExhausted" },
	{ RPC_FAILED_PRECONDITION, E_INVALID, "FailedPrecondition" },
	{ RPC_ABORTED, E_ABORTED, "Aborted" },
	{ RPC_OUT_OF_RANGE, E_INVALID, "OutOfRange" },
	{ RPC_UNIMPLEMENTED, E_UNSUPPORTED, "Unimplemented" },
	{ RPC_INTERNAL, E_INTERNAL, "Internal" },
	{ RPC_UNAVAILABLE, E_UNAVAILABLE, "Unavailable" },
	{ RPC_DATA_LOSS, E_CORRUPT, "DataLoss" },
	{ RPC_UNAUTHENTICATED, E_DENIED, "Unauthenticated" },
};

enum rpc_code rpc_code_of_err(enum err_code c)
{
	switch (c) {
	case E_PARSE: return RPC_INVALID_ARGUMENT;
	case E_NOSPACE: return RPC_RESOURCE_EXHAUSTED;
	case E_IO: return RPC_UNAVAILABLE;
	case E_LOCKED: return RPC_FAILED_PRECONDITION;
	case E_EXEC: return RPC_UNKNOWN;
	case E_UNSUPPORTED: return RPC_UNKNOWN; /* Unimplemented means: no such method */
	default: break;
	}
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (codes[i].err == c)
			return codes[i].rpc;
	return RPC_UNKNOWN;
}

enum err_code rpc_code_to_err(enum rpc_code c)
{
	return (size_t)c < ARRAY_LEN(codes) ? codes[c].err : E_REMOTE;
}

const char *rpc_code_name(enum rpc_code c)
{
	return (size_t)c < ARRAY_LEN(codes) ? codes[c].name : "Unknown";
}

enum rpc_code rpc_code_of_http(unsigned status)
{
	switch (status) {
	case 400: return RPC_INTERNAL;
	case 401: return RPC_UNAUTHENTICATED;
	case 403: return RPC_PERMISSION_DENIED;
	case 404: return RPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504: return RPC_UNAVAILABLE;
	default: return RPC_UNKNOWN;
	}
}

enum rpc_code rpc_code_of_h2(uint32_t h2_error)
{
	switch (h2_error) {
	case NGHTTP2_REFUSED_STREAM: return RPC_UNAVAILABLE;
	case NGHTTP2_CANCEL: return RPC_CANCELLED;
	case NGHTTP2_ENHANCE_YOUR_CALM: return RPC_RESOURCE_EXHAUSTED;
	case NGHTTP2_INADEQUATE_SECURITY: return RPC_PERMISSION_DENIED;
	default: return RPC_INTERNAL;
	}
}

/* ---- grpc-message ---- */

void rpc_message_encode(struct str text, struct buf *out)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = (uint8_t)text.p[i];
		if (c >= 0x20 && c < 0x7f && c != '%') {
			buf_byte(out, c);
			continue;
		}
		buf_byte(out, '%');
		buf_byte(out, (uint8_t)hex[c >> 4]);
		buf_byte(out, (uint8_t)hex[c & 15]);
	}
}

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t rpc_message_decode(struct str text, char *out, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n && n + 1 < cap; i++) {
		char c = text.p[i];
		if (c == '%' && i + 2 < text.n && hex_of(text.p[i + 1]) >= 0 &&
		    hex_of(text.p[i + 2]) >= 0) {
			c = (char)(hex_of(text.p[i + 1]) << 4 | hex_of(text.p[i + 2]));
			i += 2;
		}
		out[n++] = c ? c : ' ';
	}
	out[n] = '\0';
	return n;
}

/* ---- grpc-timeout ---- */

static const struct {
	char unit;
	uint64_t ns;
} units[] = { { 'n', 1 },	 { 'u', 1000 },		 { 'm', NS_PER_MS },
	      { 'S', NS_PER_S }, { 'M', 60 * NS_PER_S }, { 'H', 3600 * NS_PER_S } };

bool rpc_timeout_parse(struct str s, uint64_t *ns)
{
	uint64_t v;

	if (s.n < 2 || s.n > 9 || s.p[0] == '+' ||
	    !str_to_u64((struct str){ s.p, s.n - 1 }, &v))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (units[i].unit == s.p[s.n - 1]) {
			*ns = v > UINT64_MAX / units[i].ns ? UINT64_MAX : v * units[i].ns;
			return true;
		}
	return false;
}

void rpc_timeout_format(uint64_t ns, char out[16])
{
	for (size_t i = 0;; i++) {
		uint64_t v = ns / units[i].ns + (ns % units[i].ns != 0);
		if (v <= 99999999 || i + 1 == ARRAY_LEN(units)) {
			size_t n = 0;
			char digits[24];
			v = MIN(v, 99999999ull);
			do
				digits[n++] = (char)('0' + v % 10);
			while (v /= 10);
			for (size_t k = 0; k < n; k++)
				out[k] = digits[n - 1 - k];
			out[n] = units[i].unit;
			out[n + 1] = '\0';
			return;
		}
	}
}

/* ---- paths ---- */

bool rpc_path_split(struct str path, struct str *service, struct str *method)
{
	if (path.n < 2 || path.p[0] != '/')
		return false;
	path = str_from(path, 1);
	ptrdiff_t slash = -1;
	for (size_t i = 0; i < path.n; i++)
		if (path.p[i] == '/')
			slash = (ptrdiff_t)i;
	if (slash < 0)
		return false;
	*service = str_n(path.p, (size_t)slash);
	*method = str_from(path, (size_t)slash + 1);
	return true;
}

struct str rpc_path_type(struct str path)
{
	const struct pf_method *m = pf_method_by_path(path);

	if (!m || (m->server_stream && !m->client_stream))
		return STR("server_stream");
	if (m->client_stream)
		return m->server_stream ? STR("bidi_stream") : STR("client_stream");
	return STR("unary");
}
