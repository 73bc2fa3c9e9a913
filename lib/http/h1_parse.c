/*
 * http/h1_parse.c - llhttp's callbacks gathered into whole requests.
 *
 * llhttp keeps nothing: names and values come in pieces as the input is cut. The pieces of a head are
 * appended to one buffer, with offsets beside it, and are copied into the request's arena once the head is
 * complete, when their number and size are known. The body grows in a buffer of its own with its maximum.
 *
 * llhttp is stopped after the head and after the message, so that bytes of the next request stay with the
 * caller; every request starts it afresh, hence nothing of one message reaches the next.
 *
 * Beyond llhttp (RFC 9112): a name must be a token, so a blank before the colon is refused however llhttp was
 * built; Transfer-Encoding only as the one word "chunked", never beside Content-Length nor in HTTP/1.0, because
 * what two parsers read differently is how requests are smuggled; one Host in HTTP/1.1; no folded
 * header lines. An Upgrade is the connection's affair.
 */
#include "http/h1_parse.h"

#include <llhttp.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/vec.h"

#define MAX_HEADERS 512u

enum phase { PHASE_HEAD, PHASE_BODY, PHASE_DONE, PHASE_BAD };

struct field { /* offsets into head */
	uint32_t name, name_n, value, value_n;
};

struct h1_parser {
	llhttp_t ll;
	struct arena *arena;
	struct budget *budget;
	size_t max_body, charged;
	enum phase phase;
	bool started, in_value, trailers;
	/* the lines of the head, see scan_lines */
	bool line_seen, request_line_done, lines_done;
	uint8_t last;
	size_t line_n;
	size_t raw; /* bytes taken, head and framing, too */
	struct buf head, body;
	uint32_t target_n;
	struct field *fields;
	size_t n_fields, cap_fields;
	struct h1_head out;
	int status;
	const char *why;
};

static int fault(struct h1_parser *p, int status, const char *why)
{
	if (!p->status) {
		p->status = status;
		p->why = why;
	}
	return HPE_USER;
}

/* ---- callbacks ---- */

static int on_begin(llhttp_t *ll)
{
	((struct h1_parser *)ll->data)->started = true;
	return 0;
}

static int on_url(llhttp_t *ll, const char *at, size_t n)
{
	struct h1_parser *p = ll->data;
	buf_add(&p->head, at, n);
	if (p->head.failed)
		return fault(p, 414, "request target too long");
	p->target_n += (uint32_t)n;
	return 0;
}

static bool is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static int on_field(llhttp_t *ll, const char *at, size_t n)
{
	struct h1_parser *p = ll->data;
	if (p->trailers)
		return 0;
	if (p->n_fields == 0 || p->in_value) {
		if (p->n_fields == MAX_HEADERS)
			return fault(p, 431, "too many header fields");
		if (p->n_fields == p->cap_fields)
			p->fields = vec_grow(p->fields, &p->cap_fields, p->n_fields + 1,
					     sizeof(*p->fields));
		p->fields[p->n_fields++] = (struct field){ (uint32_t)p->head.n, 0, 0, 0 };
		p->in_value = false;
	}
	uint8_t *to = buf_room(&p->head, n);
	if (!to)
		return fault(p, 431, "request header too large");
	for (size_t i = 0; i < n; i++) {
		if (!is_token(at[i]))
			return fault(p, 400, "invalid header field name");
		to[i] = (uint8_t)(at[i] >= 'A' && at[i] <= 'Z' ? at[i] + 32 : at[i]);
	}
	buf_commit(&p->head, n);
	p->fields[p->n_fields - 1].name_n += (uint32_t)n;
	return 0;
}

static int on_value(llhttp_t *ll, const char *at, size_t n)
{
	struct h1_parser *p = ll->data;
	if (p->trailers)
		return 0;
	if (p->n_fields == 0)
		return fault(p, 400, "malformed header");
	struct field *f = &p->fields[p->n_fields - 1];
	if (!p->in_value) {
		p->in_value = true;
		f->value = (uint32_t)p->head.n;
	}
	for (size_t i = 0; i < n; i++)
		if (((uint8_t)at[i] < 0x20 && at[i] != '\t') || at[i] == 0x7f)
			return fault(p, 400, "control character in a header value");
	buf_add(&p->head, at, n);
	if (p->head.failed)
		return fault(p, 431, "request header too large");
	f->value_n += (uint32_t)n;
	return 0;
}

