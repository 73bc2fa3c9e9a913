/*
 * Signatures against the examples that AWS publishes for S3 ("Signature Calculations for the Authorization Header",
 * "Authenticating Requests: Using Query Parameters"), and listings in XML.
 */
#include <stdlib.h>

#include "objstore/s3_int.h"
#include "support/tst.h"
#include "wire/xml.h"

#define EMPTY STR(S3_EMPTY_SHA256)
#define HOST                                                                             \
	{                                                                                \
		STR("host"), STR("examplebucket.s3.amazonaws.com")                       \
	}
#define DATE                                                                             \
	{                                                                                \
		STR("x-amz-date"), STR("20130524T000000Z")                               \
	}

static const struct s3_keys keys = { { "AKIAIOSFODNN7EXAMPLE", 20 },
				     { "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 40 },
				     { NULL, 0 } };

static void signs(struct s3_sign_req r, const char *want)
{
	struct arena a;
	arena_init(&a, NULL);
	r.region = STR("us-east-1");
	r.service = STR("s3");
	r.time_s = 1369353600; /* 2013-05-24 */
	struct str got = s3_authorization(&a, &r, &keys);
	cr_assert(str_has_suffix(got, str_of(want)), "%.*s, want %s", STR_FMT(got), want);
	cr_assert(str_has_prefix(
		got,
		STR("AWS4-HMAC-SHA256 "
		    "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,")));
	arena_deinit(&a);
}

Test(s3_sign, gives_the_published_signatures)
{
	struct s3_kv get[] = { HOST,
			       { STR("range"), STR("bytes=0-9") },
			       { STR("x-amz-content-sha256"), EMPTY },
			       DATE };
	signs((struct s3_sign_req){ .method = "GET",
				    .path = STR("/test.txt"),
				    .headers = get,
				    .n_headers = 4,
				    .payload_hash = EMPTY },
	      "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature="
	      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
	struct str hash =
		STR("44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
	struct s3_kv put[] = { { STR("x-amz-storage-class"), STR("REDUCED_REDUNDANCY") },
			       DATE,
			       HOST,
			       { STR("date"), STR("Fri, 24 May 2013 00:00:00 GMT") },
			       { STR("x-amz-content-sha256"), hash } };
	signs((struct s3_sign_req){ .method = "PUT",
				    .path = STR("/test$file.text"),
				    .headers = put,
				    .n_headers = 5,
				    .payload_hash = hash },
	      "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
	struct s3_kv plain[] = { HOST, { STR("x-amz-content-sha256"), EMPTY }, DATE };
	struct s3_kv life = { STR("lifecycle"), STR("") };
	signs((struct s3_sign_req){ .method = "GET",
				    .path = STR("/"),
				    .query = &life,
				    .n_query = 1,
				    .headers = plain,
				    .n_headers = 3,
				    .payload_hash = EMPTY },
	      "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
	struct s3_kv list[] = { { STR("prefix"), STR("J") },
				{ STR("max-keys"), STR("2") } };
	signs((struct s3_sign_req){ .method = "GET",
				    .path = STR("/"),
				    .query = list,
				    .n_query = 2,
				    .headers = plain,
				    .n_headers = 3,
				    .payload_hash = EMPTY },
	      "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

Test(s3_sign, gives_the_published_query)
{
	struct arena a;
	struct s3_kv host = HOST;
	struct s3_sign_req r = { .method = "GET",
				 .path = STR("/test.txt"),
				 .headers = &host,
				 .n_headers = 1,
				 .payload_hash = STR("UNSIGNED-PAYLOAD"),
				 .region = STR("us-east-1"),
				 .service = STR("s3"),
				 .time_s = 1369353600 };
	arena_init(&a, NULL);
	struct str q = s3_presigned_query(&a, &r, &keys, 86400);
	cr_assert(
		str_eqz(q,
			"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE"
			"%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
			"&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
			"aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"),
		"%.*s", STR_FMT(q));
	arena_deinit(&a);
}

Test(s3_sign, escapes_every_byte_and_sorts_as_it_must)
{
	struct buf out;
	struct s3_kv q[] = { { STR("b"), STR("/") },
			     { STR("a-"), STR(" ") },
			     { STR("a"), STR("\xc3\xa4~") },
			     { STR("a"), STR("+%") } };
	struct s3_kv h = { STR("x-amz-meta-t"), STR("  a   b  ") };
	struct s3_sign_req r = { .method = "GET",
				 .path = STR("/b/a b+c=/\xff~"),
				 .query = q,
				 .n_query = 4,
				 .headers = &h,
				 .n_headers = 1,
				 .payload_hash = STR("H") };
	buf_init(&out, 1 << 16);
	s3_canonical(&r, &out);
	cr_assert(str_eqz(buf_view(&out), "GET\n/b/a%20b%2Bc%3D/%FF~\n"
					  "a=%2B%25&a=%C3%A4~&a-=%20&b=%2F\n"
					  "x-amz-meta-t:a b\n\nx-amz-meta-t\nH"),
		  "%.*s", STR_FMT(buf_view(&out)));
	buf_deinit(&out);
}

/* ---- listings ---- */

static int parse(struct s3_page *p, struct arena *a, const char *xml, struct err *e)
{
	memset(p, 0, sizeof(*p));
	p->a = a;
	return s3_page_parse(str_of(xml), p, e);
}

Test(s3_list, reads_a_page_and_passes_over_what_is_no_name)
{
	struct s3_page p;
	struct arena a;
	struct err e = ERR_INIT;
	arena_init(&a, NULL);
	int rc = parse(&p, &a,
		       "<?xml version='1.0' encoding='UTF-8'?>\n"
		       "<ns:ListBucketResult xmlns:ns='http://s3'><Name>b</Name>"
		       "<Contents><Key>x/%C3%A4+b</Key><Size>7</Size>"
		       "<LastModified>2026-01-02T03:04:05.006Z</LastModified></Contents>"
		       "<Contents><Key>x/</Key><Size>0</Size></Contents>"
		       "<Contents><Key>a//b</Key><Size>0</Size></Contents>"
		       "<Contents><Key>a%2Fb%0A</Key><Size>1</Size></Contents>"
		       "<CommonPrefixes><Prefix>m/</Prefix></CommonPrefixes>"
		       "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
		       "<NextContinuationToken>a&amp;+/=</NextContinuationToken>"
		       "</ns:ListBucketResult>",
		       &e);
	cr_assert_eq(rc, 0, "%s", err_text(&e));
	cr_assert_eq(p.n, 3u);
	cr_assert(str_eqz(p.v[0].name, "a/b\n"));
	cr_assert(str_eqz(p.v[1].name, "m/"));
	cr_assert(p.v[1].folder);
	cr_assert(str_eqz(p.v[2].name, "x/\xc3\xa4 b"));
	cr_assert_eq(p.v[2].attrs.size, 7u);
	cr_assert_eq(p.v[2].attrs.mtime_ms, 1767323045006);
	cr_assert(p.more);
	cr_assert(str_eqz(p.next, "a&+/="));
	free(p.v);
	arena_deinit(&a);
}

Test(s3_list, refuses_broken_and_hostile_answers)
{
	static const struct {
		char xml[200], text[48];
	} rows[] = {
		{ "", "XML" },
		{ "<ListBucketResult>", "XML" },
		{ "<a></b>", "XML" },
		{ "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "DOCTYPE" },
		{ "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a>"
		  "</a></a></a></a></a></a></a></a></a></a></a>",
		  "nested" },
		{ "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents>"
		  "</ListBucketResult>",
		  "no number" },
		{ "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%2</Key>"
		  "<Size>1</Size></Contents></ListBucketResult>",
		  "badly escaped" },
	};
	struct arena a;
	arena_init(&a, NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct s3_page p;
		struct err e = ERR_INIT;
		cr_assert_eq(parse(&p, &a, rows[i].xml, &e), -1, "%s", rows[i].xml);
		cr_assert(strstr(err_text(&e), rows[i].text), "%s", err_text(&e));
		free(p.v);
	}
	arena_deinit(&a);
}

Test(s3_list, dates_of_http)
{
	cr_assert_eq(s3_http_date_ms(STR("Wed, 21 Oct 2015 07:28:00 GMT")),
		     1445412480000);
	cr_assert_eq(s3_http_date_ms(STR("Wed, 21 anO 2015 07:28:00 GMT")), 0);
	cr_assert_eq(s3_http_date_ms(STR("")), 0);
	cr_assert_eq(s3_http_date_ms(STR("yesterday")), 0);
}
