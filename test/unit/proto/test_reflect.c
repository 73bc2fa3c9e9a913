/*
 * Files, symbols and services as reflection finds them. What descriptors say is checked by a foreign descriptor pool
 * in test/e2e/test_rpc.py.
 */
#include "proto/reflect.h"
#include "proto/store.h"
#include "support/tst.h"

static const char *file_of(const char *symbol)
{
	const struct pf_file *f = pf_file_of_symbol(str_of(symbol));
	return f ? f->name : "";
}

Test(proto_reflect, symbols)
{
	static const struct {
		const char *symbol, *file;
	} t[] = {
		{ "thanos.Store", "store/storepb/rpc.proto" },
		{ "thanos.Store.LabelValues", "store/storepb/rpc.proto" },
		{ "thanos.Series", "store/storepb/rpc.proto" },
		{ "thanos.Series.labels", "store/storepb/rpc.proto" },
		{ "thanos.Aggr", "store/storepb/rpc.proto" },
		{ "thanos.Chunk.Encoding", "store/storepb/rpc.proto" },
		{ "thanos.info.Info.Info", "info/infopb/rpc.proto" },
		{ "google.protobuf.Any", "google/protobuf/any.proto" },
		{ "grpc.reflection.v1.ErrorResponse",
		  "grpc/reflection/v1/reflection.proto" },
		{ "grpc.reflection.v1alpha.ErrorResponse",
		  "grpc/reflection/v1alpha/reflection.proto" },
		{ "thanos", "" },
		{ "thanos.", "" },
		{ "thanos.Stor", "" },
		{ "thanos.Store.", "" },
		{ "thanos.Store.Nope", "" },
		{ "thanos.info", "" },
		{ "", "" },
		{ "thanosXStore", "" },
	};
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		cr_assert_str_eq(file_of(t[i].symbol), t[i].file, "%s", t[i].symbol);
	cr_assert(pf_file_by_name(STR("info/infopb/rpc.proto")) != NULL);
	cr_assert(pf_file_by_name(STR("info/infopb/rpc.prot")) == NULL);
	cr_assert(pf_msg_by_name(STR("thanos.Series")) == &msg_series);
	cr_assert(pf_msg_by_name(STR("thanos.Store")) == NULL);
}

Test(proto_reflect, methods)
{
	const struct pf_method *m = pf_method_by_path(STR("/thanos.Store/Series"));
	cr_assert(m && m->server_stream && !m->client_stream &&
		  m->in == &msg_series_request);
	m = pf_method_by_path(STR("/grpc.reflection.v1alpha.ServerReflection/"
				  "ServerReflectionInfo"));
	cr_assert(m && m->server_stream && m->client_stream);
	static const char *const none[] = { "",
					    "/",
					    "/thanos.Store",
					    "/thanos.Store/",
					    "/thanos.Store/Nope",
					    "/thanos.StoreX/Series",
					    "thanos.Store/Series" };
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		cr_assert(pf_method_by_path(str_of(none[i])) == NULL, "%s", none[i]);
}

/* Every file has a descriptor; files come before what they import, each once. */
Test(proto_reflect, closures)
{
	for (size_t i = 0; i < pf_n_files; i++) {
		const struct pf_file *all[PF_MAX_FILES];
		size_t n = pf_file_closure(&pf_files[i], all, PF_MAX_FILES);
		struct arena a;
		struct buf b;
		cr_assert(n >= 1 && all[0] == &pf_files[i]);
		for (size_t k = 0; k < n; k++)
			for (size_t j = 0; j < k; j++)
				cr_assert(all[k] != all[j]);
		arena_init(&a, NULL);
		buf_init(&b, 1 << 20);
		pf_file_descriptor(&a, &pf_files[i], &b);
		cr_assert(!b.failed && b.n > 20);
		buf_deinit(&b);
		arena_deinit(&a);
	}
	const struct pf_file *all[PF_MAX_FILES];
	size_t n = pf_file_closure(pf_file_by_name(STR("info/infopb/rpc.proto")), all,
				   PF_MAX_FILES);
	static const char *const needed[] = { "store/storepb/rpc.proto",
					      "google/protobuf/any.proto" };
	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		size_t k = 1;
		while (k < n && strcmp(all[k]->name, needed[i]) != 0)
			k++;
		cr_assert(k < n, "info needs %s", needed[i]);
	}
}
