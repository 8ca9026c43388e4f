#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What runs the hub: the init script on a folder like /etc, and what a service manager hears."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, run, wait_for  # noqa: E402

SCRIPT = os.path.join(hub.BUILD, "conf", "service", "vpnserverd")
NAMES = {"office": 0, "plant": 1}


def expect(good, text):
    if not good:
        raise Failed(text)


class System:
    """A folder like /etc/vpnserverd with two hubs, one like /run/vpnserverd, a network of their own."""

    def __init__(self, folder, net, without_helper=False):
        self.folder, self.net = folder, net
        self.etc, self.run = os.path.join(folder, "etc"), os.path.join(folder, "run")
        os.makedirs(self.etc, exist_ok=True)
        hub.make_pki(folder, [])
        for name in NAMES:
            self.configure(name)
        self.env = dict(os.environ, VPNSERVERD_DAEMON=os.path.realpath(hub.HUB), VPNSERVERD_ETC=self.etc,
                        VPNSERVERD_RUN=self.run, VPNSERVERD_DEFAULTS=os.path.join(folder, "default"))
        self.shell = ["sh", SCRIPT]
        if without_helper:
            self._hide_start_stop_daemon()

    def _hide_start_stop_daemon(self):
        """A PATH in which everything is but that one."""
        tools = os.path.join(self.folder, "bin")
        os.makedirs(tools)
        for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
            for file in os.listdir(folder):
                if file != "start-stop-daemon" and not os.path.lexists(os.path.join(tools, file)):
                    os.symlink(os.path.join(folder, file), os.path.join(tools, file))
        with open(SCRIPT) as f:
            text = f.read()
        script = os.path.join(self.folder, "script")
        with open(script, "w") as f:
            f.write(re.sub(r"(?m)^PATH=.*", f"PATH={tools}", text))
        self.shell = ["sh", script]

    def configure(self, name, *lines):
        i = NAMES[name]
        hub.write(self.etc, f"{name}.conf", "\n".join([
            f"local 127.0.0.1 {1194 + i} udp4", f"dev tun{i}", "topology subnet",
            f"server 10.{70 + i}.0.0 255.255.255.0", f"ca {self.folder}/ca.crt", f"cert {self.folder}/server.crt",
            f"key {self.folder}/server.key", "dh none", "remote-cert-tls client", "keepalive 5 30", "hub.workers 1",
            f"log-append {self.folder}/{name}.log", *lines]) + "\n")

    def do(self, *words, status=0):
        """Runs the script; its output. The status must be this."""
        done = subprocess.run(["ip", "netns", "exec", self.net.hub, *self.shell, *words], env=self.env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=60)
        expect("/proc/" not in done.stdout, done.stdout)
        expect(done.returncode == status, f"{words}: exit {done.returncode}, not {status}\n{done.stdout}\n{self.logs()}")
        return done.stdout

    def pid_file(self, name):
        return os.path.join(self.run, f"{name}.pid")

    def pid(self, name):
        with open(self.pid_file(name)) as f:
            return int(f.read())

    def log(self, name):
        try:
            with open(os.path.join(self.folder, f"{name}.log")) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def logs(self):
        return "".join(self.log(name) for name in NAMES)

    def left(self):
        """Processes of ours in the namespace."""
        return [p for p in run("ip", "netns", "pids", self.net.hub).split() if gone(int(p)) is False]

    def close(self):
        for name in NAMES:
            try:
                os.kill(self.pid(name), signal.SIGKILL)
            except (OSError, ValueError):
                pass


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


class Started:
    """`with Started(folder) as system`: everything that it left is ended."""

    def __init__(self, folder, **how):
        self.folder, self.how = folder, how

    def __enter__(self):
        self.net = netns.Net(0, self.folder)
        self.system = System(self.folder, self.net, **self.how)
        return self.system

    def __exit__(self, *_):
        self.system.close()
        self.net.close()


def whole_life(system):
    text = system.do("status", status=3)
    expect(text.count("does not run") == 2, text)

    text = system.do("start")
    expect("office: started" in text and "plant: started" in text, text)
    office, plant = system.pid("office"), system.pid("plant")
    expect(f"office: runs (pid {office})" in system.do("status"), "status")
    text = system.do("start")
    expect(text.count("runs already") == 2 and system.pid("office") == office, text)
    expect(sorted(f for f in os.listdir(system.run) if f.endswith(".stats")) == ["office.stats", "plant.stats"],
           f"{os.listdir(system.run)}")

    system.configure("office", "push \"route 192.168.9.0 255.255.255.0\"")
    system.do("reload", "office")
    wait_for("the reload", lambda: "Reload done" in system.log("office"))
    expect("Reload" not in system.log("plant"), "the other one was reloaded too")
    system.do("force-reload")
    wait_for("the other's reload", lambda: "Reload done" in system.log("plant"))
    expect(system.pid("office") == office, "a reload must not start another hub")

    system.do("restart", "office")
    expect(system.pid("office") != office and gone(office), "not restarted")
    expect(system.pid("plant") == plant and not gone(plant), "the other one was restarted too")
    system.do("stop", "plant")
    expect(gone(plant), "not stopped")
    expect("plant: does not run" in system.do("status", status=3), "status of one that was stopped")
    system.do("condrestart")
    expect(not os.path.exists(system.pid_file("plant")), "condrestart started a hub that did not run")
    system.do("stop")
    expect(not system.left(), f"left: {system.left()}")
    expect(sorted(os.listdir(system.run)) == ["office.events", "plant.events"], f"left: {os.listdir(system.run)}")
    expect("stopped" not in system.do("stop"), "stopped twice")


