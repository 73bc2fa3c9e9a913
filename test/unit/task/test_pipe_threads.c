#include "task/pipe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/time.h"
#include "support/tst.h"
#include "task/task.h"

#define MESSAGES 20000

struct side {
	struct pipe *p;
	struct ctx *ctx;
	struct budget *b;
	bool loop; /* with wake callbacks instead of waiting */
	pthread_mutex_t mu;
	pthread_cond_t cv;
	int posted;
	uint64_t n, sum;
	int rc;
	struct err e;
};

static void post(void *arg)
{
	struct side *s = arg;
	pthread_mutex_lock(&s->mu);
	s->posted++;
	pthread_cond_signal(&s->cv);
	pthread_mutex_unlock(&s->mu);
}

static void wait_post(struct side *s)
{
	pthread_mutex_lock(&s->mu);
	while (s->posted == 0)
		pthread_cond_wait(&s->cv, &s->mu);
	s->posted = 0;
	pthread_mutex_unlock(&s->mu);
}

static void *produce(void *arg)
{
	struct side *s = arg;
	for (uint64_t i = 0; i < MESSAGES && s->rc == 0; i++) {
		size_t n = 8 + i * 7919 % 300;
		struct slab *slab = slab_new(s->b, n);
		memcpy(slab->data, &i, 8);
		struct view v = { slab->data, n, &slab->ref };
		if (!s->loop) {
			s->rc = pipe_write(s->p, s->ctx, v, &s->e);
			continue;
		}
		int rc;
		while ((rc = pipe_try_write(s->p, v, &s->e)) == PIPE_AGAIN)
			wait_post(s);
		s->rc = rc == PIPE_OK ? 0 : -1;
	}
	pipe_end(s->p);
	pipe_unref(s->p);
	return NULL;
}

static void *consume(void *arg)
{
	struct side *s = arg;
	struct view v;
	for (;;) {
		int rc = s->loop ? pipe_try_read(s->p, &v, &s->e)
				 : pipe_read(s->p, s->ctx, &v, &s->e);
		if (rc == PIPE_AGAIN) {
			wait_post(s);
			continue;
		}
		s->rc = rc;
		if (rc != PIPE_OK)
			break;
		uint64_t i;
		memcpy(&i, v.p, 8);
		if (i != s->n)
			break;
		s->n++;
		pipe_release(s->p, &v);
	}
	pipe_close(s->p, "consumer done");
	pipe_unref(s->p);
	return NULL;
}

static void side_init(struct side *s, struct pipe *p, struct ctx *ctx, bool loop)
{
	*s = (struct side){ .p = p, .ctx = ctx, .b = ctx->budget, .loop = loop };
	pthread_mutex_init(&s->mu, NULL);
	pthread_cond_init(&s->cv, NULL);
}

static void run_pair(bool loop_producer, bool loop_consumer)
{
	struct budget b;
	struct ctx ctx;
	struct side from, to;
	pthread_t tp, tc;
	budget_init(&b, NULL, "test", NULL, 0);
	ctx_init(&ctx, &b, time_after_ns(60 * NS_PER_S));
	struct pipe *p =
		pipe_new(&(struct pipe_opts){ .limit = 1000, .limit_max = 4000 });
	side_init(&from, p, &ctx, loop_producer);
	side_init(&to, p, &ctx, loop_consumer);
	if (loop_producer)
		pipe_producer_wake(p, post, &from);
	if (loop_consumer)
		pipe_consumer_wake(p, post, &to);
	pthread_create(&tp, NULL, produce, &from);
	pthread_create(&tc, NULL, consume, &to);
	pthread_join(tp, NULL);
	pthread_join(tc, NULL);
	cr_assert_eq(from.rc, 0, "producer: %s", err_text(&from.e));
	cr_assert_eq(to.rc, PIPE_END, "consumer: %s", err_text(&to.e));
	cr_assert_eq(to.n, (uint64_t)MESSAGES);
	cr_assert_eq(budget_used(&b), 0u);
	ctx_deinit(&ctx);
	budget_deinit(&b);
}

Test(pipe_threads, worker_to_worker_loses_nothing)
{
	run_pair(false, false);
}

Test(pipe_threads, loop_to_worker_loses_nothing)
{
	run_pair(true, false);
}

Test(pipe_threads, worker_to_loop_loses_nothing)
{
	run_pair(false, true);
}

Test(pipe_threads, loop_to_loop_loses_nothing)
{
	run_pair(true, true);
}

static void *cancel_soon(void *arg)
{
	usleep(2000);
	cancel_now(arg, "query was cancelled");
	return NULL;
}

Test(pipe_threads, a_waiting_reader_ends_when_cancelled)
{
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct view v;
	pthread_t t;
	ctx_init(&ctx, NULL, 0);
	struct pipe *p = pipe_new(NULL);
	pthread_create(&t, NULL, cancel_soon, ctx.cancel);
	cr_assert_eq(pipe_read(p, &ctx, &v, &e), -1);
	cr_assert_eq(e.code, E_CANCELLED);
	cr_assert_str_eq(err_text(&e), "query was cancelled");
	pthread_join(t, NULL);
	pipe_unref(p);
	pipe_unref(p);
	ctx_deinit(&ctx);
}

Test(pipe_threads, a_waiting_writer_ends_at_its_deadline)
{
	static const uint8_t text[100];
	struct err e = ERR_INIT;
	struct ctx ctx;
	ctx_init(&ctx, NULL, time_after_ns(5 * NS_PER_MS));
	struct pipe *p = pipe_new(&(struct pipe_opts){ .limit = 100 });
	struct view v = { text, 100, NULL };
	cr_assert_eq(pipe_write(p, &ctx, v, &e), 0);
	cr_assert_eq(pipe_write(p, &ctx, v, &e), -1);
	cr_assert_eq(e.code, E_TIMEOUT);
	pipe_unref(p);
	pipe_unref(p);
	ctx_deinit(&ctx);
}

static void *close_soon(void *arg)
{
	struct side *s = arg;
	pipe_close(s->p, "reader left");
	pipe_unref(s->p);
	return NULL;
}

Test(pipe_threads, both_ends_may_end_at_once)
{
	for (int i = 0; i < 300; i++) {
		struct ctx ctx;
		struct side from, to;
		pthread_t tp, tc;
		ctx_init(&ctx, NULL, 0);
		struct pipe *p = pipe_new(&(struct pipe_opts){ .limit = 1000 });
		side_init(&from, p, &ctx, i % 2);
		side_init(&to, p, &ctx, false);
		if (i % 2)
			pipe_producer_wake(p, post, &from);
		pthread_create(&tp, NULL, produce, &from);
		pthread_create(&tc, NULL, close_soon, &to);
		pthread_join(tp, NULL);
		pthread_join(tc, NULL);
		cr_assert_eq(from.rc, -1);
		cr_assert_eq(from.e.code, E_CANCELLED);
		ctx_deinit(&ctx);
	}
}
