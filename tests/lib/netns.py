# SPDX-License-Identifier: MIT
"""Namespaces of one test: a hub and its clients on veth pairs, always cleaned up.

Names carry the process id, so two runs cannot collide. Every process that is started here is stopped here, by pid.
"""
import json
import os
import re
import signal
import subprocess
import sys
import time


class Failed(AssertionError):
    """A test's own complaint."""


def run(*words, check=True, timeout=30, namespace=None, stdin=None):
    """Runs a command to its end; its output as text."""
    command = (["ip", "netns", "exec", namespace] if namespace else []) + [str(w) for w in words]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, text=True,
                              errors="replace", input=stdin)
    except subprocess.TimeoutExpired as e:
        said = (e.stdout or b"").decode(errors="replace")[-2000:] # bytes here even where text was asked for
        raise Failed(f"{' '.join(command)}: not ended after {timeout:g} s\n{said}") from None
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-2000:]}")
    return done.stdout


def wait_for(what, condition, seconds=15.0):
    """Asks `condition` until it gives something true, which is returned."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.05)
    raise Failed(f"{what}: not within {seconds:g} s")


class Process:
    """A program in the background whose output goes to a file."""

    def __init__(self, command, log, namespace=None, env=None):
        self.log = log
        words = (["ip", "netns", "exec", namespace] if namespace else []) + [str(w) for w in command]
        self.out = open(log, "ab", buffering=0)
        self.popen = subprocess.Popen(words, stdout=self.out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                      env=env, start_new_session=True)

    @property
    def pid(self):
        return self.popen.pid

    def text(self):
        with open(self.log, "r", errors="replace") as f:
            return f.read()

    def wait_text(self, pattern, seconds=15.0):
        found = re.compile(pattern)

        def look():
            match = found.search(self.text())
            if not match and self.popen.poll() is not None:
                raise Failed(f"{self.log}: ended (exit {self.popen.returncode}) before '{pattern}':\n"
                             f"{self.text()[-3000:]}")
            return match
        try:
            return wait_for(f"'{pattern}' in {os.path.basename(self.log)}", look, seconds)
        except Failed as e:
            raise Failed(f"{e}\n{self.text()[-3000:]}") from None

    def alive(self):
        return self.popen.poll() is None

    def stop(self, seconds=6.0, how=signal.SIGTERM):
        """Ends it; its exit status. Killed when it does not listen."""
        if self.popen.poll() is None:
            self.popen.send_signal(how)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        self.out.close()
        return self.popen.returncode


class Net:
    """A hub namespace and any number of client namespaces, each on its own veth pair.

    Client i: 10.99.i.2/30 and fd99:i::2/64, the hub's end .1.
    """

    serial = 0

    def __init__(self, clients, folder):
        Net.serial += 1
        self.folder = folder
        self.processes = []
        prefix = f"v{os.getpid() % 100000}s{Net.serial}"
        self.hub = f"{prefix}h"
        self.clients = [f"{prefix}c{i}" for i in range(clients)]
        self.made = []
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self):
        for name in [self.hub] + self.clients:
            run("ip", "netns", "add", name)
            self.made.append(name)
            run("ip", "link", "set", "lo", "up", namespace=name)
            run("sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0",
                "net.ipv6.conf.default.router_solicitations=0", namespace=name)
        for i, name in enumerate(self.clients):
            run("ip", "link", "add", f"h{i}", "netns", self.hub, "type", "veth", "peer", "name", "eth0", "netns", name)
            for space, device, side in ((self.hub, f"h{i}", 1), (name, "eth0", 2)):
                run("ip", "addr", "add", f"10.99.{i}.{side}/30", "dev", device, namespace=space)
                run("ip", "addr", "add", f"fd99:{i:x}::{side}/64", "dev", device, "nodad", namespace=space)
                run("ip", "link", "set", device, "up", namespace=space)

    def start(self, command, log, namespace, env=None):
        process = Process(command, os.path.join(self.folder, log), namespace, env)
        self.processes.append(process)
        return process

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        self.processes = []
        for name in self.made:
            run("ip", "netns", "del", name, check=False)
        self.made = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


ECHO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "echo.py")


def pings(asked, count=3, interval=0.2, wait=2, size=56):
    """All at once: [(namespace, address)...]; how many were lost, as {(namespace, address): lost} of those that lost."""
    of = {}
    for namespace, address in asked:
        of.setdefault(namespace, []).append(address)
    running = {namespace: subprocess.Popen(
        ["ip", "netns", "exec", namespace, sys.executable, "-IS", ECHO, *addresses, "--count", str(count), "--interval",
         str(interval), "--wait", str(wait), "--size", str(size)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True) for namespace, addresses in of.items()}
    lost = {}
    for namespace, process in running.items():
        text = process.communicate(timeout=count * interval + wait + 20)[0]
        if process.returncode:
            raise Failed(f"echo.py in {namespace}: {text[-500:]}")
        lost.update({(namespace, address): n for address, n in json.loads(text)["lost"].items()})
    return lost


def ping(namespace, address, **how):
    """How many were lost."""
    return pings([(namespace, address)], **how).get((namespace, address), 0)


def sweep(pid):
    """What a test in process `pid` left behind because it could not clean up itself."""
    for line in run("ip", "netns", "list", check=False).splitlines():
        name = line.split()[0]
        if not name.startswith(f"v{pid % 100000}s"):
            continue
        for left in run("ip", "netns", "pids", name, check=False).split():
            if left.isdigit():
                os.kill(int(left), signal.SIGKILL)
        run("ip", "netns", "del", name, check=False)


def can_make_namespaces():
    """None, or why not."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.path.exists("/dev/net/tun"):
        return "needs /dev/net/tun"
    name = f"v{os.getpid() % 100000}probe"
    text = run("ip", "netns", "add", name, check=False)
    if text.strip():
        return f"cannot make a network namespace: {text.strip()}"
    run("ip", "netns", "del", name, check=False)
    return None
