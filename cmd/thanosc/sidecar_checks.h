/*
 * cmd/thanosc/sidecar_checks.h - what is wrong around a sidecar and that nobody else tells: a data folder on another
 * machine, a clock that differs from Prometheus'.
 */
#ifndef CMD_THANOSC_SIDECAR_CHECKS_H
#define CMD_THANOSC_SIDECAR_CHECKS_H

#include "http/http.h"

struct sidecar_clock {
	struct http_client *http;
	struct str url; /* of Prometheus */
	struct metric *skew;
	bool is_off;
};
void sidecar_check_folder(const char *dir);
void sidecar_clock_open(struct sidecar_clock *c, struct http_client *http, struct str url,
			struct metric_registry *m);
/* Compare with the Date of one answer; failures are left to the heartbeat. WORKER */
void sidecar_clock_check(struct sidecar_clock *c, struct ctx *ctx);

#endif
