/* SPDX-License-Identifier: MIT
 * Two eBPF programs, put together instruction by instruction, and the bpf(2) calls that load them: no
 * compiler, no library. Both are of type socket filter, the only one that SO_ATTACH_REUSEPORT_EBPF and
 * TUNSETSTEERINGEBPF both take. That type cannot look at packet bytes directly, so they are copied to the
 * stack by bpf_skb_load_bytes(). Byte 0 is the first of the UDP payload in a reuseport program (the kernel
 * pulls the header first), and the IP header on a tun device. */
#include "master/steering.h"

#include "common/base/check.h"
#include "common/wire/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* clang-format off */
#define INSN(c, d, s, o, i) ((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define MOV(dst, src)            INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define MOV_IMM(dst, imm)        INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm)
#define MOV32_IMM(dst, imm)      INSN(BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, imm)
#define ALU32_IMM(op, dst, imm)  INSN(BPF_ALU | (op) | BPF_K, dst, 0, 0, imm)
#define ADD_IMM(dst, imm)        INSN(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm)
#define FROM_BIG_ENDIAN(dst)     INSN(BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, 32)
#define LOAD32(dst, src, off)    INSN(BPF_LDX | BPF_MEM | BPF_W, dst, src, off, 0)
#define STORE32(dst, off, src)   INSN(BPF_STX | BPF_MEM | BPF_W, dst, src, off, 0)
#define CALL(function)           INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define EXIT                     INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

#define LOAD64(dst, src, off)    INSN(BPF_LDX | BPF_MEM | BPF_DW, dst, src, off, 0)
#define LOAD16(dst, src, off)    INSN(BPF_LDX | BPF_MEM | BPF_H, dst, src, off, 0)
#define LOAD8(dst, src, off)     INSN(BPF_LDX | BPF_MEM | BPF_B, dst, src, off, 0)
#define ALU32(op, dst, src)      INSN(BPF_ALU | (op) | BPF_X, dst, src, 0, 0)

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, FP = 10 };
/* clang-format on */

static int bpf(int command, union bpf_attr *attr)
{
	long result = syscall(SYS_bpf, command, attr, sizeof(*attr));
	return result < 0 ? -errno : (int)result;
}

/* An array of workers in our memory. */
static int map_table(int fd, uint32_t count, volatile uint64_t **table, size_t *size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	*size = (count * sizeof(uint64_t) + page - 1) / page * page;
	void *map = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*table = map;
	return 0;
}

/* Makes one. Values are 64 bits wide because the kernel rounds up to that in a mappable array. */
static int make_table(
	uint32_t count, uint64_t fill, const char *name, volatile uint64_t **table, size_t *size)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY };
	attr.key_size = sizeof(uint32_t);
	attr.value_size = sizeof(uint64_t);
	attr.max_entries = count;
	attr.map_flags = BPF_F_MMAPABLE;
	snprintf(attr.map_name, sizeof(attr.map_name), "%s", name);
	int fd = bpf(BPF_MAP_CREATE, &attr);
	if (fd < 0)
		return fd;
	int error = map_table(fd, count, table, size);
	if (error) {
		close(fd);
		return error;
	}
	for (uint32_t i = 0; i < count; i++)
		(*table)[i] = fill;
	return fd;
}

/* A program being written down; jumps are landed once their target is reached. */
struct program {
	unsigned count;
	struct bpf_insn at[128];
};

static unsigned put(struct program *p, struct bpf_insn insn)
{
	CHECK(p->count < sizeof(p->at) / sizeof(p->at[0]));
	p->at[p->count] = insn;
	return p->count++;
}

static unsigned put_jump(struct program *p, int condition, int reg, int32_t value)
{
	return put(p, INSN(BPF_JMP | condition, reg, 0, 0, value));
}

/* The jump at `from` leads to the next instruction. */
static void land(struct program *p, unsigned from)
{
	p->at[from].off = (int16_t)(p->count - from - 1);
}

static int load(const struct program *p, const char *name)
{
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER };
	attr.insns = (uint64_t)(uintptr_t)p->at;
	attr.insn_cnt = p->count;
	attr.license = (uint64_t)(uintptr_t) "MIT"; /* no helper asks for more */
	snprintf(attr.prog_name, sizeof(attr.prog_name), "%s", name);
	return bpf(BPF_PROG_LOAD, &attr);
}

