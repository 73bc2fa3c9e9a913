/*
 * rpc/rpc_reflect.c - server reflection: which services a server has, and the descriptors of their messages.
 *
 * Source  grpc/reflection/v1/reflection.proto. v1 and v1alpha have the same messages.
 *
 * Services listed are those served; symbols are found in all files that we declare, so that what stands in an Any
 * can be told, too. A file is answered together with all that it imports, each time: the call keeps no state.
 */
#include "base/limits.h"
#include "proto/reflect.h"
#include "rpc/rpc_server_int.h"

#define MAX_ANSWER ((size_t)1 << 20)

static void refuse(struct arena *a, struct pb_reflection_response *out,
		   enum rpc_code code, const char *what)
{
	out->error_response = ARENA_NEW(a, struct pb_reflection_error);
	*out->error_response =
		(struct pb_reflection_error){ (int32_t)code, str_of(what) };
}

static int answer_file(struct ctx *ctx, struct arena *a, const struct pf_file *f,
		       struct pb_reflection_response *out, struct err *e)
{
	const struct pf_file *all[PF_MAX_FILES];
	if (!f) {
		refuse(a, out, RPC_NOT_FOUND, "not found");
		return 0;
	}
	size_t n = pf_file_closure(f, all, PF_MAX_FILES);
	struct str *texts = ARENA_ARRAY(a, struct str, n);
	for (size_t i = 0; i < n; i++) {
		struct buf b;
		buf_init(&b, MAX_ANSWER);
		pf_file_descriptor(a, all[i], &b);
		int rc = buf_check(&b, ctx, all[i]->name, e);
		void *p = rc < 0 ? NULL : arena_try(a, ctx, b.n, e);
		if (p) {
			memcpy(p, b.p, b.n);
			texts[i] = str_n(p, b.n);
		}
		buf_deinit(&b);
		if (!p)
			return -1;
	}
	out->file_descriptor_response = ARENA_NEW(a, struct pb_file_descriptor_response);
	out->file_descriptor_response->file_descriptor_proto =
		(struct pf_list){ texts, n };
	return 0;
}

static void answer_list(struct arena *a, const struct rpc_server *srv,
			struct pb_reflection_response *out)
{
	struct pb_service_response *s =
		ARENA_ARRAY(a, struct pb_service_response, srv->n_methods);
	size_t n = 0;
	for (size_t i = 0; i < srv->n_methods; i++) {
		struct str service, method;
		size_t k = 0;
		if (!rpc_path_split(str_of(srv->methods[i].m.path), &service, &method))
			continue;
		while (k < n && !str_eq(s[k].name, service))
			k++;
		if (k == n)
			s[n++].name = service;
	}
	out->list_services_response = ARENA_NEW(a, struct pb_list_services);
	out->list_services_response->service = (struct pf_list){ s, n };
}

static int answer(struct ctx *ctx, struct arena *a, const struct rpc_server *srv,
		  const struct pb_reflection_request *q,
		  struct pb_reflection_response *out, struct err *e)
{
	if (q->file_by_filename.p)
		return answer_file(ctx, a, pf_file_by_name(q->file_by_filename), out, e);
	if (q->file_containing_symbol.p)
		return answer_file(ctx, a, pf_file_of_symbol(q->file_containing_symbol),
				   out, e);
	if (q->list_services.p) {
		answer_list(a, srv, out);
	} else if (q->file_containing_extension) { /* proto3: nothing is extended */
		refuse(a, out, RPC_NOT_FOUND, "not found");
	} else if (q->all_extension_numbers_of_type.p) {
		struct str type = q->all_extension_numbers_of_type;
		if (pf_msg_by_name(type)) {
			out->all_extension_numbers_response =
				ARENA_NEW(a, struct pb_extension_numbers);
			out->all_extension_numbers_response->base_type_name = type;
		} else {
			refuse(a, out, RPC_NOT_FOUND, "not found");
		}
	} else {
		return err_set(ctx, e, E_INVALID, "reflection: nothing is asked for");
	}
	return 0;
}

int rpc_reflect(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		struct err *e)
{
	struct pb_reflection_request q;
	struct arena a;
	struct buf b;
	int rc = -1;
	arena_init(&a, ctx->budget);
	buf_init(&b, LIMIT_RPC_REQUEST_BYTES + MAX_ANSWER);
	if (pf_decode(ctx, &a, &msg_reflection_request, request, &q, e) == 0) {
		struct pb_reflection_response out = { .valid_host = q.host,
						      .original_request = &q };
		rc = answer(ctx, &a, arg, &q, &out, e);
		if (rc == 0)
			pf_encode(&msg_reflection_response, &out, &b);
		struct str part = buf_view(&b);
		if (rc == 0 && (rc = buf_check(&b, ctx, "reflection", e)) == 0)
			rc = rpc_send(call, ctx, &part, 1, e);
	}
	buf_deinit(&b);
	arena_deinit(&a);
	return rc;
}
