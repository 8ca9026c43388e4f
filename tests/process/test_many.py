# SPDX-License-Identifier: MIT
"""Two thousand clients at once: all get in, all are reached and reach the gateway; what each costs in memory."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, run, wait_for  # noqa: E402

CLIENTS = int(os.environ.get("MANY_CLIENTS", "2000"))


def memory(it):
    """Kilobytes of all processes of the hub: (RSS, PSS). Shared memory counts once in PSS, per process in RSS."""
    sums = {"Rss": 0, "Pss": 0}
    for pid in it.pids():
        with open(f"/proc/{pid}/smaps_rollup") as f:
            for line in f:
                name = line.split(":")[0]
                if name in sums:
                    sums[name] += int(line.split()[1])
    return sums["Rss"], sums["Pss"]


def wave(net, it, folder, seconds, name):
    """All come, are asked, ask, and leave: (addresses answered, the clients' figures, memory while they were there)."""
    clients = net.start([hub.LOAD_CLIENTS, "--remote", "10.99.0.1:1194", "--clients", CLIENTS, "--seconds", seconds,
                         "--ca", f"{folder}/ca.crt", "--cert", f"{folder}/client.crt", "--key", f"{folder}/client.key",
                         "--ping-ms", 1000, "--gateway", "10.77.0.1", "--start-per-s", 500, "--say-when-open"],
                        f"{name}.log", net.clients[0])
    said = clients.wait_text(r"all open after (\d+) ms", seconds - 3)
    used = memory(it)
    addresses = [".".join(str(row["inner4"] >> s & 255) for s in (24, 16, 8, 0)) for row in
                 it.stats().rows.values() if row["state"] == "ACTIVE"]
    asked = json.loads(run("python3", os.path.join(hub.HERE, "echo.py"), namespace=net.hub, stdin=" ".join(addresses)))
    figures = json.loads(clients.wait_text(r'\{"clients".*', seconds + 10).group(0))
    runner.say(f"{name}: {CLIENTS} clients open after {int(said.group(1)) / 1000:.1f} s, slowest "
               f"{figures['slowest_connect_ms']} ms; asked by the hub {asked['asked']}, answered {asked['answered']}; "
               f"asked by clients {figures['asked']}, answered {figures['answered']}")
    if len(addresses) != CLIENTS or figures["open"] != CLIENTS:
        raise Failed(f"{len(addresses)} sessions, {figures}")
    if asked["answered"] < 0.99 * CLIENTS:
        raise Failed(f"{asked}")
    if figures["answered"] < 0.99 * (figures["asked"] - CLIENTS): # each one's last may be on its way
        raise Failed(f"{figures}")
    wait_for("all places are free again", lambda: not it.stats().rows, 20)
    return used


@runner.alone
def test_two_thousand_clients(folder):
    hub.make_pki(folder)
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(
            folder, "duplicate-cn", f"max-clients {CLIENTS + 100}", "verb 1",
            server=("server 10.77.0.0 255.255.224.0", "server-ipv6 fd77::/64")))
        before = memory(it)
        first = wave(net, it, folder, 20, "first wave")
        runner.say(f"memory of the hub: RSS {first[0]} KiB, PSS {first[1]} KiB; per client RSS "
                   f"{(first[0] - before[0]) / CLIENTS:.1f} KiB, PSS {(first[1] - before[1]) / CLIENTS:.1f} KiB")
        took = first[1] - before[1]
        wait_for("the memory of those who left is given back", lambda: memory(it)[1] < before[1] + took / 2, 10)
        between = memory(it)
        second = wave(net, it, folder, 15, "second wave")
        wait_for("it is given back again", lambda: memory(it)[1] < before[1] + took / 2, 10)
        after = memory(it)
        runner.say(f"PSS before {before[1]} KiB, after the first wave {between[1]}, in the second {second[1]}, after it "
                   f"{after[1]}")
        if second[1] > first[1] * 1.15:
            raise Failed(f"memory grew from {first[1]} to {second[1]} KiB by the same clients again")


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
