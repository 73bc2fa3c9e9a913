/*
 * cmd/thanosc/version.c - the one file that is compiled anew with each commit.
 */
#include "runtime.h"

const char version_text[] = THANOSC_VERSION;
const char version_commit[] = THANOSC_COMMIT;
