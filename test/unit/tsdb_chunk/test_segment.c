#include "golden.h"

#include <stdlib.h>

#include "support/tst.h"

#define DIR "test/golden/blocks/bucket/01M81YVCHCC17VDZ0DT7QR6H2J"

static struct arena mem;
static char *bytes; /* a copy of the segment that tests may damage */
static struct str original;
static struct golden_chunks chunks;
static struct segments *segs;
static size_t n_bad;
static char last_bad[300];

static void setup(void)
{
	struct err e = ERR_INIT;
	arena_init(&mem, NULL);
	original = golden_read(&mem, DIR "/chunks/000001");
	chunks = golden_chunks(&mem, original);
	bytes = malloc(original.n);
	memcpy(bytes, original.p, original.n);
	struct range_source *src = range_source_mem("000001", bytes, original.n);
	cr_assert_eq(segments_open(NULL, &src, 1, &segs, &e), 0, "%s", err_text(&e));
	n_bad = 0;
}

static void teardown(void)
{
	segments_close(segs);
	free(bytes);
	arena_deinit(&mem);
}

static void on_bad(void *arg, size_t i, const struct err *why)
{
	(void)arg;
	(void)i;
	n_bad++;
	strncpy(last_bad, err_text(why), sizeof last_bad - 1);
}

/* Read all chunks, last first, with a hint; compare with the file. */
static void read_all(uint32_t hint)
{
	struct err e = ERR_INIT;
	struct segment_need *need = ARENA_ARRAY(&mem, struct segment_need, chunks.n);
	for (size_t i = 0; i < chunks.n; i++) {
		need[i].ref = chunks.off[chunks.n - 1 - i];
		need[i].len_hint = hint;
	}
	cr_assert_eq(segments_read(segs, NULL, need, chunks.n, on_bad, NULL, &e), 0);
	for (size_t i = 0; i < chunks.n; i++) {
		struct chunk_part want = chunks.v[chunks.n - 1 - i];
		if (need[i].bad)
			continue;
		cr_expect(need[i].part.enc == want.enc && need[i].part.n == want.n &&
			  memcmp(need[i].part.p, want.p, want.n) == 0);
	}
	for (size_t i = 0; i < chunks.n; i++)
		view_put(&need[i].pin);
}

Test(segment, reads_all_chunks_whatever_the_hint, .init = setup, .fini = teardown)
{
	static const uint32_t hints[] = { 0, 1, 3, 100, 5000, 1000000 };
	for (size_t i = 0; i < ARRAY_LEN(hints); i++)
		read_all(hints[i]);
	cr_assert_eq(n_bad, 0);
}

/* Of a file the bytes are pinned: neighbours share a read, and what was cut is read again beside it. */
Test(segment, chunks_of_a_file_stay_until_all_are_let_go, .init = setup, .fini = teardown)
{
	static const uint32_t hints[] = { 0, 1, 3, 40, 150, 400, 5000 };
	struct segments *mem_segs = segs;
	struct range_source *src = NULL;
	struct err e = ERR_INIT;
	cr_assert_eq(range_source_file(NULL, DIR "/chunks/000001", &src, &e), 0);
	cr_assert_eq(segments_open(NULL, &src, 1, &segs, &e), 0, "%s", err_text(&e));
	for (size_t i = 0; i < ARRAY_LEN(hints); i++)
		read_all(hints[i]);
	cr_assert_eq(n_bad, 0);
	segments_close(segs);
	segs = mem_segs;
}

Test(segment, a_flipped_bit_spoils_one_chunk_only, .init = setup, .fini = teardown)
{
	bytes[chunks.off[7] + 20] ^= 4;
	read_all(0);
	cr_assert_eq(n_bad, 1);
	cr_assert(strstr(last_bad, "000001: chunk at"), "%s", last_bad);
	cr_assert(strstr(last_bad, "checksum mismatch"), "%s", last_bad);
}

Test(segment, references_outside_are_refused_one_by_one, .init = setup, .fini = teardown)
{
	struct segment_need need[] = { { .ref = 3 },
				       { .ref = original.n },
				       { .ref = 1ull << 32 | 8 },
				       { .ref = chunks.off[1] },
				       { .ref = original.n - 1 } };
	struct err e = ERR_INIT;
	cr_assert_eq(segments_read(segs, NULL, need, 5, on_bad, NULL, &e), 0);
	cr_assert_eq(n_bad, 4);
	cr_assert(!need[3].bad);
	view_put(&need[3].pin);
}

Test(segment, lengths_past_the_end_are_refused, .init = setup, .fini = teardown)
{
	struct segment_need need = { .ref = chunks.off[chunks.n - 1] };
	struct err e = ERR_INIT;
	memset(bytes + need.ref, 0xff, 3);
	bytes[need.ref + 3] = 7;
	cr_assert_eq(segments_read(segs, NULL, &need, 1, on_bad, NULL, &e), 0);
	cr_assert(need.bad && n_bad == 1);
	cr_assert(strstr(last_bad, "end of the segment"), "%s", last_bad);
	memset(bytes + need.ref, 0xff, 12);
	cr_assert_eq(segments_read(segs, NULL, &need, 1, on_bad, NULL, &e), 0);
	cr_assert(strstr(last_bad, "bad length"), "%s", last_bad);
}

Test(segment, a_wrong_header_is_refused_with_its_file)
{
	static const uint8_t bad[][8] = { { 0x85, 0xbd, 0x40, 0xdc, 1 },
					  { 0x85, 0xbd, 0x40, 0xdd, 2 } };
	for (size_t i = 0; i < 2; i++) {
		struct err e = ERR_INIT;
		struct segments *s = NULL;
		struct range_source *src = range_source_mem("chunks/000009", bad[i], 8);
		cr_assert_eq(segments_open(NULL, &src, 1, &s, &e), -1);
		cr_assert(strstr(err_text(&e), "chunks/000009"), "%s", err_text(&e));
	}
}
