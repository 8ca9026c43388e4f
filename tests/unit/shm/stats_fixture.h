/* SPDX-License-Identifier: MIT
 * A directory of a test's own and a hub's statistics in it. */
#ifndef TESTS_UNIT_SHM_STATS_FIXTURE_H
#define TESTS_UNIT_SHM_STATS_FIXTURE_H

#include "shm/reader.h"
#include "shm/stats.h"
#include "tests/unit/shm/fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static inline void new_directory(char dir[64])
{
	strcpy(dir, "/tmp/shm-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static inline void remove_directory(const char *dir)
{
	char path[400];
	struct dirent *entry;
	DIR *d = opendir(dir);
	while (d && (entry = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

static inline struct stats_about about_hub(const char *name)
{
	static const char *const listeners[] = { "udp4 0.0.0.0:1194", "tcp4 0.0.0.0:443" };
	return (struct stats_about){ .name = name,
		.program_version = "0.1.0",
		.listeners = listeners,
		.listener_count = 2,
		.started_unix = 1000000,
		.sizes = { .workers = 2, .slots = 50, .networks = 10 },
		.group = (gid_t)-1 };
}

static inline struct stats *new_stats(const char *dir, const char *name)
{
	char error[300] = "";
	struct stats_about about = about_hub(name);
	struct stats *stats = stats_create(dir, &about, error, sizeof(error));
	ck_assert_msg(stats != NULL, "%s", error);
	return stats;
}

static inline struct stats_row row_of(const char *name, uint64_t number)
{
	struct stats_row row = { .client_id = number,
		.generation = 1,
		.owner = 1,
		.state = PEER_ACTIVE,
		.inner4 = (uint32_t)number,
		.connected_unix = (unix_s)number,
		.bytes_in = number };
	snprintf(row.common_name, sizeof(row.common_name), "%s", name);
	strcpy(row.cipher, "AES-256-GCM");
	row.peer_address = address4(0xc0000201, 40000);
	return row;
}

static inline void write_file(const char *dir, const char *name, const void *bytes, size_t len)
{
	char path[400];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

#endif
