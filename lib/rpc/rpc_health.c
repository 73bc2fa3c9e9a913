/*
 * rpc/rpc_health.c - the two messages of grpc.health.v1.Health. They are one field each, so they are
 * coded by hand:
 *
 *	HealthCheckRequest  { string service = 1; }
 *	HealthCheckResponse { ServingStatus status = 1; }   UNKNOWN 0, SERVING 1, NOT_SERVING 2,
 *							    SERVICE_UNKNOWN 3 (Watch only)
 */
#include "rpc/rpc_int.h"
#include "wire/rd.h"

enum { WIRE_VARINT = 0, WIRE_I64 = 1, WIRE_LEN = 2, WIRE_I32 = 5 };

int rpc_health_request(struct str msg, struct str *service, struct err *e)
{
	struct rd r = rd_of(msg);
	*service = STR("");
	while (!r.bad && rd_left(&r) > 0) {
		uint64_t tag = rd_uvarint(&r);
		switch (tag & 7) {
		case WIRE_VARINT: rd_uvarint(&r); break;
		case WIRE_I64: rd_bytes(&r, 8); break;
		case WIRE_I32: rd_bytes(&r, 4); break;
		case WIRE_LEN: {
			struct str v = rd_bytes(&r, rd_uvarint(&r));
			if (tag >> 3 == 1)
				*service = v;
			break;
		}
		default:
			return err_set(NULL, e, E_INVALID, "health request: wire type %u",
				       (unsigned)(tag & 7));
		}
	}
	if (r.bad)
		return err_set(NULL, e, E_INVALID, "health request: message cut short");
	return 0;
}

size_t rpc_health_answer(uint8_t out[2], enum rpc_health_status st)
{
	out[0] = 1 << 3 | WIRE_VARINT;
	out[1] = (uint8_t)st;
	return 2;
}
