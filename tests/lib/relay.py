# SPDX-License-Identifier: MIT
"""A UDP relay between one client and a server that loses, duplicates, delays and reorders, always in the same way for
the same seed; that can change the address the server sees; and that remembers the nonces it saw.

    relay.py --listen IP:PORT --to IP:PORT [--loss P] [--duplicate P] [--reorder P] [--delay-ms N] [--seed N]
             [--record FILE]

Percentages count in both directions. SIGUSR1: from now on it speaks to the server from another address and port.
SIGTERM: ends, and writes the record as JSON: datagrams each way, key ids and packet ids towards the client that came
twice although the relay itself had not doubled them.
"""
import argparse
import heapq
import json
import os
import random
import select
import signal
import socket
import struct
import time

SOFT_RESET, HARD_RESET_CLIENT = 3, (7, 10)
DATA_V1, DATA_V2 = 6, 9


class Record:
    """Packet ids of data packets towards the client, per key; a new use of a key id begins with a reset."""

    def __init__(self):
        self.seen, self.repeated, self.keys, self.latest, self.counts = {}, [], 0, None, {"up": 0, "down": 0}

    def note(self, direction, datagram):
        self.counts[direction] += 1
        opcode, key_id = datagram[0] >> 3, datagram[0] & 7
        if direction == "up" and opcode in HARD_RESET_CLIENT:
            self.seen = {}
        elif opcode == SOFT_RESET and key_id != self.latest:
            self.seen.pop(key_id, None)
        if direction == "up" or opcode not in (DATA_V1, DATA_V2):
            return
        at = 4 if opcode == DATA_V2 else 1
        packet_id = struct.unpack_from("!I", datagram, at)[0]
        if key_id not in self.seen:
            self.seen[key_id] = set()
            self.keys += 1
        self.latest = key_id
        if packet_id in self.seen[key_id]:
            self.repeated.append((key_id, packet_id))
        self.seen[key_id].add(packet_id)


class Relay:
    def __init__(self, want):
        self.want = want
        self.chance = {d: random.Random(f"{want.seed} {d}") for d in ("up", "down")}
        self.near = self.bound(want.listen)
        self.target = self.address(want.to)
        self.far, self.turns = None, 0
        self.client = None
        self.queue, self.serial = [], 0
        self.record = Record()
        self.turn()

    @staticmethod
    def address(text):
        host, port = text.rsplit(":", 1)
        return host, int(port)

    def bound(self, text):
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            out.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
        out.bind(self.address(text))
        out.setblocking(False)
        return out

    def turn(self):
        """Another address towards the server."""
        old, self.turns = self.far, self.turns + 1
        local = self.target[0].startswith("127.")
        self.far = self.bound(f"127.0.1.{self.turns}:0" if local else "0.0.0.0:0")
        if old:
            old.close()

    def accept(self, direction, datagram):
        self.record.note(direction, datagram)
        chance, want = self.chance[direction], self.want
        if chance.random() * 100 < want.loss:
            return
        copies = 2 if chance.random() * 100 < want.duplicate else 1
        for copy in range(copies):
            delay = want.delay_ms + copy * 3
            if chance.random() * 100 < want.reorder:
                delay += chance.uniform(5, 25)
            self.serial += 1
            heapq.heappush(self.queue, (time.monotonic() + delay / 1000, self.serial, direction, datagram))

    def deliver(self):
        now = time.monotonic()
        while self.queue and self.queue[0][0] <= now:
            _, _, direction, datagram = heapq.heappop(self.queue)
            try:
                if direction == "up":
                    self.far.sendto(datagram, self.target)
                elif self.client:
                    self.near.sendto(datagram, self.client)
            except OSError:
                pass # as a network would: it is lost

    def take(self, direction, into):
        for _ in range(256):
            try:
                datagram, source = into.recvfrom(65536)
            except OSError:
                return
            if direction == "up":
                self.client = source
            if datagram:
                self.accept(direction, datagram)

    def run(self):
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: None)
        print("relaying", flush=True)
        while True:
            pause = max(0, self.queue[0][0] - time.monotonic()) if self.queue else None
            ready = select.select([self.near, self.far, wake], [], [], pause)[0]
            if wake in ready:
                said = os.read(wake, 64)
                if signal.SIGTERM in said:
                    return
                if signal.SIGUSR1 in said:
                    self.turn()
                continue
            if self.near in ready:
                self.take("up", self.near)
            if self.far in ready:
                self.take("down", self.far)
            self.deliver()


def main():
    parser = argparse.ArgumentParser()
    for name in ("--listen", "--to"):
        parser.add_argument(name, required=True)
    for name in ("--loss", "--duplicate", "--reorder", "--delay-ms"):
        parser.add_argument(name, type=float, default=0)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--record")
    relay = Relay(parser.parse_args())
    relay.run()
    if relay.want.record:
        record = relay.record
        with open(relay.want.record, "w") as f:
            json.dump({"up": record.counts["up"], "down": record.counts["down"], "keys": record.keys,
                       "repeated": record.repeated}, f)


if __name__ == "__main__":
    main()
