/*
 * objstore/s3_list.c - listings: ListObjectsV2 (or the first version), page by page, XML into entries.
 *
 * A page holds objects and common prefixes in two runs; sorted together they continue the page before. Keys are
 * asked for URL-encoded, since XML cannot hold every byte. Objects that are no names of ours ("x/", made by consoles
 * to look like folders) are passed over.
 */
#include <stdlib.h>

#include "base/time.h"
#include "base/vec.h"
#include "objstore/s3_int.h"
#include "wire/codec.h"
#include "wire/xml.h"

static int on_begin(void *arg, struct str path, struct err *e UNUSED)
{
	struct s3_page *p = arg;
	if (str_eqz(path, "ListBucketResult/Contents"))
		p->cur = (struct bucket_entry){ 0 };
	return 0;
}

static int text_of(struct s3_page *p, struct str text, struct str *out, struct err *e)
{
	struct str copy = str_dup(p->a, text);
	if (p->url_encoded && !url_unescape(p->a, copy, true, &copy))
		return err_set(NULL, e, E_REMOTE, "listing: a name is badly escaped");
	*out = copy;
	return 0;
}

static void add(struct s3_page *p, const struct bucket_entry *x)
{
	if (p->n == p->cap)
		p->v = vec_grow(p->v, &p->cap, p->n + 1, sizeof(*p->v));
	p->v[p->n++] = *x;
}

static int on_end(void *arg, struct str path, struct str text, struct err *e)
{
	struct s3_page *p = arg;
	const struct str root = STR("ListBucketResult/");
	if (!str_has_prefix(path, root))
		return 0;
	path = str_from(path, root.n);
	if (str_eqz(path, "EncodingType"))
		p->url_encoded = str_eqz(text, "url");
	else if (str_eqz(path, "IsTruncated"))
		p->more = str_eqz(str_trim(text), "true");
	else if (str_eqz(path, "NextContinuationToken"))
		p->next = str_dup(p->a, text);
	else if (str_eqz(path, "NextMarker"))
		p->marker = str_dup(p->a, text);
	else if (str_eqz(path, "Contents/Key"))
		p->cur.name = str_dup(p->a, text);
	else if (str_eqz(path, "Contents/Size") &&
		 !str_to_u64(str_trim(text), &p->cur.attrs.size))
		return err_set(NULL, e, E_REMOTE, "listing: a size is no number");
	else if (str_eqz(path, "Contents/LastModified")) {
		int64_t s;
		uint32_t ns;
		if (time_parse_rfc3339(str_trim(text), &s, &ns))
			p->cur.attrs.mtime_ms = s * 1000 + ns / 1000000;
	} else if (str_eqz(path, "Contents")) {
		add(p, &p->cur);
	} else if (str_eqz(path, "CommonPrefixes/Prefix")) {
		struct bucket_entry x = { .name = str_dup(p->a, text), .folder = true };
		add(p, &x);
	}
	return 0;
}

int s3_page_parse(struct str xml, struct s3_page *p, struct err *e)
{
	struct xml_events ev = { on_begin, on_end, p };
	if (xml_walk(xml, &ev, e) < 0)
		return err_wrap(NULL, e, "listing");
	/* EncodingType may come behind the names it is about. */
	size_t kept = 0;
	for (size_t i = 0; i < p->n; i++) {
		if (text_of(p, p->v[i].name, &p->v[i].name, e) < 0)
			return -1;
		if (!bucket_name_fault(p->v[i].name, p->v[i].folder))
			p->v[kept++] = p->v[i];
	}
	p->n = kept;
	if (p->marker.n && text_of(p, p->marker, &p->next, e) < 0)
		return -1;
	bucket_entries_sort(p->v, p->n);
	return 0;
}

static int fetch_page(struct s3_bucket *b, struct ctx *ctx, struct str prefix,
		      bool recursive, struct s3_page *p, struct str from, struct err *e)
{
	bool v1 = str_eqz(b->list_version, "v1");
	struct s3_kv q[6];
	size_t n = 0;
	struct buf xml;
	struct http_answer ans;
	if (!v1)
		q[n++] = (struct s3_kv){ STR("list-type"), STR("2") };
	q[n++] = (struct s3_kv){ STR("encoding-type"), STR("url") };
	q[n++] = (struct s3_kv){ STR("prefix"), prefix };
	if (!recursive)
		q[n++] = (struct s3_kv){ STR("delimiter"), STR("/") };
	if (from.n)
		q[n++] = (struct s3_kv){ v1 ? STR("marker") : STR("continuation-token"),
					 from };
	struct s3_req r = { .method = "GET", .query = q, .n_query = n };
	buf_init(&xml, S3_XML_BYTES);
	int rc = s3_call(b, ctx, p->a, &r, &ans, &xml, e);
	if (rc == 0)
		rc = s3_page_parse(buf_view(&xml), p, e);
	buf_deinit(&xml);
	return rc;
}

static int hand_over(const struct s3_page *p,
		     int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
			       struct err *e),
		     void *arg, struct err *e)
{
	for (size_t i = 0; i < p->n; i++)
		if (fn(arg, p->v[i].name, p->v[i].folder ? NULL : &p->v[i].attrs, e) < 0)
			return -1;
	return 0;
}

int s3_iter(struct bucket *base, struct ctx *ctx, struct str dir, bool recursive,
	    int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
		      struct err *e),
	    void *arg, struct err *e)
{
	struct s3_bucket *b = s3_self(base);
	struct arena arenas[2]; /* a page's, and that of the page its token comes from */
	struct str from = STR_NULL;
	bool more = true;
	int rc = 0;
	arena_init(&arenas[0], NULL);
	arena_init(&arenas[1], NULL);
	for (unsigned i = 0; rc == 0 && more; i ^= 1) {
		struct s3_page p = { .a = &arenas[i] };
		arena_reset(p.a);
		struct str prefix = dir.n ? str_fmt(p.a, "%.*s/", STR_FMT(dir)) : STR("");
		rc = fetch_page(b, ctx, prefix, recursive, &p, from, e);
		if (rc == 0)
			rc = hand_over(&p, fn, arg, e);
		more = p.more;
		if (p.next.n == 0 && p.n) /* version 1 without a delimiter */
			p.next = p.v[p.n - 1].name;
		if (rc == 0 && more && (p.next.n == 0 || str_eq(p.next, from)))
			rc = err_set(ctx, e, E_REMOTE,
				     "the listing is cut without a place to go on from");
		from = p.next;
		free(p.v);
	}
	arena_deinit(&arenas[0]);
	arena_deinit(&arenas[1]);
	return rc;
}
