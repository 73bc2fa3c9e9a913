#include "recorded.h"

#include <stdio.h>

#include "support/tst.h"
#include "wire/codec.h"

void read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "rb");
	cr_assert(f != NULL, "%s", path);
	for (;;) {
		uint8_t *to = buf_room(out, 1 << 16);
		cr_assert(to != NULL);
		size_t n = fread(to, 1, 1 << 16, f);
		buf_commit(out, n);
		if (n == 0)
			break;
	}
	fclose(f);
}

struct str text_of(const struct doc *map, const char *key)
{
	const struct doc *d = map ? doc_get(map, key) : NULL;
	return d && d->kind == DOC_STR ? d->s : STR_NULL;
}

void read_gz(const char *path, struct buf *out)
{
	struct buf gz;
	struct err e = ERR_INIT;
	buf_init(&gz, 64 << 20);
	buf_init(out, 256 << 20);
	read_file(path, &gz);
	cr_assert_eq(gzip_decode(buf_view(&gz), 256 << 20, out, &e), 0, "%s",
		     err_text(&e));
	buf_deinit(&gz);
}
