/*
 * base/notes.c - what an answer must say about itself, gathered from all threads of a request.
 *
 * Texts lie in an arena under the mutex, with a map for each kind that drops repetitions; both are
 * empty until the first note. Each kind is bounded by LIMIT_NOTES and LIMIT_NOTES_BYTES; what comes after is dropped, since
 * nobody reads the ten thousandth warning.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/ctx.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/vec.h"

struct text_list {
	struct str *v;
	size_t n, cap, bytes;
	struct map seen;
};

struct notes {
	pthread_mutex_t mu; /* all below */
	struct arena arena;
	struct text_list warnings, infos;
	struct note_range *missing;
	size_t n_missing, cap_missing;
	struct map missing_seen; /* "mint maxt why" */
	uint32_t stores_expected, stores_answered;
	struct note_store *received; /* by name */
	size_t n_received, cap_received;
	uint64_t samples_read;
};

struct notes *notes_new(void)
{
	struct notes *n = xcalloc(1, sizeof(*n));
	pthread_mutex_init(&n->mu, NULL);
	arena_init(&n->arena, NULL);
	map_init(&n->warnings.seen);
	map_init(&n->infos.seen);
	map_init(&n->missing_seen);
	return n;
}

void notes_free(struct notes *n)
{
	if (!n)
		return;
	map_deinit(&n->warnings.seen);
	map_deinit(&n->infos.seen);
	map_deinit(&n->missing_seen);
	free(n->warnings.v);
	free(n->infos.v);
	free(n->missing);
	free(n->received);
	arena_deinit(&n->arena);
	pthread_mutex_destroy(&n->mu);
	free(n);
}

static void add_text(struct notes *n, struct text_list *l, struct str text)
{
	pthread_mutex_lock(&n->mu);
	if (l->n < LIMIT_NOTES && l->bytes + text.n <= LIMIT_NOTES_BYTES &&
	    !map_get(&l->seen, text)) {
		struct str kept = str_dup(&n->arena, text);
		if (l->n == l->cap)
			l->v = vec_grow(l->v, &l->cap, l->n + 1, sizeof(*l->v));
		l->v[l->n++] = kept;
		l->bytes += text.n;
		map_set(&l->seen, kept, n);
	}
	pthread_mutex_unlock(&n->mu);
}

static void add_fmt(struct notes *n, struct text_list *l, const char *fmt, va_list ap)
	PRINTF_LIKE(3, 0);
static void add_fmt(struct notes *n, struct text_list *l, const char *fmt, va_list ap)
{
	char *text;
	int len = vasprintf(&text, fmt, ap);
	if (len < 0)
		return;
	add_text(n, l, str_n(text, MIN((size_t)len, LIMIT_ERR_TEXT_BYTES)));
	free(text);
}

void notes_warn(struct notes *n, const char *fmt, ...)
{
	va_list ap;
	if (!n)
		return;
	va_start(ap, fmt);
	add_fmt(n, &n->warnings, fmt, ap);
	va_end(ap);
}

void notes_info(struct notes *n, const char *fmt, ...)
{
	va_list ap;
	if (!n)
		return;
	va_start(ap, fmt);
	add_fmt(n, &n->infos, fmt, ap);
	va_end(ap);
}

void notes_missing(struct notes *n, int64_t mint_ms, int64_t maxt_ms, const char *why)
{
	char *text;
	if (!n)
		return;
	/* Built outside the arena: a repetition must not cost memory for the life of the notes. */
	int len = asprintf(&text, "%lld %lld %s", (long long)mint_ms, (long long)maxt_ms,
			   why ? why : "");
	if (len < 0)
		return;
	pthread_mutex_lock(&n->mu);
	if (n->n_missing < LIMIT_NOTES &&
	    !map_get(&n->missing_seen, str_n(text, (size_t)len))) {
		struct str key = str_dup(&n->arena, str_n(text, (size_t)len));
		size_t why_at = key.n - (why ? strlen(why) : 0);
		if (n->n_missing == n->cap_missing)
			n->missing = vec_grow(n->missing, &n->cap_missing,
					      n->n_missing + 1, sizeof(*n->missing));
		n->missing[n->n_missing++] =
			(struct note_range){ mint_ms, maxt_ms, key.p + why_at };
		map_set(&n->missing_seen, key, n);
	}
	pthread_mutex_unlock(&n->mu);
	free(text);
}

void notes_stores(struct notes *n, uint32_t expected, uint32_t answered)
{
	if (!n)
		return;
	pthread_mutex_lock(&n->mu);
	n->stores_expected += expected;
	n->stores_answered += answered;
	pthread_mutex_unlock(&n->mu);
}

void notes_received(struct notes *n, const struct note_store *more)
{
	size_t at = 0;
	if (!n)
		return;
	pthread_mutex_lock(&n->mu);
	while (at < n->n_received && str_cmp(n->received[at].name, more->name) < 0)
		at++;
	if (at == n->n_received || !str_eq(n->received[at].name, more->name)) {
		if (n->n_received == n->cap_received)
			n->received = vec_grow(n->received, &n->cap_received,
					       n->n_received + 1, sizeof(*n->received));
		struct note_store *to = &n->received[at];
		memmove(to + 1, to, (n->n_received++ - at) * sizeof(*to));
		*to = (struct note_store){ .name = str_dup(&n->arena, more->name) };
	}
	n->received[at].series += more->series;
	n->received[at].chunks += more->chunks;
	n->received[at].bytes += more->bytes;
	pthread_mutex_unlock(&n->mu);
}

void notes_samples(struct notes *n, uint64_t samples)
{
	if (!n)
		return;
	pthread_mutex_lock(&n->mu);
	n->samples_read += samples;
	pthread_mutex_unlock(&n->mu);
}

static struct str *copy_texts(struct arena *a, const struct text_list *l)
{
	struct str *v = ARENA_ARRAY(a, struct str, l->n);
	for (size_t i = 0; i < l->n; i++)
		v[i] = str_dup(a, l->v[i]);
	return v;
}

void notes_view(struct notes *n, struct arena *a, struct notes_view *out)
{
	*out = (struct notes_view){ 0 };
	if (!n)
		return;
	pthread_mutex_lock(&n->mu);
	out->warnings = copy_texts(a, &n->warnings);
	out->n_warnings = n->warnings.n;
	out->infos = copy_texts(a, &n->infos);
	out->n_infos = n->infos.n;
	out->n_missing = n->n_missing;
	out->missing = ARENA_ARRAY(a, struct note_range, n->n_missing);
	for (size_t i = 0; i < n->n_missing; i++) {
		out->missing[i] = n->missing[i];
		out->missing[i].why = str_dupz(a, str_of(n->missing[i].why));
	}
	out->stores_expected = n->stores_expected;
	out->stores_answered = n->stores_answered;
	out->n_received = n->n_received;
	out->received = ARENA_ARRAY(a, struct note_store, n->n_received);
	for (size_t i = 0; i < n->n_received; i++) {
		out->received[i] = n->received[i];
		out->received[i].name = str_dup(a, n->received[i].name);
	}
	out->samples_read = n->samples_read;
	pthread_mutex_unlock(&n->mu);
}

char *notes_keep(struct notes *n, const char *text, size_t len)
{
	pthread_mutex_lock(&n->mu);
	char *p = str_dupz(&n->arena, str_n(text, len));
	pthread_mutex_unlock(&n->mu);
	return p;
}
