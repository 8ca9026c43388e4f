# SPDX-License-Identifier: MIT
"""kill -9 of a worker under load: its successor goes on with the sessions, no client notices more than a gap, no nonce
is used twice, and renegotiation works afterwards."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, wait_for  # noqa: E402

KILLS, CLIENTS = 6, 5
SILENT_S = 10 # then a worker whose heart stands still is ended


def expect(true, what):
    if not true:
        raise Failed(what)


def started(net, it, names):
    """Clients at both workers; the one at index 0 is behind the recording relay."""
    record = os.path.join(net.folder, "record.json")
    relay = hub.relay(net, "10.99.0.1:3000", "127.0.0.1:1194", "--record", record)
    clients = [hub.start_client(net, i, name, port=3000 if i == 0 else 1194) for i, name in enumerate(names)]
    hub.wait_connected(*clients)
    return relay, record, clients


@runner.timed
@runner.alone
def test_no_client_reconnects_when_workers_are_killed(folder):
    names = [f"c{i}" for i in range(CLIENTS)]
    hub.make_pki(folder, names)
    with netns.Net(CLIENTS, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, "client-to-client"))
        relay, record, clients = started(net, it, names)
        owners = [it.row(n)[1]["owner"] for n in names]
        slots = [it.row(n)[0] for n in names]
        load = hub.Load(net, KILLS * 3 + 4, up=3, down=4)
        began = time.monotonic()
        for kill in range(KILLS):
            wait_for("the next kill", lambda: time.monotonic() > began + 1 + 3 * kill, 10)
            it.kill_worker(kill % 2)
        runner.say(f"owners {owners}; gaps in ms and packets lost by {KILLS} kills of a 1 kHz stream:")
        load.finish(runner.say, KILLS)
        for i, client in enumerate(clients):
            expect(client.text().count(hub.CONNECTED) == 1 and "Restart" not in client.text(),
                   f"{names[i]} connected anew")
        expect([it.row(n)[0] for n in names] == slots, "other peer ids")
        done = it.counters()["RENEGOTIATIONS"]
        wait_for("adopted sessions renegotiate", lambda: it.counters()["RENEGOTIATIONS"] >= done + 1 or done > CLIENTS, 15)
        time.sleep(0.1)
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients]), "no way through afterwards")
        counters = it.counters()
        expect(counters["ADOPTED"] >= KILLS and counters["GIVEN_UP"] == 0, f"adopted {counters['ADOPTED']}, given up "
               f"{counters['GIVEN_UP']}")
        hub.no_nonce_twice(relay, record, runner.say)


def test_adopted_sessions_renegotiate_and_new_clients_connect(folder):
    names = ["c0", "c1", "c2", "late"]
    hub.make_pki(folder, names)
    with netns.Net(4, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder))
        clients = [hub.start_client(net, i, names[i]) for i in range(3)]
        hub.wait_connected(*clients)
        for index in range(2):
            it.kill_worker(index)
        wait_for("each renegotiated", lambda: it.counters()["RENEGOTIATIONS"] >= 3, 20)
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients[:3]]), "no way through")
        late = hub.start_client(net, 3, "late")
        hub.wait_connected(late)
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients]), "no way through for the late one")
        expect(all(c.text().count(hub.CONNECTED) == 1 for c in clients), "a client connected anew")


def test_a_worker_killed_during_handshakes_harms_nobody_else(folder):
    """Handshakes die with their worker; the clients begin anew by themselves and all get in."""
    names = [f"c{i}" for i in range(6)]
    hub.make_pki(folder, names)
    with netns.Net(6, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder))
        steady = hub.start_client(net, 0, "c0")
        hub.wait_connected(steady)
        clients = [hub.start_client(net, i, names[i], "hand-window 5") for i in range(1, 6)]
        wait_for("handshakes", lambda: it.counters()["HANDSHAKES_STARTED"] > 2)
        for index in range(2):
            it.kill_worker(index)
        hub.wait_connected(*clients, seconds=40)
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients]), "no way through")
        expect(steady.text().count(hub.CONNECTED) == 1, "the first client connected anew")


def on_a_long_line(net, folder, hand_window):
    """A hub of one worker and a client 120 ms there and back away, both with that hand-window."""
    it = hub.Hub(net, hub.hub_config(folder, f"hand-window {hand_window}", workers=1))
    hub.relay(net, "10.99.0.1:3000", "127.0.0.1:1194", "--delay-ms", "60")
    client = hub.start_client(net, 0, "c0", f"hand-window {hand_window}", port=3000)
    hub.wait_connected(client)
    return it, client


def into_a_renegotiation(it, seconds):
    """The worker dies, its successor renegotiates, and has done so for so long now."""
    it.kill_worker(0)
    begun = it.text().count("started by us")
    wait_for("a renegotiation", lambda: it.text().count("started by us") > begun, 20)
    time.sleep(seconds)


@runner.timed
@runner.limit(240)
def test_killed_in_the_middle_of_a_renegotiation_the_control_channel_comes_back(folder):
    """A line of 120 ms there and back, and a kill at each step of a renegotiation: data goes on, under the same peer id,
    and the client and the hub agree on new keys again long before any hand-window is over."""
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it, client = on_a_long_line(net, folder, 4)
        slot, address = it.row("c0")[0], hub.tun_address(net.clients[0])
        steps, seconds = (60, 330, 390, 210, 270), 80
        runs = [hub.stream(net, net.hub, net.clients[0], address, 200, seconds, name="down", silence=8),
                hub.stream(net, net.clients[0], net.hub, "10.77.0.1", 200, seconds, port=7100, name="up", silence=8)]
        watched = hub.nonces(net, port=3000)
        took = []
        for step in steps:
            into_a_renegotiation(it, step / 1000)
            done = it.counters()["RENEGOTIATIONS"]
            at = time.monotonic()
            it.kill_worker(0)
            wait_for(f"new keys after a kill {step} ms into it", lambda: it.counters()["RENEGOTIATIONS"] > done, 25)
            took.append(round(time.monotonic() - at, 1))
            time.sleep(1.5)
        runner.say(f"killed {steps} ms into a renegotiation: new keys after {took} s")
        figures = [finish() for finish in runs]
        for f in figures:
            runner.say(f"  gaps {f['gaps_ms'][:5]} ms, lost {f['lost']} of {f['sent']}")
        seen = watched()
        runner.say(f"  {seen['datagrams']} datagrams under {seen['keys']} keys: {seen['repeated']} nonces twice; in place of "
                   f"its TLS it began anew {client.text().count(hub.CONNECTED) - 1} times")
        expect(seen["repeated"] == 0, f"nonces: {seen}")
        expect(it.row("c0")[0] == slot, "another peer id")
        expect("process restarting" not in client.text() and hub.tun_address(net.clients[0]) == address, "it restarted")
        expect("Closing TUN" not in client.text(), "it closed its device")
        expect(all(f["longest_gap_ms"] < 5000 for f in figures), f"a gap: {figures}")
        expect(not netns.pings([(net.clients[0], "10.77.0.1")]), "no way through afterwards")
        it.stop()
        client.wait_text("RESTART|Server exit|server-pushed|process restarting", 10)


@runner.timed
def test_a_client_that_began_anew_is_understood_whatever_key_it_takes(folder):
    """It has a third key then, and goes back to that one while the two newer ones are young, which they are when workers
    die one after the other."""
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it, client = on_a_long_line(net, folder, 6)
        up = hub.stream(net, net.clients[0], net.hub, "10.77.0.1", 200, 40, name="up", silence=8)
        for _ in range(4):
            into_a_renegotiation(it, 0.24) # it has heard of TLS, and is not done with it
            it.kill_worker(0)
            time.sleep(2.5)
            if client.text().count(hub.CONNECTED) > 1:
                break
        expect(client.text().count(hub.CONNECTED) == 2, "it did not begin anew")
        for _ in range(10):
            it.kill_worker(0)
            time.sleep(1.5)
        figures = up()
        runner.say(f"gaps {figures['gaps_ms'][:5]} ms, lost {figures['lost']} of {figures['sent']}; renegotiated "
                   f"{it.counters()['RENEGOTIATIONS']} times")
        expect(figures["longest_gap_ms"] < 3000 and figures["lost"] < 600, f"{figures}")
        expect("process restarting" not in client.text(), "it restarted")


def test_the_keyholder_is_replaced_and_clients_go_on_connecting(folder):
    hub.make_pki(folder, ["c0", "c1"])
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder))
        first = hub.start_client(net, 0, "c0")
        hub.wait_connected(first)
        holder = [p for p in it.pids()[1:] if p not in it.worker_pids()]
        expect(len(holder) == 1, f"keyholders: {holder}")
        os.kill(holder[0], signal.SIGKILL)
        wait_for("another keyholder", lambda: [p for p in it.pids()[1:] if p not in it.worker_pids() + holder])
        hub.wait_connected(hub.start_client(net, 1, "c1"), seconds=30)
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients]), "no way through")
        expect(first.text().count(hub.CONNECTED) == 1, "the first client connected anew")


HOG = """
import os, sys, time
end = time.monotonic() + 60 # whatever becomes of the test
while time.monotonic() < end and not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
with open(sys.argv[1]) as f:
    os.sched_setaffinity(0, [int(f.read())])
