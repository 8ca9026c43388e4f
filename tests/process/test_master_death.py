# SPDX-License-Identifier: MIT
"""kill -9 of the master. With a service manager that keeps its descriptors, data and handshakes go on until its successor
takes all of it over; without one the clients are told, everything ends, and the next start finds nothing in its way."""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fdstore  # noqa: E402
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, run, wait_for  # noqa: E402

DEATHS = 3


def expect(true, what):
    if not true:
        raise Failed(what)


def vpnadm(folder, *words, status=3):
    it = subprocess.run([hub.VPNADM, "--dir", f"{folder}/run", *words], capture_output=True, text=True, timeout=20)
    expect(it.returncode == status, f"vpnadm {words}: status {it.returncode}: {it.stdout}{it.stderr}")
    return it.stdout + it.stderr


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


class Kept(hub.Hub):
    """A hub under the stand-in for a service manager."""

    def __init__(self, net, config, store, name="test"):
        self.net, self.config, self.name, self.folder, self.store = net, config, name, net.folder, store
        self.lives = 0
        os.makedirs(os.path.join(net.folder, "run"), exist_ok=True)
        self.start()
        self.process.wait_text("Initialization Sequence Completed", 15)

    def start(self):
        self.process = self.store.start(self.net, [hub.HUB, self.config], f"hub{self.lives}.log", self.net.hub)
        self.lives += 1

    def settled(self):
        return len(self.store.names()) > 0 and self.store.count("READY") >= self.lives

    def die(self):
        """The pids of all that it leaves behind."""
        wait_for("everything is kept", self.settled)
        time.sleep(0.2)
        left = self.pids()[1:]
        self.signal(signal.SIGKILL)
        self.process.popen.wait(5)
        return left

    def come_back(self):
        self.start()
        self.process.wait_text("Taking over done", 20)


def new_in(store, net, index, name):
    client = hub.start_client(net, index, name)
    hub.wait_connected(client)
    return client


@runner.timed
@runner.alone
@runner.limit(200)
def test_data_and_handshakes_go_on_until_a_successor_takes_over(folder):
    names = ["c0", "c1", "c2"] + [f"late{i}" for i in range(DEATHS)]
    hub.make_pki(folder, names)
    with netns.Net(len(names), folder) as net:
        store = fdstore.Store(folder)
        it = Kept(net, hub.hub_config(folder, "client-to-client"), store)
        record = os.path.join(folder, "record.json")
        relay = hub.relay(net, "10.99.0.1:3000", "127.0.0.1:1194", "--record", record)
        clients = [hub.start_client(net, i, names[i], port=3000 if i == 0 else 1194) for i in range(3)]
        hub.wait_connected(*clients)
        load = hub.Load(net, DEATHS * 6 + 6)
        began = time.monotonic()
        for n in range(DEATHS):
            wait_for("the next death", lambda: time.monotonic() > began + 1 + 6 * n, 30)
            left = it.die()
            clients.append(new_in(store, net, 3 + n, f"late{n}"))
            expect(not [p for p in left if gone(p)], "something died with the master")
            it.come_back()
            wait_for("the old ones' end", lambda: all(gone(p) for p in left), 10)
            expect(not set(it.worker_pids()) & set(left), "an orphan is still at work")
        runner.say(f"{DEATHS} deaths of the master; gaps in ms and packets lost of a 1 kHz stream:")
        load.finish(runner.say, DEATHS)
        for client in clients:
            expect(client.text().count(hub.CONNECTED) == 1 and "Restart" not in client.text(), "a client connected anew")
        expect(it.counters()["GIVEN_UP"] == 0, "sessions were lost")
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients]), "no way through afterwards")
        hub.no_nonce_twice(relay, record, runner.say)
        # it is its own master still: a worker's death, a reload, a stop
        pid = it.worker_pids()[0]
        os.kill(pid, signal.SIGKILL)
        wait_for("a successor", lambda: it.stats().workers[0]["state"] == 2 and it.worker_pids()[0] != pid)
        it.signal(signal.SIGHUP)
        it.wait_text("Reload done")
        pids = it.pids()
        expect(it.stop() == 0, "exit status")
        expect(all(gone(p) for p in pids), "processes are left")
        expect(store.names() == [], f"still kept: {store.names()}")
        store.close()


