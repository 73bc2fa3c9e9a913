/*
 * wire/codec.h - compression, base64, digests, URLs. Decoders check the announced size
 * against `max` before they allocate, and never make more than `max` bytes. All append to
 * `out`; errors are E_CORRUPT or E_PARSE for bad input, E_LIMIT for too much of it.
 *
 * Thread  CPU (gzip and snappy of large bodies: never on a loop)
 */
#ifndef WIRE_CODEC_H
#define WIRE_CODEC_H

#include "base/arena.h"
#include "base/buf.h"

/* out needs room for the worst case (about 7/6 of the input), not only for the result. */
MUST_CHECK int snappy_block_encode(struct str in, struct buf *out, struct err *e);
MUST_CHECK int snappy_block_decode(struct str in, size_t max, struct buf *out,
				   struct err *e);
/*
 * The framed stream: chunks of at most 64 KiB, each with its CRC-32C; nothing encodes to nothing. The size is what
 * the chunks announce, checked against max and against what their bytes can hold; decoding makes exactly so much.
 */
MUST_CHECK int snappy_stream_encode(struct str in, struct buf *out, struct err *e);
MUST_CHECK int snappy_stream_size(struct str in, size_t max, size_t *n, struct err *e);
MUST_CHECK int snappy_stream_decode(struct str in, size_t max, struct buf *out,
				    struct err *e);
/* One or more gzip members; an empty input is refused. */
MUST_CHECK int gzip_decode(struct str in, size_t max, struct buf *out, struct err *e);

/* Streaming deflate for answers: feed, take what came out, finish (once, at the end). */
struct gzip_enc;
struct gzip_enc *gzip_enc_new(bool zlib_format); /* false: gzip, true: zlib ("deflate") */
void gzip_enc_free(struct gzip_enc *g);
MUST_CHECK int gzip_enc_feed(struct gzip_enc *g, struct str in, bool finish,
			     struct buf *out, struct err *e);

void base64_encode(struct str in, bool url, bool pad, struct buf *out);
/* Padding may be left out; line ends are stepped over. */
MUST_CHECK int base64_decode(struct str in, bool url, struct buf *out, struct err *e);

/* SHA-256 of all that was fed. */
struct sha256;
struct sha256 *sha256_new(void);
void sha256_feed(struct sha256 *h, struct str s);
void sha256_done(struct sha256 *h, uint8_t out[32]); /* frees */
void sha256_hmac(struct str key, struct str s, uint8_t out[32]);
/* MD5 of all that was fed: for S3, whose ETags are that. */
struct md5;
struct md5 *md5_new(void);
void md5_feed(struct md5 *h, struct str s);
void md5_done(struct md5 *h, uint8_t out[16]); /* frees */
/* Do certificate and private key, PEM both, belong together? E_INVALID says what is wrong. */
MUST_CHECK int pem_pair_check(struct str cert, struct str key, struct err *e);
/* Lower-case hex: 2 * n characters and NUL. */
void hex_encode(const uint8_t *p, size_t n, char *out);

/* bcrypt hashes "$2a$", "$2b$", "$2y$": 60 characters. matches costs tens of ms: never on a loop. */
bool bcrypt_is_hash(struct str hash);
bool bcrypt_matches(struct str hash, struct str password);

/* URL */
struct url {
	struct str scheme, user, host, port, path, query; /* views; host without [] */
};
/*
 * scheme://[user[:password]@]host[:port][/path][?query][#fragment]. Parts that are absent
 * are empty; nothing is unescaped; the fragment is dropped. Blanks and control characters
 * are refused.
 */
MUST_CHECK int url_parse(struct str s, struct url *out, struct err *e);
/* application/x-www-form-urlencoded: all but A-Z a-z 0-9 - _ . ~ escaped, a blank is '+'. */
void url_escape_query(struct str s, struct buf *out);
/* The same with %20 for a blank; '/' stays: a whole path. */
void url_escape_path(struct str s, struct buf *out);
/* The same with '/' escaped: one segment of a path. */
void url_escape_segment(struct str s, struct buf *out);
/* Percent-decode (plus: '+' is a blank) into the arena; false on a bad escape. A text
 * without escapes is returned as it is. */
bool url_unescape(struct arena *a, struct str s, bool plus, struct str *out);
/* Next "k=v" of a query string or form; false at its end. Pieces with a bad escape or a
 * ';' set *bad (which is never cleared) and are left out. */
bool url_query_next(struct arena *a, struct str *rest, struct str *k, struct str *v,
		    bool *bad);

#endif
