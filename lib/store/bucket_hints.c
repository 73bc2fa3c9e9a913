/*
 * store/bucket_hints.c - the hints of StoreAPI calls: google.protobuf.Any around messages of hintspb.
 *
 *   Any { 1 type_url, 2 value }
 *   *RequestHints { 1 block_matchers { 1 type, 2 name, 3 value }, 2 enable_query_stats }
 *   *ResponseHints { 1 queried_blocks { 1 id } }
 *
 * Block matchers see one label, __block_id. Another message than the call's own is E_INVALID, as is a
 * type URL without a slash. Source  thanos.md §2.2, §2.3
 */
#include <stdio.h>

#include "store/bucket_int.h"
#include "wire/pb.h"

#define URL_PREFIX	"type.googleapis.com/hintspb."
#define MAX_HINT_BYTES	((size_t)64 << 20)
#define MAX_TYPE_NUMBER 3

static int malformed(struct ctx *ctx, const char *message, struct err *e)
{
	return err_set(ctx, e, E_INVALID, "hints: %s is not well-formed", message);
}

static int parse_matcher(struct ctx *ctx, struct arena *a, struct str in,
			 const char *message, struct matcher *out, struct err *e)
{
	struct rd r = rd_of(in);
	struct str name = STR(""), value = STR("");
	struct pb_field f;
	uint64_t type = 0;
	int rc;
	while ((rc = pb_next(&r, &f)) > 0) {
		if (f.num == 1 && f.wire == PB_VARINT)
			type = f.u;
		else if (f.num == 2 && f.wire == PB_BYTES)
			name = f.bytes;
		else if (f.num == 3 && f.wire == PB_BYTES)
			value = f.bytes;
	}
	if (rc < 0)
		return malformed(ctx, message, e);
	if (type > MAX_TYPE_NUMBER)
		return err_set(ctx, e, E_INVALID,
			       "hints: unrecognized label matcher type %llu",
			       (unsigned long long)type);
	return matcher_compile(ctx, a, (enum match_type)type, name, value, out, e);
}

static int parse_matchers(struct ctx *ctx, struct arena *a, struct str in,
			  const char *message, struct matcher **out, size_t *n,
			  struct err *e)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	size_t count = 0;
	int rc;
	while ((rc = pb_next(&r, &f)) > 0)
		count += f.num == 1 && f.wire == PB_BYTES;
	if (rc < 0)
		return malformed(ctx, message, e);
	*out = arena_try(a, ctx, (count + 1) * sizeof(**out), e);
	if (!*out)
		return -1;
	r = rd_of(in);
	while (pb_next(&r, &f) > 0) {
		if (f.num != 1 || f.wire != PB_BYTES)
			continue;
		if (parse_matcher(ctx, a, f.bytes, message, &(*out)[*n], e) < 0)
			return -1;
		++*n;
	}
	return 0;
}

int bucket_hints_parse(struct ctx *ctx, struct arena *a, struct str any,
		       const char *message, struct matcher **out, size_t *n,
		       struct err *e)
{
	struct rd r = rd_of(any);
	struct str url = STR(""), value = STR("");
	struct pb_field f;
	int rc;
	*out = NULL;
	*n = 0;
	if (any.n == 0)
		return 0;
	while ((rc = pb_next(&r, &f)) > 0) {
		if (f.num == 1 && f.wire == PB_BYTES)
			url = f.bytes;
		else if (f.num == 2 && f.wire == PB_BYTES)
			value = f.bytes;
	}
	if (rc < 0)
		return malformed(ctx, "Any", e);
	/* Only what is behind the last slash names the message. */
	size_t slash = url.n;
	while (slash > 0 && url.p[slash - 1] != '/')
		slash--;
	if (slash == 0)
		return err_set(
			ctx, e, E_INVALID,
			"unmarshal request hints: message type url \"%.*s\" is invalid",
			STR_FMT(url));
	struct str type = str_from(url, slash);
	if (!str_has_prefix(type, STR("hintspb.")) ||
	    !str_eqz(str_from(type, 8), message))
		return err_set(ctx, e, E_INVALID,
			       "unmarshal request hints: \"%.*s\" is not hintspb.%s",
			       STR_FMT(type), message);
	return parse_matchers(ctx, a, value, message, out, n, e);
}

int bucket_hints_blocks(struct ctx *ctx, struct arena *a, const char *message,
			const struct bucket_pick *v, size_t n, struct str *any,
			struct err *e)
{
	char url[128];
	struct buf value, out;
	snprintf(url, sizeof(url), URL_PREFIX "%s", message);
	buf_init(&value, MAX_HINT_BYTES);
	buf_init(&out, MAX_HINT_BYTES);
	for (size_t i = 0; i < n; i++) {
		struct str id = str_of(v[i].entry->id);
		pb_put_tag(&value, 1, PB_BYTES);
		buf_byte(&value, (uint8_t)pb_size_bytes(1, id.n)); /* 28: one byte */
		pb_put_bytes(&value, 1, id);
	}
	pb_put_bytes(&out, 1, str_of(url));
	if (value.n)
		pb_put_bytes(&out, 2, buf_view(&value));
	int rc = buf_check(&value, ctx, "hints", e);
	if (rc == 0)
		rc = buf_check(&out, ctx, "hints", e);
	if (rc == 0)
		*any = str_dup(a, buf_view(&out));
	buf_deinit(&out);
	buf_deinit(&value);
	return rc;
}
