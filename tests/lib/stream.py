# SPDX-License-Identifier: MIT
"""A stream of numbered UDP packets at an exact pace, and what became of it.

    stream.py send IP PORT PACKETS_PER_S SECONDS [BYTES]
    stream.py receive IP PORT SECONDS_OF_SILENCE     ends after that much silence once the first packet was there

The receiver prints JSON: received, lost, duplicates, reordered, longest_gap_ms, gaps_ms (the ten longest), moments
(of gaps over 15 ms, at most 500: when each ended and how long it was, in seconds of the monotonic clock), first, last.
"""
import heapq
import json
import socket
import struct
import sys
import time


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def send(address, port, per_s, seconds, size=200):
    out = socket.socket(family(address), socket.SOCK_DGRAM)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    padding = bytes(max(0, size - 8))
    began = time.monotonic()
    for number in range(int(per_s * seconds)):
        due = began + number / per_s
        left = due - time.monotonic()
        if left > 0:
            time.sleep(left)
        try:
            out.sendto(struct.pack("!Q", number) + padding, (address, port))
        except OSError as e:
            print(f"packet {number}: {e}", flush=True)
    print(json.dumps({"sent": int(per_s * seconds), "began": began}), flush=True)


def receive(address, port, silence):
    into = socket.socket(family(address), socket.SOCK_DGRAM)
    into.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    into.bind((address, port))
    into.settimeout(60)
    seen, highest, reordered, duplicates, gaps, moments, before = set(), -1, 0, 0, [], [], None
    while True:
        try:
            number = struct.unpack("!Q", into.recv(65536)[:8])[0]
        except socket.timeout:
            break
        now = time.monotonic()
        into.settimeout(silence)
        if before is not None:
            heapq.heappush(gaps, now - before)
            if now - before > 0.015 and len(moments) < 500:
                moments.append((round(now, 4), round(now - before, 4)))
            if len(gaps) > 10:
                heapq.heappop(gaps)
        before = now
        duplicates += number in seen
        reordered += number < highest
        highest = max(highest, number)
        seen.add(number)
    first = min(seen) if seen else -1
    missing = [n for n in range(0, highest + 1) if n not in seen] if seen else []
    print(json.dumps({"received": len(seen), "lost": len(missing), "duplicates": duplicates, "reordered": reordered,
                      "longest_gap_ms": round(max(gaps, default=0) * 1000, 1),
                      "gaps_ms": [round(g * 1000, 1) for g in sorted(gaps, reverse=True)], "first": first, "last": highest,
                      "missing": missing[:500], "moments": moments}), flush=True)


if __name__ == "__main__":
    numbers = [float(w) for w in sys.argv[4:]]
    if sys.argv[1] == "send":
        send(sys.argv[2], int(sys.argv[3]), *numbers[:2], *[int(n) for n in numbers[2:]])
    else:
        receive(sys.argv[2], int(sys.argv[3]), *numbers)