/* Copies packet bytes to the stack, at FP + to. The jump it returns is taken when the packet is shorter. */
static unsigned put_load_bytes(struct program *p, int offset, int to, int len)
{
	put(p, MOV(R1, R6)); /* the packet: a call destroys R1 to R5 */
	put(p, MOV_IMM(R2, offset));
	put(p, MOV(R3, FP));
	put(p, ADD_IMM(R3, to));
	put(p, MOV_IMM(R4, len));
	put(p, CALL(BPF_FUNC_skb_load_bytes));
	return put_jump(p, BPF_JNE, R0, 0);
}

/* R0: where the table's entry R1 stands. The jump it returns is taken when there is none. */
static unsigned put_look_up(struct program *p, int map)
{
	put(p, STORE32(FP, -32, R1));
	put(p, MOV(R2, FP));
	put(p, ADD_IMM(R2, -32));
	put(p, INSN(BPF_LD | BPF_DW | BPF_IMM, R1, BPF_PSEUDO_MAP_FD, 0, map));
	put(p, INSN(0, 0, 0, 0, 0)); /* second half of the wide one */
	put(p, CALL(BPF_FUNC_map_lookup_elem));
	return put_jump(p, BPF_JEQ, R0, 0);
}

/* The same from the start of the IP header, at R2 + offset. */
static unsigned put_load_ip_bytes(struct program *p, int to, int len)
{
	put(p, MOV(R1, R6));
	put(p, MOV(R3, FP));
	put(p, ADD_IMM(R3, to));
	put(p, MOV_IMM(R4, len));
	put(p, MOV_IMM(R5, BPF_HDR_START_NET));
	put(p, CALL(BPF_FUNC_skb_load_bytes_relative));
	return put_jump(p, BPF_JNE, R0, 0);
}

/* R8: how many workers the kernel may choose from. The jump it returns is taken when it may from all. */
static unsigned put_count_chosen(struct program *p, int chosen)
{
	put(p, MOV_IMM(R1, 0));
	unsigned none = put_look_up(p, chosen); /* never */
	put(p, LOAD64(R0, R0, 0));
	land(p, none); /* R0 is 0 */
	put(p, MOV(R8, R0));
	return put_jump(p, BPF_JEQ, R8, 0);
}

/* R7: all its bits in the lowest, since few workers make few bits count. */
static void put_mix(struct program *p)
{
	put(p, MOV(R1, R7));
	put(p, ALU32_IMM(BPF_RSH, R1, 16));
	put(p, ALU32(BPF_XOR, R7, R1));
	put(p, ALU32_IMM(BPF_MUL, R7, (int32_t)0x9e3779b1));
	put(p, ALU32_IMM(BPF_RSH, R7, 16));
}

/* Ends the program with one of them, by R7. */
static void put_choose(struct program *p, int chosen)
{
	put(p, ALU32(BPF_MOD, R7, R8));
	put(p, MOV(R1, R7));
	put(p, ADD_IMM(R1, 1));
	unsigned none = put_look_up(p, chosen);
	put(p, LOAD32(R0, R0, 0));
	land(p, none); /* never */
	put(p, EXIT);
}

/* R7: hash of a datagram's source address and port. The jumps in `cut` are taken when there is no such header. */
static void put_hash_source(struct program *p, unsigned cut[4])
{
	put(p, MOV_IMM(R2, 0));
	cut[0] = put_load_ip_bytes(p, -4, 1);
	put(p, LOAD8(R7, FP, -4));
	put(p, MOV(R1, R7));
	put(p, ALU32_IMM(BPF_RSH, R1, 4));
	unsigned ipv6 = put_jump(p, BPF_JEQ, R1, 6);
	put(p, MOV_IMM(R2, 12));
	cut[1] = put_load_ip_bytes(p, -16, 4);
	put(p, MOV(R2, R7)); /* the header's length, in words */
	put(p, ALU32_IMM(BPF_AND, R2, 15));
	put(p, ALU32_IMM(BPF_LSH, R2, 2));
	put(p, LOAD32(R7, FP, -16));
	unsigned ports = put(p, INSN(BPF_JMP | BPF_JA, 0, 0, 0, 0));
	land(p, ipv6);
	put(p, MOV_IMM(R2, 8));
	cut[2] = put_load_ip_bytes(p, -16, 16);
	put(p, LOAD32(R7, FP, -16));
	for (int i = 1; i < 4; i++) {
		put(p, LOAD32(R1, FP, -16 + 4 * i));
		put(p, ALU32(BPF_XOR, R7, R1));
	}
	put(p, MOV_IMM(R2, 40));
	land(p, ports);
	cut[3] = put_load_ip_bytes(p, -16, 2);
	put(p, LOAD16(R1, FP, -16));
	put(p, ALU32(BPF_XOR, R7, R1));
}