/* An empty value has no on_value call: the next name must not be glued to this one. */
static int on_field_complete(llhttp_t *ll)
{
	struct h1_parser *p = ll->data;
	if (p->trailers)
		return 0;
	if (p->n_fields == 0 || p->in_value || p->fields[p->n_fields - 1].name_n == 0)
		return fault(p, 400, "empty header field name");
	p->fields[p->n_fields - 1].value = (uint32_t)p->head.n;
	p->in_value = true;
	return 0;
}

static int copy_head(struct h1_parser *p)
{
	struct err e = ERR_INIT;
	struct h1_head *h = &p->out;
	char *text = arena_try(p->arena, NULL, p->head.n + 1, &e);
	h->headers = text ? arena_try(p->arena, NULL,
				      p->n_fields * sizeof(*h->headers) + 1, &e)
			  : NULL;
	if (!h->headers)
		return fault(p, 503, "out of memory for the request header");
	if (p->head.n)
		memcpy(text, p->head.p, p->head.n);
	h->target = str_n(text, p->target_n);
	h->n_headers = p->n_fields;
	for (size_t i = 0; i < p->n_fields; i++) {
		const struct field *f = &p->fields[i];
		h->headers[i].k = str_n(text + f->name, f->name_n);
		h->headers[i].v = str_trim(str_n(text + f->value, f->value_n));
	}
	return 0;
}

/* What the head says about the connection and the body. */
static int judge_head(struct h1_parser *p)
{
	struct h1_head *h = &p->out;
	unsigned hosts = 0, lengths = 0, codings = 0;
	for (size_t i = 0; i < h->n_headers; i++) {
		struct str k = h->headers[i].k, v = h->headers[i].v;
		if (str_eqz(k, "host")) {
			hosts++;
		} else if (str_eqz(k, "content-length")) {
			lengths++;
		} else if (str_eqz(k, "transfer-encoding")) {
			codings++;
			if (!str_eq_nocase(v, STR("chunked")))
				return fault(p, 501, "unsupported transfer encoding");
		} else if (str_eqz(k, "expect") && h->minor >= 1) {
			if (!str_eq_nocase(v, STR("100-continue")))
				return fault(p, 417, "unknown expectation");
			h->expect_continue = true;
		}
	}
	if (codings > 1 || lengths > 1 || (codings && lengths) ||
	    (codings && h->minor == 0))
		return fault(p, 400, "ambiguous message length");
	if (hosts > 1 || (h->minor >= 1 && hosts == 0))
		return fault(p, 400, "missing required Host header");
	h->has_body = codings > 0 || (lengths > 0 && p->ll.content_length > 0);
	if (lengths && p->ll.content_length > p->max_body)
		return fault(p, 413, "request body too large");
	return 0;
}

static int on_head(llhttp_t *ll)
{
	struct h1_parser *p = ll->data;
	ll->upgrade =
		0; /* the offer is judged by the connection once the request is whole */
	if (ll->http_major != 1 || ll->http_minor > 1)
		return fault(p, 505, "unsupported HTTP version");
	p->out.method = str_of(llhttp_method_name((llhttp_method_t)ll->method));
	p->out.minor = ll->http_minor;
	p->out.keep_alive = llhttp_should_keep_alive(ll) != 0;
	p->trailers = true;
	int rc = copy_head(p);
	if (rc == 0)
		rc = judge_head(p);
	if (rc != 0)
		return rc;
	p->phase = p->out.has_body ? PHASE_BODY : PHASE_DONE;
	return HPE_PAUSED;
}

static int on_body(llhttp_t *ll, const char *at, size_t n)
{
	struct h1_parser *p = ll->data;
	struct err e = ERR_INIT;
	if (n > p->max_body - p->body.n)
		return fault(p, 413, "request body too large");
	if (budget_take(p->budget, NULL, n, &e) < 0)
		return fault(p, 503, "out of memory for the request body");
	p->charged += n;
	buf_add(&p->body, at, n);
	return 0;
}

