/*
 * loop/loop_int.h - the loop's insides, for loop/ and net/ (which need the uv_loop_t).
 */
#ifndef LOOP_LOOP_INT_H
#define LOOP_LOOP_INT_H

#include <pthread.h>
#include <uv.h>

#include "loop/loop.h"

struct post {
	void (*fn)(void *arg);
	void *arg;
	struct post *next;
};
struct loop {
	uv_loop_t uv;
	uv_poll_t wake; /* of wake_fd, an eventfd */
	int wake_fd;
	pthread_t thread;
	pthread_mutex_t mu;	   /* guards the queue */
	struct post *head, **tail; /* posted, oldest first */
	bool stopping;		   /* mu; the loop ends when nothing is posted any more */
	struct signal_watch *signals; /* LOOP; closed when the loop stops */
	char name[16];
	/* What a socket had, for as long as the callback that is told of it runs. Not of the thread: all threads would be given one. */
	uint8_t read_buf[64 << 10];
};

/* For net/: handles live on this loop. LOOP */
uv_loop_t *loop_uv(struct loop *l);
/* As pthread_create; the signals that a loop may watch are blocked from the thread's first step. */
int loop_thread_start(pthread_t *out, void *(*fn)(void *arg), void *arg);
void loop_signals_close(struct loop *l); /* LOOP */

#endif
