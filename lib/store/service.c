/*
 * store/service.c - the gRPC face of a store: thanos.Store and thanos.info.Info, with the federated APIs beside
 * them where there are any.
 *
 * Series: the store's set is pulled and sent in batches, as the request asks; what a batch was made of is
 * forgotten when it is sent. The concurrency slot covers work: it is given back while a send may wait, so that a
 * client that does not read keeps no one else out. Warnings that gathered in ctx->notes are sent as frames behind
 * the series; under the ABORT strategy they end the call instead.
 */
#include "base/log.h"
#include "base/time.h"
#include "store/store.h"
#include "proto/convert.h"
#include "wire/pb.h"
#include "wire/wr.h"

#include <stdlib.h>

#define MAX_FRAME ((size_t)1 << 30)
#define FIRST_SLAB                                                                       \
	((size_t)16                                                                      \
	 << 10) /* so much is sent first, then four times as much, as long as slabs become full */
#define FULL_SLAB (SLAB_BYTES - sizeof(struct slab))
/* Before the series: gRPC's prefix, then tag and length in SeriesResponse. */
#define FRAME_HEAD (RPC_SLAB_HEAD + 1 + 10)

enum { M_SERIES, M_CHUNKS, M_PENDING, M_DROPPED, M_ROWS };
enum { G_HELD, G_MAX, G_TOTAL, G_WAIT, G_ROWS };
static const double series_bounds[] = { 1, 10, 100, 1000, 10000, 100000, 1000000 };
static const double chunk_bounds[] = { 1, 100, 1000, 10000, 100000, 1e7, 1e8, 1e9 };
static const struct metric_desc rows[M_ROWS] = {
	[M_SERIES] = { METRIC_HISTOGRAM,
		       "thanos_store_server_series_requested",
		       "Number of series in one Series answer.",
		       { 0 },
		       series_bounds,
		       ARRAY_LEN(series_bounds),
		       0,
		       NULL },
	[M_CHUNKS] = { METRIC_HISTOGRAM,
		       "thanos_store_server_chunks_requested",
		       "Number of chunks in one Series answer.",
		       { 0 },
		       chunk_bounds,
		       ARRAY_LEN(chunk_bounds),
		       0,
		       NULL },
	[M_PENDING] = { .kind = METRIC_GAUGE,
			.name = "thanos_store_server_pending_series_requests",
			.help = "Number of pending series requests" },
	[M_DROPPED] = { .kind = METRIC_COUNTER,
			.name = "thanos_store_selects_dropped_total",
			.help = "Number of select queries that were dropped due to configured limits.",
			.labels = { "reason" } },
};

static const double wait_bounds[] = { 0.01, 0.1, 0.3, 0.6, 1,	3,   6,	  9,
				      20,   30,	 60,  90,  120, 240, 360, 720 };
#define GATE(kind_, name_, help_)                                                        \
	{                                                                                \
		.kind = METRIC_##kind_,                                                  \
		.name = "thanos_bucket_store_series_gate_queries_" name_, .help = help_  \
	}
static const struct metric_desc gate_rows[G_ROWS] = {
	[G_HELD] = GATE(GAUGE, "in_flight", "Series calls that are at work."),
	[G_MAX] = GATE(GAUGE, "max", "Series calls that may be at work."),
	[G_TOTAL] = GATE(COUNTER, "total", "Series calls that asked for a place."),
	[G_WAIT] = { .kind = METRIC_HISTOGRAM,
		     .name = "thanos_bucket_store_series_gate_queries_duration_seconds",
		     .help = "Seconds that a Series call waited for its place, at first.",
		     .bounds = wait_bounds,
		     .n_bounds = ARRAY_LEN(wait_bounds) },
};

struct store_service {
	struct store_service_opts o;
	struct task_gate *gate; /* NULL: none */
	struct metric *series, *chunks, *pending;
	struct metric *series_dropped, *chunks_dropped;
	struct metric *held, *entered, *waited; /* with a gate */
	struct rpc_method methods[4 + FEDERATED_METHODS];
	size_t n_methods;
};

