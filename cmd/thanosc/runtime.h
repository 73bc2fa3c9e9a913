/*
 * cmd/thanosc/runtime.h - what every mode has: flags for logs and addresses, loops, threads, metrics, probes, an
 * orderly end.
 */
#ifndef CMD_THANOSC_RUNTIME_H
#define CMD_THANOSC_RUNTIME_H

#include "conf/flags.h"
#include "conf/request_log.h"
#include "http/http.h"
#include "rpc/rpc.h"
#include "tls.h"
#include "trace/trace.h"
#include "web_config.h"

extern const char version_text[], version_commit[];

struct common_opts { /* first member of every mode's options */
	struct str log_level, log_format, http_address, grpc_address, http_config;
	int64_t http_grace_ms, grpc_grace_ms, grpc_max_age_ms;
	int64_t limit_series, limit_samples; /* of a Series call; 0: none */
	bool disable_cors;
	struct str external_prefix, prefix_header, route_prefix; /* of --web. */
	struct conf_text tracing, request_log;
	struct tls_server_opts grpc_tls;
};
extern const struct opt common_rows[], grpc_rows[], limit_rows[], web_rows[],
	objstore_rows[];
/* Flags of Thanos that are refused unless at their default (not_yet.c). */
extern const struct opt not_yet_grpc_rows[], not_yet_store_rows[], not_yet_query_rows[];
struct objstore_opts { /* second member of modes with a bucket */
	struct conf_text config;
};

struct runtime {
	const char *mode;
	struct common_opts *opts;
	struct conf_result flags;
	struct arena arena;
	struct budget budget; /* the process */
	struct metric_registry *metrics;
	struct loops loops;
	struct task_pool *pool;
	struct http_server *http;
	struct rpc_server *rpc;
	struct net_tls *grpc_tls; /* NULL: plain; kept by tls */
	struct tls_keeper tls;
	struct web_config web;
	const char *prefix_header; /* in lower case; "": none */
	struct tracer *tracer;	   /* NULL: off */
	struct request_logs request_logs;
	/* For routes, set before runtime_serve: clients' certificates are looked at; metrics tell tenants apart by this header. */
	bool want_subject;
	const char *tenant_header; /* in lower case, or NULL */
	struct str default_tenant;
	struct cancel *stop;	 /* cancelled by SIGINT and SIGTERM */
	struct loop_timer *beat; /* LOOP: systemd's watchdog */
	struct loop_timer *trim; /* LOOP: freed memory goes back to the system */
	_Atomic bool ready;
};

/*
 * Parse flags into opts (size bytes, common_opts first), set up logs, loops, threads, metrics and signals.
 * 0: go on; 1: done (help or version was printed); -1: e.
 */
int runtime_start(struct runtime *r, const struct conf_cmd *cmd, int argc, char **argv,
		  void *opts, size_t size, struct err *e);
/* Listen: probes and metrics beside `routes`, gRPC `methods` (n 0: no gRPC). */
MUST_CHECK int runtime_serve(struct runtime *r, const struct http_route *routes,
			     size_t n_routes, const struct rpc_method *methods,
			     size_t n_methods, struct err *e);
void runtime_ready(struct runtime *r, bool ready);
void runtime_wait(struct runtime *r);		    /* until a signal */
bool runtime_pause(struct runtime *r, uint64_t ns); /* true: it is time to end */
/* Was the flag given by the user? */
bool runtime_is_set(const struct runtime *r, const char *flag);
/* A ctx for work of the mode itself, ended by signals; deadline 0: none. Free with ctx_deinit. */
void runtime_ctx(struct runtime *r, struct ctx *ctx, uint64_t deadline_ns);
/* Stop listening, drain within the grace periods. */
void runtime_drain(struct runtime *r);
void runtime_end(struct runtime *r);

extern const struct conf_cmd sidecar_cmd, store_cmd, query_cmd, compact_cmd;
int cmd_sidecar(int argc, char **argv);
int cmd_store(int argc, char **argv);
int cmd_query(int argc, char **argv);
int cmd_compact(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

#endif
