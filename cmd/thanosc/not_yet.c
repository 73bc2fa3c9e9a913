/*
 * cmd/thanosc/not_yet.c - flags that Thanos has and that are not obeyed here yet: refused by name unless their value
 * is Thanos' default. A row leaves this file when its flag is obeyed.
 */
#include "runtime.h"

#define FLAG(n, d, h)                                                                    \
	{                                                                                \
		.name = n, .type = OPT_NOT_YET, .def = d, .help = h                      \
	}
#define SWITCH(n, d, h)                                                                  \
	{                                                                                \
		.name = n, .type = OPT_NOT_YET, .def = d, .bits = OPTF_SWITCH, .help = h \
	}
#define HIDDEN(n, d, h)                                                                  \
	{                                                                                \
		.name = n, .type = OPT_NOT_YET, .def = d, .bits = OPTF_HIDDEN, .help = h \
	}
#define HIDDEN_SWITCH(n, d, h)                                                           \
	{                                                                                \
		.name = n, .type = OPT_NOT_YET, .def = d,                                \
		.bits = OPTF_HIDDEN | OPTF_SWITCH, .help = h                             \
	}
#define CONTENT(n, h) FLAG(n, "", h), FLAG(n "-file", "", h)

const struct opt not_yet_grpc_rows[] = {
	HIDDEN("debug.name", "", "Name of this process in logs."), { 0 }
};

const struct opt not_yet_store_rows[] = {
	FLAG("index-cache-size", "250MB", "Size of the index cache."),
	CONTENT("index-cache.config", "Index cache."),
	FLAG("chunk-pool-size", "2GB", "Size of the pool of chunks."),
	FLAG("matcher-cache-size", "0", "Entries of the cache of matchers."),
	SWITCH("cache-index-header", "true", "Keep index-headers on disk."),
	CONTENT("objstore-parquet.config", "Bucket of converted blocks."),
	FLAG("store.grpc.series-sample-limit", "0", "Samples of a Series call."),
	FLAG("store.grpc.touched-series-limit", "0", "Series of a Series call."),
	SWITCH("store.enable-index-header-lazy-reader", "false",
	       "Open index-headers when they are first used."),
	FLAG("store.index-header-lazy-download-strategy", "eager",
	     "When index-headers are built."),
	HIDDEN("store.index-header-lazy-reader-idle-timeout", "5m",
	       "Close index-headers that nobody used for this long."),
	HIDDEN("store.index-header-posting-offsets-in-mem-sampling", "32",
	       "Every how many posting offsets are kept in memory."),
	SWITCH("store.enable-lazy-expanded-postings", "false",
	       "Leave out long postings where few series match."),
	FLAG("store.posting-group-max-key-series-ratio", "100",
	     "Keys that make postings lazy."),
	HIDDEN("store.caching-bucket.config", "", "Cache of the bucket."),
	HIDDEN("store.caching-bucket.config-file", "", "Cache of the bucket."),
	HIDDEN("debug.series-batch-size", "10000", "Series read at a time."),
	HIDDEN("debug.estimated-max-series-size", "65536", "Bytes of a series entry."),
	HIDDEN("debug.estimated-max-chunk-size", "16000", "Bytes of a chunk."),
	{ 0 }
};

const struct opt not_yet_query_rows[] = {
	FLAG("alert.query-url", "", "URL of queries in alerts."),
	FLAG("query.partition-label", "", "Labels of distributed execution."),
	CONTENT("selector.relabel-config", "Stores by external labels."),
	HIDDEN("grpc.proxy-strategy", "eager", "How streams of stores are read."),
	HIDDEN("query.lazy-retrieval-max-buffered-responses", "20",
	       "Answers buffered a store."),
	HIDDEN_SWITCH("query.distributed-with-overlapping-interval", "false",
		      "Distributed execution."),
	{ 0 }
};
