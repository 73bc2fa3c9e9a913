/*
 * test/fuzz/fuzz_proto.c - any bytes as each message of StoreAPI, Info and remote read, and as a Series frame.
 */
#include "base/ctx.h"
#include "proto/convert.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct pf_msg *const all[] = {
		&msg_series_request,	   &msg_series_response,
		&msg_label_values_request, &msg_label_names_response,
		&msg_info_response,	   &msg_read_request,
		&msg_read_response,	   &msg_chunked_read_response
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
	return 0;
}
