/*
 * proto/label.h - messages that several packages share: labels, google.protobuf.*.
 */
#ifndef PROTO_LABEL_H
#define PROTO_LABEL_H

#include "proto/msg.h"

#define PROTO_FIELDS_ANY(F, S) F(S, STR, 1, type_url) F(S, BYTES, 2, value)
PROTO_DECLARE(any, PROTO_FIELDS_ANY)
#define PROTO_FIELDS_TIMESTAMP(F, S) F(S, I64, 1, seconds) F(S, I32, 2, nanos)
PROTO_DECLARE(timestamp, PROTO_FIELDS_TIMESTAMP)
PROTO_DECLARE(duration, PROTO_FIELDS_TIMESTAMP)

#define PROTO_FIELDS_LABEL(F, S) F(S, STR, 1, name) F(S, STR, 2, value)
PROTO_DECLARE(label, PROTO_FIELDS_LABEL)
#define PROTO_FIELDS_LABEL_SET(F, S) F(S, REP_MSG, 1, labels, label)
PROTO_DECLARE(label_set, PROTO_FIELDS_LABEL_SET)

extern const struct proto_enum proto_enum_partial_strategy, proto_enum_match_type;
#define PROTO_FIELDS_LABEL_MATCHER(F, S) \
	F(S, ENUM, 1, type, match_type) F(S, STR, 2, name) F(S, STR, 3, value)
PROTO_DECLARE(label_matcher, PROTO_FIELDS_LABEL_MATCHER)

#endif
