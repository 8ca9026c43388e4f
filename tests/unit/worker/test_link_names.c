/* SPDX-License-Identifier: MIT
 * Socket addresses and control messages, to and from outer addresses. */
#include "tests/unit/worker/sockets.h"

static struct link_address address4(bool mapped)
{
	return (struct link_address){ .family = 4, .mapped = mapped, .port = 1194, .ip = { 192, 0, 2, 7 } };
}

static struct link_address address6(void)
{
	return (struct link_address){ .family = 6, .port = 1195, .scope = 3, .ip = { 0xfe, 0x80, [15] = 9 } };
}

START_TEST(addresses_survive_the_way_through_the_kernels_spelling)
{
	struct link_address four = address4(false), mapped = address4(true), six = address6(), back;
	union link_name name;

	ck_assert_uint_eq(link_name_write(&four, AF_INET, &name), sizeof(struct sockaddr_in));
	ck_assert(link_name_read(&name, sizeof(name.in4), &back));
	ck_assert(link_address_equal(&back, &four));
	ck_assert_uint_eq(link_name_write(&mapped, AF_INET6, &name), sizeof(struct sockaddr_in6));
	ck_assert(IN6_IS_ADDR_V4MAPPED(&name.in6.sin6_addr));
	ck_assert(link_name_read(&name, sizeof(name.in6), &back));
	ck_assert(link_address_equal(&back, &mapped));
	ck_assert_uint_eq(link_name_write(&six, AF_INET6, &name), sizeof(struct sockaddr_in6));
	ck_assert(link_name_read(&name, sizeof(name.in6), &back));
	ck_assert(link_address_equal(&back, &six));
}
END_TEST

START_TEST(addresses_that_a_socket_cannot_reach_are_refused)
{
	struct link_address six = address6(), none = { 0 };
	union link_name name;

	ck_assert_uint_eq(link_name_write(&six, AF_INET, &name), 0);
	ck_assert_uint_eq(link_name_write(&none, AF_INET, &name), 0);
	ck_assert_uint_eq(link_name_write(&none, AF_INET6, &name), 0);
}
END_TEST

START_TEST(short_and_foreign_names_are_no_address)
{
	struct link_address four = address4(false), back;
	union link_name name;

	link_name_write(&four, AF_INET, &name);
	ck_assert(!link_name_read(&name, sizeof(name.in4) - 1, &back));
	ck_assert_uint_eq(back.family, 0);
	ck_assert(!link_name_read(&name, 0, &back));
	name.any.sa_family = AF_INET6;
	ck_assert(!link_name_read(&name, sizeof(name.in4), &back));
	name.any.sa_family = AF_UNIX;
	ck_assert(!link_name_read(&name, sizeof(name), &back));
	ck_assert(!link_name_read(&name, sizeof(name) + 1, &back));
}
END_TEST

START_TEST(packet_info_is_written_in_the_sockets_family)
{
	_Alignas(struct cmsghdr) uint8_t room[LINK_CONTROL_ROOM];
	struct link_control control = { .local = address4(false), .interface = 5 }, back;
	size_t len = link_control_write(room, AF_INET, &control);

	ck_assert_uint_eq(len, CMSG_SPACE(sizeof(struct in_pktinfo)));
	link_control_read(room, len, &back);
	ck_assert_mem_eq(back.local.ip, control.local.ip, 4);
	ck_assert_uint_eq(back.local.family, 4);
	ck_assert_uint_eq(back.local.mapped, 0);
	ck_assert_uint_eq(back.local.port, 0);
	ck_assert_uint_eq(back.interface, 5);
	len = link_control_write(room, AF_INET6, &control);
	ck_assert_uint_eq(len, CMSG_SPACE(sizeof(struct in6_pktinfo)));
	link_control_read(room, len, &back);
	ck_assert_uint_eq(back.local.family, 4);
	ck_assert_uint_eq(back.local.mapped, 1);
	control.local = address6();
	len = link_control_write(room, AF_INET6, &control);
	link_control_read(room, len, &back);
	ck_assert_uint_eq(back.local.family, 6);
	ck_assert_mem_eq(back.local.ip, control.local.ip, 16);
	/* An IPv6 address says nothing to an IPv4 socket. */
	ck_assert_uint_eq(link_control_write(room, AF_INET, &control), 0);
}
END_TEST

START_TEST(nothing_known_writes_nothing_and_a_train_only_its_size)
{
	_Alignas(struct cmsghdr) uint8_t room[LINK_CONTROL_ROOM];
	struct link_control control = { 0 };

	ck_assert_uint_eq(link_control_write(room, AF_INET, &control), 0);
	ck_assert_uint_eq(link_control_write(room, AF_INET6, &control), 0);
	control.segment = 1400;
	ck_assert_uint_eq(link_control_write(room, AF_INET, &control), CMSG_SPACE(sizeof(uint16_t)));
	control.local = address6();
	ck_assert_uint_le(link_control_write(room, AF_INET6, &control), LINK_CONTROL_ROOM);
}
END_TEST

START_TEST(an_empty_control_room_says_nothing)
{
	struct link_control back;

	link_control_read("", 0, &back);
	ck_assert_uint_eq(back.local.family, 0);
	ck_assert_uint_eq(back.interface, 0);
	ck_assert_uint_eq(back.segment, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker/link_names");
	TCase *tcase = tcase_create("link_names");

	tcase_add_test(tcase, addresses_survive_the_way_through_the_kernels_spelling);
	tcase_add_test(tcase, addresses_that_a_socket_cannot_reach_are_refused);
	tcase_add_test(tcase, short_and_foreign_names_are_no_address);
	tcase_add_test(tcase, packet_info_is_written_in_the_sockets_family);
	tcase_add_test(tcase, nothing_known_writes_nothing_and_a_train_only_its_size);
	tcase_add_test(tcase, an_empty_control_room_says_nothing);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
