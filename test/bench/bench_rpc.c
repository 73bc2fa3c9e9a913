/*
 * test/bench/bench_rpc.c - a gRPC server that sends messages from memory: bench_rpc FRAMES [CERT KEY].
 *
 * FRAMES: messages, each behind its length (32 bits, little endian); every call of /thanos.Store/Series gets all of
 * them. Prints its port and runs until its input ends. Without arguments nothing is measured (bench_network starts it).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "fs/fs.h"
#include "net/tls.h"
#include "rpc/rpc.h"
#include "wire/rd.h"

static struct buf frames;

static int series(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		  struct err *e)
{
	struct rd r = rd_of(buf_view(&frames));
	(void)arg, (void)request;
	while (rd_left(&r) >= 4) {
		uint32_t n;
		memcpy(&n, r.p, 4);
		r.p += 4;
		if (n > rd_left(&r))
			return err_set(ctx, e, E_CORRUPT, "frames are cut short");
		struct str part = str_n((const char *)r.p, n);
		r.p += n;
		if (rpc_send(call, ctx, &part, 1, e) < 0)
			return -1;
	}
	return 0;
}

static int serve(char **argv, bool tls, struct err *e)
{
	static const struct rpc_method method = { "/thanos.Store/Series", RPC_ON_WORKER,
						  series, NULL };
	struct loops loops;
	struct rpc_server *s;
	struct net_tls_opts t = { .server = true, .h2 = true };
	struct rpc_server_opts o = { .addr = STR("127.0.0.1:0") };
	char line[8];
	struct metric_registry *m = metric_registry_new();
	struct task_pool *pool = task_pool_new(&(struct task_pool_opts){ 0 });
	buf_init(&frames, (size_t)4 << 30);
	if (fs_read_file(NULL, argv[1], (size_t)4 << 30, &frames, e) < 0)
		return -1;
	if (tls) {
		t.cert_file = str_of(argv[2]);
		t.key_file = str_of(argv[3]);
		if (net_tls_new(&t, &o.tls, e) < 0)
			return -1;
	}
	if (loops_start(1, &loops, e) < 0 ||
	    rpc_server_start(&loops, pool, m, &o, &method, 1, &s, e) < 0)
		return -1;
	printf("%u\n", rpc_server_port(s));
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	rpc_server_stop(s, 0);
	loops_stop(&loops);
	task_pool_free(pool);
	metric_registry_free(m);
	net_tls_unref(o.tls);
	buf_deinit(&frames);
	return 0;
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	if (argc < 2)
		return 0;
	signal(SIGPIPE, SIG_IGN);
	log_setup(LOG_WARN, LOG_LOGFMT, 2);
	if (serve(argv, argc > 3, &e) == 0)
		return 0;
	fprintf(stderr, "bench_rpc: %s\n", err_text(&e));
	return 1;
}