/* One Series call on its way out. */
struct out {
	struct store_service *s;
	bool slot; /* a place in the gate is held */
	struct ctx *ctx;
	struct rpc_call *call;
	const struct store_series_req *req;
	struct slab *
		slab; /* fields of a SeriesBatch, or one Series, from FRAME_HEAD on; NULL: none yet */
	size_t next_cap, in_batch;
	uint64_t n_series, n_chunks;
};

/* The slot is given back while a send may wait. */
static void before_send(struct out *o)
{
	if (o->slot)
		task_gate_leave(o->s->gate);
	o->slot = false;
}

static int after_send(struct out *o, int rc, struct err *e)
{
	if (rc == 0 && o->s->gate) {
		rc = task_gate_enter(o->s->gate, o->ctx, e);
		o->slot = rc == 0;
	}
	return rc;
}

static int flush(struct out *o, struct err *e)
{
	struct slab *s = o->slab;
	if (o->in_batch == 0)
		return 0;
	/* SeriesResponse { field: length-prefixed bytes } */
	uint64_t n = s->used - FRAME_HEAD;
	size_t from = FRAME_HEAD - 1 - wr_uvarint_len(n);
	s->data[from] = (uint8_t)((o->req->batch > 1 ? 4 : 1) << 3 | PB_BYTES);
	(void)wr_uvarint_to(s->data + from + 1, n);
	o->slab = NULL;
	o->in_batch = 0;
	before_send(o);
	return after_send(o, rpc_send_slab(o->call, o->ctx, s, from, e), e);
}

/* Room for n more bytes in a slab; what was there before may be sent. */
static int make_room(struct out *o, size_t n, struct err *e)
{
	if (n > MAX_FRAME)
		return err_set(o->ctx, e, E_LIMIT,
			       "Series message: larger than %zu bytes", MAX_FRAME);
	if (o->slab && o->slab->cap - o->slab->used < n) {
		if (flush(o, e) < 0)
			return -1;
		o->next_cap = MIN(o->next_cap * 4, FULL_SLAB);
	}
	if (o->slab)
		return 0;
	size_t cap = FRAME_HEAD + n;
	if (o->req->batch > 1)
		cap = MAX(cap, o->next_cap);
	o->slab = rpc_call_slab(o->call, o->ctx, cap, e);
	if (!o->slab)
		return -1;
	o->slab->used = FRAME_HEAD;
	return 0;
}

static int check_limits(struct out *o, struct err *e)
{
	const struct store_limits *l = &o->s->o.limits;
	uint64_t samples = o->n_chunks * 120;
	if (l->series && o->n_series > l->series) {
		metric_inc(o->s->series_dropped);
		return err_set(o->ctx, e, E_LIMIT,
			       "exceeded series limit: limit %llu violated (got %llu)",
			       (unsigned long long)l->series,
			       (unsigned long long)o->n_series);
	}
	if (l->samples && samples > l->samples) {
		metric_inc(o->s->chunks_dropped);
		return err_set(o->ctx, e, E_LIMIT,
			       "exceeded samples limit: limit %llu violated (got %llu)",
			       (unsigned long long)l->samples,
			       (unsigned long long)samples);
	}
	return 0;
}

static int add_series(struct out *o, const struct series_in *in, struct err *e)
{
	bool batch = o->req->batch > 1;
	o->n_series++;
	o->n_chunks += in->n;
	if (check_limits(o, e) < 0)
		return -1;
	size_t n = proto_series_size(in, o->req->want_lanes);
	if (make_room(o, n + 1 + 10, e) < 0)
		return -1;
	struct slab *s = o->slab;
	if (batch) { /* SeriesBatch { 1: Series } */
		s->data[s->used++] = 1 << 3 | PB_BYTES;
		s->used += wr_uvarint_to(s->data + s->used, n);
	}
	proto_series_put(in, o->req->want_lanes, s->data + s->used, n);
	s->used += n;
	o->in_batch++;
	if (batch && o->in_batch < (size_t)o->req->batch)
		return 0;
	o->next_cap = s->used + s->used / 4; /* slabs are charged whole */
	return flush(o, e);
}

