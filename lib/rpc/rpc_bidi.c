/*
 * rpc/rpc_bidi.c - calls whose client sends many messages.
 *
 * Whole messages wait in a list of the call. A request thread is at work only while there are some, so a call that
 * stays open and silent costs no thread. The stream's credit is held back while that thread is behind: what waits
 * is at most a window and the message that completed in it, charged to the call.
 *
 *   on_data -> rpc_bidi_message -> [ in_head ... ] -> work: handle, rpc_send
 *                  '- starts work if none runs              '- list empty: returns credit, or ends the call
 */
#include <stdlib.h>

#include "rpc/rpc_server_int.h"

static void give_credit(void *arg)
{
	struct rpc_call *call = arg;
	if (call->conn) {
		h2_session_credit(call->conn->s, call->id, &call->owed);
		h2_session_flush(call->conn->s);
	}
	rpc_call_unref(call);
}

static void end(struct rpc_call *call, enum rpc_code code, struct str text)
{
	rpc_call_count(call, code, true, text);
	rpc_call_finish(call, code, text);
}

/* The next message; NULL: there is none, and the thread is done with the call for now. */
static struct rpc_chunk *next(struct rpc_call *call, bool *ended)
{
	bool left = false;
	pthread_mutex_lock(&call->mu);
	struct rpc_chunk *c = call->in_head;
	bool owed = false;
	if (c) {
		call->in_head = c->next;
		if (!call->in_head)
			call->in_tail = &call->in_head;
	} else {
		call->in_running = false;
		*ended = call->in_ended;
		left = call->gone && !call->finished;
		owed = call->in_owed;
		call->in_owed = false;
	}
	pthread_mutex_unlock(&call->mu);
	if (left)
		rpc_call_count(call, RPC_CANCELLED, true, STR("client has left"));
	if (owed) {
		atomic_fetch_add(&call->refs, 1);
		loop_post(call->loop, give_credit, call);
	}
	return c;
}

static void work(void *arg)
{
	struct rpc_call *call = arg;
	const struct rpc_method *m = &call->method->m;
	struct rpc_chunk *c;
	bool ended = false;
	while ((c = next(call, &ended))) {
		struct err e = ERR_INIT;
		enum rpc_code code;
		int rc = rpc_call_untag(call, &c->v, &code, &e);
		if (rc == 0) {
			rc = m->handle(m->arg, &call->ctx, call, str_n(c->v.p, c->v.n),
				       &e);
			code = rpc_code_of_err(e.code);
		}
		view_put(&c->v);
		free(c);
		if (rc == 0)
			continue;
		/* in_running stays: nothing more of this call is looked at. */
		end(call, code, str_of(err_text(&e)));
		rpc_call_unref(call);
		return;
	}
	if (ended)
		end(call, RPC_OK, STR_NULL);
	rpc_call_unref(call);
}

int rpc_bidi_message(struct rpc_call *call, struct view v, struct err *e)
{
	struct rpc_chunk *c = xcalloc(1, sizeof(*c));
	c->v = v;
	pthread_mutex_lock(&call->mu);
	bool start = !call->in_running;
	*call->in_tail = c;
	call->in_tail = &c->next;
	call->in_running = true;
	pthread_mutex_unlock(&call->mu);
	if (!start)
		return 0;
	atomic_fetch_add(&call->refs, 1);
	if (task_request(call->srv->pool, work, call, e) == 0)
		return 0;
	rpc_call_unref(call);
	return -1;
}

void rpc_bidi_end(struct rpc_call *call)
{
	pthread_mutex_lock(&call->mu);
	call->in_ended = true;
	bool idle = !call->in_running;
	pthread_mutex_unlock(&call->mu);
	if (idle)
		end(call, RPC_OK, STR_NULL);
}

bool rpc_bidi_is_idle(struct rpc_call *call)
{
	pthread_mutex_lock(&call->mu);
	bool idle = !call->in_running;
	pthread_mutex_unlock(&call->mu);
	return idle;
}

bool rpc_bidi_may_credit(struct rpc_call *call)
{
	if (call->method->m.how != RPC_BIDI)
		return true;
	pthread_mutex_lock(&call->mu);
	bool behind = call->in_head != NULL;
	call->in_owed |= behind;
	pthread_mutex_unlock(&call->mu);
	return !behind;
}
