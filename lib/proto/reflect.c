/*
 * proto/reflect.c - descriptors of files out of their field tables.
 *
 * Source  google/protobuf/descriptor.proto: numbers of its fields, types and labels. Tables that several packages
 *         share (reflection v1 and v1alpha) belong to each file that lists them.
 */
#include "proto/reflect.h"

#include "base/err.h"

/* ---- descriptor.proto, as far as we say something ---- */

struct pb_enum_value {
	struct str name;
	int32_t number;
};
struct pb_enum {
	struct str name;
	struct pf_list value;
};
struct pb_field_desc {
	struct str name;
	int32_t number, label, type;
	struct str type_name;
};
struct pb_msg_desc {
	struct str name;
	struct pf_list field, enum_type;
};
struct pb_method_desc {
	struct str name, input_type, output_type;
	bool client_streaming, server_streaming;
};
struct pb_service_desc {
	struct str name;
	struct pf_list method;
};
struct pb_file_desc {
	struct str name, package;
	struct pf_list dependency, message_type, enum_type, service;
	struct str syntax;
};

#define MSG(var, type, rows)                                                             \
	static const struct pf_msg var = { "google.protobuf", #type,                     \
					   sizeof(struct type), rows, ARRAY_LEN(rows) }
#define ONE(num, type, field, kind)                                                      \
	{                                                                                \
		num, #field, kind, PF_ONE, offsetof(struct type, field), NULL, NULL, 0   \
	}
#define REP(num, type, field, kind, m)                                                   \
	{                                                                                \
		num, #field, kind, PF_REP, offsetof(struct type, field), m, NULL, 0      \
	}

static const struct pf_field enum_value_rows[] = {
	ONE(1, pb_enum_value, name, PF_STRING),
	ONE(2, pb_enum_value, number, PF_INT32),
};
MSG(desc_enum_value, pb_enum_value, enum_value_rows);
static const struct pf_field enum_rows[] = {
	ONE(1, pb_enum, name, PF_STRING),
	REP(2, pb_enum, value, PF_MSG, &desc_enum_value),
};
MSG(desc_enum, pb_enum, enum_rows);
static const struct pf_field field_rows[] = {
	ONE(1, pb_field_desc, name, PF_STRING),
	ONE(3, pb_field_desc, number, PF_INT32),
	ONE(4, pb_field_desc, label, PF_INT32),
	ONE(5, pb_field_desc, type, PF_INT32),
	ONE(6, pb_field_desc, type_name, PF_STRING),
};
MSG(desc_field, pb_field_desc, field_rows);
static const struct pf_field msg_rows[] = {
	ONE(1, pb_msg_desc, name, PF_STRING),
	REP(2, pb_msg_desc, field, PF_MSG, &desc_field),
	REP(4, pb_msg_desc, enum_type, PF_MSG, &desc_enum),
};
MSG(desc_msg, pb_msg_desc, msg_rows);
static const struct pf_field method_rows[] = {
	ONE(1, pb_method_desc, name, PF_STRING),
	ONE(2, pb_method_desc, input_type, PF_STRING),
	ONE(3, pb_method_desc, output_type, PF_STRING),
	ONE(5, pb_method_desc, client_streaming, PF_BOOL),
	ONE(6, pb_method_desc, server_streaming, PF_BOOL),
};
MSG(desc_method, pb_method_desc, method_rows);
static const struct pf_field service_rows[] = {
	ONE(1, pb_service_desc, name, PF_STRING),
	REP(2, pb_service_desc, method, PF_MSG, &desc_method),
};
MSG(desc_service, pb_service_desc, service_rows);
static const struct pf_field file_rows[] = {
	ONE(1, pb_file_desc, name, PF_STRING),
	ONE(2, pb_file_desc, package, PF_STRING),
	REP(3, pb_file_desc, dependency, PF_STRING, NULL),
	REP(4, pb_file_desc, message_type, PF_MSG, &desc_msg),
	REP(5, pb_file_desc, enum_type, PF_MSG, &desc_enum),
	REP(6, pb_file_desc, service, PF_MSG, &desc_service),
	ONE(12, pb_file_desc, syntax, PF_STRING),
};
MSG(desc_file, pb_file_desc, file_rows);

/* ---- looking up ---- */

static bool lists(const struct pf_file *f, const struct pf_msg *m)
{
	for (uint32_t i = 0; i < f->n_msgs; i++)
		if (f->msg[i] == m)
			return true;
	return false;
}

/* Where a message that f speaks of is declared: f itself before others that share its tables. */
static const struct pf_file *home(const struct pf_file *f, const struct pf_msg *m)
{
	if (lists(f, m))
		return f;
	for (size_t i = 0; i < pf_n_files; i++)
		if (lists(&pf_files[i], m))
			return &pf_files[i];
	BUG_ON(true);
	return NULL;
}

const struct pf_file *pf_file_by_name(struct str name)
{
	for (size_t i = 0; i < pf_n_files; i++)
		if (str_eqz(name, pf_files[i].name))
			return &pf_files[i];
	return NULL;
}

