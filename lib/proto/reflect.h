/*
 * proto/reflect.h - the files and services that the field tables make up, and their descriptors as gRPC server
 * reflection hands them out.
 *
 * One file a package. Names of files are those of the peers, since clients keep descriptors by name.
 * Thread  CPU
 */
#ifndef PROTO_REFLECT_H
#define PROTO_REFLECT_H

#include "proto/msg.h"

struct pf_method {
	const char *name;
	const struct pf_msg *in, *out;
	bool client_stream, server_stream;
};
struct pf_service {
	const char *name; /* without package */
	const struct pf_method *method;
	uint32_t n;
};
struct pf_file {
	const char *name; /* "store/storepb/rpc.proto" */
	const char *
		package; /* of all of it, whatever the tables say: versions of a protocol share tables */
	const struct pf_msg *const *msg;
	uint32_t n_msgs;
	const struct pf_service *service;
	uint32_t n_services;
};

const struct pf_file *pf_file_by_name(struct str name);
/* Message, enum, service or method by full name, as "thanos.Store.Series"; NULL: not declared. */
const struct pf_file *pf_file_of_symbol(struct str symbol);
/* The message of that full name; NULL: there is none. */
const struct pf_msg *pf_msg_by_name(struct str name);
/* "/thanos.Store/Series"; NULL: not declared. */
const struct pf_method *pf_method_by_path(struct str path);
/* The files that f needs, each once, f first; at most n of them. Returns how many. */
size_t pf_file_closure(const struct pf_file *f, const struct pf_file **out, size_t n);
#define PF_MAX_FILES 16
extern const struct pf_file pf_files[]; /* tables.c */
extern const size_t pf_n_files;
/* A FileDescriptorProto. */
void pf_file_descriptor(struct arena *a, const struct pf_file *f, struct buf *out);

/* ---- the messages of reflection itself, the same in v1 and v1alpha ---- */

struct pb_extension_request {
	struct str containing_type;
	int32_t extension_number;
};
struct pb_reflection_request {
	struct str host;
	struct str file_by_filename, file_containing_symbol; /* p NULL: absent */
	struct pb_extension_request *file_containing_extension;
	struct str all_extension_numbers_of_type, list_services;
};
struct pb_file_descriptor_response {
	struct pf_list file_descriptor_proto; /* str */
};
struct pb_extension_numbers {
	struct str base_type_name;
	struct pf_list extension_number; /* int32 */
};
struct pb_service_response {
	struct str name;
};
struct pb_list_services {
	struct pf_list service; /* pb_service_response */
};
struct pb_reflection_error {
	int32_t error_code;
	struct str error_message;
};
struct pb_reflection_response {
	struct str valid_host;
	struct pb_reflection_request *original_request;
	struct pb_file_descriptor_response *file_descriptor_response;
	struct pb_extension_numbers *all_extension_numbers_response;
	struct pb_list_services *list_services_response;
	struct pb_reflection_error *error_response;
};
extern const struct pf_msg msg_reflection_request, msg_reflection_response;

#endif
