/*
 * store/proxy_federated.c - rules, targets, metadata, exemplars and statistics of many endpoints.
 *
 * Whoever offers an API (Info tells) is asked; all requests are sent before the first answer is read. An endpoint that
 * fails is named in a warning, or ends the request under ABORT; what it had said before stands. Replicas are not folded
 * here: by which labels, only who asks in the end knows (federated_merge.c).
 */
#include <stdlib.h>

#include "base/time.h"
#include "store/endpoint_int.h"
#include "store/proxy_int.h"

struct fan {
	struct federated_proxy *p;
	struct ctx *ctx;
	struct arena *a;
	struct err *e;
	const char *what, *method;
	unsigned api;
	enum partial_strategy partial;
	const struct pf_msg *asked, *answer;
	const void *request;
	/* What this endpoint is asked; 1: *q, 0: nothing, -1. NULL: `request`. */
	int (*request_for)(struct fan *f, const struct endpoint_info *info,
			   const void **q);
	int (*take)(struct fan *f, const void *payload);
	void *out, *arg;
};
struct leg {
	struct proxy_call call; /* its endpoint is the set's */
	struct rpc_stream *stream;
	bool answered;
};
/* All answers are { 1 payload, 2 warning }. */
struct response {
	const void *payload;
	struct str warning;
};

/* An endpoint fails: a warning, or the end. */
static int leg_failed(struct fan *f, const char *addr, const struct err *why)
{
	if (proxy_request_check(f->ctx, why, f->e) < 0)
		return -1;
	if (why->code == E_LIMIT && budget_refused(f->ctx->budget))
		return err_copy(f->ctx, f->e, why);
	if (f->partial == PARTIAL_ABORT) {
		err_copy(f->ctx, f->e, why);
		f->e->code = E_ABORTED;
		return err_wrap(f->ctx, f->e, "receive %s from %s", f->what, addr);
	}
	notes_warn(f->ctx->notes, "receive %s from %s: %s", f->what, addr, err_text(why));
	return 0;
}

static int endpoint_dead(struct fan *f, const char *addr, const char *why)
{
	struct err e = ERR_INIT;
	err_set(f->ctx, &e, E_UNAVAILABLE, "it is not available: %s", why);
	return leg_failed(f, addr, &e);
}

/* leg->call names whom to ask; its request is kept where another member may be asked instead. */
static int send_request(struct fan *f, const struct endpoint_info *info, bool group,
			struct leg *leg)
{
	struct err why = ERR_INIT;
	struct rpc_call_opts o = { .budget = f->ctx->budget };
	const void *q = f->request;
	struct buf b;
	int rc = f->request_for ? f->request_for(f, info, &q) : 1;
	if (rc <= 0)
		return rc;
	buf_init(&b, LIMIT_RPC_REQUEST_BYTES);
	pf_encode(f->asked, q, &b);
	if (group)
		leg->call.request = str_dup(f->a, buf_view(&b));
	if (buf_check(&b, f->ctx, f->asked->name, &why) < 0 ||
	    rpc_open(leg->call.m->channel, f->ctx, f->method, buf_view(&b), &o,
		     &leg->stream, &why) < 0)
		rc = leg_failed(f, leg->call.ep->name, &why);
	buf_deinit(&b);
	return rc < 0 ? -1 : 0;
}

static int ask(struct fan *f, struct endpoint *ep, struct leg *leg)
{
	struct endpoint_view v;
	int rc = 0;
	endpoint_view(ep, &v);
	/* Of one that never answered nobody knows what it offers. */
	if (!v.info || v.info->info.apis & f->api) {
		struct endpoint_member *m =
			v.info && (v.healthy || v.strict) ? endpoint_pick(ep) : NULL;
		leg->call = (struct proxy_call){ .ep = ep, .m = m, .method = f->method };
		rc = m ? send_request(f, v.info, v.group, leg)
		       : endpoint_dead(f, ep->name, v.why);
	}
	if (v.info)
		ref_put(&v.info->ref);
	return rc;
}

