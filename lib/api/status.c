/*
 * api/status.c - /api/v1/stores and /api/v1/status endpoints.
 */
#include <unistd.h>

#include "api/api_int.h"
#include "base/time.h"
#include "wire/json.h"

static void put_time(struct jw *w, int64_t ms)
{
	char s[40];
	size_t n = time_format_rfc3339(s, ms / 1000, (uint32_t)(ms % 1000) * 1000000u, 3);
	jw_str(w, str_n(s, n));
}

static void put_store(struct jw *w, const struct endpoint_status *s)
{
	jw_obj(w);
	jw_key(w, STR("name"));
	jw_str(w, s->name);
	jw_key(w, STR("lastCheck"));
	put_time(w, s->last_check_ms);
	jw_key(w, STR("lastError"));
	if (s->last_error.n)
		jw_str(w, s->last_error);
	else
		jw_null(w);
	jw_key(w, STR("labelSets"));
	jw_arr(w);
	for (size_t i = 0; i < s->n_label_sets; i++) {
		struct buf b;
		buf_init(&b, 1 << 20);
		api_render_labels(s->label_sets[i], &b);
		jw_raw(w, buf_view(&b));
		buf_deinit(&b);
	}
	jw_arr_end(w);
	jw_key(w, STR("minTime"));
	jw_i64(w, s->mint_ms);
	jw_key(w, STR("maxTime"));
	jw_i64(w, s->maxt_ms);
	jw_obj_end(w);
}

/* {component: [store, ...]}, components in order of first appearance. */
int api_stores(struct call *c, struct buf *out)
{
	struct endpoint_status *v;
	size_t n = endpoints_status(c->api->o.endpoints, c->a, &v);
	struct jw w;
	jw_init(&w, out);
	jw_obj(&w);
	for (size_t i = 0; i < n; i++) {
		size_t first = 0;
		while (!str_eq(v[first].component, v[i].component))
			first++;
		if (first != i)
			continue;
		jw_key(&w, v[i].component);
		jw_arr(&w);
		for (size_t k = i; k < n; k++)
			if (str_eq(v[k].component, v[i].component))
				put_store(&w, &v[k]);
		jw_arr_end(&w);
	}
	jw_obj_end(&w);
	return 0;
}

void api_write_buildinfo(const char *version, const char *revision, struct buf *out)
{
	struct jw w;
	jw_init(&w, out);
	jw_obj(&w);
	jw_key(&w, STR("version"));
	jw_str(&w, str_of(version));
	jw_key(&w, STR("revision"));
	jw_str(&w, str_of(revision));
	jw_key(&w, STR("branch"));
	jw_str(&w, STR("main"));
	jw_key(&w, STR("buildUser"));
	jw_str(&w, STR(""));
	jw_key(&w, STR("buildDate"));
	jw_str(&w, STR(""));
	jw_key(&w, STR("goVersion"));
	jw_str(&w, STR("none"));
	jw_obj_end(&w);
}

int api_buildinfo(struct call *c, struct buf *out)
{
	api_write_buildinfo(c->api->o.version, c->api->o.revision, out);
	return 0;
}

void api_write_flags(const struct conf_result *flags, struct buf *out)
{
	struct jw w;
	jw_init(&w, out);
	jw_obj(&w);
	for (size_t i = 0; i < flags->n_flags; i++) {
		jw_key(&w, flags->flags[i].name);
		jw_str(&w, flags->flags[i].value);
	}
	jw_obj_end(&w);
}

int api_flags(struct call *c, struct buf *out)
{
	api_write_flags(c->api->o.flags, out);
	return 0;
}

void api_write_runtimeinfo(struct task_pool *pool, struct buf *out)
{
	char cwd[4096] = "", host[256] = "";
	struct jw w;
	if (!getcwd(cwd, sizeof(cwd)))
		cwd[0] = '\0';
	if (gethostname(host, sizeof(host) - 1) != 0)
		host[0] = '\0';
	jw_init(&w, out);
	jw_obj(&w);
	jw_key(&w, STR("CWD"));
	jw_str(&w, str_of(cwd));
	jw_key(&w, STR("hostname"));
	jw_str(&w, str_of(host));
	jw_key(&w, STR("serverTime"));
	put_time(&w, time_wall_ms());
	jw_key(&w, STR("GOMAXPROCS"));
	jw_i64(&w, task_cpus(pool));
	jw_obj_end(&w);
}

int api_runtimeinfo(struct call *c, struct buf *out)
{
	api_write_runtimeinfo(c->api->o.pool, out);
	return 0;
}
