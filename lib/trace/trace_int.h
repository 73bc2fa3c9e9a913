/*
 * trace/trace_int.h - what the files of trace share.
 */
#ifndef TRACE_TRACE_INT_H
#define TRACE_TRACE_INT_H

#include <pthread.h>

#include "http/http.h"
#include "net/tls.h"
#include "rpc/rpc.h"
#include "trace/trace.h"

#define TRACE_QUEUE 2048u
#define TRACE_BATCH 512u

enum trace_client { TRACE_HTTP, TRACE_GRPC };
enum trace_sampler { SAMPLE_ALWAYS, SAMPLE_NEVER, SAMPLE_RATIO };
struct trace_pair {
	struct str k, v;
};
struct trace_conf { /* in the tracer's arena */
	enum trace_client client;
	struct str service_name;
	struct str address; /* host:port */
	struct str url;	    /* HTTP: whole */
	bool insecure;
	uint64_t timeout_ns;
	struct trace_pair *resource, *headers;
	size_t n_resource, n_headers;
	struct net_tls_opts tls;
	enum trace_sampler sampler;
	bool parent_based;
	double ratio;
};
/* E_INVALID names line and column; types and clients that are not spoken are refused by name. */
MUST_CHECK int trace_conf_parse(struct arena *a, struct str yaml, const char *what,
				const char *component, struct trace_conf *out,
				struct err *e);

/* One span as it waits: copied out of the request that it belongs to. */
struct trace_item {
	uint64_t id_hi, id_lo, id, parent;
	int64_t start_ns, end_ns;
	uint8_t kind;
	bool failed;
	uint8_t n_attrs;
	char name[SPAN_NAME_MAX];
	char status[SPAN_TEXT_MAX];
	struct span_attr attr[SPAN_ATTRS];
};
bool trace_sampled(const struct trace_conf *c, const struct trace *t, bool has_parent);
/* ExportTraceServiceRequest of n spans, appended. */
void trace_encode(const struct trace_conf *c, const char *version,
		  const struct trace_item *v, size_t n, struct buf *out);

#endif
