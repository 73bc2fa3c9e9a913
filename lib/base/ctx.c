/*
 * base/ctx.c - deadline and cancellation of an operation, and the one wait that respects both.
 *
 * ctx_cond_wait and the token: a wake runs with the token's lock held and takes `mu`, so the order is
 * token -> mu. Linking and unlinking take the token's lock, thus happen with `mu` dropped. What was
 * true before a drop may be false after it, so the outcome is judged again at the top of the loop,
 * with `mu` held and nothing linked: 0 is returned only while ready() is true, -1 only while it is
 * false, so that a place granted to a waiter is never lost to its cancellation.
 *
 * No wake is lost: the waiter looks at flag and condition with `mu` held, and whoever changes either
 * then takes `mu` to signal, hence the change comes before the look, or the signal after the wait
 * began.
 */
#include "base/ctx.h"

#include "base/time.h"

void ctx_init(struct ctx *ctx, struct budget *budget, uint64_t deadline_ns)
{
	*ctx = (struct ctx){
		.deadline_ns = deadline_ns,
		.cancel = cancel_new(),
		.budget = budget,
		.notes = notes_new(),
	};
}

void ctx_deinit(struct ctx *ctx)
{
	cancel_unref(ctx->cancel);
	notes_free(ctx->notes);
	*ctx = (struct ctx){ 0 };
}

struct ctx ctx_child(const struct ctx *parent, uint64_t deadline_ns)
{
	struct ctx c = *parent;
	if (deadline_ns && (!c.deadline_ns || deadline_ns < c.deadline_ns))
		c.deadline_ns = deadline_ns;
	return c;
}

uint64_t ctx_left_ns(const struct ctx *ctx)
{
	if (!ctx || !ctx->deadline_ns)
		return UINT64_MAX;
	uint64_t now = time_mono_ns();
	return now < ctx->deadline_ns ? ctx->deadline_ns - now : 0;
}

int ctx_check(struct ctx *ctx, struct err *e)
{
	if (!ctx)
		return 0;
	if (UNLIKELY(cancel_is(ctx->cancel)))
		return err_set(ctx, e, E_CANCELLED, "%s", cancel_why(ctx->cancel));
	if (UNLIKELY(ctx_left_ns(ctx) == 0))
		return err_set(ctx, e, E_TIMEOUT, "context deadline exceeded");
	return 0;
}

bool ctx_is_over(const struct ctx *ctx)
{
	return ctx && (cancel_is(ctx->cancel) || ctx_left_ns(ctx) == 0);
}

void ctx_cond_init(pthread_cond_t *cv)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cv, &attr);
	pthread_condattr_destroy(&attr);
}

struct cond_waiter {
	struct cancel_waiter w;
	pthread_cond_t *cv;
	pthread_mutex_t *mu;
};

static void wake_cond(void *arg)
{
	struct cond_waiter *w = arg;
	pthread_mutex_lock(w->mu);
	pthread_cond_broadcast(w->cv);
	pthread_mutex_unlock(w->mu);
}

/* Wait with `mu` held until ready, cancelled, or late. */
static void wait_some(const struct ctx *ctx, pthread_cond_t *cv, pthread_mutex_t *mu,
		      bool (*ready)(void *), void *arg)
{
	uint64_t at = ctx ? ctx->deadline_ns : 0;
	struct timespec ts = { .tv_sec = (time_t)(at / NS_PER_S),
			       .tv_nsec = (long)(at % NS_PER_S) };
	while (!ready(arg) && !(ctx && cancel_is(ctx->cancel)) && ctx_left_ns(ctx) > 0) {
		if (at)
			pthread_cond_timedwait(cv, mu, &ts);
		else
			pthread_cond_wait(cv, mu);
	}
}

int ctx_cond_wait(struct ctx *ctx, pthread_cond_t *cv, pthread_mutex_t *mu,
		  bool (*ready)(void *), void *arg, struct err *e)
{
	struct cancel *cancel = ctx ? ctx->cancel : NULL;
	struct cond_waiter w = { .cv = cv, .mu = mu };
	w.w.wake = wake_cond;
	w.w.arg = &w;
	for (;;) {
		if (ready(arg))
			return 0;
		if (ctx_check(ctx, e) < 0)
			return -1;
		if (!cancel) {
			wait_some(ctx, cv, mu, ready, arg);
			continue;
		}
		pthread_mutex_unlock(mu);
		cancel_wait_begin(cancel, &w.w);
		pthread_mutex_lock(mu);
		wait_some(ctx, cv, mu, ready, arg);
		pthread_mutex_unlock(mu);
		cancel_wait_end(cancel, &w.w);
		pthread_mutex_lock(mu);
	}
}