/* Index of the socket for a datagram. An answer outside the group (nobody's entry too) makes the kernel use
 * its hash, which knows all workers. */
static int load_link_program(int peers, int chosen)
{
	struct program p = { 0 };
	unsigned cut[4];
	put(&p, MOV(R6, R1));
	unsigned too_short = put_load_bytes(&p, 0, -8, 4); /* opcode and key id, peer id */
	put(&p, LOAD32(R1, FP, -8));
	put(&p, FROM_BIG_ENDIAN(R1));
	put(&p, MOV(R2, R1));
	put(&p, ALU32_IMM(BPF_RSH, R2, 24 + 3));
	unsigned other_kind = put_jump(&p, BPF_JNE, R2, OP_DATA_V2);
	put(&p, ALU32_IMM(BPF_AND, R1, 0x00ffffff));
	unsigned no_such_peer = put_look_up(&p, peers);
	put(&p, LOAD64(R0, R0, 0));
	unsigned nobody = put_jump(&p, BPF_JEQ, R0, -1);
	put(&p, EXIT);
	land(&p, too_short);
	land(&p, other_kind);
	land(&p, no_such_peer);
	land(&p, nobody);
	unsigned any = put_count_chosen(&p, chosen);
	put_hash_source(&p, cut);
	put_mix(&p);
	put_choose(&p, chosen);
	land(&p, any);
	for (int i = 0; i < 4; i++)
		land(&p, cut[i]);
	put(&p, MOV32_IMM(R0, -1));
	put(&p, EXIT);
	return load(&p, "vpn_link");
}

/* Number of the queue for a packet; the kernel takes it modulo the number of queues. What no entry covers
 * (routed subnets, multicast) goes by a hash of its destination: one client's packets then at least meet one
 * other worker, which hands them over in order, and no queue gets all of them. */
static int load_tunnel_program(int pool, int chosen, const struct steering_sizes *sizes)
{
	uint32_t base6[4] = { 0 };
	if (sizes->pool6_first)
		memcpy(base6, sizes->pool6_first, sizeof(base6));
	struct program p = { 0 };
	put(&p, MOV(R6, R1));
	unsigned empty = put_load_bytes(&p, 0, -4, 1);
	put(&p, LOAD8(R1, FP, -4));
	put(&p, ALU32_IMM(BPF_RSH, R1, 4)); /* IP version */
	unsigned ipv6 = put_jump(&p, BPF_JEQ, R1, 6);
	unsigned neither = put_jump(&p, BPF_JNE, R1, 4);

	unsigned cut4 = put_load_bytes(&p, 16, -4, 4); /* IPv4 destination */
	put(&p, LOAD32(R7, FP, -4));
	put(&p, MOV(R1, R7));
	put(&p, FROM_BIG_ENDIAN(R1));
	put(&p, ALU32_IMM(BPF_SUB, R1, (int32_t)sizes->pool4_first));
	unsigned found4 = put(&p, INSN(BPF_JMP | BPF_JA, 0, 0, 0, 0));

	land(&p, ipv6);
	unsigned cut6 = put_load_bytes(&p, 24, -16, 16); /* IPv6 destination */
	unsigned foreign6[3];
	put(&p, LOAD32(R7, FP, -4));
	for (int i = 0; i < 3; i++) { /* R7: all words folded */
		put(&p, LOAD32(R2, FP, -16 + 4 * i));
		put(&p, ALU32(BPF_XOR, R7, R2));
	}
	for (int i = 0; i < 3; i++) {
		put(&p, LOAD32(R2, FP, -16 + 4 * i));
		put(&p, ALU32_IMM(BPF_XOR, R2,
				(int32_t)base6[i])); /* without a pool: ::, whose host part is no client's */
		foreign6[i] = put_jump(&p, BPF_JNE, R2, 0);
	}
	put(&p, LOAD32(R1, FP, -4));
	put(&p, FROM_BIG_ENDIAN(R1));
	put(&p, ALU32_IMM(BPF_SUB, R1, (int32_t)ntohl(base6[3])));

	land(&p, found4); /* R1: offset in the pool, perhaps outside */
	unsigned outside = put_look_up(&p, pool);
	put(&p, LOAD64(R0, R0, 0));
	unsigned nobody = put_jump(&p, BPF_JEQ, R0, -1);
	put(&p, EXIT);

	land(&p, empty);
	land(&p, neither);
	land(&p, cut4);
	land(&p, cut6);
	put(&p, MOV_IMM(R7, 0));
	land(&p, outside);
	land(&p, nobody);
	for (int i = 0; i < 3; i++)
		land(&p, foreign6[i]);
	put_mix(&p);
	unsigned any = put_count_chosen(&p, chosen);
	put_choose(&p, chosen);
	land(&p, any);
	put(&p, MOV(R0, R7));
	put(&p, EXIT);
	return load(&p, "vpn_tunnel");
}

