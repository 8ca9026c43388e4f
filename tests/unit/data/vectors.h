/* SPDX-License-Identifier: MIT
 * FIXTURE_TEXT sealed as packet id 1 with the second half of fixture_material(), key id 2, peer id 0x17. Made
 * with Python's cryptography package, which gives OpenVPN's own packet for the same material. */
#ifndef TESTS_UNIT_DATA_VECTORS_H
#define TESTS_UNIT_DATA_VECTORS_H

#include "common/data/data.h"

static const struct data_vector {
	enum cipher cipher;
	uint32_t peer_id;
	const char *datagram;
} data_vectors[] = {
	{ CIPHER_AES_128_GCM, 0x17,
		"4a00001700000001fe8d495529221d6e81da41505c284c1f1525eec19474d2ea72cad2a54f336c72d23956830d08"
		"bfa1"
		"c5975f553b83fc4e6df1fce201938004b2821df4172ee3d31288c861e15cb190" },
	{ CIPHER_AES_128_GCM, 0xffffff,
		"32000000015090835932d716335b686c040c0b231d1525eec19474d2ea72cad2a54f336c72d23956830d08bfa1c5"
		"975f"
		"553b83fc4e6df1fce201938004b2821df4172ee3d31288c861e15cb190" },
	{ CIPHER_AES_192_GCM, 0x17,
		"4a000017000000014899952abc740f6c619122e7870b8fca528ea3a21aaa5e4647b72a20e62d562d58b7260fff98"
		"f9df"
		"4ec6ab0a27d526647614d781c59e7c463db6ebe7738fac91612528a840d9d6a4" },
	{ CIPHER_AES_192_GCM, 0xffffff,
		"32000000013cc7d7a0a3ab5391d731a710cfaa309c528ea3a21aaa5e4647b72a20e62d562d58b7260fff98f9df4e"
		"c6ab"
		"0a27d526647614d781c59e7c463db6ebe7738fac91612528a840d9d6a4" },
	{ CIPHER_AES_256_GCM, 0x17,
		"4a00001700000001b97c27e68d8888bc6ed5f4299ecc27ea4d3bb32f215405d12860ccfd9af9d2d2ec7041026e6a"
		"d6a9"
		"e1cf585d7ad4255d79cf02f797a5224be6f448357dc3605eae4f89ac6c8a3972" },
	{ CIPHER_AES_256_GCM, 0xffffff,
		"320000000186941aa1eeb2d8dc5a83cfa3f3ffb3fa4d3bb32f215405d12860ccfd9af9d2d2ec7041026e6ad6a9e1"
		"cf58"
		"5d7ad4255d79cf02f797a5224be6f448357dc3605eae4f89ac6c8a3972" },
	{ CIPHER_CHACHA20_POLY1305, 0x17,
		"4a000017000000012ba74532c7e435e6b54487b83241814a131d41e2b2ce27fee715592c3e2167c4a59c7c1eb4a9"
		"dab5"
		"eabc25a736ba38a4dc9edfed5104351b950c4b4b1703d692f70f52eb066f5d63" },
	{ CIPHER_CHACHA20_POLY1305, 0xffffff,
		"32000000013e679805ef1424ce0564088b30200cc5131d41e2b2ce27fee715592c3e2167c4a59c7c1eb4a9dab5ea"
		"bc25"
		"a736ba38a4dc9edfed5104351b950c4b4b1703d692f70f52eb066f5d63" },
};

enum { DATA_VECTORS = sizeof(data_vectors) / sizeof(data_vectors[0]) };

#endif
