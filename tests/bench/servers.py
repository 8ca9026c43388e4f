# SPDX-License-Identifier: MIT
"""The servers that are measured: our hub and stock OpenVPN 2.6, as it comes and tuned. All get the same certificates,
cipher, addresses and limits; all are seen through the same few questions: which processes, how much CPU, how much memory.
"""
import os
import socket
import time

import hub
from netns import Failed

ADDRESS = "10.77.0.1"
SERVER = ("server 10.77.0.0 255.255.192.0",)
LISTENERS = ("local 0.0.0.0 1194 udp4",)
LIMITS = ("max-clients 6000", "duplicate-cn", "client-to-client", "data-ciphers AES-256-GCM", "verb 1",
          "connect-freq-initial 100000 1", "keepalive 10 120")
TUNED = ("sndbuf 2097152", "rcvbuf 2097152", "txqueuelen 5000", "fast-io")
KINDS = ("hub", "stock", "tuned")
CALLED = {"hub": "vpnserverd", "stock": "OpenVPN 2.6, defaults", "tuned": "OpenVPN 2.6, tuned", "wireguard": "wireguard-go"}


def process_cpu_s(pid):
    """User and system time of a process, all its threads: what /proc/PID/stat holds, in nanoseconds instead of ticks."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def spent(pids):
    """User and system time so far, as the kernel's clock tick finds it: good for the share of each, not for little."""
    user = system = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as f:
                words = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        user, system = user + int(words[11]), system + int(words[12])
    return user, system


class Server:
    """One server of a kind, running until stop()."""

    def __init__(self, net, kind, *lines, workers="auto", rsa=False, build=None):
        self.net, self.kind, self.build = net, kind, build
        self.it = None
        if rsa:
            lines += (f"cert {net.folder}/server-rsa.crt", f"key {net.folder}/server-rsa.key")
        if kind == "hub":
            config = hub.hub_config(net.folder, *LIMITS, *lines, workers=workers, listeners=LISTENERS, server=SERVER)
            self.it = hub.Hub(net, config, log=f"hub-{time.monotonic():.3f}.log",
                              program=os.path.join(build, "master", "vpnserverd") if build else None)
            self.process = self.it.process
        else:
            self.process = self._stock(*LIMITS, *(TUNED if kind == "tuned" else ()), *lines)
        self.pids = self.it.pids() if self.it else [self.process.pid]

    def _stock(self, *lines):
        folder = self.net.folder
        config = hub.write(folder, "stock.conf", "\n".join([
            "port 1194", "proto udp4", "dev tun0", "topology subnet", *SERVER, f"ca {folder}/ca.crt",
            f"cert {folder}/server.crt", f"key {folder}/server.key", "dh none", "remote-cert-tls client", *lines]) + "\n")
        process = self.net.start([hub.OPENVPN, "--config", config], f"stock-{time.monotonic():.3f}.log", self.net.hub)
        process.wait_text(hub.CONNECTED, 15)
        return process

    def cpu_s(self):
        return sum(process_cpu_s(pid) for pid in self.pids)

    def pss_kib(self):
        """Memory of all its processes; what they share counts once."""
        total = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        return total

    def serving(self, client):
        """The process that serves the stock client in that namespace."""
        if not self.it:
            return self.process.pid
        inner = int.from_bytes(socket.inet_aton(hub.tun_address(client)), "big")
        owner = next(row["owner"] for row in self.it.stats().rows.values() if row["inner4"] == inner)
        return self.it.worker_pids()[owner]

    def counters(self):
        return self.it.counters()

    def check(self):
        if not self.process.alive():
            raise Failed(f"{CALLED[self.kind]} ended:\n{self.process.text()[-2000:]}")

    def stop(self):
        self.process.stop()
        if self.process in self.net.processes:
            self.net.processes.remove(self.process)


def programs(build=None):
    """Path of vpnload, farend and station of a build, of the one under test if not told."""
    folder = os.path.join(build or hub.BUILD, "tests", "load")
    return [os.path.join(folder, name) for name in ("vpnload", "farend", "station")]
