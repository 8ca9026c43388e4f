# SPDX-License-Identifier: MIT
"""What is measured, item by item. Each item is a function of a Bench that notes figures with bench.note()."""
import contextlib
import json
import os
import subprocess
import time

import hub
import netns
import servers
import traffic
import wireguard
from netns import Failed
from traffic import LOADER, datagrams, packets, tcp

WAYS = (("up", False), ("down", True))
KERNELS_PART = ", the kernel's part"
ALTERNATIONS, BURST_S = 8, 0.4  # of idle pings
WINDOW = ("--window", 256)
AS_A_TRAIN = ("--burst", 32, "--trains")
ARROW = {"up": "client to server", "down": "server to client"}
SMALL_SIZES = (64, 512)
AT_STOCKS_LIMIT = "at stock OpenVPN's limit"


def note_cost(bench, item, name, unit, got, cost):
    """A cost, and how much of it is time in the kernel."""
    bench.note(item, name, unit, cost)
    if got["kernel_share"] is not None:
        bench.note(item, name + KERNELS_PART, unit, cost * got["kernel_share"])


# -- with clients connected: bench.server, all of one bring-up --

def cost(bench):
    """1: server CPU for a GB."""
    for way, back in WAYS:
        one = bench.attempt(lambda: tcp(bench.server, bench.seconds, back=back))
        if one:
            note_cost(bench, 1, f"TCP in a stock client, {ARROW[way]}", "CPU-s/GB", one, one["cpu_s_per_gb"])
            bench.note(2, f"TCP, one client, one stream, {ARROW[way]}", "Mbit/s", one["mbit_per_s"], more=True)
        for name, words in (("independent 1400-byte packets", ()), ("trains of 32 1400-byte packets", AS_A_TRAIN)):
            got = bench.attempt(lambda: packets(bench.server, bench.seconds, way, 1400, *WINDOW, *words))
            if got:
                bench.note(1, f"{name}, {ARROW[way]}", "CPU-s/GB", got["cpu_s_per_gb"])
                bench.note(2, f"{name}, {ARROW[way]}", "Mbit/s", got["mbit_per_s"], more=True)


def trains(bench):
    """1 and 2: TCP through a client of our own that takes and gives super packets."""
    if bench.kind == "tuned":
        return
    with bench.forgiving(), bench.station():
        for way, back in WAYS:
            one = bench.attempt(lambda: tcp(bench.server, bench.seconds, back=back, first=LOADER))
            if one:
                bench.note(1, f"TCP in a client that sends trains, {ARROW[way]}", "CPU-s/GB", one["cpu_s_per_gb"])
                bench.note(2, f"TCP, one client that sends trains, {ARROW[way]}", "Mbit/s", one["mbit_per_s"], more=True)


def throughput(bench):
    """2: more streams, more clients. (One stream of one client comes from item 1.)"""
    for way, back in WAYS:
        for name, clients, streams in (("one client, eight streams", 1, 8), ("four clients, one stream each", 4, 1)):
            got = bench.attempt(lambda: tcp(bench.server, bench.seconds, clients, streams, back))
            if got:
                bench.note(2, f"TCP, {name}, {ARROW[way]}", "Mbit/s", got["mbit_per_s"], more=True)


