# SPDX-License-Identifier: MIT
"""Reads a hub's stats segment: an independent reader, written after the description in shm/stats.h.

A layout that differs shows as nonsense in the header and is refused.
"""
import os
import re
import struct

from netns import Failed

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
STATES = ("FREE", "HANDSHAKE", "ACTIVE", "CLOSING")


def names_of(path, kind):
    with open(os.path.join(ROOT, path)) as f:
        return re.findall(rf"^{kind}\((\w+),", f.read(), re.M)


FATES = names_of("common/base/fate.def", "FATE")
COUNTERS = names_of("shm/counters.def", "COUNTER")


def align(n, to):
    return (n + to - 1) // to * to


def text(raw):
    return raw.split(b"\0")[0].decode(errors="replace")


WORKER_LEN = align(256 + 8 * (len(FATES) + len(COUNTERS)), 128)
ROW = struct.Struct("<QIHBB128s32s24sII16sqqQQQQQQIiIIqq48s24s16s")


class Stats:
    """A copy of the whole file, taken apart: workers, counters (summed), rows by peer id."""

    def __init__(self, path):
        with open(path, "rb") as f:
            raw = f.read()
        if raw[:8] != b"vnpSTAT1":
            raise Failed(f"{path}: not a stats segment")
        workers, slots = struct.unpack_from("<II", raw, 8 + 8 + 8 + 8)
        places = []
        for i in range(workers):
            at = 8192 + i * WORKER_LEN
            pid, state, births = struct.unpack_from("<qII", raw, at)
            words = struct.unpack_from(f"<{len(FATES) + len(COUNTERS)}Q", raw, at + 256)
            counters = dict(zip(FATES + COUNTERS, words))
            places.append({"pid": pid, "state": state, "births": births, "counters": counters})
        self.counters = {n: sum(w["counters"][n] for w in places) for n in FATES + COUNTERS}
        self.workers = [w for w in places if w["state"]] # there is room for more
        place = align(8 + ROW.size, 64)
        first = align(8192 + workers * WORKER_LEN, 128)
        if len(raw) < first + slots * place:
            raise Failed(f"{path}: shorter than its own sizes; does its layout still match tests/lib/stats.py?")
        self.rows = {}
        for slot in range(slots):
            fields = ROW.unpack_from(raw, first + slot * place + 8)
            if fields[3]:
                self.rows[slot] = {"client_id": fields[0], "generation": fields[1], "owner": fields[2],
                                   "state": STATES[fields[3] & 3], "common_name": text(fields[5]),
                                   "cipher": text(fields[6]), "inner4": fields[8],
                                   "packets_in": fields[14], "packets_out": fields[15]}
