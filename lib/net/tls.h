/*
 * net/tls.h - TLS under connections: what certificates and rules one side uses, and putting them on a connection.
 *
 * A `net_tls` is made from files; they are read again when they change (net_tls_reload, on a worker), and handshakes
 * from then on use what they hold. Connections that are open keep what they began with. A file that has
 * become unreadable or wrong is an error of the reload and changes nothing.
 *
 * Thread  SHARED; handshakes take the current state under a lock that is held for a pointer copy
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "net/net.h"

enum net_tls_auth { /* of clients, by a server */
		    TLS_AUTH_NONE,
		    TLS_AUTH_REQUEST,  /* asked for, not verified */
		    TLS_AUTH_ANY,      /* must be there, not verified */
		    TLS_AUTH_IF_GIVEN, /* verified if there is one */
		    TLS_AUTH_VERIFIED  /* must be there and be verified */
};
struct net_tls_opts { /* all copied; empty: not given */
	bool server;
	struct str cert_file,
		key_file; /* PEM; a server needs both, a client may have them */
	struct str
		ca_file; /* of clients (server) or servers (client; empty: the system's) */
	struct str cert, key, ca; /* the same as content, where no file is given */
	enum net_tls_auth auth;
	/* server: of a client's certificate one alternative name (DNS, e-mail, IP, URI) must be among these; none: any will do */
	const struct str *client_sans;
	size_t n_client_sans;
	struct str min_version,
		max_version; /* "1.0".."1.3" or "TLS10".."TLS13"; empty: 1.2 */
	struct str ciphers;  /* by commas: names of IANA or OpenSSL; empty: default */
	struct str
		curves; /* by commas: "X25519", "P-256" or "CurveP256", ...; empty: default */
	struct str server_name; /* client: instead of the host that is dialled */
	bool skip_verify;	/* client: any certificate will do */
	bool h2, http1;		/* ALPN that is offered or taken; none: no ALPN */
};
struct net_tls;
/* Reads the files (WORKER). E_INVALID and E_IO name option or file. */
MUST_CHECK int net_tls_new(const struct net_tls_opts *o, struct net_tls **out,
			   struct err *e);
struct net_tls *net_tls_ref(struct net_tls *t); /* NULL allowed, in unref too */
void net_tls_unref(struct net_tls *t);
/* WORKER. 1: files had changed and are in use; 0: nothing changed; -1: the old ones stay. */
MUST_CHECK int net_tls_reload(struct net_tls *t, struct err *e);

/* When the first certificate of a PEM file expires (Unix seconds). WORKER */
MUST_CHECK int net_tls_expiry(const char *path, int64_t *unix_s, struct err *e);

/*
 * Put TLS on a connection that has carried nothing yet, before its ops are set. LOOP. The handshake goes on by
 * itself: what is written waits for it; on_data shows clear text. host: of the peer, for a client (copied). A
 * handshake that fails or takes longer than 10 s ends the connection, with the reason.
 */
void net_conn_tls(struct net_conn *c, struct net_tls *t, struct str host);
/* The subject of the certificate that the peer showed: the first organization and unit, the last common name, as UTF-8. */
struct net_tls_subject {
	struct str organization, unit, common_name; /* empty: it has none */
};
/* False: it showed none, or there is no TLS. Texts lie in the arena. */
bool net_conn_subject(const struct net_conn *c, struct arena *a,
		      struct net_tls_subject *out);
bool net_conn_is_tls(const struct net_conn *c);
bool net_conn_alpn_h2(
	const struct net_conn *c); /* agreed on; false before the handshake */

#endif
