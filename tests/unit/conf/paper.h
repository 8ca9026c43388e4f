/* SPDX-License-Identifier: MIT
 * A world of paper for the parser: files, directories and names that exist only in this process, and the list
 * of problems that a configuration led to. No test of conf/ touches the real system. */
#ifndef TESTS_UNIT_CONF_PAPER_H
#define TESTS_UNIT_CONF_PAPER_H

#include "conf/conf.h"

/* A whole small server, without any warning; what a test adds to it stands from line 8 on. */
#define GOOD                                                                                                 \
	"server 10.8.0.0 255.255.255.0\n"                                                                    \
	"topology subnet\n"                                                                                  \
	"ca ca.crt\n"                                                                                        \
	"cert server.crt\n"                                                                                  \
	"key server.key\n"                                                                                   \
	"keepalive 10 60\n"                                                                                  \
	"remote-cert-tls client\n"

#define PEM "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

extern const struct outside paper;
extern const struct conf_report paper_report;

/* Puts a file into the world, in place of an older one of this name. Borrowed. ca.crt, server.crt,
 * server.key, ta.key (a static key), v2.key (a tls-crypt-v2 server key) are there from the start. */
void paper_put(const char *path, const char *text, size_t len, unsigned mode);

/* Reads main.conf with this text. */
struct config *read_text(const char *text);
/* The same with GOOD before it. */
struct config *read_more(const char *extra);
/* A command line without the program's name. */
struct config *read_arguments(int count, const char *const *words);

/* Of the last reading: each as it would be printed, "E " or "W " before it. */
extern unsigned paper_problems;
const char *paper_problem(unsigned i);
bool paper_problem_is(const char *text);

/* GOOD and these lines are accepted without any word; the caller frees. */
struct config *silent(const char *extra);
/* GOOD and these lines lead to exactly this one problem. `warned` returns the configuration. */
void refused_with(const char *extra, const char *problem);
struct config *warned_with(const char *extra, const char *problem);

#endif