def small(bench):
    """3: packets per second, and CPU for a million."""
    for way, back in WAYS:
        got = bench.attempt(lambda: datagrams(bench.server, bench.seconds, 36, back))
        if got:
            name = f"64-byte packets flooded by a stock client, {ARROW[way]}"
            bench.note(3, name, "packets/s", got["packets_per_s"], more=True)
            note_cost(bench, 3, name, "CPU-s/million", got, got["cpu_s_per_million"])
            if got["sent_per_arrived"]:
                bench.note(3, name + ", with what the client lost", "CPU-s/million",
                           got["cpu_s_per_million"] / got["sent_per_arrived"])
        got = bench.attempt(lambda: packets(bench.server, bench.seconds, way, 64, *WINDOW, *AS_A_TRAIN))
        if got:
            name = f"trains of 32 64-byte packets flooded, {ARROW[way]}"
            bench.note(3, name, "packets/s", got["packets_per_s"], more=True)
            bench.note(3, name, "CPU-s/million", got["cpu_s_per_million"])
    for size in SMALL_SIZES:
        for way, _ in WAYS:
            got = bench.attempt(lambda: packets(bench.server, bench.seconds, way, size, *WINDOW))
            if got:
                bench.note(3, f"{size}-byte packets flooded, {ARROW[way]}", "packets/s", got["packets_per_s"], more=True)
                bench.note(3, f"{size}-byte packets flooded, {ARROW[way]}", "CPU-s/million", got["cpu_s_per_million"])
            got = size == 64 and bench.attempt(
                lambda: packets(bench.server, bench.seconds, way, size, "--rate", 20000))
            if got:
                bench.note(3, f"{size}-byte packets, 20,000/s, {ARROW[way]}", "CPU-s/million", got["cpu_s_per_million"])


def ping(bench, when, seconds):
    """Of the second client, noted."""
    got = bench.attempt(lambda: traffic.pings(bench.net, 1, seconds))
    if not got:
        return
    times, lost = got
    bench.note(6, f"ping {when}, lost", "%", lost)
    for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        bench.note(6, f"ping {when}, {name}", "ms", traffic.percentile(times, part))


def ping_beside(bench, when, seconds, rates=(None, None)):
    """6: while two other clients send TCP, one each way, at these rates or as fast as it goes: bit/s that arrived."""
    loads = []
    for client, rate, *way in ((0, rates[0]), (2, rates[1], "-R")):
        loads.append(traffic.iperf_start(bench.net, client, seconds + 1, *way, *(("-b", f"{rate:.0f}") if rate else ())))
    time.sleep(0.3)
    ping(bench, when, seconds - 0.3)
    ends = [bench.attempt(lambda process=process: traffic.iperf_end(process, seconds)) for process in loads]
    for (way, _), end in zip(WAYS, ends):
        if end:
            bench.note(6, f"TCP beside the ping {when}, {ARROW[way]}", "Mbit/s", end["bits_per_second"] / 1e6, more=True)
    return [end and end["bits_per_second"] for end in ends]


def latency(bench):
    """6: pings of one client, idle and while others load the server both ways: as fast as TCP goes, and with what a stock
    server carried at most in this turn."""
    ping(bench, "idle", bench.seconds)
    seconds = int(max(2, bench.seconds * 1.5))
    most = ping_beside(bench, "under full load", seconds)
    if bench.kind == "stock":
        bench.stock_carries = most
    if all(bench.stock_carries):
        ping_beside(bench, AT_STOCKS_LIMIT, seconds, bench.stock_carries)


CONNECTED_ITEMS = ((1, cost), (1, trains), (2, throughput), (3, small), (6, latency))
TUNED_ITEMS = (1,) # what tuning is for


# -- each with servers of its own --

def beside_wireguard(bench):
    """1 and 2: wireguard-go at both ends, TCP through it."""
    why = wireguard.missing()
    if why or bench.options.smoke:
        if why and not bench.turn:
            print(f"    without wireguard-go: {why}", flush=True)
        return
    with bench.other_server("wireguard", lambda: wireguard.Wireguard(bench.net)), bench.far(clients=1):
        for way, back in WAYS:
            one = bench.attempt(lambda: tcp(bench.server, bench.seconds, back=back))
            if one:
                bench.note(1, f"TCP in a stock client, {ARROW[way]}", "CPU-s/GB", one["cpu_s_per_gb"])
                bench.note(2, f"TCP, one client, one stream, {ARROW[way]}", "Mbit/s", one["mbit_per_s"], more=True)


class Idle:
    """A server of a kind with one stock client and nothing to do, in namespaces of its own, on the first CPU."""

    def __init__(self, stack, folder, kind):
        self.kind, self.times = kind, []
        self.net = stack.enter_context(netns.Net(1, folder))
        self.server = servers.Server(self.net, kind)
        stack.callback(self.server.stop)
        clients = traffic.Clients(self.net, 1)
        stack.callback(clients.stop)
        self.client = clients.processes[0].pid
        self.cpu = min(os.sched_getaffinity(0))
        os.sched_setaffinity(self.server.serving(self.net.clients[0]), {self.cpu})


