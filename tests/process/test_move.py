# SPDX-License-Identifier: MIT
"""Sessions that move between living workers: a worker is drained and takes sessions again, under load. No client
reconnects, next to nothing is lost, and no nonce is used twice."""
import json
import os
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, run, wait_for  # noqa: E402

CLIENTS = 5


def expect(true, what):
    if not true:
        raise Failed(what)


def order(it, command):
    """Through the control socket; its one line of an answer."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(10)
        control.connect(f"{it.folder}/run/{it.name}.control")
        control.sendall(command.encode() + b"\n")
        for line in control.makefile():
            if not line.startswith(">"):
                return line.strip()
    raise Failed(f"{command}: no answer")


def owners(it, names):
    rows = [it.row(n) for n in names]
    return [r and r[1]["owner"] for r in rows]


class Load:
    """1 kHz streams both ways for the first three clients, iperf3 up and down for the others; a recorder on the wire of
    the first."""

    def __init__(self, net, seconds):
        self.net, self.seconds, self.results = net, seconds, {}
        self.names = [f"c{i}" for i in range(CLIENTS)]
        self.record = os.path.join(net.folder, "record.json")
        self.relay = hub.relay(net, "10.99.0.1:3000", "127.0.0.1:1194", "--record", self.record)
        self.clients = [hub.start_client(net, i, name, port=3000 if i == 0 else 1194)
                        for i, name in enumerate(self.names)]
        hub.wait_connected(*self.clients)

    def start(self):
        net, inside = self.net, [hub.tun_address(n) for n in self.net.clients]
        self.runs = {}
        for i in (0, 1, 2):
            self.runs[f"down{i}"] = hub.stream(net, net.hub, net.clients[i], inside[i], 1000, self.seconds,
                                               name=f"down{i}")
            self.runs[f"up{i}"] = hub.stream(net, net.clients[i], net.hub, "10.77.0.1", 1000, self.seconds,
                                             port=7100 + i, name=f"up{i}")
        self.threads = [threading.Thread(target=self._iperf, args=words) for words in
                        (("iperf up", 3, "-b", "50M"), ("iperf down", 4, "-R", "-b", "50M"))]
        for thread in self.threads:
            thread.start()

    def _iperf(self, name, client, *words):
        try:
            self.results[name] = hub.iperf(self.net, self.net.hub, self.net.clients[client], "10.77.0.1", *words,
                                           seconds=self.seconds - 1, port=5201 + client)
        except Failed as e:
            self.results[name] = e

    def finish(self, what, keys=2):
        """Prints and checks it all. `keys`: so many at least were recorded; who moved gets new ones."""
        for thread in self.threads:
            thread.join()
        figures = {name: run() for name, run in self.runs.items()}
        runner.say(f"{what}; longest gaps in ms and packets lost of a 1 kHz stream:")
        for name, f in figures.items():
            runner.say(f"  {name}: gaps {f['gaps_ms'][:8]}, lost {f['lost']} of {f['sent']}, twice {f['duplicates']}")
        for name, result in self.results.items():
            expect(not isinstance(result, Failed), f"{name}: {result}")
            expect(not hub.stalls(result), f"{name}: nothing moved in the seconds from {hub.stalls(result)}")
        for name, f in figures.items():
            expect(f["longest_gap_ms"] < 5000, f"{name} stood still for {f['longest_gap_ms']} ms")
            expect(f["duplicates"] == 0, f"{name}: {f['duplicates']} came twice")
            expect(f["lost"] < f["sent"] / 100, f"{name}: {f['lost']} lost")
        for name, client in zip(self.names, self.clients):
            expect(client.text().count(hub.CONNECTED) == 1 and "Restart" not in client.text(), f"{name} connected anew")
        expect(not netns.pings([(n, "10.77.0.1") for n in self.net.clients]), "no way through afterwards")
        self.relay.stop()
        with open(self.record) as f:
            seen = json.load(f)
        runner.say(f"recorded {seen['down']} datagrams to a client under {seen['keys']} keys: "
                   f"{len(seen['repeated'])} nonces twice")
        expect(not seen["repeated"] and seen["keys"] >= keys, f"{seen['keys']} keys, nonces repeated: {seen['repeated'][:10]}")


def drained_to_and_fro(folder, steering, turns=10):
    hub.make_pki(folder, [f"c{i}" for i in range(CLIENTS)])
    with netns.Net(CLIENTS, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, "client-to-client", f"hub.steering {steering}"))
        load = Load(net, 3 * turns + 4)
        slots = [it.row(n)[0] for n in load.names]
        load.start()
        time.sleep(1)
        began, took = time.monotonic(), []
        for turn in range(turns):
            wait_for("the next turn", lambda: time.monotonic() > began + 3 * turn, 30)
            to, since = turn % 2, time.monotonic()
            for command in [f"undrain {1 - to}"] * (turn > 0) + [f"drain {to}"]:
                answer = order(it, command)
                expect(answer.startswith("SUCCESS"), f"{command}: {answer}")
            wait_for(f"worker {to} has none", lambda: set(owners(it, load.names)) == {1 - to}, 20)
            took.append(round(1000 * (time.monotonic() - since)))
        expect(order(it, f"drain {1 - to}").startswith("ERROR"), "the last one was drained")
        load.finish(f"steering {steering}, drained {turns} times in {took} ms")
        counters = it.counters()
        runner.say(f"moved {counters['MOVED_IN']}, renegotiated {counters['RENEGOTIATIONS']}")
        expect(counters["MOVED_IN"] == counters["MOVED_OUT"] and counters["MOVED_IN"] >= CLIENTS * (turns - 1),
               f"moved {counters['MOVED_IN']} in, {counters['MOVED_OUT']} out")
        expect(counters["ADOPTED"] == 0 and counters["GIVEN_UP"] == 0, "somebody died")
        expect([it.row(n)[0] for n in load.names] == slots, "other peer ids")


@runner.timed
@runner.alone
@runner.limit(200)
def test_a_worker_is_drained_to_and_fro_and_no_client_notices(folder):
    drained_to_and_fro(folder, "on")


@runner.timed
@runner.alone
@runner.limit(200)
def test_the_same_where_the_kernel_does_not_steer(folder):
    drained_to_and_fro(folder, "off", turns=4)


def sockets_in_group(net):
    """How many sockets share the hub's IPv4 port."""
    return sum(":1194 " in line for line in run("ss", "-Hlun4", namespace=net.hub).splitlines())


