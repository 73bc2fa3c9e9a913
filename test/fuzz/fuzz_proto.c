/*
 * test/fuzz/fuzz_proto.c - any bytes as each message of StoreAPI, Info, the federated APIs and remote read, as a Series frame, and as
 * the JSON of Prometheus.
 */
#include "base/ctx.h"
#include "proto/convert.h"
#include "proto/federated.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct pf_msg *const all[] = {
		&msg_series_request,	   &msg_series_response,
		&msg_label_values_request, &msg_label_names_response,
		&msg_info_response,	   &msg_read_request,
		&msg_read_response,	   &msg_chunked_read_response,
		&msg_rules_request,	   &msg_rules_response,
		&msg_targets_response,	   &msg_metadata_response,
		&msg_exemplars_response,   &msg_statistics_request,
		&msg_statistics_response
	};
	struct err e = ERR_INIT;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct arena a;
		arena_init(&a, NULL);
		(void)!pf_decode(NULL, &a, all[i], str_n(p, n),
				 arena_zalloc(&a, all[i]->size), &e);
		arena_deinit(&a);
	}
	struct arena a;
	struct proto_series_frame f;
	arena_init(&a, NULL);
	(void)!proto_series_frame_decode(NULL, &a, str_n(p, n), &f, &e);
	arena_deinit(&a);
	static const struct pj_msg *const json[] = { &pj_rule_groups,
						     &pj_target_discovery,
						     &pj_exemplar_data,
						     &pj_statistics_entry };
	for (size_t i = 0; i < ARRAY_LEN(json); i++) {
		struct jr j;
		arena_init(&a, NULL);
		jr_init(&j, &a, str_n(p, n));
		(void)!pj_read(NULL, &a, json[i], &j, arena_zalloc(&a, 256), &e);
		arena_deinit(&a);
	}
	return 0;
}