os.nice(-20)
for _ in range(4):
    os.fork() # sixteen of them
while time.monotonic() < end and os.path.exists(sys.argv[1]):
    for _ in range(100000):
        pass
"""


@runner.alone
def test_a_worker_without_a_cpu_does_not_hang_and_is_left_alone(folder):
    """Longer than its master's patience with one that hangs: its successor would fare no better."""
    hub.make_pki(folder, ["c0", "c1"])
    trigger = os.path.join(folder, "hog")
    # in the hub's own session: the kernel shares CPUs between sessions first
    hog = hub.write(folder, "hog.py", HOG)
    program = hub.write(folder, "hogged", f"#!/bin/sh\n{sys.executable} -IS {hog} {trigger} &\nexec {hub.HUB} \"$@\"\n")
    os.chmod(program, 0o755)
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder), program=program)
        clients = [hub.start_client(net, i, f"c{i}") for i in range(2)]
        hub.wait_connected(*clients)
        pids = it.worker_pids()
        os.sched_setscheduler(pids[1], os.SCHED_IDLE, os.sched_param(0))
        cpu = min(os.sched_getaffinity(pids[1]))
        os.rename(hub.write(folder, "hog.new", str(cpu)), trigger)
        try:
            it.wait_text(r"WARNING: worker 1 \(pid \d+\) gets no time on CPU", 20)
            time.sleep(SILENT_S)
        finally:
            os.unlink(trigger)
        expect(it.worker_pids() == pids and "hangs" not in it.text(), "it was ended")
        wait_for("it goes on", lambda: not netns.pings([(n, "10.77.0.1") for n in net.clients]), 20)
        expect(all(c.text().count(hub.CONNECTED) == 1 for c in clients), "a client connected anew")
        expect(it.stop() == 0, "exit status")


def test_clients_whose_worker_just_died_are_told_of_a_stop(folder):
    """Their sessions have no TLS then: the data channel tells them."""
    hub.make_pki(folder, ["c0", "c1"])
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder))
        clients = [hub.start_client(net, i, f"c{i}", "connect-retry 30") for i in range(2)]
        hub.wait_connected(*clients)
        for pid in it.worker_pids():
            os.kill(pid, signal.SIGKILL)
        wait_for("successors", lambda: all(w["births"] == 2 and w["state"] == 2 for w in it.stats().workers))
        it.stop()
        for client in clients:
            client.wait_text("remote-exit|reset command was pushed", 3)


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
