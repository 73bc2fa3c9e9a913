/*
 * store/endpoint_poll.c - Info calls to all members of all endpoints, by one thread.
 *
 * A call is opened and left alone; a loop says when there is something to read. So thousands of addresses that hang cost
 * no threads, and delay no others. A member is asked again poll_ns after its last answer or failure.
 */
#include "store/endpoint_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"
#include "base/vec.h"
#include "proto/convert.h"
#include "task/pipe.h"

#define METER_NS (50 * NS_PER_MS) /* metrics are put together at most this often */
#define TLS_NS	 (10 * NS_PER_S)  /* files of certificates are looked at this often */

struct poller {
	struct endpoints *s;
	struct endpoint_member *flying;
	uint64_t scan_ns;  /* when polls or deadlines are due next */
	uint64_t meter_ns; /* not before */
	uint64_t tls_ns;
};

static struct endpoint_info *info_new(struct str msg, struct err *e)
{
	struct endpoint_info *i = endpoint_info_new();
	i->raw = str_dup(&i->arena, msg); /* decoded strings are views into it */
	if (proto_info_decode(NULL, &i->arena, i->raw, &i->info, &i->has_store, e) < 0) {
		ref_put(&i->ref);
		return NULL;
	}
	return i;
}

/* ---- results ---- */

enum change { NOTHING, CAME, WENT, FAILED_FIRST };

/* What a poll told about the endpoint; locked. *old: to be put. */
static enum change note(struct endpoint *ep, struct endpoint_member *m,
			struct endpoint_info *info, const struct err *why,
			struct endpoint_info **old)
{
	bool was = ep->healthy, first = ep->last_check_ms == 0;
	m->healthy = info != NULL;
	ep->healthy = info != NULL;
	for (size_t i = 0; i < ep->n; i++)
		ep->healthy |= ep->m[i]->healthy;
	ep->last_check_ms = time_wall_ms();
	*old = info;
	if (info) {
		*old = ep->info;
		ep->set->changed |= !ep->info || !str_eq(ep->info->raw, info->raw);
		ep->info = info;
		ep->reached_ns = time_mono_ns();
		ep->last_error[0] = '\0';
	} else if (!ep->healthy) {
		ep->set->changed |= ep->last_code != why->code;
		ep->last_code = why->code;
		snprintf(ep->last_error, sizeof(ep->last_error), "%s", err_text(why));
	}
	ep->set->changed |= was != ep->healthy || first;
	if (was != ep->healthy)
		return was ? WENT : CAME;
	return first && !info ? FAILED_FIRST : NOTHING;
}

/* Its stream is closed: nobody puts it back. Locked. */
static void unlist(struct endpoints *s, struct endpoint_member *m)
{
	struct endpoint_member **at = &s->ready;
	if (!m->ready)
		return;
	while (*at != m)
		at = &(*at)->next_ready;
	*at = m->next_ready;
	m->ready = false;
}

/* Takes over info; NULL: *why. */
static void finish(struct poller *p, struct endpoint_member *m,
		   struct endpoint_info *info, const struct err *why)
{
	struct endpoints *s = p->s;
	struct endpoint *ep = m->polled;
	struct endpoint_info *old = info;
	enum change change = NOTHING;
	rpc_stream_close(m->stream);
	m->stream = NULL;
	m->polled = NULL;
	buf_deinit(&m->answer);
	*m->link = m->next;
	if (m->next)
		m->next->link = m->link;
	pthread_mutex_lock(&s->mu);
	unlist(s, m);
	m->flying = false;
	m->fresh_ns = time_mono_ns();
	m->due_ns = m->fresh_ns + s->o.poll_ns;
	p->scan_ns = MIN(p->scan_ns, m->due_ns);
	if (!m->gone)
		change = note(ep, m, info, why, &old);
	pthread_cond_broadcast(&s->cv);
	pthread_mutex_unlock(&s->mu);
	if (change == WENT || change == FAILED_FIRST)
		log_warn(NULL, "endpoint %s is not healthy%s: %s", ep->name,
			 change == WENT ? " any more" : "", err_text(why));
	if (change == CAME)
		log_info(NULL, "endpoint %s is healthy: %s with %zu label sets", ep->name,
			 info->info.component, info->info.n_label_sets);
	if (old)
		ref_put(&old->ref);
	ref_put(&ep->ref);
	ref_put(&m->ref);
}

