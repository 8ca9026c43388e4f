# SPDX-License-Identifier: MIT
"""Stock clients behind a bad line: 5 % lost, 5 % doubled, 10 % out of order, 50 ms late, each way."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, run  # noqa: E402

CLIENTS, SECONDS = 4, 60
BAD_LINE = ("--loss", 5, "--duplicate", 5, "--reorder", 10, "--delay-ms", 50)


def behind_a_bad_line(folder, wrap):
    names = [f"c{i}" for i in range(CLIENTS)]
    hub.make_pki(folder, names)
    hub.make_keys(folder, names if wrap == "tls-crypt-v2" else ())
    with netns.Net(CLIENTS, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, "reneg-sec 20", *hub.wrap_lines(folder, wrap)))
        clients = []
        for i, name in enumerate(names):
            hub.relay(net, f"10.99.{i}.1:3000", "127.0.0.1:1194", *BAD_LINE, "--seed", f"{wrap} {i}", name=f"relay{i}")
        began = time.monotonic()
        for i, name in enumerate(names):
            clients.append(hub.start_client(net, i, name, *hub.wrap_lines(folder, wrap, name), port=3000))
        hub.wait_connected(*clients, seconds=60)
        runner.say(f"{wrap}: all connected after {time.monotonic() - began:.1f} s")
        asked = [(n, "10.77.0.1") for n in net.clients]
        lost = netns.pings(asked, count=SECONDS * 10, interval=0.1, wait=3)
        share = [100 * lost.get(key, 0) / (SECONDS * 10) for key in asked]
        times = it.counters()["RENEGOTIATIONS"]
        runner.say(f"{wrap}: {times} renegotiations, pings lost {[f'{s:.1f} %' for s in share]} (9.75 % expected)")
        # 5 % each way make 9.75 %; 600 pings have a standard deviation of 1.2 %
        if not all(4 < s < 15.5 for s in share):
            raise Failed(f"losses are not the line's: {share}")
        if any(c.text().count(hub.CONNECTED) != 1 for c in clients):
            raise Failed("a client connected anew")
        if times < 2 * CLIENTS:
            raise Failed(f"only {times} renegotiations")


@runner.limit(150)
def test_plain_over_a_bad_line(folder):
    behind_a_bad_line(folder, "plain")


@runner.limit(150)
def test_tls_crypt_v2_over_a_bad_line(folder):
    behind_a_bad_line(folder, "tls-crypt-v2")


def test_the_relay_is_the_same_for_the_same_seed(folder):
    """Our own tool: without impairment nothing is lost, with 20 % loss about that, twice the same."""
    with netns.Net(1, folder) as net:
        counts = []
        for round, words in enumerate(([], ["--loss", 20, "--seed", 7], ["--loss", 20, "--seed", 7])):
            port = 3000 + round
            it = hub.relay(net, f"10.99.0.1:{port}", "127.0.0.1:7000", *words, name=f"relay{round}")
            sink = net.start(["python3", os.path.join(hub.HERE, "stream.py"), "receive", "127.0.0.1", 7000, 1],
                             f"sink{round}.log", net.hub)
            netns.wait_for("the sink", lambda: ":7000 " in run("ss", "-Hlun", namespace=net.hub))
            run("python3", os.path.join(hub.HERE, "stream.py"), "send", "10.99.0.1", port, 1000, 1,
                namespace=net.clients[0])
            counts.append(int(re.search(r'"received": (\d+)', sink.wait_text('"received": \\d+.*', 10).string).group(1)))
            it.stop()
            sink.popen.wait(5)
    if counts[0] != 1000 or not 740 < counts[1] < 860 or counts[1] != counts[2]:
        raise Failed(f"of 1000 came {counts}")


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
