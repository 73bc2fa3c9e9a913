/*
 * test/tools/proto_text.c - the .proto source of a package as our field tables give it: proto_text PACKAGE.
 * test/support/storeapi.py compiles it with protoc, so that a codec that nobody here wrote speaks to ours.
 */
#include <stdio.h>

#include "base/buf.h"
#include "proto/msg.h"
#include "proto/store.h"

int main(int argc, char **argv)
{
	struct buf b;
	size_t n = 0;
	const struct pf_msg *const *m = argc == 2 ? proto_package(argv[1], &n) : NULL;
	if (!m) {
		fprintf(stderr,
			"usage: proto_text PACKAGE (thanos, thanos.info or google.protobuf)\n");
		return 2;
	}
	buf_init(&b, 1 << 20);
	pf_proto_text(argv[1], m, n, &b);
	fwrite(b.p, 1, b.n, stdout);
	buf_deinit(&b);
	return 0;
}