def idle_pings(bench):
    """6: an idle ping is a matter of microseconds, less than the machine moves by within a minute. So both servers are up at
    once and pinged in short bursts by turns. Where its client is woken decides what it costs, and the two servers' wakes fall
    differently: on one CPU with the server and on another, for both."""
    everywhere = os.sched_getaffinity(0)
    if len(everywhere) < 2:
        return
    bench.kind = "both"
    with contextlib.ExitStack() as stack:
        sides = [Idle(stack, bench.net.folder, kind) for kind in servers.KINDS[:2]]
        for where, cpus in (("on one CPU with its server", {sides[0].cpu}), ("on another CPU", everywhere - {sides[0].cpu})):
            for side in sides:
                os.sched_setaffinity(side.client, cpus)
                side.times = []
            for _ in range(ALTERNATIONS):
                for side in sides:
                    side.times += traffic.pings(side.net, 0, BURST_S)[0]
            for side in sides:
                for name, part in (("p50", 0.5), ("p99", 0.99)):
                    bench.note(6, f"ping idle, {where}, {name}", "ms", traffic.percentile(sorted(side.times), part),
                               kind=side.kind)


def handshakes(bench):
    """4: full handshakes with either kind of server key."""
    for kind in bench.kinds:
        if kind == "tuned":
            continue  # nothing in it matters here
        for key, rsa in (("ECDSA P-256", False), ("RSA-2048", True)):
            with bench.only_server(kind, rsa=rsa):
                parts = servers.spent(bench.server.pids)
                got = bench.attempt(lambda: traffic.vpnload(bench.server, bench.seconds * 1.5, "--mode", "storm",
                                                            "--clients", 2000, "--at-once", 16))
                if got and got["handshakes"]:
                    got["kernel_share"] = traffic.kernel_share(parts, servers.spent(bench.server.pids))
                    bench.note(4, f"full handshakes, {key}", "per s", got["handshakes_per_s"], more=True)
                    note_cost(bench, 4, f"full handshakes, {key}", "CPU-ms each", got,
                              got["handshake_watched_cpu_s"] / got["handshakes"] * 1000)


def memory(bench):
    """5: what a connected client costs; once, since memory does not vary as time does."""
    if bench.turn:
        return
    for kind in bench.kinds:
        if kind == "tuned":
            continue
        with bench.only_server(kind):
            before, there, holders = bench.server.pss_kib(), 0, []
            try:
                for count in bench.crowds:
                    rate = 500 if kind == "hub" else 200
                    holders.append(crowd(bench, count - there, rate))
                    there = count
                    time.sleep(0.5)
                    bench.note(5, f"memory (PSS) with {count} clients", "KiB a client",
                               (bench.server.pss_kib() - before) / count)
            except Failed as e:
                bench.trouble(e)
            finally:
                for holder in holders:
                    holder.stop()
                    bench.net.processes.remove(holder)


def crowd(bench, count, rate):
    """`count` more clients, connected and held by a process of their own."""
    holder = bench.net.start([*traffic.vpnload_words(bench.net), "--mode", "hold", "--clients", count, "--start-per-s",
                              rate, "--seconds", 120], f"crowd-{time.monotonic():.3f}.log", bench.net.clients[LOADER])
    got = json.loads(holder.wait_text(r"\{.*\}", count / rate + 60).group(0))
    if got["open"] < count:
        raise Failed(f"only {got['open']} of {count} clients connected: {got['why']}")
    return holder


HANDED = ("two workers, steered", "two workers, by hash alone")


