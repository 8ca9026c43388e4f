# SPDX-License-Identifier: MIT
"""wireguard-go as a further server: user space too, so what it takes for a GB is a figure to stand beside. It is set up
by its own configuration socket; both ends are wireguard-go."""
import os
import shutil
import socket
import subprocess
import time

import servers
from netns import Failed, run, wait_for

PROGRAM = shutil.which("wireguard-go")
PORT, CLIENT_ADDRESS, MTU = 51820, "10.77.0.2", 1420
DEVICES = ("wgbench0", "wgbench1")  # their sockets lie beside each other, whatever namespace they are in


def missing():
    """Why it cannot be measured, or None."""
    return None if PROGRAM else "wireguard-go is not installed"


def key_pair():
    """Private and public key, in hexadecimal."""
    pem = subprocess.run(["openssl", "genpkey", "-algorithm", "X25519"], stdout=subprocess.PIPE, check=True).stdout
    der = [subprocess.run(["openssl", "pkey", *words, "-outform", "DER"], input=pem, stdout=subprocess.PIPE,
                          check=True).stdout for words in ((), ("-pubout",))]
    return [part[-32:].hex() for part in der]


def configure(device, *lines):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(f"/var/run/wireguard/{device}.sock")
        s.sendall("\n".join(("set=1", *lines, "", "")).encode())
        answer = s.recv(4096).decode()
    if "errno=0" not in answer:
        raise Failed(f"wireguard-go: {answer.strip()}")


class Wireguard:
    """A server in the hub's namespace and a client in the first one, connected. Seen as servers.Server is."""

    def __init__(self, net):
        self.net, self.kind, self.build = net, "wireguard", None
        self.processes = []
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self):
        keys = [key_pair() for _ in DEVICES]
        for side, namespace, address in ((0, self.net.hub, servers.ADDRESS), (1, self.net.clients[0], CLIENT_ADDRESS)):
            device = DEVICES[side]
            # In the foreground; the socket's name is free again when it ends.
            self.processes.append(self.net.start([PROGRAM, "-f", device], f"{device}-{time.monotonic():.3f}.log", namespace))
            wait_for("the socket of wireguard-go", lambda d=device: os.path.exists(f"/var/run/wireguard/{d}.sock"))
            peer = [f"private_key={keys[side][0]}", *([f"listen_port={PORT}"] if side == 0 else []),
                    f"public_key={keys[1 - side][1]}", "replace_allowed_ips=true", "allowed_ip=10.77.0.0/24",
                    *([f"endpoint=10.99.0.1:{PORT}"] if side else [])]
            configure(device, *peer)
            run("ip", "addr", "add", f"{address}/24", "dev", device, namespace=namespace)
            run("ip", "link", "set", device, "up", "mtu", MTU, namespace=namespace)
        run("ping", "-c", 1, "-W", 5, servers.ADDRESS, namespace=self.net.clients[0], timeout=10)
        self.process = self.processes[0]
        self.pids = [self.process.pid]

    def cpu_s(self):
        return sum(servers.process_cpu_s(pid) for pid in self.pids)

    def check(self):
        if not self.process.alive():
            raise Failed("wireguard-go ended")

    def stop(self):
        for process in self.processes:
            process.stop()
            if process in self.net.processes:
                self.net.processes.remove(process)
        self.processes = []
