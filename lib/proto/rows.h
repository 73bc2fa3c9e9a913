/*
 * proto/rows.h - how rows of field tables are written. Private to the files with tables.
 */
#ifndef PROTO_ROWS_H
#define PROTO_ROWS_H

#include "proto/msg.h"

#define T "thanos"

#define MSG(var, pkg, text, type, rows)                                                  \
	const struct pf_msg var = { pkg, text, sizeof(struct type), rows,                \
				    ARRAY_LEN(rows) }
#define ONE(num, type, field, kind)                                                      \
	{                                                                                \
		num, #field, kind, PF_ONE, offsetof(struct type, field), NULL, NULL, 0   \
	}
#define REP(num, type, field, kind)                                                      \
	{                                                                                \
		num, #field, kind, PF_REP, offsetof(struct type, field), NULL, NULL, 0   \
	}
#define SUB(num, type, field, m)                                                         \
	{                                                                                \
		num, #field, PF_MSG, PF_ONE, offsetof(struct type, field), &(m), NULL, 0 \
	}
#define SUBS(num, type, field, m)                                                        \
	{                                                                                \
		num, #field, PF_MSG, PF_REP, offsetof(struct type, field), &(m), NULL, 0 \
	}

/* A scalar member of a oneof; `which` names the field that tells the member that is set. */
#define ALT(num, type, field, kind, which)                                               \
	{                                                                                \
		num, #field, kind, PF_ONEOF, offsetof(struct type, field), NULL, NULL,   \
			offsetof(struct type, which)                                     \
	}

/* A string of a oneof, and the key of a map, which is written even when it is empty: there when p is not NULL. */
#define MEMBER(num, type, field, kind)                                                   \
	{                                                                                \
		num, #field, kind, PF_ONEOF, offsetof(struct type, field), NULL, NULL, 0 \
	}

/* A number with names; the enum is of the field's package. */
#define ENUM(num, type, field, label, names)                                             \
	{                                                                                \
		num, #field, PF_ENUM, label, offsetof(struct type, field), NULL,         \
			&(names), 0                                                      \
	}
#define NAMES(var, text, ...)                                                            \
	static const char *const var##_values[] = { __VA_ARGS__ };                       \
	static const struct pf_enum var = { text, var##_values, ARRAY_LEN(var##_values) }

#endif
