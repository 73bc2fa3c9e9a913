/*
 * test/promqltest/main.c - promqltest FILE... [--eager-names FILE...] [--type-labels FILE...]: scripts of Prometheus' PromQL test language against
 * the engine, over real chunks; behind --eager-names without delayed removal of metric names, behind
 * --type-labels with type-and-unit-labels. A line for each eval that fails, then "N passed, N failed"; exit code 1 if any did.
 */
#include "promqltest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "base/vec.h"
#include "model/regex.h"

struct script {
	struct runner *r;
	const char *path;
	struct str *line;   /* trimmed; comments are empty */
	size_t n, at;	    /* the line that is read next */
	struct arena arena; /* of the command */
	struct regex *re[64];
	size_t n_re;
};

/* ---- lines and words ---- */

static struct str word(struct str *s)
{
	size_t n = 0;
	while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t')
		n++;
	struct str w = str_n(s->p, n);
	*s = str_trim(str_from(*s, n));
	return w;
}

/* The next line of the command's block. */
static bool block_line(struct script *s, struct str *out)
{
	if (s->at == s->n || s->line[s->at].n == 0)
		return false;
	*out = s->line[s->at++];
	return true;
}

static void read_lines(struct script *s, struct str text, struct arena *a)
{
	s->line = ARENA_ARRAY(a, struct str, text.n + 1);
	while (text.n) {
		struct str line;
		str_cut(&text, '\n', &line);
		line = str_trim(line);
		s->line[s->n++] = line.n && line.p[0] == '#' ? STR_NULL : line;
	}
}

static int duration(struct str s, int64_t *ms, struct err *e)
{
	if (!time_parse_duration_ms(s, ms))
		return err_set(NULL, e, E_PARSE, "not a duration: %.*s", STR_FMT(s));
	return 0;
}

/* ---- load ---- */

struct load {
	struct series_text *series, *starts;
	size_t n, cap;
};

static int load_line(struct script *s, struct load *l, struct str line, struct err *e)
{
	struct series_text starts = { 0 };
	if (l->n == l->cap) {
		size_t cap = l->cap;
		l->series = vec_grow(l->series, &cap, l->n + 1, sizeof(*l->series));
		l->starts = vec_grow(l->starts, &l->cap, l->n + 1, sizeof(*l->starts));
	}
	if (series_text_is_start(line)) {
		if (series_text_parse_start(&s->arena, line, &starts, e) < 0)
			return -1;
		if (!block_line(s, &line))
			return err_set(NULL, e, E_PARSE, "no series follows @st");
	}
	struct series_text t;
	size_t at = 0;
	if (series_text_parse(&s->arena, line, &t, e) < 0)
		return -1;
	if (starts.slot && (!labels_eq(starts.labels, t.labels) || starts.n != t.n))
		return err_set(NULL, e, E_PARSE, "@st of another series or length");
	while (at < l->n && !labels_eq(l->series[at].labels, t.labels))
		at++; /* of two lines for one series the later one counts */
	l->series[at] = t;
	l->starts[at] = starts;
	l->n = MAX(l->n, at + 1);
	return 0;
}

static int load_store(struct script *s, const struct load *l, int64_t step_ms, bool nhcb,
		      struct err *e)
{
	for (size_t i = 0; i < l->n; i++)
		if (storage_add(s->r->storage, &l->series[i], step_ms, l->starts[i].slot,
				e) < 0)
			return -1;
	return nhcb ? nhcb_add(s->r->storage, l->series, l->n, step_ms, e) : 0;
}

static int do_load(struct script *s, struct str cmd, struct str rest, struct err *e)
{
	struct load l = { 0 };
	struct str line;
	int64_t step;
	int rc = duration(rest, &step, e);
	bool nhcb = str_eq(cmd, STR("load_with_nhcb"));
	if (rc == 0 && !nhcb && !str_eq(cmd, STR("load")))
		rc = err_set(NULL, e, E_PARSE, "no such command: %.*s", STR_FMT(cmd));
	while (rc == 0 && block_line(s, &line))
		rc = load_line(s, &l, line, e);
	if (rc == 0)
		rc = load_store(s, &l, step, nhcb, e);
	free(l.series);
	free(l.starts);
	return rc;
}

/* ---- eval ---- */

static int take_time(struct str *s, const char *before, int64_t *ms, struct err *e)
{
	struct str w = word(s);
	if (!str_eqz(w, before))
		return err_set(NULL, e, E_PARSE, "expected '%s' at: %.*s", before,
			       STR_FMT(w));
	return duration(word(s), ms, e);
}