@runner.limit(90)
def test_a_successor_finds_dead_workers_too_and_what_it_cannot_use(folder):
    """Killed with its master: one worker. Beside it the store has descriptors of nobody."""
    hub.make_pki(folder, ["c0", "c1"])
    with netns.Net(2, folder) as net:
        store = fdstore.Store(folder)
        it = Kept(net, hub.hub_config(folder), store)
        clients = [hub.start_client(net, i, f"c{i}") for i in range(2)]
        hub.wait_connected(*clients)
        workers = it.worker_pids()
        it.die()
        os.kill(workers[0], signal.SIGKILL)
        wait_for("its end", lambda: gone(workers[0]), 10)
        store.fds.append(("orders-999", os.open("/dev/null", os.O_RDONLY)))
        it.come_back()
        expect("worker 0 " in it.text() and "is gone" in it.text(), it.text())
        expect("orders-999" not in store.names(), "what nobody knows is kept")
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients]), "no way through")
        expect(all(c.text().count(hub.CONNECTED) == 1 for c in clients), "a client connected anew")
        expect(it.stop() == 0, "exit status")
        store.close()


@runner.timed
@runner.limit(120)
def test_nobody_comes_and_the_clients_are_told_in_time(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        store = fdstore.Store(folder)
        it = Kept(net, hub.hub_config(folder), store)
        client = hub.start_client(net, 0, "c0")
        hub.wait_connected(client)
        workers = it.worker_pids()
        left = it.die()
        time.sleep(15)
        expect(not [p for p in left if gone(p)] and netns.ping(net.clients[0], "10.77.0.1") == 0, "too early")
        said = vpnadm(folder, "status")
        expect("orphaned" in said and "master       DEAD, 2 workers go on" in said and "c0" in said, said)
        expect("nobody takes orders" in vpnadm(folder, "kill", "c0", status=1), "an order to nobody")
        said = vpnadm(folder, "prometheus")
        expect("vpnserverd_up 0" in said and "vpnserverd_max_clients" in said, said)
        wait_for("the workers' end", lambda: all(gone(p) for p in workers), 30)
        client.wait_text("(?i:restart|reset command was pushed)", 3)
        said = vpnadm(folder, "status")
        expect("dead" in said and "master " not in said, said)
        # a successor that comes now begins with what is left: sockets and device
        it.come_back()
        wait_for("the client is back", lambda: client.text().count(hub.CONNECTED) == 2, 20)
        wait_for("the others' end", lambda: all(gone(p) for p in left), 5)
        expect(it.stop() == 0, "exit status")
        store.close()


def stale(folder, net, it, left, client, config):
    wait_for("all of it has ended", lambda: all(gone(p) for p in left), 6)
    client.wait_text("(?i:restart|reset command was pushed)", 3)
    expect(":1194 " not in run("ss", "-Hlun", namespace=net.hub), "the port is not free")
    expect("tun0" not in run("ip", "link", namespace=net.hub), "the device is left")
    expect(os.path.exists(f"{folder}/run/test.lock"), "nothing stale to start over")
    again = hub.Hub(net, config, log="again.log")
    wait_for("the client is back", lambda: client.text().count(hub.CONNECTED) == 2, 20)
    expect(netns.ping(net.clients[0], "10.77.0.1") == 0, "no way through")
    expect(again.stop() == 0, "exit status")


def test_without_a_manager_all_ends_and_the_next_start_works(folder):
    """With a helper and a management door, whose ends are the master's as well."""
    hub.make_pki(folder, ["c0"])
    script = hub.write(folder, "gone", f"#!/bin/sh\necho $script_type >>{folder}/scripts.txt\n")
    os.chmod(script, 0o755)
    open(f"{folder}/scripts.txt", "w").close()
    os.chmod(f"{folder}/scripts.txt", 0o666)
    config = hub.hub_config(folder, "script-security 2", f"client-disconnect {script}", f"writepid {folder}/pid",
                            f"status {folder}/status 1")
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, config)
        client = hub.start_client(net, 0, "c0", "connect-retry 3")
        hub.wait_connected(client)
        left = it.pids()[1:]
        it.signal(signal.SIGKILL)
        it.process.popen.wait(5)
        stale(folder, net, it, left, client, config)
        expect("client-disconnect" in open(f"{folder}/scripts.txt").read(), "the helper did not finish")


def test_a_manager_that_gives_up_ends_all_at_once(folder):
    hub.make_pki(folder, ["c0"])
    config = hub.hub_config(folder)
    with netns.Net(1, folder) as net:
        store = fdstore.Store(folder)
        it = Kept(net, config, store)
        client = hub.start_client(net, 0, "c0", "connect-retry 3")
        hub.wait_connected(client)
        left = it.die()
        time.sleep(2)
        expect(not [p for p in left if gone(p)], "too early")
        store.drop()
        stale(folder, net, it, left, client, config)
        store.close()


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