static void done(struct poller *p, struct endpoint_member *m)
{
	struct err e = ERR_INIT;
	struct endpoint_info *info = NULL;
	if (m->answer.n == 0)
		err_set(NULL, &e, E_REMOTE, "Info of %s: no message in the answer",
			m->addr);
	else if (buf_check(&m->answer, NULL, "answer to Info", &e) == 0)
		info = info_new(buf_view(&m->answer), &e);
	finish(p, m, info, &e);
}

/* Read what is there. */
static void advance(struct poller *p, struct endpoint_member *m)
{
	struct err e = ERR_INIT;
	struct view msg;
	int rc;
	while ((rc = rpc_try_recv(m->stream, &msg, &e)) == PIPE_OK) {
		if (m->answer.n == 0)
			buf_add(&m->answer, msg.p, msg.n);
		rpc_release(m->stream, &msg);
	}
	if (rc == PIPE_END)
		done(p, m);
	else if (rc < 0)
		finish(p, m, NULL, &e);
}

/* On a loop, or the poller itself: only put it into the list. */
static void on_ready(void *arg)
{
	struct endpoint_member *m = arg;
	struct endpoints *s = m->set;
	pthread_mutex_lock(&s->mu);
	if (!m->ready) {
		m->ready = true;
		m->next_ready = s->ready;
		s->ready = m;
		pthread_cond_broadcast(&s->cv);
	}
	pthread_mutex_unlock(&s->mu);
}

static void start(struct poller *p, struct endpoint *ep, struct endpoint_member *m)
{
	struct endpoints *s = p->s;
	struct err e = ERR_INIT;
	struct rpc_call_opts o = { .max_message = LIMIT_RPC_REQUEST_BYTES };
	struct ctx ctx = { .cancel = s->cancel,
			   .deadline_ns = time_after_ns(s->o.info_timeout_ns) };
	ref_get(&ep->ref);
	ref_get(&m->ref);
	m->polled = ep;
	m->deadline_ns = ctx.deadline_ns;
	m->next = p->flying;
	m->link = &p->flying;
	if (m->next)
		m->next->link = &m->next;
	p->flying = m;
	buf_init(&m->answer, LIMIT_RPC_REQUEST_BYTES);
	if (rpc_open(m->channel, &ctx, "/thanos.info.Info/Info", STR(""), &o, &m->stream,
		     &e) < 0) {
		finish(p, m, NULL, &e);
		return;
	}
	rpc_stream_wake(m->stream, on_ready, m);
	advance(p, m);
}

/* ---- the thread ---- */

/* Members whose polls are due, as many as fit; locked. The next time to look is put into scan_ns. */
struct due {
	struct endpoint *ep;
	struct endpoint_member *m;
};

static size_t find_due(struct poller *p, struct due **out)
{
	const struct endpoint_set *set = p->s->now;
	uint64_t now = time_mono_ns();
	struct due *v = NULL;
	size_t n = 0, cap = 0;
	for (size_t i = 0; set && i < set->n; i++)
		for (size_t k = 0; k < set->v[i]->n; k++) {
			struct endpoint_member *m = set->v[i]->m[k];
			if (m->flying)
				continue;
			if (m->due_ns > now) {
				p->scan_ns = MIN(p->scan_ns, m->due_ns);
				continue;
			}
			if (n == cap)
				v = vec_grow(v, &cap, n + 1, sizeof(*v));
			m->flying = true;
			ref_get(&set->v[i]->ref);
			ref_get(&m->ref);
			v[n++] = (struct due){ set->v[i], m };
		}
	*out = v;
	return n;
}

static void time_out(struct poller *p, bool all)
{
	struct endpoint_member *next;
	uint64_t now = time_mono_ns();
	for (struct endpoint_member *m = p->flying; m; m = next) {
		struct err e = ERR_INIT;
		next = m->next;
		if (!all && m->deadline_ns > now) {
			p->scan_ns = MIN(p->scan_ns, m->deadline_ns);
			continue;
		}
		err_set(NULL, &e, all ? E_CANCELLED : E_TIMEOUT,
			"Info of %s: context deadline exceeded", m->addr);
		finish(p, m, NULL, &e);
	}
}

