/*
 * Every recorded StoreAPI call of a real Thanos (test/golden/storeapi): decoding and encoding again gives the same
 * bytes, by the tables and, for Series frames, by the hand-written path.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ctx.h"
#include "base/limits.h"
#include "proto/convert.h"
#include "proto/federated.h"
#include "support/tst.h"
#include "wire/json.h"

static bool read_file(const char *path, struct buf *b)
{
	FILE *f = fopen(path, "rb");
	uint8_t piece[65536];
	size_t n;
	if (!f)
		return false;
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(b, piece, n);
	fclose(f);
	return true;
}

static const struct {
	const char *method;
	const struct pf_msg *request, *response;
} methods[] = {
	{ "/thanos.Store/Series", &msg_series_request, &msg_series_response },
	{ "/thanos.Store/LabelNames", &msg_label_names_request,
	  &msg_label_names_response },
	{ "/thanos.Store/LabelValues", &msg_label_values_request,
	  &msg_label_values_response },
	{ "/thanos.info.Info/Info", NULL, &msg_info_response },
	{ "/thanos.Rules/Rules", &msg_rules_request, &msg_rules_response },
	{ "/thanos.Targets/Targets", &msg_targets_request, &msg_targets_response },
	{ "/thanos.Metadata/MetricMetadata", &msg_metadata_request,
	  &msg_metadata_response },
	{ "/thanos.Exemplars/Exemplars", &msg_exemplars_request,
	  &msg_exemplars_response },
	{ "/thanos.Status/TSDBStatistics", &msg_statistics_request,
	  &msg_statistics_response },
};

static unsigned frames, calls[ARRAY_LEN(methods)];

static void round_trip(const struct pf_msg *m, struct str in, const char *what)
{
	struct arena a;
	struct buf b;
	struct err e = ERR_INIT;
	arena_init(&a, NULL);
	buf_init(&b, 1 << 26);
	void *msg = arena_zalloc(&a, m->size);
	cr_assert(pf_decode(NULL, &a, m, in, msg, &e) == 0, "%s: %s", what, err_text(&e));
	cr_assert_eq(pf_size(m, msg), in.n, "%s", what);
	pf_encode(m, msg, &b);
	cr_assert(str_eq(buf_view(&b), in), "%s: other bytes", what);
	buf_deinit(&b);
	arena_deinit(&a);
	frames++;
}

/* A Series frame by the fast path: series decoded as views, encoded again. */
static void series_round_trip(struct str in, const char *what)
{
	struct arena a;
	struct buf b, out;
	struct err e = ERR_INIT;
	struct proto_series_frame f;
	arena_init(&a, NULL);
	buf_init(&b, 1 << 26);
	buf_init(&out, 1 << 26);
	cr_assert(proto_series_frame_decode(NULL, &a, in, &f, &e) == 0, "%s: %s", what,
		  err_text(&e));
	/* Views keep one hash a chunk, of raw data: frames with hashes of aggregates shrink. */
	bool raw = f.n == 1 &&
		   (f.series[0].n == 0 || f.series[0].chunks[0].part[AGGR_RAW].p);
	if (raw && in.p[0] == 0x0a) {
		proto_series_encode(&f.series[0], false, &b);
		cr_assert_eq(b.n, proto_series_size(&f.series[0], false));
		proto_series_frame_encode(buf_view(&b), &out);
		cr_assert(str_eq(buf_view(&out), in), "%s: other bytes", what);
	} else if (f.warning.p) {
		proto_warning_frame_encode(f.warning, &out);
		cr_assert(str_eq(buf_view(&out), in), "%s: other bytes", what);
	}
	buf_deinit(&out);
	buf_deinit(&b);
	arena_deinit(&a);
}

static void check_frames(const struct pf_msg *m, struct str bytes, const char *what)
{
	struct rd r = rd_of(bytes);
	while (rd_left(&r) && !r.bad) {
		cr_assert_eq(rd_u8(&r), 0);
		struct str msg = rd_bytes(&r, rd_be32(&r));
		cr_assert(!r.bad, "%s: cut", what);
		round_trip(m, msg.p ? msg : STR(""), what);
		if (m == &msg_series_response)
			series_round_trip(msg, what);
	}
}