static int on_complete(llhttp_t *ll)
{
	((struct h1_parser *)ll->data)->phase = PHASE_DONE;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_message_begin = on_begin,
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_field_complete = on_field_complete,
	.on_header_value = on_value,
	.on_headers_complete = on_head,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

/* ---- public ---- */

struct h1_parser *h1_new(size_t max_body)
{
	struct h1_parser *p = xcalloc(1, sizeof(*p));
	p->max_body = max_body;
	buf_init(&p->head, LIMIT_HTTP_HEADER_BYTES);
	buf_init(&p->body, max_body);
	return p;
}

static void drop_body(struct h1_parser *p)
{
	size_t charged;
	free(h1_take_body(p, &charged));
	if (charged) /* else the budget may be gone with its request */
		budget_give(p->budget, charged);
}

void h1_free(struct h1_parser *p)
{
	if (!p)
		return;
	drop_body(p);
	buf_deinit(&p->head);
	buf_deinit(&p->body);
	free(p->fields);
	free(p);
}

void h1_begin(struct h1_parser *p, struct arena *a, struct budget *body_budget)
{
	drop_body(p);
	buf_reset(&p->head);
	llhttp_init(&p->ll, HTTP_REQUEST, &settings);
	p->ll.data = p;
	p->arena = a;
	p->budget = body_budget;
	p->phase = PHASE_HEAD;
	p->started = p->in_value = p->trailers = false;
	p->line_seen = p->request_line_done = p->lines_done = false;
	p->last = 0;
	p->line_n = 0;
	p->raw = 0;
	p->target_n = 0;
	p->n_fields = 0;
	p->out = (struct h1_head){ 0 };
	p->status = 0;
	p->why = NULL;
}

static enum h1_event bad(struct h1_parser *p, int status, const char *why)
{
	fault(p, status, why);
	p->phase = PHASE_BAD;
	return H1_BAD;
}

/*
 * The head's lines end in CR LF, none is continued, single blanks part the words of the first one: what
 * llhttp lets pass of these differs with its build.
 */
static bool scan_lines(struct h1_parser *p, const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n && !p->lines_done; i++) {
		uint8_t c = data[i];
		if ((c == '\n') != (p->last == '\r'))
			return false;
		if (c == '\n') {
			p->lines_done = p->request_line_done && p->line_n == 0;
			p->request_line_done = p->line_seen;
			p->line_n = 0;
		} else if (c != '\r') {
			if (p->request_line_done
				    ? p->line_n == 0 && (c == ' ' || c == '\t')
				    : c == ' ' && p->last == ' ')
				return false;
			p->line_n++;
			p->line_seen = true;
		}
		p->last = c;
	}
	return true;
}

enum h1_event h1_feed(struct h1_parser *p, const uint8_t *data, size_t n, size_t *used)
{
	*used = 0;
	if (p->phase == PHASE_BAD)
		return H1_BAD;
	if (p->phase == PHASE_DONE)
		return H1_DONE;
	if (n == 0)
		return H1_MORE;
	enum phase before = p->phase;
	if (before == PHASE_HEAD && !scan_lines(p, data, n)) {
		*used = n;
		return bad(p, 400, "malformed line in the request header");
	}
	llhttp_errno_t rc = llhttp_execute(&p->ll, (const char *)data, n);
	*used = n;
	if (rc == HPE_PAUSED) {
		*used = (size_t)(llhttp_get_error_pos(&p->ll) - (const char *)data);
		llhttp_resume(&p->ll);
		return before == PHASE_HEAD ? H1_HEAD : H1_DONE;
	}
	if (rc != HPE_OK)
		return bad(p, 400, "malformed request");
	p->raw += n;
	/* Blanks, trailers and chunk extensions reach no callback, yet must end some time. */
	if (p->phase == PHASE_HEAD && p->raw > 2 * LIMIT_HTTP_HEADER_BYTES)
		return bad(p, 431, "request header too large");
	if (p->phase == PHASE_BODY && p->raw / 8 > p->max_body + LIMIT_HTTP_HEADER_BYTES)
		return bad(p, 413, "request body too large");
	return H1_MORE;
}

bool h1_started(const struct h1_parser *p)
{
	return p->started;
}

const struct h1_head *h1_head(const struct h1_parser *p)
{
	return &p->out;
}

struct str h1_body(const struct h1_parser *p)
{
	return buf_view(&p->body);
}

uint8_t *h1_take_body(struct h1_parser *p, size_t *n_charged)
{
	uint8_t *b = p->body.p;
	*n_charged = p->charged;
	p->charged = 0;
	buf_init(&p->body, p->max_body);
	return b;
}

int h1_fault(const struct h1_parser *p, const char **why)
{
	*why = p->why;
	return p->status;
}