/* *s without "name" and the '.' behind it; false: it begins with something else. Whole: an empty rest. */
static bool step(struct str *s, const char *name)
{
	struct str n = str_of(name);
	if (!str_has_prefix(*s, n))
		return false;
	if (s->n == n.n) {
		*s = STR("");
		return true;
	}
	if (s->p[n.n] != '.')
		return false;
	*s = str_from(*s, n.n + 1);
	return s->n > 0;
}

static const struct pf_enum *enum_of(const struct pf_field *f)
{
	return f->type == PF_ENUM ? f->en : NULL;
}

static bool declares(const struct pf_file *f, struct str rest)
{
	for (uint32_t i = 0; i < f->n_services; i++) {
		const struct pf_service *s = &f->service[i];
		struct str r = rest;
		if (!step(&r, s->name))
			continue;
		if (r.n == 0)
			return true;
		for (uint32_t k = 0; k < s->n; k++)
			if (str_eqz(r, s->method[k].name))
				return true;
	}
	for (uint32_t i = 0; i < f->n_msgs; i++) {
		if (str_eqz(rest, f->msg[i]->name))
			return true;
		for (uint32_t k = 0; k < f->msg[i]->n; k++) {
			const struct pf_enum *en = enum_of(&f->msg[i]->field[k]);
			struct str r = rest;
			if (en && str_eqz(rest, en->name))
				return true;
			if (step(&r, f->msg[i]->name) &&
			    str_eqz(r, f->msg[i]->field[k].name))
				return true;
		}
	}
	return false;
}

const struct pf_file *pf_file_of_symbol(struct str symbol)
{
	for (size_t i = 0; i < pf_n_files; i++) {
		struct str rest = symbol;
		if (step(&rest, pf_files[i].package) && rest.n &&
		    declares(&pf_files[i], rest))
			return &pf_files[i];
	}
	return NULL;
}

const struct pf_msg *pf_msg_by_name(struct str name)
{
	for (size_t i = 0; i < pf_n_files; i++) {
		struct str rest = name;
		if (!step(&rest, pf_files[i].package))
			continue;
		for (uint32_t k = 0; k < pf_files[i].n_msgs; k++)
			if (str_eqz(rest, pf_files[i].msg[k]->name))
				return pf_files[i].msg[k];
	}
	return NULL;
}

const struct pf_method *pf_method_by_path(struct str path)
{
	for (size_t i = 0; i < pf_n_files; i++) {
		const struct pf_file *f = &pf_files[i];
		struct str p = path;
		if (p.n == 0 || p.p[0] != '/')
			return NULL;
		p = str_from(p, 1);
		if (!step(&p, f->package))
			continue;
		for (uint32_t k = 0; k < f->n_services; k++) {
			struct str service = str_of(f->service[k].name);
			if (!str_has_prefix(p, service) || p.n == service.n ||
			    p.p[service.n] != '/')
				continue;
			for (uint32_t j = 0; j < f->service[k].n; j++)
				if (str_eqz(str_from(p, service.n + 1),
					    f->service[k].method[j].name))
					return &f->service[k].method[j];
		}
	}
	return NULL;
}

/* ---- dependencies ---- */

static size_t add_file(const struct pf_file *f, const struct pf_file **out, size_t at,
		       size_t n)
{
	for (size_t i = 0; i < at; i++)
		if (out[i] == f)
			return at;
	BUG_ON(at == n);
	out[at] = f;
	return at + 1;
}

/* Append the files whose messages f names to out[0..at). */
static size_t add_imports(const struct pf_file *f, const struct pf_file **out, size_t at,
			  size_t n)
{
	for (uint32_t i = 0; i < f->n_msgs; i++)
		for (uint32_t k = 0; k < f->msg[i]->n; k++)
			if (f->msg[i]->field[k].msg)
				at = add_file(home(f, f->msg[i]->field[k].msg), out, at,
					      n);
	for (uint32_t i = 0; i < f->n_services; i++)
		for (uint32_t k = 0; k < f->service[i].n; k++) {
			at = add_file(home(f, f->service[i].method[k].in), out, at, n);
			at = add_file(home(f, f->service[i].method[k].out), out, at, n);
		}
	return at;
}

size_t pf_file_closure(const struct pf_file *f, const struct pf_file **out, size_t n)
{
	size_t at = add_file(f, out, 0, n);
	for (size_t i = 0; i < at; i++)
		at = add_imports(out[i], out, at, n);
	return at;
}

/* ---- descriptors ---- */

static const int32_t type_numbers[] = {
	[PF_INT32] = 5,	  [PF_INT64] = 3,   [PF_UINT32] = 13, [PF_UINT64] = 4,
	[PF_SINT32] = 17, [PF_SINT64] = 18, [PF_BOOL] = 8,    [PF_ENUM] = 14,
	[PF_DOUBLE] = 1,  [PF_STRING] = 9,  [PF_BYTES] = 12,  [PF_MSG] = 11,
};
enum { LABEL_OPTIONAL = 1, LABEL_REPEATED = 3 };

