/*
 * pki.h - PEM texts for tests of TLS.
 */
#ifndef TEST_NET_PKI_H
#define TEST_NET_PKI_H

extern const char pki_ca[], pki_other_ca[], pki_server[], pki_server_key[], pki_client[],
	pki_client_key[], pki_other_server[], pki_other_server_key[];

#endif
