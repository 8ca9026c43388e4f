# SPDX-License-Identifier: MIT
"""Echo requests to many addresses at a steady rate, by one raw socket.

    ask_all.py ADDRESS... [--per-s N]      addresses on standard input if none are given

Prints JSON: asked, answered, missing (the first ones).
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
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("addresses", nargs="*")
    parser.add_argument("--per-s", type=float, default=1000)
    want = parser.parse_args()
    addresses = want.addresses or sys.stdin.read().split()
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    raw.setblocking(False)
    mark, answered, sent, began = os.getpid() & 0xffff, set(), 0, time.monotonic()
    last = None
    while sent < len(addresses) or (len(answered) < len(addresses) and time.monotonic() < last + 2):
        while sent < len(addresses) and time.monotonic() >= began + sent / want.per_s:
            body = struct.pack("!HH", mark, sent & 0xffff) + bytes(56)
            head = struct.pack("!BBH", 8, 0, checksum(b"\x08\x00\x00\x00" + body))
            raw.sendto(head + body, (addresses[sent], 0))
            sent += 1
            last = time.monotonic()
        select.select([raw], [], [], 0.001)
        while True:
            try:
                packet, (source, _) = raw.recvfrom(2048)
            except OSError:
                break
            icmp = packet[(packet[0] & 15) * 4:]
            if icmp[0] == 0 and struct.unpack_from("!H", icmp, 4)[0] == mark:
                answered.add(source)
    missing = [a for a in addresses if a not in answered]
    print(json.dumps({"asked": len(addresses), "answered": len(answered), "missing": missing[:20]}))


if __name__ == "__main__":
    main()
