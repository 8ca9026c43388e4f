# SPDX-License-Identifier: MIT
"""Stock OpenVPN clients against the hub: they connect, reach what they may, and are told why when they may not."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, wait_for  # noqa: E402

CIPHERS = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305", "AES-256-GCM", "AES-192-GCM", "AES-128-GCM",
           "CHACHA20-POLY1305", "AES-256-GCM")


# -- eight at once --

def eight_clients(folder, wrap):
    names = [f"c{i}" for i in range(8)]
    hub.make_pki(folder, names)
    hub.make_keys(folder, names if wrap == "tls-crypt-v2" else ())
    with netns.Net(8, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, "client-to-client", *hub.wrap_lines(folder, wrap),
                                         "data-ciphers AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305:AES-192-GCM"))
        clients = []
        for i, name in enumerate(names):
            remote, proto = (f"10.99.{i}.1", "udp4") if i % 2 == 0 else (f"fd99:{i}::1", "udp6")
            config = hub.client_config(folder, name, remote, f"data-ciphers {CIPHERS[i]}",
                                       *hub.wrap_lines(folder, wrap, name), proto=proto)
            clients.append(hub.stock_client(net, i, config))
        hub.wait_connected(*clients)
        inside = {n: [hub.tun_address(n, family=f) for f in (4, 6)] for n in net.clients}
        asked = [(n, a) for n in net.clients for a in ("10.77.0.1", "fd77::1")]
        asked += [(n, a) for n in net.clients for other in net.clients if other != n for a in inside[other]]
        lost = netns.pings(asked)
        if lost:
            raise Failed(f"pings lost: {lost} of {inside}")
        for i, name in enumerate(names):
            slot, row = it.row(name)
            if row["cipher"] != CIPHERS[i]:
                raise Failed(f"{name}: {row['cipher']} instead of {CIPHERS[i]}")
            clients[i].wait_text(f"Data Channel: cipher '{CIPHERS[i]}', peer-id: {slot}", 1)
        if len({row["owner"] for row in it.stats().rows.values()}) != 2:
            runner.say("all eight came to one worker")


def test_eight_clients_at_once_plain(folder):
    eight_clients(folder, "plain")


def test_eight_clients_at_once_tls_auth(folder):
    eight_clients(folder, "tls-auth")


def test_eight_clients_at_once_tls_crypt(folder):
    eight_clients(folder, "tls-crypt")


def test_eight_clients_at_once_tls_crypt_v2(folder):
    eight_clients(folder, "tls-crypt-v2")


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
