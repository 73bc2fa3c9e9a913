#include "base/ctx.h"

#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/time.h"
#include "support/tst.h"

static void count(void *arg)
{
	(*(_Atomic int *)arg)++;
}

Test(cancel, keeps_the_first_reason_and_wakes_each_waiter_once)
{
	_Atomic int n = 0;
	struct cancel *c = cancel_new();
	struct cancel_waiter w[3];
	for (int i = 0; i < 3; i++) {
		w[i] = (struct cancel_waiter){ .wake = count, .arg = &n };
		cancel_wait_begin(c, &w[i]);
	}
	cancel_wait_end(c, &w[1]);
	cr_assert_not(cancel_is(c));
	cr_assert_str_eq(cancel_why(c), "");
	cancel_now(c, "client went away");
	cancel_now(c, "too late");
	cr_assert_eq(n, 2);
	cr_assert_str_eq(cancel_why(c), "client went away");
	cancel_wait_begin(c, &w[1]);
	cr_assert_eq(n, 3);
	for (int i = 0; i < 3; i++)
		cancel_wait_end(c, &w[i]);
	cancel_unref(cancel_ref(c));
	cancel_unref(c);
	cancel_unref(NULL);
	cr_assert_not(cancel_is(NULL));
}

Test(ctx, check_tells_cancel_from_deadline)
{
	struct err e = ERR_INIT;
	struct ctx ctx, child;
	ctx_init(&ctx, NULL, 0);
	cr_assert_eq(ctx_check(&ctx, &e), 0);
	cr_assert_eq(ctx_check(NULL, &e), 0);
	cr_assert_eq(ctx_left_ns(&ctx), UINT64_MAX);
	child = ctx_child(&ctx, 1);
	cr_assert_eq(ctx_check(&child, &e), -1);
	cr_assert_eq(e.code, E_TIMEOUT);
	cr_assert_eq(ctx_left_ns(&child), 0u);
	struct ctx grandchild = ctx_child(&child, time_after_ns(NS_PER_S));
	cr_assert_eq(grandchild.deadline_ns, 1u);
	cancel_now(ctx.cancel, "shutting down");
	cr_assert_eq(ctx_check(&child, &e), -1);
	cr_assert_eq(e.code, E_CANCELLED);
	cr_assert_str_eq(err_text(&e), "shutting down");
	ctx_deinit(&ctx);
}

struct room {
	pthread_mutex_t mu;
	pthread_cond_t cv;
	int tokens;
	struct ctx *ctx;
	_Atomic int waiting, got, cancelled;
};

static bool has_token(void *arg)
{
	return ((struct room *)arg)->tokens > 0;
}

static void *take_token(void *arg)
{
	struct room *r = arg;
	struct err e = ERR_INIT;
	pthread_mutex_lock(&r->mu);
	r->waiting++;
	if (ctx_cond_wait(r->ctx, &r->cv, &r->mu, has_token, r, &e) == 0) {
		r->tokens--;
		r->got++;
	} else {
		r->cancelled++;
	}
	pthread_mutex_unlock(&r->mu);
	return NULL;
}

static void room_init(struct room *r, struct ctx *ctx)
{
	*r = (struct room){ .ctx = ctx };
	pthread_mutex_init(&r->mu, NULL);
	ctx_cond_init(&r->cv);
}

Test(ctx, cond_wait_ends_at_its_deadline)
{
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct room r;
	ctx_init(&ctx, NULL, time_after_ns(3 * NS_PER_MS));
	room_init(&r, &ctx);
	pthread_mutex_lock(&r.mu);
	cr_assert_eq(ctx_cond_wait(&ctx, &r.cv, &r.mu, has_token, &r, &e), -1);
	cr_assert_eq(e.code, E_TIMEOUT);
	r.tokens = 1; /* ready wins over a passed deadline */
	cr_assert_eq(ctx_cond_wait(&ctx, &r.cv, &r.mu, has_token, &r, &e), 0);
	pthread_mutex_unlock(&r.mu);
	ctx_deinit(&ctx);
}

