/*
 * proto/table.h - how a list of fields becomes its table; for the .c files that define messages.
 */
#ifndef PROTO_TABLE_H
#define PROTO_TABLE_H

#include "proto/msg.h"

#define PROTO_ROW(self_, num_, type_, rep_, name_, ...)                                         \
	{ .num = (num_),                                                                 \
	  .type = PROTO_##type_,                                                         \
	  .repeated = (rep_),                                                            \
	  .offset = (uint16_t)offsetof(struct proto_##self_, name_),                               \
	  .name = #name_,                                                                \
	  __VA_ARGS__ },
#define PROTO_ALONE	 .case_offset = PROTO_NO_CASE
#define PROTO_IN(s, cs)	 .case_offset = (uint16_t)offsetof(struct proto_##s, cs), .case_name = #cs
#define PROTO_OF_TYPE(t) .msg = &proto_msg_##t

#define PROTO_R_I32(s, num, name)		    PROTO_ROW(s, num, I32, false, name, PROTO_ALONE)
#define PROTO_R_I64(s, num, name)		    PROTO_ROW(s, num, I64, false, name, PROTO_ALONE)
#define PROTO_R_U32(s, num, name)		    PROTO_ROW(s, num, U32, false, name, PROTO_ALONE)
#define PROTO_R_U64(s, num, name)		    PROTO_ROW(s, num, U64, false, name, PROTO_ALONE)
#define PROTO_R_S32(s, num, name)		    PROTO_ROW(s, num, S32, false, name, PROTO_ALONE)
#define PROTO_R_S64(s, num, name)		    PROTO_ROW(s, num, S64, false, name, PROTO_ALONE)
#define PROTO_R_BOOL(s, num, name)		    PROTO_ROW(s, num, BOOL, false, name, PROTO_ALONE)
#define PROTO_R_F64(s, num, name)		    PROTO_ROW(s, num, F64, false, name, PROTO_ALONE)
#define PROTO_R_STR(s, num, name)		    PROTO_ROW(s, num, STR, false, name, PROTO_ALONE)
#define PROTO_R_BYTES(s, num, name)	    PROTO_ROW(s, num, BYTES, false, name, PROTO_ALONE)
#define PROTO_R_REP(s, num, name, kind)	    PROTO_ROW(s, num, kind, true, name, PROTO_ALONE)
#define PROTO_R_ONEOF(s, num, name)	    /* the case member is no field */
#define PROTO_R_OF(s, num, name, kind, cs)	    PROTO_ROW(s, num, kind, false, name, PROTO_IN(s, cs))
#define PROTO_R_ENUM(s, num, name, desc) \
	PROTO_ROW(s, num, ENUM, false, name, PROTO_ALONE, .en = &proto_enum_##desc)
#define PROTO_R_REP_ENUM(s, num, name, desc) \
	PROTO_ROW(s, num, ENUM, true, name, PROTO_ALONE, .en = &proto_enum_##desc)
#define PROTO_R_MSG(s, num, name, t) \
	PROTO_ROW(s, num, MSG, false, name, PROTO_ALONE, PROTO_OF_TYPE(t))
#define PROTO_R_RAW(s, num, name, t) \
	PROTO_ROW(s, num, RAW, false, name, PROTO_ALONE, PROTO_OF_TYPE(t))
#define PROTO_R_REP_MSG(s, num, name, t) \
	PROTO_ROW(s, num, MSG, true, name, PROTO_ALONE, PROTO_OF_TYPE(t))
#define PROTO_R_OF_MSG(s, num, name, t, cs) \
	PROTO_ROW(s, num, MSG, false, name, PROTO_IN(s, cs), PROTO_OF_TYPE(t))
#define PROTO_R_OF_RAW(s, num, name, t, cs) \
	PROTO_ROW(s, num, RAW, false, name, PROTO_IN(s, cs), PROTO_OF_TYPE(t))
#define PROTO_FIELD_ROW(s, kind, num, ...) PROTO_R_##kind(s, num, __VA_ARGS__)

#define PROTO_DEFINE(type, package_, name_, FIELDS)                                      \
	static const struct proto_field proto_fields_##type[] = { FIELDS(                \
		PROTO_FIELD_ROW, type) };                                                \
	const struct proto_msg proto_msg_##type = { package_, name_,                     \
						    sizeof(struct proto_##type),         \
						    proto_fields_##type,                 \
						    ARRAY_LEN(proto_fields_##type) };
#define PROTO_DEFINE_EMPTY(type, package_, name_)                                        \
	const struct proto_msg proto_msg_##type = { package_, name_,                     \
						    sizeof(struct proto_##type), NULL, 0 };
#define PROTO_ENUM_DEFINE(id, package_, name_, ...)                                      \
	static const char *const proto_values_##id[] = { __VA_ARGS__, NULL };            \
	const struct proto_enum proto_enum_##id = { package_, name_, proto_values_##id };

#endif