def queues(net):
    return len([name for name in run("ls", "/sys/class/net/tun0/queues", namespace=net.hub).split()
                if name.startswith("tx-")])


def reload(it):
    """One reload from its beginning to its end; one that was still going on is waited for."""
    def settled():
        text = it.text()
        return text.rfind("Reload done") >= text.rfind("SIGHUP received")
    wait_for("the reload before", settled, 20)
    begun = it.text().count("SIGHUP received")
    it.signal(signal.SIGHUP)
    wait_for("the reload", lambda: it.text().count("SIGHUP received") > begun and settled(), 20)


def resized(it, workers):
    """Another number of workers, by reload."""
    hub.hub_config(it.folder, *it.lines, workers=workers)
    reload(it)
    wait_for(f"{workers} workers", lambda: len(it.worker_pids()) == workers and all(
        w["state"] == 2 for w in it.stats().workers), 30)


def numbers_change(folder, steering):
    hub.make_pki(folder, [f"c{i}" for i in range(CLIENTS)] + ["late"])
    with netns.Net(CLIENTS, folder) as net:
        lines = ("client-to-client", "hand-window 10", f"hub.steering {steering}")
        it = hub.Hub(net, hub.hub_config(folder, *lines))
        it.lines = lines
        load = Load(net, 18)
        load.start()
        time.sleep(1)
        took = []
        for workers in (3, 1, 2):
            since = time.monotonic()
            resized(it, workers)
            took.append(round(1000 * (time.monotonic() - since)))
            expect(set(owners(it, load.names)) <= set(range(workers)), f"owners {owners(it, load.names)}")
            expect(sockets_in_group(net) == workers, f"{sockets_in_group(net)} sockets")
            time.sleep(2)
        load.finish(f"steering {steering}, 2 -> 3 -> 1 -> 2 workers in {took} ms", keys=1)
        counters = it.counters()
        expect(counters["GIVEN_UP"] == 0, "somebody was given up")
        # The kernel's order is still ours: what is steered arrives at its owner.
        before = it.counters()
        netns.pings([(n, "10.77.0.1") for n in net.clients], count=20)
        after = it.counters()
        share = (after["HANDED_OVER_IN"] - before["HANDED_OVER_IN"]) / max(
            1, after["DATAGRAMS_IN"] + after["PACKETS_TUN_OUT"] - before["DATAGRAMS_IN"] - before["PACKETS_TUN_OUT"])
        runner.say(f"handed over afterwards: {100 * share:.1f} %")
        expect(steering == "off" or share < 0.05, f"{100 * share:.1f} % handed over")
        it.stop()


