# SPDX-License-Identifier: MIT
"""The hub goes on in another program: same sessions, same sockets; and a new program that is no good changes nothing."""
import json
import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, wait_for  # noqa: E402

UPGRADES, CLIENTS, CROWD = 5, 5, 200
LOOK_S = 10 # so long a new program has to say that it is one


def expect(true, what):
    if not true:
        raise Failed(what)


class Upgradable(hub.Hub):
    """A hub whose program is a copy of its own that can be replaced."""

    def __init__(self, net, config, **how):
        self.program = os.path.join(net.folder, "vpnserverd")
        self.replace(hub.HUB)
        super().__init__(net, config, program=self.program, **how)

    def replace(self, source):
        """As a package does it: another file takes the name."""
        shutil.copy(source, self.program + ".new")
        os.rename(self.program + ".new", self.program)

    def replace_by_text(self, text, mode=0o755):
        with open(self.program + ".new", "w") as f:
            f.write(text)
        os.chmod(self.program + ".new", mode)
        os.rename(self.program + ".new", self.program)

    def file(self):
        """Which file the master runs."""
        is_ = os.stat(f"/proc/{self.process.pid}/exe")
        return is_.st_dev, is_.st_ino

    def note(self):
        with open(os.path.join(self.folder, "run", f"{self.name}.lock")) as f:
            lines = f.read().splitlines()
        return lines[1] if len(lines) > 1 else ""

    def upgrade(self, seconds=20):
        """The line that says how it went."""
        before = self.note().split()[1:2]
        self.signal(signal.SIGURG)

        def over():
            words = self.note().split()
            return len(words) > 2 and words[1:2] != before and words[2] != "begun" and self.note()
        return wait_for("the upgrade is over", over, seconds)


def all_ready(it):
    return all(w["state"] == 2 for w in it.stats().workers)


@runner.timed
@runner.alone
@runner.limit(240)
def test_five_upgrades_under_load_and_no_client_notices(folder):
    names = [f"c{i}" for i in range(CLIENTS)]
    hub.make_pki(folder, names + ["late", "client"])
    with netns.Net(CLIENTS + 2, folder) as net:
        it = Upgradable(net, hub.hub_config(folder, "client-to-client", "duplicate-cn", "max-clients 300",
                                            server=("server 10.77.0.0 255.255.252.0", "server-ipv6 fd77::/64")))
        record = os.path.join(folder, "record.json")
        relay = hub.relay(net, "10.99.0.1:3000", "127.0.0.1:1194", "--record", record)
        clients = [hub.start_client(net, i, name, port=3000 if i == 0 else 1194) for i, name in enumerate(names)]
        hub.wait_connected(*clients)
        slots = [it.row(n)[0] for n in names]
        seconds = UPGRADES * 5 + 6
        crowd = net.start([hub.LOAD_CLIENTS, "--remote", f"10.99.{CLIENTS + 1}.1:1194", "--clients", CROWD, "--seconds",
                           seconds + 8, "--ca", f"{folder}/ca.crt", "--cert", f"{folder}/client.crt", "--key",
                           f"{folder}/client.key", "--ping-ms", 1000, "--gateway", "10.77.0.1", "--start-per-s", 200,
                           "--say-when-open"], "crowd.log", net.clients[CLIENTS + 1])
        crowd.wait_text("all open after", 20)
        load = hub.Load(net, seconds, up=3, down=4)
        began = time.monotonic()
        took = []
        for n in range(UPGRADES):
            wait_for("the next one", lambda: time.monotonic() > began + 1 + 5 * n, 30)
            before = it.file(), it.worker_pids()
            it.replace(hub.HUB)
            at = time.monotonic()
            said = it.upgrade()
            took.append(round((time.monotonic() - at) * 1000))
            expect("done" in said, said)
            expect(it.file() != before[0], "the old program goes on")
            expect(not set(it.worker_pids()) & set(before[1]) and all_ready(it), "workers were not replaced")
        runner.say(f"{UPGRADES} upgrades, each over after {took} ms; gaps in ms and packets lost of a 1 kHz stream:")
        load.finish(runner.say, UPGRADES)
        for i, client in enumerate(clients):
            expect(client.text().count(hub.CONNECTED) == 1 and "Restart" not in client.text(),
                   f"{names[i]} connected anew")
        expect([it.row(n)[0] for n in names] == slots, "other peer ids")
        expect(it.counters()["GIVEN_UP"] == 0, "sessions were lost")
        hub.wait_connected(hub.start_client(net, CLIENTS, "late"))
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients[:CLIENTS + 1]]), "no way through afterwards")
        of_crowd = json.loads(crowd.wait_text(r'\{"clients".*', 30).group(0))
        runner.say(f"a crowd of {CROWD} engine clients: {of_crowd['open']} open, {of_crowd['closed']} closed, a second apart "
                   f"{of_crowd['asked']} questions, {of_crowd['answered']} answers")
        expect(of_crowd["open"] == CROWD and not of_crowd["closed"], f"sessions were lost: {of_crowd}")
        expect(of_crowd["answered"] >= 0.99 * (of_crowd["asked"] - CROWD), f"{of_crowd}")
        hub.no_nonce_twice(relay, record, runner.say)
        expect(it.stop() == 0, "exit status")
        expect(os.listdir(f"{folder}/run") in ([], ["test.events"]), f"left: {os.listdir(f'{folder}/run')}")


