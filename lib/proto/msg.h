/*
 * proto/msg.h - protobuf messages as tables of fields: one declaration gives decoder, encoder and .proto text.
 *
 * Structs: scalars stand inline; strings and bytes are views (into the input, after decoding); a sub-message is
 * a pointer, NULL when absent; repeated fields are struct pf_list with their elements inline.
 *
 * Encoding: fields ascend by number, defaults are left out (proto3); members of a oneof are written when
 * present: a message that is not NULL, a string whose p is not NULL; a scalar when the uint8_t at `which` (one for
 * all members) holds its number, as decoding sets it, so that zero is told from absent.
 * Thread  CPU.  Memory  decoded structs in the arena, strings as views into the input.
 */
#ifndef PROTO_MSG_H
#define PROTO_MSG_H

#include "base/arena.h"
#include "base/buf.h"

enum pf_type {
	PF_INT32,
	PF_INT64,
	PF_UINT32,
	PF_UINT64,
	PF_SINT32,
	PF_SINT64,
	PF_BOOL,
	PF_ENUM, /* int32_t */
	PF_DOUBLE,
	PF_STRING,
	PF_BYTES,
	PF_MSG,
};
enum pf_label { PF_ONE, PF_REP, PF_ONEOF };
struct pf_msg;
struct pf_enum {
	const char *name; /* with the message that it is declared in: "Chunk.Encoding" */
	const char *const *value;
	uint32_t n; /* values 0 to n - 1 */
};
struct pf_field {
	uint32_t num;
	const char *name;
	enum pf_type type;
	enum pf_label label;
	uint32_t off;
	const struct pf_msg *msg; /* PF_MSG */
	const struct pf_enum *en; /* PF_ENUM, for descriptors; NULL: told as int32 */
	uint32_t which; /* PF_ONEOF scalar: offset of the number (not first); else 0 */
};
struct pf_msg {
	const char *package, *name;
	uint32_t size;
	const struct pf_field *field; /* ascending numbers */
	uint32_t n;
};
struct pf_list {
	void *v;
	size_t n;
};

/*
 * Decode into *out (msg->size bytes). Unknown fields are skipped; a known field of another wire type, a cut
 * message, or nesting beyond LIMIT_PROTO_DEPTH is E_CORRUPT naming message and field. Lists cost at most
 * a small multiple of the input, charged to the arena's budget (E_LIMIT).
 */
MUST_CHECK int pf_decode(struct ctx *ctx, struct arena *a, const struct pf_msg *m,
			 struct str in, void *out, struct err *e);
size_t pf_size(const struct pf_msg *m, const void *msg);
void pf_encode(const struct pf_msg *m, const void *msg, struct buf *out);
/* proto3 source of these messages (all of one package), for independent codecs and reflection. */
void pf_proto_text(const char *package, const struct pf_msg *const *msgs, size_t n,
		   struct buf *out);

#endif
