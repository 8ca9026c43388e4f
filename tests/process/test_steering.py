# SPDX-License-Identifier: MIT
"""How often a packet comes to a worker that does not own its session: seldom, when the kernel steers."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, run, wait_for  # noqa: E402

CLIENTS, SECONDS, FLOWS = 50, 12, 10
# The tunnel device learns a flow's queue from its answers: these have none.
ONE_WAY = f"""
import socket, sys, time
for port in range({FLOWS}):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for address in sys.argv[1:]:
        out.sendto(b"one way", (address, 9000 + port))
    time.sleep(0.01)
"""


def handed_over(it, before):
    after = it.counters()
    return {n: after[n] - before[n] for n in ("DATAGRAMS_IN", "PACKETS_TUN_OUT", "HANDED_OVER_IN")}


def shares_handed_over(folder, steering):
    """Percent of packets, IPv4 inside and outside, that needed another worker: of a steady state that clients began,
    and of flows that the hub's side began and nobody answers."""
    hub.make_pki(folder)
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, "duplicate-cn", "verb 1", f"hub.steering {steering}"))
        clients = net.start([hub.LOAD_CLIENTS, "--remote", "10.99.0.1:1194", "--clients", CLIENTS, "--seconds", SECONDS,
                             "--ca", f"{folder}/ca.crt", "--cert", f"{folder}/client.crt", "--key",
                             f"{folder}/client.key", "--ping-ms", 20, "--gateway", "10.77.0.1", "--say-when-open"],
                            "clients.log", net.clients[0])
        clients.wait_text("all open", 10)
        rows = it.stats().rows.values()
        if len({row["owner"] for row in rows}) != 2:
            raise Failed("all clients have one owner")
        addresses = [".".join(str(row["inner4"] >> s & 255) for s in (24, 16, 8, 0)) for row in rows]
        before, came = it.counters(), sum(row["packets_out"] for row in it.stats().rows.values())
        run("python3", "-c", ONE_WAY, *addresses, namespace=net.hub)
        asked = FLOWS * len(addresses)
        wait_for("the one-way packets are counted", lambda: sum(row["packets_out"] for row in it.stats().rows.values()) >=
                 came + asked, 5)
        first = handed_over(it, before)
        before = it.counters()
        figures = json.loads(clients.wait_text(r'\{"clients".*', SECONDS + 10).group(0))
        steady = handed_over(it, before)
        shares = (100 * first["HANDED_OVER_IN"] / asked,
                  100 * steady["HANDED_OVER_IN"] / (steady["DATAGRAMS_IN"] + steady["PACKETS_TUN_OUT"]))
        runner.say(f"steering {steering}: of {asked} flows begun by the hub's side {shares[0]:.1f} % handed over; in the "
                   f"steady state {steady['HANDED_OVER_IN']} of {steady['DATAGRAMS_IN'] + steady['PACKETS_TUN_OUT']} "
                   f"({shares[1]:.3f} %)")
        if figures["answered"] < 0.99 * (figures["asked"] - CLIENTS):
            raise Failed(f"{figures}")
        return shares


def test_with_steering_next_to_nothing_is_handed_over(folder):
    shares = shares_handed_over(folder, "on")
    if max(shares) > 1:
        raise Failed(f"{shares}")


def test_without_steering_it_arrives_by_handing_over(folder):
    shares = shares_handed_over(folder, "off")
    if shares[0] < 10:
        raise Failed(f"only {shares[0]:.1f} %: is there any steering left?")


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