PROGRAMS = os.path.join(hub.BUILD, "tests", "process", "programs")


def goes_on(it, client, before):
    """The same program, the same workers, the client as it was."""
    expect(it.file() == before[0], "another program runs")
    expect(it.worker_pids() == before[1] and all_ready(it), "workers were replaced")
    expect(netns.ping(it.net.clients[0], "10.77.0.1") == 0, "no way through")
    expect(client.text().count(hub.CONNECTED) == 1 and "Restart" not in client.text(), "the client connected anew")


def test_a_new_program_that_is_none_changes_nothing(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it = Upgradable(net, hub.hub_config(folder))
        client = hub.start_client(net, 0, "c0")
        hub.wait_connected(client)
        before = it.file(), it.worker_pids()

        def refused(why):
            said = it.upgrade(25)
            expect("failed" in said and why in said, said)
            expect(why in it.text(), "the log does not say why")
            goes_on(it, client, before)
        os.unlink(it.program)
        refused("No such file")
        os.mkdir(it.program)
        refused("ermission")
        os.rmdir(it.program)
        it.replace_by_text("", mode=0o644)
        refused("cannot be executed: Permission denied")
        it.replace_by_text("nonsense")
        refused("cannot be executed: Exec format error")
        it.replace_by_text("#!/bin/sh\nexit 0\n")
        refused("cannot be executed")
        it.replace(hub.HUB)
        with open(it.program, "r+b"):
            refused("cannot be executed: Text file busy")
        it.replace(f"{PROGRAMS}/ends-at-once")
        refused("no program of this hub's kind: it ended with status 0")
        began = time.monotonic()
        it.replace(f"{PROGRAMS}/hangs")
        refused("within 10 s")
        expect(time.monotonic() - began < 15, "it waited too long")
        it.replace(hub.HUB)
        config = it.config
        with open(config, "a") as f:
            f.write("nonsense 17\n")
        refused("errors in the configuration")
        hub.hub_config(folder)
        said = it.upgrade()
        expect("done" in said, f"a good one is refused afterwards: {said}")
        expect(client.text().count(hub.CONNECTED) == 1, "the client connected anew")


def test_a_new_program_may_be_closed_and_looked_at_late(folder):
    """Whoever installed it has it open for a moment longer; then the whole machine stands still while it is looked at."""
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it = Upgradable(net, hub.hub_config(folder))
        client = hub.start_client(net, 0, "c0")
        hub.wait_connected(client)
        old, before = it.file(), set(it.pids())
        it.replace(hub.HUB)
        with open(it.program, "r+b"):
            it.signal(signal.SIGURG)
            it.wait_text("asking .* whether it can take over")
            checker = wait_for("the one that looks at it", lambda: set(it.pids()) - before)
            time.sleep(0.5)
            for pid in (*checker, it.process.pid):
                os.kill(pid, signal.SIGSTOP)
            time.sleep(LOOK_S + 1)
            for pid in (it.process.pid, *checker):
                os.kill(pid, signal.SIGCONT)
        it.wait_text("Upgrade done", 20)
        expect(it.file() != old and "failed" not in it.note(), it.note())
        wait_for("all workers", lambda: all_ready(it))
        expect(client.text().count(hub.CONNECTED) == 1 and "Restart" not in client.text(), "the client connected anew")


def test_a_new_program_that_does_not_get_to_work_gives_back(folder):
    """It is executed, and fails later: in its start, which hangs, or when its first worker ends."""
    hub.make_pki(folder, ["c0", "c1"])
    with netns.Net(2, folder) as net:
        it = Upgradable(net, hub.hub_config(folder))
        client = hub.start_client(net, 0, "c0")
        hub.wait_connected(client)
        old = it.file()
        for program, why in (("worker-that-ends", "ended with status 7"), ("start-that-hangs", "too long")):
            it.replace(f"{PROGRAMS}/{program}")
            said = it.upgrade(40)
            expect("failed" in said and why in said, said)
            expect(it.file() == old, "the new program goes on")
            wait_for("all workers", lambda: all_ready(it))
            expect(netns.ping(net.clients[0], "10.77.0.1") == 0, "no way through")
        expect(it.text().count("ended with status 7; the next") == 0, "the old one's worker died as well")
        hub.wait_connected(hub.start_client(net, 1, "c1"))
        expect(client.text().count(hub.CONNECTED) == 1 and "Restart" not in client.text(), "the client connected anew")
        it.replace(hub.HUB)
        expect("done" in it.upgrade() and it.file() != old, "a good one is refused afterwards")
        expect(it.stop() == 0, "exit status")
    with open(f"{folder}/hub.log") as f:
        text = f.read()
    with open(f"{folder}/hub.log", "w") as f:  # the runner takes that for a crash of ours
        f.write(text.replace("ended with status 7", "ended as it was meant to"))


class Daemon(Upgradable):
    """The same as a daemon: nobody watches its pid, which may change."""

    def __init__(self, net, *lines):
        self.net, self.folder, self.name, self.process = net, net.folder, "test", self
        self.program = os.path.join(net.folder, "vpnserverd")
        self.config = hub.hub_config(net.folder, "daemon", f"log {net.folder}/hub.log", f"writepid {net.folder}/pid", *lines)
        self.replace(hub.HUB)
        os.makedirs(os.path.join(net.folder, "run"), exist_ok=True)
        netns.run(self.program, self.config, namespace=net.hub)

    @property
    def pid(self):
        with open(os.path.join(self.folder, "pid")) as f:
            return int(f.read())

    def text(self):
        with open(os.path.join(self.folder, "hub.log")) as f:
            return f.read()

    def everybody(self):
        return netns.run("ip", "netns", "pids", self.net.hub).split()


def test_a_new_program_that_dies_before_it_took_over_is_no_loss_to_a_daemon(folder):
    """At once after exec, or in the middle of its start: the old program goes on, under another pid, with the same clients."""
    hub.make_pki(folder, ["c0", "c1", "c2"])
    with netns.Net(3, folder) as net:
        it = Daemon(net)
        client = hub.start_client(net, 0, "c0")
        hub.wait_connected(client)
        old = it.file()
        for n, program in enumerate(("dies-at-once", "dies-in-its-start")):
            before = it.pid, it.worker_pids()
            it.replace(f"{PROGRAMS}/{program}")
            at = time.monotonic()
            said = it.upgrade(20)
            runner.say(f"{program}: the old program went on after {time.monotonic() - at:.2f} s")
            expect("failed" in said and "died before it had taken over" in said, said)
            wait_for("its pid", lambda: it.pid != before[0] and it.file() == old)
            wait_for("workers of its own", lambda: all_ready(it) and not set(it.worker_pids()) & set(before[1]))
            wait_for("the guardian's end", lambda: "vpn-guardian" not in names_of(it.everybody()))
            expect(netns.ping(net.clients[0], "10.77.0.1") == 0, "no way through")
            hub.wait_connected(hub.start_client(net, n + 1, f"c{n + 1}"))
            it.kill_worker(0)
        expect(client.text().count(hub.CONNECTED) == 1 and "Restart" not in client.text(), "the client connected anew")
        before = it.pid
        it.replace(hub.HUB)
        expect("done" in it.upgrade() and it.file() != old and it.pid == before, it.note())
        wait_for("the guardian's end", lambda: "vpn-guardian" not in names_of(it.everybody()))
        it.signal(signal.SIGTERM)
        wait_for("all have ended", lambda: not it.everybody(), 10)
        expect(os.listdir(f"{folder}/run") == ["test.events"] and not os.path.exists(f"{folder}/pid"), os.listdir(f"{folder}/run"))


def names_of(pids):
    found = []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/comm") as f:
                found.append(f.read().strip())
        except OSError:
            pass  # it has ended
    return found


def test_another_layout_begins_afresh_with_the_same_sockets(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it = Upgradable(net, hub.hub_config(folder))
        client = hub.start_client(net, 0, "c0")
        hub.wait_connected(client)
        old, address = it.file(), hub.tun_address(net.clients[0])
        it.replace(f"{PROGRAMS}/other-layout")
        said = it.upgrade(25)
        expect("done" in said and it.file() != old, said)
        it.wait_text("clients are told RESTART: version .* lays out its shared memory otherwise")
        client.wait_text("(?i:restart|reset command was pushed)", 5)
        wait_for("the client is back", lambda: client.text().count(hub.CONNECTED) == 2, 20)
        wait_for("its session", lambda: it.row("c0"))
        expect(netns.ping(net.clients[0], hub.SERVER[0].split()[1].replace(".0.0", ".0.1")) == 0, "no way through")
        expect(it.counters()["ADOPTED"] == 0, "sessions of another layout were adopted")
        it.replace(hub.HUB)  # and back again
        expect("done" in it.upgrade(25), it.note())
        wait_for("the client is back", lambda: client.text().count(hub.CONNECTED) == 3, 20)
        expect(it.stop() == 0, "exit status")


def test_other_statistics_begin_anew_and_sessions_live_on(folder):
    """A new version has new counters, as a rule."""
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it = Upgradable(net, hub.hub_config(folder))
        client = hub.start_client(net, 0, "c0")
        hub.wait_connected(client)
        path = f"{folder}/run/test.stats"
        before = os.stat(path).st_ino
        expect("NONE" not in netns.run(hub.VPNADM, "--dir", f"{folder}/run", "--name", "test", "status"), "status")
        it.replace(f"{PROGRAMS}/other-statistics")
        said = it.upgrade()
        expect("done" in said, said)
        expect("Statistics begin anew" in it.text() and os.stat(path).st_ino != before, "the old file is still there")
        said = netns.run(hub.VPNADM, "--dir", f"{folder}/run", "--name", "test", "status", check=False)
        expect("version" in said, f"a reader does not say that it is of another version: {said}")
        expect(netns.ping(net.clients[0], "10.77.0.1") == 0, "no way through")
        it.replace(hub.HUB)
        expect("done" in it.upgrade(), it.note())
        wait_for("its row", lambda: it.row("c0"))
        expect(netns.ping(net.clients[0], "10.77.0.1") == 0, "no way through")
        expect(client.text().count(hub.CONNECTED) == 1 and "Restart" not in client.text(), "the client connected anew")
        expect(it.stop() == 0, "exit status")
        expect(not os.path.exists(path), "its statistics are left")


def test_what_came_since_the_start_lives_on_in_the_new_program(folder):
    """A helper with clients it remembers, a management client's door, options that a restart alone can change."""
    hub.make_pki(folder, ["c0"])
    script = hub.write(folder, "said", f"#!/bin/sh\necho $script_type $common_name $ifconfig_pool_remote_ip "
                       f">>{folder}/scripts.txt\n")
    os.chmod(script, 0o755)
    open(f"{folder}/scripts.txt", "w").close()
    os.chmod(f"{folder}/scripts.txt", 0o666)
    lines = ["script-security 2", f"client-connect {script}", f"client-disconnect {script}", f"writepid {folder}/pid",
             "route 10.99.200.0 255.255.255.0", "explicit-exit-notify 1"]
    with netns.Net(1, folder) as net:
        it = Upgradable(net, hub.hub_config(folder, *lines))
        client = hub.start_client(net, 0, "c0", "explicit-exit-notify 1")
        hub.wait_connected(client)
        hub.hub_config(folder, *lines, "hub.name other", "tun-mtu 1400", "push \"route 192.168.77.0 255.255.255.0\"")
        for n in range(2):
            it.replace(hub.HUB)
            expect("done" in it.upgrade(), it.note())
        expect("takes a restart, they stay as they are: tun-mtu, hub.name" in it.text(), it.text())
        text = netns.run(hub.VPNADM, "--dir", f"{folder}/run", "--name", "test", "status")
        expect(str(it.process.pid) in text, text)
        with open(f"{folder}/pid") as f:
            expect(int(f.read()) == it.process.pid, "the pid file")
        # an adopted session has a control channel again once it was renegotiated
        it.wait_text("c0/.* renegotiated, key id")
        client.stop()
        wait_for("its farewell", lambda: "client-disconnect c0 10.77.0.2" in open(f"{folder}/scripts.txt").read(), 10)
        expect(it.stop() == 0, "exit status")
        expect(open(f"{folder}/scripts.txt").read().count("client-disconnect") == 1, "bidden farewell twice")
        expect("10.99.200" not in netns.run("ip", "route", namespace=net.hub), "its route is left")
        expect(not os.path.exists(f"{folder}/pid"), "its pid file is left")


def test_a_worker_that_dies_again_and_again_is_known_to_the_new_program(folder):
    """It was set aside for that: it stays so, and its next quick death is not the first."""
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it = Upgradable(net, hub.hub_config(folder))

        def dies():
            pid = wait_for("worker 1", lambda: it.stats().workers[1]["state"] == 2 and it.worker_pids()[1])
            os.kill(pid, signal.SIGKILL)
            wait_for("its death", lambda: it.worker_pids()[1] != pid or it.stats().workers[1]["state"] != 2)
        for _ in range(4):
            dies()
        it.wait_text("Worker 1 died 4 times in a row: the others get its sessions", 5)
        before = len(it.text())
        it.replace(hub.HUB)
        expect("done" in it.upgrade(), it.note())
        dies()
        wait_for("a pause", lambda: "worker 1 " in it.text()[before:] and "the next one starts in" in it.text()[before:], 5)
        wait_for("it is back", lambda: all_ready(it))
        expect("takes sessions again" not in it.text(), "all is forgotten")
        hub.wait_connected(hub.start_client(net, 0, "c0"))
        expect(it.row("c0")[1]["owner"] == 0, "a new client came to it")
        it.wait_text("Worker 1 lives: it takes sessions again", 20)


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
