/*
 * cmd/thanosc/notify.h - the service manager (systemd).
 */
#ifndef CMD_THANOSC_NOTIFY_H
#define CMD_THANOSC_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "WATCHDOG=1", ...; nothing happens where no manager asked for it. Never blocks. */
void notify_systemd(const char *state);
/* How often it wants to hear WATCHDOG=1 (half its limit); 0: not at all. */
uint64_t notify_watchdog_ns(void);

#endif