static void scan(struct poller *p)
{
	struct due *v;
	p->scan_ns = UINT64_MAX;
	pthread_mutex_lock(&p->s->mu);
	p->s->rescan = false;
	size_t n = find_due(p, &v);
	pthread_mutex_unlock(&p->s->mu);
	for (size_t i = 0; i < n; i++) {
		start(p, v[i].ep, v[i].m);
		ref_put(&v[i].ep->ref);
		ref_put(&v[i].m->ref);
	}
	free(v);
	time_out(p, false);
}

static void read_ready(struct poller *p)
{
	pthread_mutex_lock(&p->s->mu);
	struct endpoint_member *m = p->s->ready, *next;
	p->s->ready = NULL;
	for (struct endpoint_member *x = m; x; x = x->next_ready) {
		x->ready = false;
		x->next_taken = x->next_ready;
	}
	pthread_mutex_unlock(&p->s->mu);
	for (; m; m = next) {
		next = m->next_taken;
		if (m->stream)
			advance(p, m);
	}
}

/* What is dead has no stream, so it is in no list. */
static void bury(struct poller *p)
{
	pthread_mutex_lock(&p->s->mu);
	struct endpoint_member *m = p->s->dead, *next;
	p->s->dead = NULL;
	pthread_mutex_unlock(&p->s->mu);
	size_t n = 0;
	for (; m; m = next, n++) {
		next = m->next_dead;
		rpc_channel_free(m->channel);
		free(m->addr);
		free(m);
	}
	pthread_mutex_lock(&p->s->mu);
	p->s->members -= n;
	pthread_mutex_unlock(&p->s->mu);
}

static void meter(struct poller *p)
{
	uint64_t now = time_mono_ns();
	pthread_mutex_lock(&p->s->mu);
	bool due = p->s->changed && now >= p->meter_ns && !p->s->stop;
	if (due)
		p->s->changed = false;
	pthread_mutex_unlock(&p->s->mu);
	if (!due)
		return;
	endpoint_meter_update(p->s->meter, p->s);
	p->meter_ns = now + METER_NS;
}

static void reload_tls(struct poller *p)
{
	uint64_t now = time_mono_ns();
	if (now < p->tls_ns)
		return;
	p->tls_ns = now + TLS_NS;
	disc_tls_reload(p->s->tls);
}

static bool has_work(void *arg)
{
	const struct poller *p = arg;
	const struct endpoints *s = p->s;
	return s->ready || s->dead || s->rescan || (s->stop && !s->members) ||
	       (s->stop && p->flying);
}

/* False: all is done. */
static bool rest(struct poller *p)
{
	struct endpoints *s = p->s;
	struct err e = ERR_INIT;
	pthread_mutex_lock(&s->mu);
	bool over = s->stop && s->members == 0;
	if (!over) {
		struct ctx ctx = { .deadline_ns = MIN(p->scan_ns, p->tls_ns) };
		if (s->changed && !s->stop)
			ctx.deadline_ns = MIN(ctx.deadline_ns, p->meter_ns);
		(void)!ctx_cond_wait(&ctx, &s->cv, &s->mu, has_work, p, &e);
	} else {
		s->stopped = true;
		pthread_cond_broadcast(&s->cv);
	}
	pthread_mutex_unlock(&s->mu);
	return !over;
}

void endpoint_poller(void *endpoints)
{
	struct poller p = { .s = endpoints,
			    .scan_ns = UINT64_MAX,
			    .tls_ns = time_after_ns(TLS_NS) };
	do {
		read_ready(&p);
		pthread_mutex_lock(&p.s->mu);
		bool stop = p.s->stop;
		bool look = p.s->rescan || time_mono_ns() >= p.scan_ns;
		pthread_mutex_unlock(&p.s->mu);
		if (stop)
			time_out(&p, true);
		else if (look)
			scan(&p);
		bury(&p);
		meter(&p);
		reload_tls(&p);
	} while (rest(&p));
}
