/*
 * api/query_log.c - a line of JSON for each query that ran, with the fields of Prometheus' query_log_file.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/api_int.h"
#include "base/time.h"
#include "wire/json.h"

#define MAX_LINE ((size_t)16 << 20)

struct query_log {
	int fd; /* O_APPEND; a line is one write */
	char *path;
};

int query_log_open(const char *path, struct query_log **out, struct err *e)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0)
		return err_errno(NULL, e, errno, "%s", path);
	*out = xcalloc(1, sizeof(**out));
	**out = (struct query_log){ fd, strdup(path) };
	return 0;
}

void query_log_close(struct query_log *l)
{
	if (!l)
		return;
	close(l->fd);
	free(l->path);
	free(l);
}

static void put_time(struct jw *w, const char *key, int64_t ms)
{
	char s[40];
	size_t n = time_format_rfc3339(s, ms / 1000, (uint32_t)(ms % 1000) * 1000000u, 3);
	jw_key(w, str_of(key));
	jw_str(w, str_n(s, n));
}

static void put_params(struct jw *w, const struct promql_query *q)
{
	jw_key(w, STR("params"));
	jw_obj(w);
	put_time(w, "end", q->end_ms);
	jw_key(w, STR("query"));
	jw_str(w, q->text);
	put_time(w, "start", q->start_ms);
	jw_key(w, STR("step"));
	jw_i64(w, q->step_ms / 1000);
	jw_obj_end(w);
}

static void put_request(struct jw *w, const struct http_req *r)
{
	struct str peer = str_of(r->peer);
	size_t n = peer.n;
	while (n && peer.p[n - 1] != ':')
		n--;
	jw_key(w, STR("httpRequest"));
	jw_obj(w);
	jw_key(w, STR("clientIP"));
	jw_str(w, str_n(peer.p, n ? n - 1 : peer.n));
	jw_key(w, STR("method"));
	jw_str(w, r->method);
	jw_key(w, STR("path"));
	jw_str(w, r->path);
	jw_obj_end(w);
}

int query_log_write(struct query_log *l, struct call *c, const struct promql_query *q,
		    const struct promql_result *r, const struct err *why, struct err *e)
{
	struct buf b, stats;
	struct jw w;
	buf_init(&b, MAX_LINE);
	buf_init(&stats, MAX_LINE);
	api_put_stats(&stats, c, r, q, false);
	jw_init(&w, &b);
	jw_obj(&w);
	put_time(&w, "time", time_wall_ms());
	jw_key(&w, STR("level"));
	jw_str(&w, STR("INFO"));
	jw_key(&w, STR("msg"));
	jw_str(&w, STR("promql query logged"));
	put_params(&w, q);
	jw_key(&w, STR("stats"));
	jw_raw(&w, buf_view(&stats));
	if (why) {
		jw_key(&w, STR("error"));
		jw_str(&w, str_of(err_text(why)));
	}
	put_request(&w, c->req);
	jw_obj_end(&w);
	buf_byte(&b, '\n');
	int rc = buf_check(&b, c->ctx, "line of the query log", e);
	if (rc == 0 && write(l->fd, b.p, b.n) != (ssize_t)b.n)
		rc = err_errno(c->ctx, e, errno ? errno : ENOSPC, "%s", l->path);
	buf_deinit(&b);
	buf_deinit(&stats);
	return rc;
}
