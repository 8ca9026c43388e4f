/* SPDX-License-Identifier: MIT
 * Key files that OpenVPN 2.6.14 made for these tests (--genkey tls-crypt-v2-server, tls-crypt-v2-client with
 * that server's key, secret), letter by letter. */
#ifndef TESTS_VECTORS_KEY_FILES_H
#define TESTS_VECTORS_KEY_FILES_H

/* clang-format off */
#define VECTOR_SERVER_KEY_FILE \
	"-----BEGIN OpenVPN tls-crypt-v2 server key-----\n" \
	"ei5n6Z+IK+NLnfKg7bJK4fi9miT+uf3UxUKNUWQAt32YyOlR5eqY4e/ENdYrRAfX\n" \
	"Qee04549QpkrrxxoVTLscSFm+At7Ym8qY5jIFov6vfi/82zb9tfakMhey3OmCDFB\n" \
	"eE4V/XAx4QbbF+j/Hr4oPux7yhTrkaiugKNKYdOuQ+I=\n" \
	"-----END OpenVPN tls-crypt-v2 server key-----\n"

#define VECTOR_CLIENT_KEY_FILE \
	"-----BEGIN OpenVPN tls-crypt-v2 client key-----\n" \
	"Tluqiz2VZiLLOESi6eXu/jOWY6KC6f/LTwqUBoRbcXLNAtzsd08iH6DgF1bM8Kd9\n" \
	"dslUL0U4mGZwuo3p0Yk0IVOkA6HZbR+IzlMGxEHSmEfcoVu2QHnb/b8H0oWi5P7g\n" \
	"Hq1A3yxQIkKPniPcBXcAGrdtWP7bs3ygHHUanb8BLW3A0Ll268gzBpL97r/o9dHW\n" \
	"NrDnP4gmiDG6PXI6ZuuACWoHhx87rtPpDw2ekkiXf5x81oeQDBA3ckTXn5izKd1o\n" \
	"M6+U3PlyxJt/DlKTEQstomjdyxpw0mJZyMVgzJnp++cLVyv/TcW0aSbutDzwIlkH\n" \
	"AvR43UVtYut+NLRgnIbIFVM1eq0TrrMjNpFyQ3PI4lzTBrgXo/1jiC9pCrhrOZgm\n" \
	"5BTVii0JZcgReLUsdGSTrq3tTw5+3azcthPdfzOiWFHs5s3gBYDnjcMiSl2xVurp\n" \
	"pi6zxP7UsU/DHpK29Y69FNcW94yS357Wy+lboRxgJG06nXnSMO+SIXfYfIwjsfYZ\n" \
	"OAtUWV5pGGMm8M2rGs0O/IR/JlmQcIm04fvoVWuMy4B4esqmsv40+inEsyALZfXx\n" \
	"6Q7lL5GiQSmlxRv1WE3EDPqfELWI6TqWNKKFFZvf2kgc4xIs15RAr4EYxCjIv41+\n" \
	"21/icu5eqDekQ2UfsXOlCZB0tX+W7NZVARF1Q1MecbLaqQVJHeJGd3yzWwR4Q/FG\n" \
	"clNqu0UPeBbhrMMfzzTtJT2/gWqG7dXlWQEr\n" \
	"-----END OpenVPN tls-crypt-v2 client key-----\n"

#define VECTOR_STATIC_KEY_FILE \
	"#\n" \
	"# 2048 bit OpenVPN static key\n" \
	"#\n" \
	"-----BEGIN OpenVPN Static key V1-----\n" \
	"6c78baeec6131852c8e4add42a36140d\n" \
	"ee84d7241cff39f0886b9e3d54dce83b\n" \
	"2d4e62fb468b67b599d31e3c4c6cbad7\n" \
	"4dfe23511cd022ebe2dec23490022369\n" \
	"edceb868d3b28ed0629fbcead0444759\n" \
	"16a20f5844b7919d23e30b950a35c3fb\n" \
	"fe65cc6b8194247bcb43aa91fd3c8d63\n" \
	"f21abe777a6664129ef15ea683e0c66c\n" \
	"382e2e2c3e6799c1bae61f1a9f652827\n" \
	"4e50f661e38d4d6376966728d7ff5029\n" \
	"94881f1ecb2f9065ea925c901c26e93e\n" \
	"f2fccc1528490bbcab9cc1ef4126d21c\n" \
	"a10cc32a4f9d6e28849f4f67ed1c1971\n" \
	"92ae335ceff0aada1631d202db91cf8b\n" \
	"a63865dbc801fb98ff129cbf18220827\n" \
	"a25d8d49579e171f19632f0a363218b1\n" \
	"-----END OpenVPN Static key V1-----\n"

/* The first and the last line of the static key, as hex */
#define VECTOR_STATIC_KEY_FIRST "6c78baeec6131852c8e4add42a36140d"
#define VECTOR_STATIC_KEY_LAST "a25d8d49579e171f19632f0a363218b1"
/* clang-format on */

#endif
