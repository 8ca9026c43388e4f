# SPDX-License-Identifier: MIT
"""Echo requests to one or many addresses, IPv4 and IPv6. Not the ping program: that one waits for only two round trips
once it had one answer, and so calls lost what is merely late on a busy machine.

    echo.py [ADDRESS...] [--count N] [--interval S] [--size BYTES[,BYTES...]] [--wait S] [--per-s N]

Addresses come from standard input if none are given. Each is asked `count` times with each size, a round every
`interval` seconds, in a round at most `per-s` a second. Prints JSON: asked, answered, lost (address: how many), sizes
(those of the lost ones).
"""
import argparse
import json
import os
import select
import socket
import struct
import sys
import time


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


class Asker:
    """One raw socket of one family; what it asked and has not been answered yet."""

    def __init__(self, six):
        self.six, self.mark, self.serial, self.open = six, os.getpid() & 0xffff, 0, {}
        self.raw = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW,
                                 socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.raw.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
        self.raw.setblocking(False)

    def ask(self, address, size):
        """False: the packet could not even be sent."""
        self.serial = (self.serial + 1) & 0xffff
        body = struct.pack("!HH", self.mark, self.serial) + bytes(n & 255 for n in range(size))
        head = b"\x80\0\0\0" if self.six else struct.pack("!BBH", 8, 0, checksum(b"\x08\0\0\0" + body))
        try:
            self.raw.sendto(head + body, (address, 0))
        except OSError:
            return False
        self.open[self.serial] = (address, body)
        return True

    def listen(self):
        while True:
            try:
                packet = self.raw.recvfrom(70000)[0]
            except OSError:
                return
            icmp = packet if self.six else packet[(packet[0] & 15) * 4:]
            if len(icmp) < 8 or icmp[0] != (129 if self.six else 0):
                continue
            serial = struct.unpack_from("!H", icmp, 6)[0]
            if serial in self.open and self.open[serial][1] == icmp[4:]:
                del self.open[serial]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("addresses", nargs="*")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--size", default="56")
    for name, value in (("--interval", 0.2), ("--wait", 2), ("--per-s", 2000)):
        parser.add_argument(name, type=float, default=value)
    want = parser.parse_args()
    addresses = want.addresses or sys.stdin.read().split()
    askers = {six: Asker(six) for six in {":" in a for a in addresses}}
    sockets = [asker.raw for asker in askers.values()]
    lost, sizes, began = {}, [], time.monotonic()
    rounds = [int(size) for size in want.size.split(",") for _ in range(want.count)]
    due = [(began + n * want.interval + i / want.per_s, a, size) for n, size in enumerate(rounds)
           for i, a in enumerate(addresses)]
    due.sort(key=lambda d: d[0])
    end = due[-1][0] + want.wait
    at = 0
    while at < len(due) or (any(a.open for a in askers.values()) and time.monotonic() < end):
        while at < len(due) and time.monotonic() >= due[at][0]:
            _, address, size = due[at]
            if not askers[":" in address].ask(address, size):
                lost[address] = lost.get(address, 0) + 1
                sizes.append(size)
            at += 1
            end = time.monotonic() + want.wait
        until = due[at][0] if at < len(due) else end
        select.select(sockets, [], [], max(0, min(until - time.monotonic(), 0.05)))
        for asker in askers.values():
            asker.listen()
    for asker in askers.values():
        for address, body in asker.open.values():
            lost[address] = lost.get(address, 0) + 1
            sizes.append(len(body) - 4)
    print(json.dumps({"asked": len(due), "answered": len(due) - sum(lost.values()), "lost": lost, "sizes": sizes}))


if __name__ == "__main__":
    main()
