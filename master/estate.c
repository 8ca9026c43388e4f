/* SPDX-License-Identifier: MIT
 * The description of an estate: two places, records, fields. Whoever wrote it may have been another version, or may
 * have died while it wrote. */
#include "master/estate.h"

#include "common/base/siphash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FORMAT = 1, HEAD = 32, PLACE = HEAD + ESTATE_BODY_MAX };
static const uint64_t magic = 0x76706e6573740a01u; /* "vpnest" */

int estate_memory(void)
{
	int fd = memfd_create("vpnserverd-estate", MFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Against torn writing, not against an enemy. */
static uint64_t check_of(uint32_t serial, const void *body, size_t len)
{
	const uint64_t key[2] = { magic, serial };
	return siphash13(key, body, len);
}

int estate_write(int fd, uint32_t serial, const void *body, size_t len)
{
	uint8_t head[HEAD] = { 0 };
	struct bytes_out out = bytes_into(head, sizeof(head));
	off_t at = serial % 2 ? PLACE : 0;
	if (len > ESTATE_BODY_MAX)
		return -E2BIG;
	write_u64(&out, magic);
	write_u32(&out, FORMAT);
	write_u32(&out, serial);
	write_u64(&out, check_of(serial, body, len));
	write_u32(&out, (uint32_t)len);
	if (pwrite(fd, body, len, at + HEAD) != (ssize_t)len || pwrite(fd, head, HEAD, at) != HEAD)
		return errno ? -errno : -EIO;
	return 0;
}

/* -- reading -- */

enum found { FOUND, FOREIGN, NOTHING };

static enum found read_place(int fd, unsigned place, struct estate *out)
{
	uint8_t head[HEAD];
	off_t at = place ? PLACE : 0;
	if (pread(fd, head, HEAD, at) != HEAD)
		return NOTHING;
	struct bytes b = bytes_of(head, HEAD);
	if (read_u64(&b) != magic)
		return NOTHING;
	if (read_u32(&b) != FORMAT)
		return FOREIGN;
	uint32_t serial = read_u32(&b);
	uint64_t check = read_u64(&b);
	uint32_t len = read_u32(&b);
	if (len > ESTATE_BODY_MAX)
		return NOTHING;
	uint8_t *body = malloc(len ? len : 1);
	if (!body || pread(fd, body, len, at + HEAD) != (ssize_t)len || check_of(serial, body, len) != check) {
		free(body);
		return NOTHING;
	}
	out->serial = serial;
	out->body = body;
	out->len = len;
	return FOUND;
}

static bool read_descriptors(struct estate *e)
{
	struct bytes record = estate_record(e, ESTATE_DESCRIPTORS);
	uint32_t count = read_u32(&record);
	if (!bytes_ok(&record) || count > ESTATE_FDS_MAX)
		return false;
	e->fds = calloc(count ? count : 1, sizeof(*e->fds));
	if (!e->fds)
		return false;
	for (; e->count < count; e->count++) {
		struct estate_fd *fd = &e->fds[e->count];
		read_data(&record, fd->name, ESTATE_NAME_ROOM);
		fd->name[ESTATE_NAME_ROOM - 1] = '\0';
		uint32_t number = read_u32(&record);
		fd->fd = fd->number = number <= INT_MAX ? (int)number : -1;
	}
	return bytes_ok(&record);
}

bool estate_read(int fd, struct estate *out, char *error, size_t room)
{
	struct estate places[2] = { { .memory = fd }, { .memory = fd } };
	enum found found[2] = { read_place(fd, 0, &places[0]), read_place(fd, 1, &places[1]) };
	unsigned newest = found[1] == FOUND && (found[0] != FOUND || (int32_t)(places[1].serial - places[0].serial) > 0);
	free(places[!newest].body);
	*out = places[newest];
	if (found[newest] != FOUND) {
		snprintf(error, room, found[0] == FOREIGN || found[1] == FOREIGN
				? "the estate is written in another version's format"
				: "there is no whole estate");
		*out = (struct estate){ .memory = -1 };
		return false;
	}
	if (read_descriptors(out))
		return true;
	snprintf(error, room, "the estate's list of descriptors is broken");
	free(out->body);
	free(out->fds);
	*out = (struct estate){ .memory = -1 };
	return false;
}

void estate_clear(struct estate *e)
{
	for (unsigned i = 0; i < e->count; i++)
		if (e->fds[i].fd >= 0)
			close(e->fds[i].fd);
	free(e->fds);
	free(e->body);
	*e = (struct estate){ .memory = -1 };
}

struct bytes estate_record(const struct estate *e, enum estate_tag tag)
{
	struct bytes all = bytes_of(e->body, e->len);
	while (all.left) {
		uint8_t this = read_u8(&all);
		struct bytes record = read_part(&all, read_u32(&all));
		if (this == tag && bytes_ok(&record))
			return record;
	}
	return bytes_of("", 0);
}

int estate_take(struct estate *e, const char *name)
{
	for (unsigned i = 0; i < e->count; i++)
		if (e->fds[i].fd >= 0 && strcmp(e->fds[i].name, name) == 0) {
			int fd = e->fds[i].fd;
			e->fds[i].fd = -1;
			return fd;
		}
	return -1;
}

bool estate_find(struct bytes fields, const char *name, struct bytes *value)
{
	size_t len = strlen(name);
	while (fields.left) {
		struct bytes this = read_part(&fields, read_u16(&fields));
		struct bytes its = read_part(&fields, read_u32(&fields));
		if (bytes_ok(&its) && this.left == len && memcmp(this.at, name, len) == 0) {
			*value = its;
			return true;
		}
	}
	return false;
}

bool estate_find_number(struct bytes fields, const char *name, uint64_t *value)
{
	struct bytes its;
	if (!estate_find(fields, name, &its) || its.left != 8)
		return false;
	*value = read_u64(&its);
	return true;
}

bool estate_find_text(struct bytes fields, const char *name, char *out, size_t room)
{
	struct bytes its;
	if (!estate_find(fields, name, &its) || its.left >= room || memchr(its.at, 0, its.left))
		return false;
	memcpy(out, its.at, its.left);
	out[its.left] = '\0';
	return true;
}

/* -- writing -- */

size_t estate_begin(struct bytes_out *out, enum estate_tag tag)
{
	write_u8(out, (uint8_t)tag);
	write_u32(out, 0);
	return out->len;
}

void estate_end(struct bytes_out *out, size_t begun)
{
	if (out->failed)
		return;
	struct bytes_out len = bytes_into(out->start + begun - 4, 4);
	write_u32(&len, (uint32_t)(out->len - begun));
}

void estate_field(struct bytes_out *out, const char *name, const void *value, size_t len)
{
	write_u16(out, (uint16_t)strlen(name));
	write_data(out, name, strlen(name));
	write_u32(out, (uint32_t)len);
	write_data(out, value, len);
}

void estate_field_number(struct bytes_out *out, const char *name, uint64_t value)
{
	uint8_t bytes[8];
	struct bytes_out number = bytes_into(bytes, sizeof(bytes));
	write_u64(&number, value);
	estate_field(out, name, bytes, sizeof(bytes));
}

void estate_field_text(struct bytes_out *out, const char *name, const char *text)
{
	estate_field(out, name, text, strlen(text));
}