Test(ctx, every_token_goes_to_one_waiter_and_cancel_frees_the_rest)
{
	for (int round = 0; round < 200; round++) {
		struct ctx ctx;
		struct room r;
		pthread_t t[4];
		ctx_init(&ctx, NULL, 0);
		room_init(&r, &ctx);
		for (int i = 0; i < 4; i++)
			pthread_create(&t[i], NULL, take_token, &r);
		for (int i = 0; i < 2; i++) {
			pthread_mutex_lock(&r.mu);
			r.tokens++;
			pthread_cond_signal(&r.cv);
			pthread_mutex_unlock(&r.mu);
			if (round % 2)
				sched_yield();
		}
		cancel_now(ctx.cancel, "enough");
		for (int i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
		cr_assert_eq(r.got + r.cancelled, 4);
		cr_assert_eq(r.got + r.tokens, 2);
		ctx_deinit(&ctx);
	}
}

Test(ctx, cancel_wakes_a_sleeper_at_once)
{
	struct ctx ctx;
	struct room r;
	pthread_t t;
	ctx_init(&ctx, NULL, time_after_ns(60 * NS_PER_S));
	room_init(&r, &ctx);
	pthread_create(&t, NULL, take_token, &r);
	while (!r.waiting)
		sched_yield();
	usleep(2000);
	uint64_t at = time_mono_ns();
	cancel_now(ctx.cancel, "now");
	pthread_join(t, NULL);
	cr_assert_lt(time_mono_ns() - at, NS_PER_S);
	cr_assert_eq(r.cancelled, 1);
	ctx_deinit(&ctx);
}

Test(notes, are_kept_once_in_order)
{
	struct arena a;
	struct notes_view v;
	struct notes *n = notes_new();
	arena_init(&a, NULL);
	notes_warn(n, "store %s: %s", "a", "down");
	notes_warn(n, "second");
	notes_warn(n, "store a: down");
	notes_info(n, "second");
	notes_missing(n, 1, 2, "no block");
	notes_missing(n, 1, 2, "no block");
	notes_missing(n, 1, 3, "no block");
	notes_stores(n, 3, 2);
	notes_stores(n, 1, 1);
	notes_samples(n, 5);
	notes_samples(n, 6);
	notes_view(n, &a, &v);
	notes_free(n);
	cr_assert_eq(v.n_warnings, 2u);
	cr_assert(str_eqz(v.warnings[0], "store a: down"));
	cr_assert(str_eqz(v.warnings[1], "second"));
	cr_assert_eq(v.n_infos, 1u);
	cr_assert_eq(v.n_missing, 2u);
	cr_assert(v.missing[1].maxt_ms == 3 && strcmp(v.missing[1].why, "no block") == 0);
	cr_assert(v.stores_expected == 4 && v.stores_answered == 3);
	cr_assert_eq(v.samples_read, 11u);
	notes_warn(NULL, "dropped");
	notes_view(NULL, &a, &v);
	cr_assert_eq(v.n_warnings, 0u);
	arena_deinit(&a);
}

Test(notes, are_bounded)
{
	struct arena a;
	struct notes_view v;
	struct notes *n = notes_new();
	arena_init(&a, NULL);
	for (int i = 0; i < 10500; i++)
		notes_warn(n, "warning %d", i);
	notes_view(n, &a, &v);
	cr_assert_eq(v.n_warnings, 10000u);
	notes_free(n);
	n = notes_new();
	for (int i = 0; i < 100; i++) /* 4 MiB in all */
		notes_warn(n, "%0100000d", i);
	notes_warn(n, "short");
	notes_view(n, &a, &v);
	cr_assert_eq(v.n_warnings, 42u);
	cr_assert_str_eq(str_dupz(&a, v.warnings[41]), "short");
	notes_free(n);
	arena_deinit(&a);
}