static void add_expect(struct eval *ev, struct expect x)
{
	ev->expect[ev->n_expect++] = x;
}

static int expect_regex(struct script *s, struct expect *x, struct str re, struct err *e)
{
	struct str whole = str_fmt(&s->arena, ".*(?:%.*s).*", STR_FMT(re));
	if (s->n_re == ARRAY_LEN(s->re))
		return err_set(NULL, e, E_LIMIT, "too many patterns in one eval");
	if (regex_new(NULL, whole, &x->re, e) < 0)
		return -1;
	x->message = re;
	s->re[s->n_re++] = x->re;
	return 0;
}

/* expect <kind> [msg: text | regex: text] */
static int take_expect(struct script *s, struct eval *ev, struct str rest, struct err *e)
{
	static const char *const kinds[EXPECT_KINDS] = { "ordered", "fail", "warn",
							 "no_warn", "info", "no_info" };
	struct str all = rest, kind = word(&rest);
	struct expect x = { .kind = EXPECT_KINDS, .any = rest.n == 0 };
	for (int i = 0; i < EXPECT_KINDS; i++)
		if (str_eqz(kind, kinds[i]))
			x.kind = (enum expect_kind)i;
	if (x.kind == EXPECT_KINDS)
		return err_set(NULL, e, E_PARSE, "no such expectation: %.*s",
			       STR_FMT(all));
	if (str_has_prefix(rest, STR("msg:")))
		x.message = str_trim(str_from(rest, 4));
	else if (str_has_prefix(rest, STR("regex:"))) {
		if (expect_regex(s, &x, str_trim(str_from(rest, 6)), e) < 0)
			return -1;
	} else if (!x.any) {
		return err_set(NULL, e, E_PARSE, "not an expectation: %.*s",
			       STR_FMT(all));
	}
	add_expect(ev, x);
	return 0;
}

static int take_range_vector(struct eval *ev, struct str rest, struct err *e)
{
	ev->range_vector = true;
	if (take_time(&rest, "from", &ev->from_ms, e) < 0 ||
	    take_time(&rest, "to", &ev->to_ms, e) < 0 ||
	    take_time(&rest, "step", &ev->every_ms, e) < 0)
		return -1;
	ev->start_ms = ev->end_ms = ev->to_ms; /* the query's time moves there, too */
	return 0;
}

static int take_old_fail(struct script *s, struct eval *ev, struct str line, bool re,
			 struct err *e)
{
	struct expect x = { .kind = EXPECT_FAIL, .message = line };
	ev->n_expect = 0;
	if (re && expect_regex(s, &x, line, e) < 0)
		return -1;
	add_expect(ev, x);
	return 0;
}

/* A line below eval; 1: it was the last. */
static int eval_line(struct script *s, struct eval *ev, struct str line, struct err *e)
{
	const struct str range = STR("expect range vector"),
			 string = STR("expect string"),
			 message = STR("expected_fail_message"),
			 regexp = STR("expected_fail_regexp");
	struct str rest = line;
	if (str_has_prefix(line, message))
		return take_old_fail(s, ev, str_trim(str_from(line, message.n)), false,
				     e);
	if (str_has_prefix(line, regexp))
		return take_old_fail(s, ev, str_trim(str_from(line, regexp.n)), true, e);
	if (str_has_prefix(line, range))
		return take_range_vector(ev, str_trim(str_from(line, range.n)), e);
	if (str_has_prefix(line, string)) {
		ev->wants_string = true;
		return string_parse(&s->arena, str_trim(str_from(line, string.n)),
				    &ev->string, e);
	}
	if (str_eq(word(&rest), STR("expect")))
		return take_expect(s, ev, rest, e);
	if (number_parse(line, &ev->scalar)) {
		ev->wants_scalar = true;
		return 1;
	}
	struct series_text *t = &ev->series[ev->n_series++];
	ev->wants_scalar = false;
	return series_text_parse(&s->arena, line, t, e);
}