def workers(bench):
    """7: the hub against itself, with one worker and with two."""
    for name, lines, count in (("one worker", (), 1), (HANDED[0], (), 2), (HANDED[1], ("hub.steering off",), 2)):
        with bench.connected("hub", *lines, workers=count):
            for way, back in WAYS:
                got = bench.attempt(lambda: tcp(bench.server, bench.seconds, 4, 1, back))
                if got:
                    bench.note(7, f"TCP, four clients, {ARROW[way]}", "Mbit/s", got["mbit_per_s"], more=True, kind=name)
                    bench.note(7, f"TCP, four clients, {ARROW[way]}", "CPU-s/GB", got["cpu_s_per_gb"], kind=name)
            for way in ("up", "down"):
                got = bench.attempt(lambda: packets(bench.server, bench.seconds, way, 64, "--clients", 64, *WINDOW))
                if got:
                    bench.note(7, f"64-byte packets of 64 clients, {ARROW[way]}", "packets/s", got["packets_per_s"],
                               more=True, kind=name)
                    # What as many whole cores would do: here load and far end have the same ones.
                    bench.note(7, f"the same, if the workers had a core each, {ARROW[way]}", "packets/s",
                               count * 1e6 / got["cpu_s_per_million"], more=True, kind=name)
            if count > 1:
                c = bench.server.counters()
                bench.note(7, "packets handed to another worker", "%", kind=name, value=100.0 * c["HANDED_OVER_IN"] /
                           max(1, c["DATAGRAMS_IN"] + c["PACKETS_TUN_OUT"]))


ENCRYPTING, CHACHA, FRAMING = "AES-256-GCM", "ChaCha20-Poly1305", "without encryption"
SAME_RATE = {ENCRYPTING: 400000, CHACHA: 250000}  # packets a second that either of the two carries


def trains_at(rate, way):
    """The figure's name; no rate: as fast as it goes."""
    return f"1400-byte packets, trains of 32, {f'{rate:,}/s, ' if rate else ''}{ARROW[way]}"


def no_cipher(bench):
    """8: the hub with two ciphers and with none, vpnload likewise; stock clients cannot talk to the last. Who is compared is
    offered the same, there and back (A B, B A): as fast as it goes each goes at a rate of its own, and so does what a wake
    costs a packet."""
    ours = {ENCRYPTING: (None, "AES-256-GCM"), CHACHA: (None, "CHACHA20-POLY1305"),
            FRAMING: (bench.options.null_build, "AES-256-GCM")}

    def measure(name, seconds, *runs):
        build, cipher = ours[name]
        with bench.only_server("hub", f"data-ciphers {cipher}", build=build), bench.far(clients=0):
            for what, way, size, words in runs:
                got = bench.attempt(lambda: packets(bench.server, seconds, way, size, *words, "--ciphers", cipher))
                if got:
                    bench.note(8, what, "packets/s", got["packets_per_s"], more=True, kind=name)
                    bench.note(8, what, "CPU-s/million", got["cpu_s_per_million"], kind=name)

    for cipher, rate in SAME_RATE.items():
        for name in (cipher, FRAMING, FRAMING, cipher):
            measure(name, bench.seconds * 0.6, *((trains_at(rate, way), way, 1400, ("--rate", rate, *AS_A_TRAIN))
                                                 for way in ARROW))
    if bench.turn % 2 == 0:
        for name in ours:
            measure(name, bench.seconds, *((f"{size}-byte packets{', trains of 32' if words else ''}, {ARROW[way]}", way, size,
                                            (*WINDOW, *words)) for way in ARROW
                                           for size, words in ((1400, AS_A_TRAIN), (1400, ()), (64, ()))
                                           if words or name != CHACHA))


OWN_ITEMS = ((1, beside_wireguard), (4, handshakes), (6, idle_pings), (5, memory), (7, workers), (8, no_cipher))
COLUMNS_8 = (ENCRYPTING, CHACHA, FRAMING)
COLUMNS_7 = ("one worker", *HANDED)


def version_of(*words):
    text = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    return text.splitlines()[0].strip() if text else "?"


def versions():
    return {"hub": version_of(hub.HUB, "--version"), "stock": version_of(hub.OPENVPN, "--version"),
            "iperf3": version_of("iperf3", "--version")}