static int send_warnings(struct out *o, struct arena *a, struct err *e)
{
	struct notes_view v;
	notes_view(o->ctx->notes, a, &v);
	for (size_t i = 0; i < v.n_warnings; i++) {
		if (o->req->partial == PARTIAL_ABORT)
			return err_set(o->ctx, e, E_ABORTED, "%.*s",
				       STR_FMT(v.warnings[i]));
		struct buf b;
		buf_init(&b, MAX_FRAME);
		proto_warning_frame_encode(v.warnings[i], &b);
		struct str part = buf_view(&b);
		before_send(o);
		int rc = after_send(o, rpc_send(o->call, o->ctx, &part, 1, e), e);
		buf_deinit(&b);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static int stream_series(struct out *o, struct arena *a, struct err *e)
{
	struct series_set *set;
	const struct series_in *in;
	int rc;
	if (store_series(o->s->o.store, o->ctx, o->req, &set, e) < 0)
		return -1;
	while ((rc = series_set_next(set, o->ctx, &in, e)) > 0) {
		if (add_series(o, in, e) < 0) {
			rc = -1;
			break;
		}
		if (o->req->limit > 0 && o->n_series >= (uint64_t)o->req->limit) {
			rc = 0;
			break;
		}
	}
	series_set_close(set);
	if (rc < 0 || flush(o, e) < 0)
		return -1;
	return send_warnings(o, a, e);
}

static int enter_first(struct out *o, struct err *e)
{
	struct store_service *s = o->s;
	uint64_t start = time_mono_ns();
	metric_inc(s->entered);
	if (task_gate_enter(s->gate, o->ctx, e) < 0)
		return -1;
	o->slot = true;
	metric_observe(s->waited, (double)(time_mono_ns() - start) / (double)NS_PER_S);
	return 0;
}

static int handle_series(void *arg, struct ctx *ctx, struct rpc_call *call,
			 struct str request, struct err *e)
{
	struct store_service *s = arg;
	struct store_series_req req;
	struct arena a;
	int rc = -1;
	arena_init(&a, ctx->budget);
	metric_add(s->pending, 1);
	struct out o = {
		.s = s, .ctx = ctx, .call = call, .req = &req, .next_cap = FIRST_SLAB
	};
	if (proto_series_req_decode(ctx, &a, request, &req, e) < 0) {
		if (e->code == E_CORRUPT)
			e->code = E_INVALID;
		goto out;
	}
	if (s->gate && enter_first(&o, e) < 0)
		goto out;
	rc = stream_series(&o, &a, e);
	if (o.slot)
		task_gate_leave(s->gate);
	metric_observe(s->series, (double)o.n_series);
	metric_observe(s->chunks, (double)o.n_chunks);
out:
	metric_add(s->pending, -1);
	if (o.slab)
		ref_put(&o.slab->ref);
	arena_deinit(&a);
	return rc;
}

static int handle_labels(struct store_service *s, bool values, struct ctx *ctx,
			 struct rpc_call *call, struct str request, struct err *e)
{
	struct store_labels_req req;
	struct store_labels_resp resp = { 0 };
	struct notes_view v;
	struct arena a;
	struct buf b;
	int rc = -1;
	arena_init(&a, ctx->budget);
	buf_init(&b, MAX_FRAME);
	if (proto_labels_req_decode(ctx, &a, values, request, &req, e) < 0) {
		if (e->code == E_CORRUPT)
			e->code = E_INVALID;
		goto out;
	}
	const struct store_ops *ops = s->o.store->ops;
	if ((values ? ops->label_values : ops->label_names)(s->o.store, ctx, &a, &req,
							    &resp, e) < 0)
		goto out;
	if (req.limit > 0 && resp.n > (size_t)req.limit)
		resp.n = (size_t)req.limit;
	notes_view(ctx->notes, &a, &v);
	if (v.n_warnings && req.partial == PARTIAL_ABORT) {
		err_set(ctx, e, E_ABORTED, "%.*s", STR_FMT(v.warnings[0]));
		goto out;
	}
	proto_labels_resp_encode(&a, &resp, v.warnings, v.n_warnings, &b);
	if (buf_check(&b, ctx, "label answer", e) < 0)
		goto out;
	struct str part = buf_view(&b);
	rc = rpc_send(call, ctx, &part, 1, e);
out:
	buf_deinit(&b);
	arena_deinit(&a);
	return rc;
}

static int handle_names(void *arg, struct ctx *ctx, struct rpc_call *call,
			struct str request, struct err *e)
{
	return handle_labels(arg, false, ctx, call, request, e);
}

static int handle_values(void *arg, struct ctx *ctx, struct rpc_call *call,
			 struct str request, struct err *e)
{
	return handle_labels(arg, true, ctx, call, request, e);
}

/* On the loop, from the store's frozen snapshot: load never makes a store look dead. */
static int handle_info(void *arg, struct ctx *ctx, struct rpc_call *call,
		       struct str request, struct err *e)
{
	struct store_service *s = arg;
	struct store_info info;
	struct arena a;
	struct buf b;
	(void)request;
	arena_init(&a, NULL);
	s->o.store->ops->info(s->o.store, &a, &info);
	if (info.not_ready) {
		err_set(ctx, e, E_UNAVAILABLE, "%s", info.not_ready);
		arena_deinit(&a);
		return -1;
	}
	buf_init(&b, MAX_FRAME);
	info.apis = s->o.federated ? FEDERATED_APIS : 0;
	proto_info_encode(&a, &info, &b);
	struct str part = buf_view(&b);
	int rc = rpc_send(call, ctx, &part, 1, e);
	buf_deinit(&b);
	arena_deinit(&a);
	return rc;
}

static double gate_held(void *gate)
{
	return task_gate_held(gate);
}

static void open_gate(struct store_service *s)
{
	struct metric_set *m = metric_set_new(s->o.metrics, gate_rows, G_ROWS);
	s->gate = task_gate_new(s->o.max_concurrent);
	metric_set_value(metric_plain(m, G_MAX), s->o.max_concurrent);
	s->held = metric_plain(m, G_HELD);
	metric_callback(s->held, gate_held, s->gate);
	s->entered = metric_plain(m, G_TOTAL);
	s->waited = metric_plain(m, G_WAIT);
}

struct store_service *store_service_new(const struct store_service_opts *o)
{
	struct store_service *s = xcalloc(1, sizeof(*s));
	struct metric_set *m = metric_set_new(o->metrics, rows, M_ROWS);
	s->o = *o;
	s->series = metric_plain(m, M_SERIES);
	s->chunks = metric_plain(m, M_CHUNKS);
	s->pending = metric_plain(m, M_PENDING);
	s->series_dropped = metric_at(m, M_DROPPED, STR("series"));
	s->chunks_dropped = metric_at(m, M_DROPPED, STR("chunks"));
	if (o->max_concurrent)
		open_gate(s);
	s->methods[0] =
		(struct rpc_method){ "/thanos.Store/Series", false, handle_series, s };
	s->methods[1] =
		(struct rpc_method){ "/thanos.Store/LabelNames", false, handle_names, s };
	s->methods[2] = (struct rpc_method){ "/thanos.Store/LabelValues", false,
					     handle_values, s };
	s->methods[3] =
		(struct rpc_method){ "/thanos.info.Info/Info", true, handle_info, s };
	s->n_methods = 4;
	if (o->federated) {
		federated_methods(o->federated, s->methods + s->n_methods);
		s->n_methods += FEDERATED_METHODS;
	}
	return s;
}

void store_service_free(struct store_service *s)
{
	if (!s)
		return;
	if (s->gate) {
		metric_callback(s->held, NULL, NULL);
		task_gate_free(s->gate);
	}
	free(s);
}

const struct rpc_method *store_service_methods(struct store_service *s, size_t *n)
{
	*n = s->n_methods;
	return s->methods;
}