/* One message, kept in the arena: what is decoded points into it. 1, 0: the end, -1: why; -2: f->e. */
static int receive(struct fan *f, struct leg *leg, struct response *r, struct err *why)
{
	struct view msg;
	uint64_t timeout_ns = f->p->o.response_timeout_ns;
	struct ctx child = ctx_child(f->ctx, timeout_ns ? time_after_ns(timeout_ns) : 0);
	int rc = rpc_recv(leg->stream, &child, &msg, why);
	if (rc <= 0)
		return rc;
	char *keep = arena_try(f->a, f->ctx, msg.n + 1, f->e);
	if (keep && msg.n)
		memcpy(keep, msg.p, msg.n);
	struct str bytes = str_n(keep, msg.n);
	rpc_release(leg->stream, &msg);
	if (!keep)
		return -2;
	return pf_decode(f->ctx, f->a, f->answer, bytes, r, why) < 0 ? -1 : 1;
}

static int receive_all(struct fan *f, struct leg *leg)
{
	for (;;) {
		struct err why = ERR_INIT;
		struct response r;
		int rc = receive(f, leg, &r, &why);
		if (rc == 0)
			return 0;
		if (rc == -1 && !leg->answered &&
		    proxy_call_again(&leg->call, f->ctx, &why, &leg->stream))
			continue;
		if (rc < 0)
			return rc == -2 ? -1 : leg_failed(f, leg->call.ep->name, &why);
		leg->answered = true;
		if (r.warning.n)
			notes_warn(f->ctx->notes, "%.*s", STR_FMT(r.warning));
		else if (r.payload && f->take(f, r.payload) < 0)
			return -1;
	}
}

static int fan_out(struct fan *f)
{
	struct endpoint_set *s = endpoints_now(f->p->o.endpoints);
	struct leg *legs = xcalloc(s->n + 1, sizeof(*legs));
	int rc = 0;
	for (size_t i = 0; i < s->n && rc == 0; i++)
		rc = ask(f, s->v[i], &legs[i]);
	for (size_t i = 0; i < s->n && rc == 0; i++)
		if (legs[i].stream)
			rc = receive_all(f, &legs[i]);
	for (size_t i = 0; i < s->n; i++) {
		rpc_stream_close(legs[i].stream);
		if (legs[i].call.m)
			ref_put(&legs[i].call.m->ref);
	}
	free(legs);
	ref_put(&s->ref);
	return rc;
}

static enum partial_strategy strategy(int32_t s)
{
	return s == PARTIAL_ABORT ? PARTIAL_ABORT : PARTIAL_WARN;
}

static int append(struct fan *f, struct pf_list *to, const void *v, size_t n, size_t size)
{
	for (size_t i = 0; i < n; i++) {
		void *at = proto_list_add(f->ctx, f->a, to, size, f->e);
		if (!at)
			return -1;
		memcpy(at, (const char *)v + i * size, size);
	}
	return 0;
}

/* ---- rules, targets ---- */

static int take_group(struct fan *f, const void *payload)
{
	struct pb_rule_groups *out = f->out;
	return append(f, &out->groups, payload, 1, sizeof(struct pb_rule_group));
}

static int proxy_rules(struct federated *p, struct ctx *ctx, struct arena *a,
		       const struct pb_rules_request *q, struct pb_rule_groups *out,
		       struct err *e)
{
	struct fan f = { .p = (struct federated_proxy *)p,
			 .ctx = ctx,
			 .a = a,
			 .e = e,
			 .what = "rules",
			 .method = "/thanos.Rules/Rules",
			 .api = API_RULES,
			 .partial = strategy(q->partial_response_strategy),
			 .asked = &msg_rules_request,
			 .answer = &msg_rules_response,
			 .request = q,
			 .take = take_group,
			 .out = out };
	*out = (struct pb_rule_groups){ { NULL, 0 } };
	return fan_out(&f);
}

static int take_targets(struct fan *f, const void *payload)
{
	const struct pb_target_discovery *t = payload;
	struct pb_target_discovery *out = f->out;
	if (append(f, &out->active_targets, t->active_targets.v, t->active_targets.n,
		   sizeof(struct pb_active_target)) < 0)
		return -1;
	return append(f, &out->dropped_targets, t->dropped_targets.v,
		      t->dropped_targets.n, sizeof(struct pb_dropped_target));
}

static int proxy_targets(struct federated *p, struct ctx *ctx, struct arena *a,
			 const struct pb_targets_request *q,
			 struct pb_target_discovery *out, struct err *e)
{
	struct fan f = { .p = (struct federated_proxy *)p,
			 .ctx = ctx,
			 .a = a,
			 .e = e,
			 .what = "targets",
			 .method = "/thanos.Targets/Targets",
			 .api = API_TARGETS,
			 .partial = strategy(q->partial_response_strategy),
			 .asked = &msg_targets_request,
			 .answer = &msg_targets_response,
			 .request = q,
			 .take = take_targets,
			 .out = out };
	*out = (struct pb_target_discovery){ { NULL, 0 }, { NULL, 0 } };
	return fan_out(&f);
}