def test_two_hubs_through_a_whole_life(folder):
    with Started(folder) as system:
        if not shutil.which("start-stop-daemon"):
            raise runner.Skipped("start-stop-daemon is not here; the other test does without")
        whole_life(system)


def test_the_same_without_start_stop_daemon(folder):
    with Started(folder, without_helper=True) as system:
        whole_life(system)


def test_a_stale_pid_file_is_seen_through(folder):
    """Of nobody, of a stranger, and, worst, of the other hub: that one must not be taken for ours, or be ended."""
    with Started(folder) as system:
        system.do("start", "plant")
        plant = system.pid("plant")
        stranger = system.net.start(["sleep", "1000"], "stranger.log", system.net.hub)
        for pid in ("999999999", str(stranger.pid), str(plant), "nonsense", "0", "-1", ""):
            hub.write(system.run, "office.pid", pid + "\n")
            text = system.do("status", "office", status=1)
            expect("dead" in text, f"{pid}: {text}")
            system.do("reload", "office", status=7)
            expect("does not run" in system.do("stop", "office"), f"{pid}: stopped?")
            expect(stranger.alive() and not gone(plant), f"{pid}: somebody else was ended")
        hub.write(system.run, "office.pid", f"{plant}\n")
        system.do("start", "office")
        expect(system.pid("office") not in (plant, stranger.pid), "the stale pid is still there")
        expect("Reload" not in system.logs(), "somebody else was reloaded")
        os.kill(system.pid("office"), signal.SIGKILL)
        wait_for("its end", lambda: gone(system.pid("office")))
        expect("dead" in system.do("status", "office", status=1), "status of one that was killed")
        system.do("start", "office")
        system.do("stop")
        expect(not [p for p in system.left() if int(p) != stranger.pid], f"left: {system.left()}")


def test_a_broken_configuration_starts_nothing_and_ends_nothing(folder):
    with Started(folder) as system:
        system.configure("plant", "nonsense 17")
        text = system.do("start", status=1)
        expect("office: started" in text and "plant: did not start" in text, text)
        expect("nonsense" in text and "plant.conf:" in text, f"it does not say why: {text}")
        expect(not os.path.exists(system.pid_file("plant")), "a pid file of a hub that did not start")

        office = system.pid("office")
        system.configure("office", "cert /nowhere")
        for action in ("reload", "restart", "condrestart"):
            text = system.do(action, "office", status=6)
            expect("/nowhere" in text and "because of its configuration" in text, text)
            expect(system.pid("office") == office and not gone(office), f"{action} ended it")
        expect("SIGHUP" not in system.log("office"), "reloaded all the same")
        os.unlink(os.path.join(system.etc, "office.conf"))
        system.do("restart", "office", status=6)
        expect("runs (pid" in system.do("status", "office"), "a hub without its file is still ours")
        system.do("stop")  # also without a name
        expect(gone(office) and not system.left(), "not stopped")


def test_what_nobody_asked_for_is_refused(folder):
    with Started(folder) as system:
        expect("usage" in system.do(status=2), "no action")
        expect("usage" in system.do("dance", status=2), "no such action")
        for name in ("../etc/office", "-x", "."):
            expect("is no name" in system.do("start", name, status=2), name)
        expect("no " in system.do("start", "nobody", status=6), "no such hub")
        expect("does not run" in system.do("upgrade", "office", status=7), "upgrade")
        hub.write(folder, "default", "AUTOSTART=none\n")
        expect("no hub to start" in system.do("start"), "AUTOSTART=none")
        hub.write(folder, "default", "AUTOSTART=plant\nOPTIONS='--verb 4'\n")
        system.do("start")
        expect(os.listdir(system.run) and not os.path.exists(system.pid_file("office")), "AUTOSTART=plant")
        with open(f"/proc/{system.pid('plant')}/cmdline") as f:
            expect("--verb\0004" in f.read(), "OPTIONS")
        system.do("stop")
        os.unlink(os.path.join(folder, "default"))
        system.env["VPNSERVERD_DAEMON"] = "/nowhere/vpnserverd"
        system.do("stop")
        system.do("start", status=5)
        system.env["VPNSERVERD_ETC"] = os.path.join(folder, "empty")
        system.env["VPNSERVERD_DAEMON"] = os.path.realpath(hub.HUB)
        system.do("start")
        system.do("status", status=3)


