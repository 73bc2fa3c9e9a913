/*
 * store/federated_service.c - the gRPC face of rules, targets, metadata, exemplars and statistics.
 *
 * Each is a stream of one kind of message with the answer or a warning in it. Rules and exemplars come one group or
 * series a message, as Thanos sends them; warnings that gathered in ctx->notes follow.
 */
#include "rpc/rpc.h"
#include "store/federated.h"

#define MAX_FRAME ((size_t)1 << 30)

/* All answers are { 1 payload, 2 warning }. */
struct response {
	const void *payload;
	struct str warning;
};

/* One call on its way. */
struct served {
	struct federated *f;
	struct ctx *ctx;
	struct rpc_call *call;
	struct arena a;
};

static int send_one(struct served *s, const struct pf_msg *m, const void *payload,
		    struct str warning, struct err *e)
{
	struct response r = { payload, warning };
	struct buf b;
	int rc = -1;
	buf_init(&b, MAX_FRAME);
	pf_encode(m, &r, &b);
	if (buf_check(&b, s->ctx, m->name, e) == 0) {
		struct str part = buf_view(&b);
		rc = rpc_send(s->call, s->ctx, &part, 1, e);
	}
	buf_deinit(&b);
	return rc;
}

static int send_warnings(struct served *s, const struct pf_msg *m, struct err *e)
{
	struct notes_view v;
	notes_view(s->ctx->notes, &s->a, &v);
	for (size_t i = 0; i < v.n_warnings; i++)
		if (send_one(s, m, NULL, v.warnings[i], e) < 0)
			return -1;
	return 0;
}

/* A list, one message an element. */
static int send_list(struct served *s, const struct pf_msg *m, const struct pf_list *l,
		     size_t size, struct err *e)
{
	for (size_t i = 0; i < l->n; i++)
		if (send_one(s, m, (const char *)l->v + i * size, STR_NULL, e) < 0)
			return -1;
	return 0;
}

static int serve_rules(struct served *s, const void *q, struct err *e)
{
	struct pb_rule_groups g;
	if (s->f->ops->rules(s->f, s->ctx, &s->a, q, &g, e) < 0)
		return -1;
	return send_list(s, &msg_rules_response, &g.groups, sizeof(struct pb_rule_group),
			 e);
}

static int serve_targets(struct served *s, const void *q, struct err *e)
{
	struct pb_target_discovery t;
	if (s->f->ops->targets(s->f, s->ctx, &s->a, q, &t, e) < 0)
		return -1;
	return send_one(s, &msg_targets_response, &t, STR_NULL, e);
}

static int serve_metadata(struct served *s, const void *q, struct err *e)
{
	struct pb_metadata m;
	if (s->f->ops->metadata(s->f, s->ctx, &s->a, q, &m, e) < 0)
		return -1;
	return send_one(s, &msg_metadata_response, &m, STR_NULL, e);
}

static int serve_exemplars(struct served *s, const void *q, struct err *e)
{
	struct pb_exemplars x;
	if (s->f->ops->exemplars(s->f, s->ctx, &s->a, q, &x, e) < 0)
		return -1;
	return send_list(s, &msg_exemplars_response, &x.data,
			 sizeof(struct pb_exemplar_data), e);
}

static int serve_statistics(struct served *s, const void *q, struct err *e)
{
	struct pb_statistics t;
	if (s->f->ops->statistics(s->f, s->ctx, &s->a, q, &t, e) < 0)
		return -1;
	return send_one(s, &msg_statistics_response, &t, STR_NULL, e);
}

static int serve(void *f, struct ctx *ctx, struct rpc_call *call, struct str request,
		 const struct pf_msg *asked, const struct pf_msg *answer,
		 int (*fn)(struct served *, const void *, struct err *), struct err *e)
{
	struct served s = { .f = f, .ctx = ctx, .call = call };
	arena_init(&s.a, ctx->budget);
	void *q = arena_zalloc(&s.a, asked->size);
	int rc = pf_decode(ctx, &s.a, asked, request, q, e);
	if (rc < 0 && e->code == E_CORRUPT)
		e->code = E_INVALID;
	if (rc == 0)
		rc = fn(&s, q, e);
	if (rc == 0)
		rc = send_warnings(&s, answer, e);
	arena_deinit(&s.a);
	return rc;
}

#define HANDLER(name)                                                                    \
	_Static_assert(sizeof(struct pb_##name##_response) == sizeof(struct response) && \
			       offsetof(struct pb_##name##_response, warning) ==         \
				       offsetof(struct response, warning),               \
		       "an answer or a warning");                                        \
	static int handle_##name(void *arg, struct ctx *ctx, struct rpc_call *call,      \
				 struct str request, struct err *e)                      \
	{                                                                                \
		return serve(arg, ctx, call, request, &msg_##name##_request,             \
			     &msg_##name##_response, serve_##name, e);                   \
	}
HANDLER(rules)
HANDLER(targets)
HANDLER(metadata)
HANDLER(exemplars)
HANDLER(statistics)

void federated_methods(struct federated *f, struct rpc_method *out)
{
	const struct rpc_method rows[FEDERATED_METHODS] = {
		{ "/thanos.Rules/Rules", false, handle_rules, f },
		{ "/thanos.Targets/Targets", false, handle_targets, f },
		{ "/thanos.Metadata/MetricMetadata", false, handle_metadata, f },
		{ "/thanos.Exemplars/Exemplars", false, handle_exemplars, f },
		{ "/thanos.Status/TSDBStatistics", false, handle_statistics, f },
	};
	memcpy(out, rows, sizeof(rows));
}
