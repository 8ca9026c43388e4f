# SPDX-License-Identifier: MIT
"""Renegotiation every few seconds under a steady stream both ways: not one packet may be lost."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed  # noqa: E402

SECONDS = int(os.environ.get("REKEY_SECONDS", "60"))


def stream_with(folder, hub_lines, client_lines, at_least):
    hub.make_pki(folder, ["c0"])
    hub.make_keys(folder, ())
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, f"tls-crypt {folder}/ta.key", *hub_lines))
        client = hub.start_client(net, 0, "c0", f"tls-crypt {folder}/ta.key", *client_lines)
        hub.wait_connected(client)
        slot = it.row("c0")[0]
        inside = hub.tun_address(net.clients[0])
        runs = [hub.stream(net, net.hub, net.clients[0], inside, 1000, SECONDS, name="down"),
                hub.stream(net, net.clients[0], net.hub, "10.77.0.1", 1000, SECONDS, port=7001, name="up")]
        down, up = [finish() for finish in runs]
        times = it.counters()["RENEGOTIATIONS"]
        runner.say(f"{times} renegotiations in {SECONDS} s: of {down['sent']} packets down {down['lost']} lost, up "
                   f"{up['lost']}; longest gap {down['longest_gap_ms']} and {up['longest_gap_ms']} ms")
        if times < at_least:
            raise Failed(f"only {times} renegotiations")
        for way, figures in (("down", down), ("up", up)):
            if figures["lost"] or figures["duplicates"]:
                raise Failed(f"{way}: {figures}")
        if client.text().count(hub.CONNECTED) != 1 or it.row("c0")[0] != slot:
            raise Failed("the client connected anew")


def test_hub_renegotiates_every_5_s_without_a_loss(folder):
    stream_with(folder, ["reneg-sec 5"], [], SECONDS // 6)


def test_client_renegotiates_every_5_s_without_a_loss(folder):
    stream_with(folder, ["reneg-sec 0"], ["reneg-sec 5"], SECONDS // 6)


def test_both_renegotiate_with_tls_1_2_without_a_loss(folder):
    stream_with(folder, ["reneg-sec 4"], ["reneg-sec 4", "tls-version-max 1.2"], SECONDS // 6)


def test_renegotiation_after_so_many_packets_without_a_loss(folder):
    stream_with(folder, ["reneg-sec 0", "reneg-pkts 9000"], ["reneg-sec 0"], SECONDS // 10)


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