static uint32_t entries_of_pool(uint32_t count)
{
	return count ? count : 1;
}

int steering_open(const struct steering_sizes *sizes, struct steering *out)
{
	*out = (struct steering){ .pool4_first = sizes->pool4_first,
		.pool_count = sizes->pool_count,
		.peer_count = sizes->peers,
		.link_program = -1,
		.tunnel_program = -1,
		.peers_map = -1,
		.pool_map = -1,
		.chosen_map = -1 };
	int error;
	error = out->peers_map =
		make_table(sizes->peers, STEERING_NOBODY, "vpn_peers", &out->peers, &out->peers_size);
	if (error >= 0)
		error = out->pool_map = make_table(entries_of_pool(sizes->pool_count), STEERING_NOBODY, "vpn_pool",
			&out->pool, &out->pool_size);
	if (error >= 0)
		error = out->chosen_map = make_table(
			1 + STEERING_WORKERS_MAX, 0, "vpn_chosen", &out->chosen, &out->chosen_size);
	if (error >= 0)
		error = out->link_program = load_link_program(out->peers_map, out->chosen_map);
	if (error >= 0)
		error = out->tunnel_program = load_tunnel_program(out->pool_map, out->chosen_map, sizes);
	if (error >= 0)
		return 0;
	steering_close(out);
	return error;
}

void steering_close(struct steering *steering)
{
	if (steering->peers)
		munmap((void *)steering->peers, steering->peers_size);
	if (steering->pool)
		munmap((void *)steering->pool, steering->pool_size);
	if (steering->chosen)
		munmap((void *)steering->chosen, steering->chosen_size);
	int *fds[] = { &steering->link_program, &steering->tunnel_program, &steering->peers_map, &steering->pool_map,
		&steering->chosen_map };
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
	*steering = STEERING_NONE;
}

int steering_adopt(struct steering *steering)
{
	steering->peers = steering->pool = steering->chosen = NULL;
	int error = map_table(steering->peers_map, steering->peer_count, &steering->peers, &steering->peers_size);
	if (!error)
		error = map_table(steering->pool_map, entries_of_pool(steering->pool_count), &steering->pool,
			&steering->pool_size);
	if (!error)
		error = map_table(steering->chosen_map, 1 + STEERING_WORKERS_MAX, &steering->chosen,
			&steering->chosen_size);
	if (error)
		steering_close(steering);
	return error;
}

void steering_reset(const struct steering *steering)
{
	for (uint32_t i = 0; steering->peers && i < steering->peer_count; i++)
		steering->peers[i] = STEERING_NOBODY;
	for (uint32_t i = 0; steering->pool && i < entries_of_pool(steering->pool_count); i++)
		steering->pool[i] = STEERING_NOBODY;
}

void steering_choose(struct steering *steering, const unsigned *workers, unsigned count)
{
	if (!steering->chosen || count > STEERING_WORKERS_MAX)
		return;
	for (unsigned i = 0; i < count; i++)
		steering->chosen[1 + i] = workers[i];
	atomic_thread_fence(memory_order_release);
	steering->chosen[0] = count;
}

int steering_attach_link(const struct steering *steering, int udp_fd)
{
	int program = steering->link_program;
	return setsockopt(udp_fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof(program)) < 0
		       ? -errno
		       : 0;
}

int steering_attach_tunnel(const struct steering *steering, int tun_fd)
{
	int program = steering->tunnel_program;
	return ioctl(tun_fd, TUNSETSTEERINGEBPF, &program) < 0 ? -errno : 0;
}

void steering_detach_tunnel(int tun_fd)
{
	int none = -1;
	ioctl(tun_fd, TUNSETSTEERINGEBPF, &none);
}
