/*
 * base/limits.h - every maximum that guards an allocation or a recursion whose size outsiders choose.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#define LIMIT_PROMQL_DEPTH 200
#define LIMIT_YAML_DEPTH   64
#define LIMIT_YAML_NODES   1000000
#define LIMIT_JSON_DEPTH   64
#define LIMIT_PROTO_DEPTH  32

#define LIMIT_CONFIG_BYTES	 (1u << 20)  /* a YAML or small JSON file */
#define LIMIT_META_BYTES	 (16u << 20) /* a block's meta.json */
#define LIMIT_HTTP_HEADER_BYTES	 (64u << 10) /* request line and headers */
#define LIMIT_HTTP_BODY_BYTES	 (10u << 20) /* a request's form body */
#define LIMIT_HTTP_CONNS	 16384
#define LIMIT_HTTP2_STREAMS	 100u	     /* requests at a time on one connection */
#define LIMIT_RPC_REQUEST_BYTES	 (16u << 20) /* a StoreAPI request */
#define LIMIT_RPC_MESSAGE_BYTES	 (1u << 30)  /* a StoreAPI answer message */
#define LIMIT_REMOTE_READ_FRAME	 (50u << 20) /* a frame of a streamed remote read */
#define LIMIT_REMOTE_READ_BYTES	 (1u << 30)  /* a sampled remote read, a list of labels */
#define LIMIT_LABELS_PER_SERIES	 (64u << 10)
#define LIMIT_REGEX_BYTES	 (64u << 10)
#define LIMIT_MATCHERS		 1000u	     /* of a StoreAPI request */
#define LIMIT_CHUNK_BYTES	 (16u << 20) /* one chunk's data */
#define LIMIT_SERIES_ENTRY_BYTES (64u << 20) /* one series entry of an index */
#define LIMIT_NOTES		 10000	     /* warnings and infos a request keeps */
#define LIMIT_NOTES_BYTES	 (4u << 20)  /* of them, together */
#define LIMIT_ERR_TEXT_BYTES	 (1u << 20)

#endif