static int eval_head(struct eval *ev, struct str cmd, struct str rest, struct err *e)
{
	struct str kind = word(&rest);
	ev->range = str_eq(kind, STR("range"));
	if (str_eq(cmd, STR("eval_fail")))
		add_expect(ev, (struct expect){ .kind = EXPECT_FAIL, .any = true });
	if (str_eq(cmd, STR("eval_ordered")))
		add_expect(ev, (struct expect){ .kind = EXPECT_ORDERED });
	ev->some_warn = str_eq(cmd, STR("eval_warn"));
	ev->some_info = str_eq(cmd, STR("eval_info"));
	if (ev->range) {
		if (take_time(&rest, "from", &ev->start_ms, e) < 0 ||
		    take_time(&rest, "to", &ev->end_ms, e) < 0 ||
		    take_time(&rest, "step", &ev->step_ms, e) < 0)
			return -1;
	} else if (!str_eq(kind, STR("instant")) ||
		   take_time(&rest, "at", &ev->start_ms, e) < 0) {
		return err_set(NULL, e, E_PARSE, "not an eval: %.*s", STR_FMT(kind));
	} else {
		ev->end_ms = ev->start_ms;
	}
	ev->from_ms = ev->start_ms;
	ev->to_ms = ev->end_ms;
	ev->every_ms = ev->step_ms;
	ev->text = rest;
	return 0;
}

static int parses(struct script *s, const struct eval *ev, struct err *e)
{
	struct expr *x;
	return promql_parse(NULL, &s->arena, ev->text, PROMQL_ALL, &x, e);
}

static void report(struct script *s, size_t line, struct str text, struct str why)
{
	s->r->failed++;
	printf("%s:%zu: %.*s\n    %.*s\n", s->path, line, STR_FMT(text), STR_FMT(why));
}

static int do_eval(struct script *s, struct str cmd, struct str rest, struct err *e)
{
	struct eval ev = { .line = s->at };
	struct str line;
	size_t left = 0;
	while (s->at + left < s->n && s->line[s->at + left].n)
		left++;
	ev.expect = ARENA_ARRAY(&s->arena, struct expect, left + 2);
	ev.series = ARENA_ARRAY(&s->arena, struct series_text, left + 1);
	int rc = eval_head(&ev, cmd, rest, e);
	if (rc == 0)
		rc = parses(s, &ev, e);
	while (rc == 0 && block_line(s, &line))
		rc = eval_line(s, &ev, line, e);
	if (rc >= 0) {
		struct buf why;
		buf_init(&why, 1 << 20);
		if (eval_run(s->r, &ev, &why))
			s->r->passed++;
		else
			report(s, ev.line, ev.text, buf_view(&why));
		buf_deinit(&why);
	}
	return rc < 0 ? -1 : 0;
}

/* ---- scripts ---- */

static void do_command(struct script *s)
{
	struct err e = ERR_INIT;
	size_t line = s->at;
	struct str rest = s->line[s->at++], all = rest, cmd = word(&rest);
	int rc = 0;
	if (str_eq_nocase(cmd, STR("clear")))
		storage_clear(s->r->storage);
	else if (str_has_prefix(cmd, STR("load")))
		rc = do_load(s, cmd, rest, &e);
	else if (str_has_prefix(cmd, STR("eval")))
		rc = do_eval(s, cmd, rest, &e);
	else
		rc = err_set(NULL, &e, E_PARSE, "no such command");
	if (rc < 0)
		report(s, line + 1, all, str_of(err_text(&e)));
	while (rc < 0 && block_line(s, &rest)) /* the rest of what could not be read */
		;
	while (s->n_re)
		regex_free(s->re[--s->n_re]);
	arena_reset(&s->arena);
}

static char *read_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *text = NULL;
	size_t cap = 0;
	*n = 0;
	while (f && !feof(f)) {
		text = vec_grow(text, &cap, *n + 65536, 1);
		*n += fread(text + *n, 1, cap - *n, f);
	}
	if (f)
		fclose(f);
	return text;
}

static void run_file(struct runner *r, const char *path)
{
	struct script s = { .r = r, .path = path };
	struct arena lines;
	size_t n;
	char *text = read_file(path, &n);
	if (!text) {
		printf("%s: %s\n", path, strerror(errno));
		r->failed++;
		return;
	}
	arena_init(&lines, NULL);
	arena_init(&s.arena, NULL);
	read_lines(&s, str_n(text, n), &lines);
	storage_clear(r->storage);
	while (s.at < s.n) {
		if (s.line[s.at].n)
			do_command(&s);
		else
			s.at++;
	}
	arena_deinit(&s.arena);
	arena_deinit(&lines);
	free(text);
}

int main(int argc, char **argv)
{
	struct task_pool_opts o = { 0 };
	struct runner r = { .pool = task_pool_new(&o), .storage = storage_new() };
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--eager-names") == 0) /* for the files behind it */
			r.eager_names = true;
		else if (strcmp(argv[i], "--type-labels") == 0)
			r.type_labels = true;
		else
			run_file(&r, argv[i]);
	storage_free(r.storage);
	task_pool_free(r.pool);
	printf("%zu passed, %zu failed\n", r.passed, r.failed);
	return r.failed != 0;
}