def test_upgrade_says_how_it_went(folder):
    with Started(folder) as system:
        program = os.path.join(folder, "vpnserverd")
        shutil.copy(hub.HUB, program)
        system.env["VPNSERVERD_DAEMON"] = program
        system.do("start")
        office, plant = system.pid("office"), system.pid("plant")

        def file_of(pid):
            return os.stat(f"/proc/{pid}/exe").st_ino
        before = file_of(office)

        def replace(source):
            shutil.copy(source, program + ".new")
            os.rename(program + ".new", program)
        replace(hub.HUB)
        text = system.do("upgrade", "office")
        expect(f"office: upgraded (pid {office}), version " in text, text)
        expect(system.pid("office") == office and file_of(office) != before, "not upgraded")
        expect(file_of(plant) == before, "the other one was upgraded too")
        text = system.do("upgrade")
        expect(text.count(": upgraded") == 2 and file_of(plant) == file_of(office) != before, text)
        expect(f"office: runs (pid {office})" in system.do("status"), "status")

        before = file_of(office)
        replace(os.path.join(hub.BUILD, "tests", "process", "programs", "ends-at-once"))
        # the script asks that program about the configuration first, and it has no complaint
        text = system.do("upgrade", "office", status=1)
        expect("it goes on as it was" in text and "no program of this hub's kind" in text, text)
        expect(file_of(office) == before and not gone(office), "it runs another program")
        replace(hub.HUB)
        system.configure("office", "cert /nowhere")
        text = system.do("upgrade", "office", status=6)
        expect("/nowhere" in text and "because of its configuration" in text, text)
        system.configure("office")
        system.do("upgrade", "office")
        system.do("reload", "office")
        wait_for("a reload", lambda: "Reload done" in system.log("office"))
        system.do("stop")
        expect(gone(office) and gone(plant) and not system.left(), "not stopped")


class Manager:
    """Stands in for systemd."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(0.05)
        self.heard = []

    def listen(self):
        try:
            while True:
                self.heard.append(dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n")))
        except TimeoutError:
            pass
        return self.heard

    def wait(self, name, count=1, seconds=15):
        """The count-th message with that name."""
        def find():
            found = [m for m in self.listen() if name in m]
            return found[count - 1] if len(found) >= count else None
        return wait_for(f"{name} ({count})", find, seconds)


def test_a_service_manager_hears_of_every_change(folder):
    hub.make_pki(folder, [])
    with netns.Net(0, folder) as net:
        manager = Manager(folder)
        os.makedirs(os.path.join(folder, "run"))
        # `daemon` must not fork away from who watches us
        config = hub.hub_config(folder, "daemon", f"log-append {folder}/it.log")
        env = dict(os.environ, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="400000")
        it = net.start([hub.HUB, config], "hub.log", net.hub, env)
        ready = manager.wait("READY")
        expect(ready["MAINPID"] == str(it.pid) and ready["STATUS"] == "Running", f"{ready}")
        expect(it.alive(), "it went to the background")
        began = time.monotonic()
        manager.wait("WATCHDOG", 5, 10)
        expect(time.monotonic() - began > 0.5, "signs of life come too often")

        before = time.monotonic() * 1e6
        os.kill(it.pid, signal.SIGHUP)
        said = manager.wait("RELOADING")
        expect(before - 1e6 < int(said["MONOTONIC_USEC"]) < time.monotonic() * 1e6, f"{said}")
        manager.wait("READY", 2)
        with open(f"{folder}/it.log") as f:
            expect("Reload done" in f.read(), "ready before the reload was done")

        hub.hub_config(folder, "nonsense 17")
        os.kill(it.pid, signal.SIGHUP)
        manager.wait("RELOADING", 2)
        said = manager.wait("READY", 3)
        expect("failed" in said["STATUS"], f"{said}")

        os.kill(it.pid, signal.SIGTERM)
        manager.wait("STOPPING")
        expect(it.popen.wait(10) == 0, "it ended badly")
        order = [name for m in manager.listen() for name in ("READY", "RELOADING", "STOPPING") if name in m]
        expect(order == ["READY", "RELOADING", "READY", "RELOADING", "READY", "STOPPING"], f"{order}")


def test_a_hub_that_does_not_start_never_says_it_is_ready(folder):
    hub.make_pki(folder, [])
    with netns.Net(0, folder) as net:
        manager = Manager(folder)
        config = hub.hub_config(folder, "hub.runtime-dir /proc/nowhere")
        it = net.start([hub.HUB, config], "hub.log", net.hub, dict(os.environ, NOTIFY_SOCKET=manager.path))
        expect(it.popen.wait(10) == 1, "it started")
        expect(not [m for m in manager.listen() if "READY" in m], f"{manager.heard}")


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