/* ---- metadata, statistics ---- */

static int take_metadata(struct fan *f, const void *payload)
{
	const struct pb_metadata_request *q = f->request;
	return federated_unite_metadata(f->ctx, f->a, f->out, payload, q->limit, f->e);
}

static int proxy_metadata(struct federated *p, struct ctx *ctx, struct arena *a,
			  const struct pb_metadata_request *q, struct pb_metadata *out,
			  struct err *e)
{
	struct fan f = { .p = (struct federated_proxy *)p,
			 .ctx = ctx,
			 .a = a,
			 .e = e,
			 .what = "metric metadata",
			 .method = "/thanos.Metadata/MetricMetadata",
			 .api = API_METADATA,
			 .partial = strategy(q->partial_response_strategy),
			 .asked = &msg_metadata_request,
			 .answer = &msg_metadata_response,
			 .request = q,
			 .take = take_metadata,
			 .out = out };
	*out = (struct pb_metadata){ { NULL, 0 } };
	return fan_out(&f);
}

static int take_statistics(struct fan *f, const void *payload)
{
	return federated_unite_statistics(f->ctx, f->a, f->out, payload, f->e);
}

static int proxy_statistics(struct federated *p, struct ctx *ctx, struct arena *a,
			    const struct pb_statistics_request *q,
			    struct pb_statistics *out, struct err *e)
{
	struct fan f = { .p = (struct federated_proxy *)p,
			 .ctx = ctx,
			 .a = a,
			 .e = e,
			 .what = "TSDB statistics",
			 .method = "/thanos.Status/TSDBStatistics",
			 .api = API_STATUS,
			 .partial = strategy(q->partial_response_strategy),
			 .asked = &msg_statistics_request,
			 .answer = &msg_statistics_response,
			 .request = q,
			 .take = take_statistics,
			 .out = out };
	*out = (struct pb_statistics){ { NULL, 0 } };
	return fan_out(&f);
}

/* ---- exemplars ---- */

static int take_exemplars(struct fan *f, const void *payload)
{
	struct pb_exemplars *out = f->out;
	return append(f, &out->data, payload, 1, sizeof(struct pb_exemplar_data));
}

static int exemplar_request(struct fan *f, const struct endpoint_info *info,
			    const void **q)
{
	struct pb_exemplars_request *r = ARENA_NEW(f->a, struct pb_exemplars_request);
	*r = *(const struct pb_exemplars_request *)f->request;
	*q = r;
	return proxy_exemplar_query(f->ctx, f->a, f->arg, &info->info, &r->query, f->e);
}

static int proxy_exemplars(struct federated *fed, struct ctx *ctx, struct arena *a,
			   const struct pb_exemplars_request *q, struct pb_exemplars *out,
			   struct err *e)
{
	struct federated_proxy *p = (struct federated_proxy *)fed;
	struct exemplar_selectors sel;
	struct fan f = { .p = p,
			 .ctx = ctx,
			 .a = a,
			 .e = e,
			 .what = "exemplars",
			 .method = "/thanos.Exemplars/Exemplars",
			 .api = API_EXEMPLARS,
			 .partial = strategy(q->partial_response_strategy),
			 .asked = &msg_exemplars_request,
			 .answer = &msg_exemplars_response,
			 .request = q,
			 .request_for = exemplar_request,
			 .take = take_exemplars,
			 .out = out,
			 .arg = &sel };
	*out = (struct pb_exemplars){ { NULL, 0 } };
	int rc = proxy_exemplar_selectors(ctx, a, q->query, p->o.promql_features,
					  p->o.selector_labels, &sel, e);
	return rc <= 0 ? rc : fan_out(&f);
}

/* ---- life ---- */

struct federated_proxy *federated_proxy_new(const struct proxy_opts *o)
{
	static const struct federated_ops ops = { proxy_rules, proxy_targets,
						  proxy_metadata, proxy_exemplars,
						  proxy_statistics };
	struct federated_proxy *p = xcalloc(1, sizeof(*p));
	p->base.ops = &ops;
	p->o = *o;
	return p;
}

void federated_proxy_free(struct federated_proxy *p)
{
	free(p);
}

struct federated *federated_proxy_of(struct federated_proxy *p)
{
	return &p->base;
}