static struct str full_name(struct arena *a, const char *package, const char *name)
{
	size_t p = strlen(package), n = strlen(name);
	char *s = arena_alloc(a, p + n + 2);
	s[0] = '.';
	memcpy(s + 1, package, p);
	s[1 + p] = '.';
	memcpy(s + 2 + p, name, n);
	return (struct str){ s, p + n + 2 };
}

static struct str type_of(struct arena *a, const struct pf_file *f,
			  const struct pf_msg *m)
{
	return full_name(a, home(f, m)->package, m->name);
}

static void describe_enum(struct arena *a, const struct pf_enum *en, struct pb_enum *out)
{
	const char *dot = strrchr(en->name, '.');
	struct pb_enum_value *v = ARENA_ARRAY(a, struct pb_enum_value, en->n);
	for (uint32_t i = 0; i < en->n; i++)
		v[i] = (struct pb_enum_value){ str_of(en->value[i]), (int32_t)i };
	*out = (struct pb_enum){ str_of(dot ? dot + 1 : en->name), { v, en->n } };
}

/* Those of the file that belong to `owner` (NULL: to none), each once. */
static struct pf_list enums(struct arena *a, const struct pf_file *f, const char *owner)
{
	const struct pf_enum *seen[32];
	size_t n = 0;
	for (uint32_t i = 0; i < f->n_msgs; i++)
		for (uint32_t k = 0; k < f->msg[i]->n; k++) {
			const struct pf_enum *en = enum_of(&f->msg[i]->field[k]);
			if (!en)
				continue;
			const char *dot = strrchr(en->name, '.');
			struct str of =
				str_n(en->name, dot ? (size_t)(dot - en->name) : 0);
			size_t j = 0;
			while (j < n && seen[j] != en)
				j++;
			if (j < n || !str_eqz(of, owner ? owner : ""))
				continue;
			BUG_ON(n == ARRAY_LEN(seen));
			seen[n++] = en;
		}
	struct pb_enum *out = ARENA_ARRAY(a, struct pb_enum, n);
	for (size_t i = 0; i < n; i++)
		describe_enum(a, seen[i], &out[i]);
	return (struct pf_list){ out, n };
}

static void describe_msg(struct arena *a, const struct pf_file *f, const struct pf_msg *m,
			 struct pb_msg_desc *out)
{
	struct pb_field_desc *d = ARENA_ARRAY(a, struct pb_field_desc, m->n);
	for (uint32_t i = 0; i < m->n; i++) {
		const struct pf_field *x = &m->field[i];
		bool numeric = x->type == PF_ENUM && !x->en;
		d[i] = (struct pb_field_desc){
			.name = str_of(x->name),
			.number = (int32_t)x->num,
			.label = x->label == PF_REP ? LABEL_REPEATED : LABEL_OPTIONAL,
			.type = type_numbers[numeric ? PF_INT32 : x->type]
		};
		if (x->type == PF_MSG)
			d[i].type_name = type_of(a, f, x->msg);
		else if (x->type == PF_ENUM && !numeric)
			d[i].type_name = full_name(a, f->package, x->en->name);
	}
	*out = (struct pb_msg_desc){ str_of(m->name), { d, m->n }, enums(a, f, m->name) };
}

static void describe_service(struct arena *a, const struct pf_file *f,
			     const struct pf_service *s, struct pb_service_desc *out)
{
	struct pb_method_desc *d = ARENA_ARRAY(a, struct pb_method_desc, s->n);
	for (uint32_t i = 0; i < s->n; i++) {
		const struct pf_method *m = &s->method[i];
		d[i] = (struct pb_method_desc){ str_of(m->name), type_of(a, f, m->in),
						type_of(a, f, m->out), m->client_stream,
						m->server_stream };
	}
	*out = (struct pb_service_desc){ str_of(s->name), { d, s->n } };
}

void pf_file_descriptor(struct arena *a, const struct pf_file *f, struct buf *out)
{
	const struct pf_file *import[PF_MAX_FILES];
	size_t n = add_imports(f, import, 0, PF_MAX_FILES), n_deps = 0;
	struct str *deps = ARENA_ARRAY(a, struct str, n);
	struct pb_msg_desc *m = ARENA_ARRAY(a, struct pb_msg_desc, f->n_msgs);
	struct pb_service_desc *s = ARENA_ARRAY(a, struct pb_service_desc, f->n_services);
	for (size_t i = 0; i < n; i++)
		if (import[i] != f)
			deps[n_deps++] = str_of(import[i]->name);
	for (uint32_t i = 0; i < f->n_msgs; i++)
		describe_msg(a, f, f->msg[i], &m[i]);
	for (uint32_t i = 0; i < f->n_services; i++)
		describe_service(a, f, &f->service[i], &s[i]);
	struct pb_file_desc d = { .name = str_of(f->name),
				  .package = str_of(f->package),
				  .dependency = { deps, n_deps },
				  .message_type = { m, f->n_msgs },
				  .enum_type = enums(a, f, NULL),
				  .service = { s, f->n_services },
				  .syntax = STR("proto3") };
	pf_encode(&desc_file, &d, out);
}
