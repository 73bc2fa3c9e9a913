/*
 * task/thread.c - how threads are made, and whether the current one may wait.
 *
 * Signals that concern the process as a whole are left to the thread that owns the loop: workers
 * block all but those that a fault of their own raises.
 */
#include "task/task_int.h"

#include <signal.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES ((size_t)1 << 20) /* instrumented frames are larger */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STACK_BYTES ((size_t)1 << 20)
#endif
#endif
#ifndef STACK_BYTES
#define STACK_BYTES ((size_t)256 << 10)
#endif

static _Thread_local unsigned forbidden;

bool task_may_wait(void)
{
	return forbidden == 0;
}

void task_forbid_wait(void)
{
	forbidden++;
}

void task_allow_wait(void)
{
	BUG_ON(forbidden == 0);
	forbidden--;
}

int task_thread_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg)
{
	static const int own[] = { SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
				   SIGABRT, SIGTRAP, SIGSYS, SIGPROF };
	pthread_attr_t attr;
	sigset_t blocked;
	sigfillset(&blocked);
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		sigdelset(&blocked, own[i]);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setsigmask_np(&attr, &blocked);
	int rc = pthread_create(out, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	if (rc == 0)
		pthread_setname_np(*out, name);
	return rc;
}
