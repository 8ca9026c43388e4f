# SPDX-License-Identifier: MIT
"""hub.rebalance: sessions leave a worker that is busy for one that is idle, a few at a time, until it is even enough; no
client notices. Switched off, or below its limit, nothing moves.

The load goes down, in trains, which cost their sender little; the hub takes them packet by packet. What it loses of them where
the machine is crowded is the device's; the streams that are counted go up."""
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, run, wait_for  # noqa: E402

LOAD = os.path.join(hub.BUILD, "tests", "load")
CROWD, RATE, SECONDS = 12, 60000, 50
PERCENT = 25 # of a CPU; the crowd costs about 45 on a machine of its own
QUIET_S, SETTLED_S = 8, 8
MOVES_MAX, PAUSE_S = 4, 4 # as master/balance.h says


def expect(true, what):
    if not true:
        raise Failed(what)


def vpnadm(folder, *words):
    return json.loads(run(hub.VPNADM, "--dir", f"{folder}/run", "--name", "test", *words, "--json"))


def shares(folder):
    """Of its CPU, in percent, what each worker had in the last second."""
    return [round(100 * w["cpu_share"]) for w in vpnadm(folder, "workers")]


def moves(folder):
    """(seconds, sessions) of each time that some moved."""
    return [(e["time_ms"] / 1000, e["number"]) for e in vpnadm(folder, "events") if e["kind"] == "REBALANCED"]


def owners(it):
    return {slot: row["owner"] for slot, row in it.stats().rows.items()}


def all_to_the_first(it):
    expect("SUCCESS" in it.control("drain 1"), "it cannot be drained")
    wait_for("all at worker 0", lambda: set(owners(it).values()) == {0})
    expect("SUCCESS" in it.control("undrain 1"), "it cannot take sessions again")


def reload(it, folder, value):
    done = it.text().count("Reload done")
    hub.hub_config(folder, *lines(value))
    it.signal(signal.SIGHUP)
    wait_for("the reload is done", lambda: it.text().count("Reload done") > done)


def lines(value):
    return ("duplicate-cn", "max-clients 100", "verb 3", "hub.offload off", f"hub.rebalance {value}")


@runner.timed
@runner.alone
def test_sessions_leave_a_busy_worker_and_nobody_notices(folder):
    hub.make_pki(folder, ["client", "c0", "c1"])
    with netns.Net(3, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, *lines("off")))
        far = net.start([f"{LOAD}/farend", "10.77.0.1:7777"], "farend.log", net.hub)
        far.wait_text("ready", 5)
        clients = [hub.start_client(net, i, f"c{i}") for i in range(2)]
        hub.wait_connected(*clients)
        crowd = net.start([f"{LOAD}/vpnload", "--remote", "10.99.2.1:1194", "--clients", CROWD, "--ca", f"{folder}/ca.crt",
                           "--cert", f"{folder}/client.crt", "--key", f"{folder}/client.key", "--far", "10.77.0.1:7777",
                           "--mode", "down", "--trains", "--burst", 32, "--rate", RATE, "--seconds", SECONDS, "--json"],
                          "crowd.log", net.clients[2])
        wait_for("the crowd is in", lambda: len(owners(it)) == CROWD + 2)
        all_to_the_first(it)
        streams = [hub.stream(net, net.clients[i], net.hub, "10.77.0.1", 500, SECONDS - 10, port=7100 + i, name=f"s{i}",
                              silence=8) for i in range(2)]
        try:
            wait_for("worker 0 is busy", lambda: shares(folder)[0] > PERCENT + 5, 20)
        except Failed:
            raise runner.Skipped(f"this machine gives worker 0 no more than {shares(folder)[0]} % of a CPU") from None
        pids = it.worker_pids()
        time.sleep(QUIET_S)
        runner.say(f"off: the workers' CPU {shares(folder)} %, owners {list(owners(it).values())}")
        expect(set(owners(it).values()) == {0} and not moves(folder), f"they moved: {moves(folder)}")

        reload(it, folder, PERCENT)
        began = time.time()
        wait_for("the first move", lambda: moves(folder), 25)
        while time.time() < (moves(folder)[-1][0] + SETTLED_S) and time.time() < began + 45:
            time.sleep(0.5)
        seen, share = moves(folder), shares(folder)
        runner.say(f"{PERCENT} %: moved {[n for _, n in seen]} after {[round(at - began, 1) for at, _ in seen]} s; the workers' "
                   f"CPU then {share} %")
        moved = sum(n for _, n in seen)
        expect(all(1 <= n <= MOVES_MAX for _, n in seen), f"too many at a time: {seen}")
        expect(all(b - a > PAUSE_S - 0.5 for (a, _), (b, _) in zip(seen, seen[1:])), f"too soon: {seen}")
        expect(time.time() - seen[-1][0] >= SETTLED_S, f"it does not stop: {seen}")
        expect(0 < moved <= (CROWD + 2) / 2, f"{moved} moved")
        expect(list(owners(it).values()).count(1) == moved, "who moved is not where it should be, or swung back")
        expect(vpnadm(folder, "status")["hub"]["rebalanced"] == moved, "the statistics count otherwise")

        figures = [finish() for finish in streams]
        for f in figures:
            runner.say(f"  a stream's gaps {f['gaps_ms'][:4]} ms, lost {f['lost']} of {f['sent']}, twice {f['duplicates']}")
        expect(all(f["longest_gap_ms"] < 5000 and not f["duplicates"] and f["lost"] < f["sent"] / 100 for f in figures),
               "a stream broke")
        done = json.loads(crowd.wait_text(r'\{"clients".*"down".*\}', 60).group(0))
        runner.say(f"  the crowd: lost {done['down']['lost_percent']} %")
        expect(done["open"] == CROWD and not done["failed"], f"{done}")
        expect(all(c.text().count(hub.CONNECTED) == 1 and "Restart" not in c.text() for c in clients), "one connected anew")
        expect(it.worker_pids() == pids, "another worker")


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
