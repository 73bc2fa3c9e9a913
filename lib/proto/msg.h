/*
 * proto/msg.h - protobuf messages declared once: a list of fields makes the C struct, the table from
 * which one decoder and one encoder work, and the .proto text.
 *
 *   #define PROTO_FIELDS_LABEL(F, S) F(S, STR, 1, name) F(S, STR, 2, value)
 *   PROTO_DECLARE(label, PROTO_FIELDS_LABEL)                       -- header: struct proto_label
 *   PROTO_DEFINE(label, "thanos", "Label", PROTO_FIELDS_LABEL)     -- .c: proto_msg_label
 *
 * Fields stand in ascending order of their numbers. Kinds and the members they make:
 *   I32 I64 U32 U64 S32 S64 BOOL F64   a scalar; 0 is left out on the wire
 *   STR BYTES                          struct str, a view into the input; empty is left out
 *   ENUM(desc)                         int32_t
 *   MSG(type)                          struct proto_type *; NULL: absent
 *   RAW(type)                          struct str: a submessage kept as its bytes; p NULL: absent
 *   REP_xxx                            struct { T *v; size_t n; }
 *   ONEOF                              uint32_t: the number of the field of this oneof that is set
 *   OF_xxx(..., case)                  member of the oneof `case`; sent when the case says so
 *
 * Source  protobuf.dev, "Encoding".  Thread  CPU
 */
#ifndef PROTO_MSG_H
#define PROTO_MSG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum proto_type {
	PROTO_I32,
	PROTO_I64,
	PROTO_U32,
	PROTO_U64,
	PROTO_S32,
	PROTO_S64,
	PROTO_BOOL,
	PROTO_F64,
	PROTO_STR,
	PROTO_BYTES,
	PROTO_ENUM,
	PROTO_MSG,
	PROTO_RAW,
};
struct proto_enum {
	const char *package, *name;
	const char *const *values; /* NULL-ended; index is the number */
};
#define PROTO_NO_CASE UINT16_MAX
struct proto_field {
	uint32_t num;
	uint8_t type; /* enum proto_type */
	bool repeated;
	uint16_t offset;
	uint16_t case_offset; /* PROTO_NO_CASE: in no oneof */
	const char *name, *case_name;
	const struct proto_msg *msg; /* MSG, RAW */
	const struct proto_enum *en; /* ENUM */
};
struct proto_msg {
	const char *package, *name;
	size_t size; /* of the C struct */
	const struct proto_field *fields;
	size_t n;
};
struct proto_list { /* how every repeated member lies in memory */
	void *v;
	size_t n;
};

/*
 * Decode into *out (m->size bytes, zeroed by this function). Strings are views into `in`, lists and
 * submessages lie in `a`. Unknown fields are skipped; a repeated singular message is merged, as the
 * format says. E_PARSE names the message; E_LIMIT: deeper than LIMIT_PROTO_DEPTH, or the budget.
 */
MUST_CHECK int proto_decode(struct ctx *ctx, struct arena *a, const struct proto_msg *m,
			    struct str in, void *out, struct err *e);
/* Append the message; check the buf afterwards. Depth is that of the C structs. */
void proto_encode(const struct proto_msg *m, const void *in, struct buf *out);
size_t proto_size(const struct proto_msg *m, const void *in);

/* Every message there is, grouped by package. */
extern const struct proto_msg *const proto_messages[];
extern const size_t proto_messages_n;
/* "thanos.Series" or NULL. */
const struct proto_msg *proto_find(struct str full_name);
/* The .proto file of one package; it imports "<package>.proto" of others it refers to. */
void proto_write_proto_text(const char *package, struct buf *out);

/* ---- how a list of fields becomes a struct ---- */
#define PROTO_C_I32		   int32_t
#define PROTO_C_I64		   int64_t
#define PROTO_C_U32		   uint32_t
#define PROTO_C_U64		   uint64_t
#define PROTO_C_S32		   int32_t
#define PROTO_C_S64		   int64_t
#define PROTO_C_BOOL		   bool
#define PROTO_C_F64		   double
#define PROTO_C_STR		   struct str
#define PROTO_C_BYTES		   struct str
#define PROTO_LIST_OF(ctype, name) \
	struct {                   \
		ctype *v;          \
		size_t n;          \
	} name;

#define PROTO_M_I32(name)	       int32_t name;
#define PROTO_M_I64(name)	       int64_t name;
#define PROTO_M_U32(name)	       uint32_t name;
#define PROTO_M_U64(name)	       uint64_t name;
#define PROTO_M_S32(name)	       int32_t name;
#define PROTO_M_S64(name)	       int64_t name;
#define PROTO_M_BOOL(name)	       bool name;
#define PROTO_M_F64(name)	       double name;
#define PROTO_M_STR(name)	       struct str name;
#define PROTO_M_BYTES(name)	       struct str name;
#define PROTO_M_ENUM(name, desc)       int32_t name;
#define PROTO_M_MSG(name, type)	       struct proto_##type *name;
#define PROTO_M_RAW(name, type)	       struct str name;
#define PROTO_M_REP(name, kind)	       PROTO_LIST_OF(PROTO_C_##kind, name)
#define PROTO_M_REP_ENUM(name, desc)   PROTO_LIST_OF(int32_t, name)
#define PROTO_M_REP_MSG(name, type)    PROTO_LIST_OF(struct proto_##type, name)
#define PROTO_M_ONEOF(name)	       uint32_t name;
#define PROTO_M_OF(name, kind, cs)     PROTO_C_##kind name;
#define PROTO_M_OF_MSG(name, type, cs) struct proto_##type *name;
#define PROTO_M_OF_RAW(name, type, cs) struct str name;
#define PROTO_MEMBER(s, kind, num, ...) PROTO_M_##kind(__VA_ARGS__)

#define PROTO_DECLARE(type, FIELDS) \
	struct proto_##type {       \
		FIELDS(PROTO_MEMBER, type)\
	};                          \
	extern const struct proto_msg proto_msg_##type;
/* A message without fields. */
#define PROTO_DECLARE_EMPTY(type)   \
	struct proto_##type {       \
		char none;          \
	};                          \
	extern const struct proto_msg proto_msg_##type;

#endif