@runner.timed
@runner.alone
@runner.limit(200)
def test_the_number_of_workers_changes_at_a_reload_and_no_client_notices(folder):
    numbers_change(folder, "on")


@runner.timed
@runner.alone
@runner.limit(200)
def test_the_number_changes_where_the_kernel_does_not_steer(folder):
    numbers_change(folder, "off")


@runner.alone
def test_a_worker_that_dies_again_and_again_loses_its_share_and_no_client(folder):
    names = [f"c{i}" for i in range(4)]
    hub.make_pki(folder, names + ["late"])
    with netns.Net(5, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder))
        clients = [hub.start_client(net, i, name) for i, name in enumerate(names)]
        hub.wait_connected(*clients)
        mine = [n for n, owner in zip(names, owners(it, names)) if owner == 1]
        if not mine: # hashing gave it none
            order(it, "drain 0")
            wait_for("worker 1 has them", lambda: set(owners(it, names)) == {1}, 20)
            order(it, "undrain 0")
        for death in range(4):
            pid = wait_for("worker 1", lambda: it.stats().workers[1]["state"] == 2 and it.worker_pids()[1])
            os.kill(pid, signal.SIGKILL)
            wait_for("its death", lambda: it.worker_pids()[1] != pid)
        it.wait_text("Worker 1 died 4 times in a row: the others get its sessions", 5)
        wait_for("worker 0 has all", lambda: set(owners(it, names)) == {0})
        lost = netns.pings([(n, "10.77.0.1") for n in net.clients[:4]])
        expect(not lost, f"no way through: {lost}")
        hub.wait_connected(hub.start_client(net, 4, "late"))
        expect(owners(it, ["late"]) == [0], "a new client came to it")
        it.wait_text("Worker 1 lives: it takes sessions again", 20)
        answer = order(it, "drain 0")
        expect(answer.startswith("SUCCESS"), answer)
        wait_for("worker 1 has all", lambda: set(owners(it, names)) == {1}, 20)
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients]), "no way through afterwards")
        expect(all(c.text().count(hub.CONNECTED) == 1 and "Restart" not in c.text() for c in clients), "one connected anew")
        expect(it.counters()["GIVEN_UP"] == 0, "somebody was given up")


def test_more_workers_than_there_is_room_for_are_as_many_as_there_is(folder):
    hub.make_pki(folder)
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, workers=1))
        it.lines = ()
        client = hub.start_client(net, 0, "client")
        hub.wait_connected(client)
        hub.hub_config(folder, workers=200)
        reload(it)
        it.wait_text(r"WARNING: hub.workers 200: there is room for (\d+) until the next restart")
        room = max(4, os.cpu_count())
        wait_for("all of them", lambda: len(it.worker_pids()) == room)
        for workers in (1, room, 1, 3): # in quick succession: a socket that lingered would shift all others
            resized(it, workers)
            expect(sockets_in_group(net) == workers, f"{sockets_in_group(net)} sockets")
        before = it.counters()
        lost = netns.pings([(net.clients[0], "10.77.0.1")], count=100, interval=0.01)
        changed = {n: c - before[n] for n, c in it.counters().items() if c != before[n]}
        expect(not lost, f"lost: {lost}; {changed}")
        handed = it.counters()["HANDED_OVER_IN"] - before["HANDED_OVER_IN"]
        expect(handed < 50, f"{handed} of 200 packets handed over: the order of sockets is not ours") # some are control
        expect(client.text().count(hub.CONNECTED) == 1, "it connected anew")


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