static void check_call(const char *dir, const char *json_name)
{
	char path[512];
	struct arena a;
	struct buf j, q, p;
	struct err e = ERR_INIT;
	struct doc *d;
	arena_init(&a, NULL);
	buf_init(&j, 1 << 26);
	buf_init(&q, 1 << 26);
	buf_init(&p, 1 << 26);
	snprintf(path, sizeof(path), "%s/%s", dir, json_name);
	cr_assert(read_file(path, &j));
	size_t stem = strlen(path) - 5;
	snprintf(path + stem, sizeof(path) - stem, ".request.bin");
	bool have = read_file(path, &q);
	snprintf(path + stem, sizeof(path) - stem, ".response.bin");
	(void)read_file(path, &p);
	cr_assert_eq(json_parse(NULL, &a, buf_view(&j), &d, &e), 0, "%s: %s", path,
		     err_text(&e));
	const struct doc *method = doc_get(d, "method");
	for (size_t i = 0; method && i < ARRAY_LEN(methods); i++) {
		if (!str_eqz(method->s, methods[i].method))
			continue;
		if (have && methods[i].request)
			check_frames(methods[i].request, buf_view(&q), path);
		calls[i]++;
		check_frames(methods[i].response, buf_view(&p), path);
	}
	buf_deinit(&p);
	buf_deinit(&q);
	buf_deinit(&j);
	arena_deinit(&a);
}

Test(proto, recorded_calls_decode_and_encode_to_the_same_bytes)
{
	static const char *const dirs[] = {
		"store",   "store-limit-series", "store-downsampled",	 "query",
		"sidecar", "sidecar-live",	 "store-newer-encodings"
	};
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		char dir[256];
		snprintf(dir, sizeof(dir), "test/golden/storeapi/%s", dirs[i]);
		DIR *d = opendir(dir);
		cr_assert(d != NULL, "%s", dir);
		for (struct dirent *en; (en = readdir(d));) {
			size_t n = strlen(en->d_name);
			if (n > 5 && strcmp(en->d_name + n - 5, ".json") == 0)
				check_call(dir, en->d_name);
		}
		closedir(d);
	}
	cr_assert(frames > 100, "%u frames only", frames);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		cr_assert(calls[i] > 0, "no recorded call of %s", methods[i].method);
}

Test(proto, a_request_survives_the_structs)
{
	struct arena a;
	struct ctx ctx;
	struct buf b, again;
	struct err e = ERR_INIT;
	struct store_series_req r, r2;
	struct str without[] = { STR("replica") };
	struct matcher m;
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, NULL);
	buf_init(&b, 1 << 16);
	buf_init(&again, 1 << 16);
	cr_assert_eq(matcher_compile(&ctx, &a, MATCH_RE, STR("job"), STR("a|b"), &m, &e),
		     0);
	r = (struct store_series_req){ .mint_ms = -5,
				       .maxt_ms = 10,
				       .matchers = &m,
				       .n_matchers = 1,
				       .aggrs = AGGR_BIT(AGGR_COUNT) | AGGR_BIT(AGGR_SUM),
				       .skip_chunks = true,
				       .without_replica_labels = without,
				       .n_without = 1,
				       .limit = 3,
				       .batch = 64,
				       .want_lanes = true };
	proto_series_req_encode(&a, &r, &b);
	cr_assert_eq(proto_series_req_decode(&ctx, &a, buf_view(&b), &r2, &e), 0);
	cr_assert(r2.mint_ms == -5 && r2.maxt_ms == 10 && r2.n_matchers == 1 &&
		  r2.skip_chunks);
	cr_assert(r2.aggrs == r.aggrs && r2.limit == 3 && r2.batch == 64 &&
		  r2.want_lanes);
	cr_assert(matcher_matches(&r2.matchers[0], STR("b")));
	proto_series_req_encode(&a, &r2, &again);
	cr_assert(str_eq(buf_view(&b), buf_view(&again)));
	buf_deinit(&again);
	buf_deinit(&b);
	arena_deinit(&a);
	ctx_deinit(&ctx);
}

Test(proto, nesting_and_lengths_are_bounded)
{
	struct arena a;
	struct err e = ERR_INIT;
	struct pb_series_response m;
	static const uint8_t cut[] = { 0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1 };
	arena_init(&a, NULL);
	cr_assert_eq(pf_decode(NULL, &a, &msg_series_response, str_n(cut, sizeof(cut)),
			       &m, &e),
		     -1);
	cr_assert_eq(e.code, E_CORRUPT);
	arena_deinit(&a);
}
