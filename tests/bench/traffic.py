# SPDX-License-Identifier: MIT
"""Loads put on a server: TCP by iperf3 through stock clients, packets by vpnload, pings."""
import json
import re
import subprocess
import time

import hub
import servers
from netns import Failed, run, wait_for

PORT = 5201
TUNNEL = "tun0"
STOCK_CLIENTS = 4
LOADER = STOCK_CLIENTS  # index of vpnload's namespace


class Far:
    """iperf3 servers (a port for each stock client and for the station) and farend, at the tunnel's other end."""

    def __init__(self, net, clients=STOCK_CLIENTS + 1):
        tag = f"{time.monotonic():.3f}"
        self.net = net
        self.processes = [net.start(["iperf3", "-s", "-p", PORT + i, "-B", servers.ADDRESS], f"iperf-{i}-{tag}.log", net.hub)
                          for i in range(clients)]
        self.processes.append(net.start([servers.programs()[1], f"{servers.ADDRESS}:7777"], f"farend-{tag}.log", net.hub))
        self.processes[-1].wait_text("ready", 5)
        for i in range(clients):
            wait_for("iperf3 -s", lambda port=PORT + i: f":{port} " in run("ss", "-Hltn", namespace=net.hub))

    def stop(self):
        for process in self.processes:
            process.stop()
            self.net.processes.remove(process)


class Clients:
    """Connected stock clients, with large buffers, so that they limit as little as they can."""

    def __init__(self, net, count=STOCK_CLIENTS):
        self.net = net
        tag = f"{time.monotonic():.3f}"
        self.processes = [hub.start_client(net, i, "client", "data-ciphers AES-256-GCM", "sndbuf 2097152",
                                           "rcvbuf 2097152", "txqueuelen 5000", log=f"client{i}-{tag}.log", file=f"client{i}")
                          for i in range(count)]
        hub.wait_connected(*self.processes)

    def stop(self):
        for process in self.processes:
            process.stop()
            self.net.processes.remove(process)


FLOOD_PER_S = 150000 # a stock client takes about half of it


def iperf_start(net, index, seconds, *words):
    return subprocess.Popen(["ip", "netns", "exec", net.clients[index], "iperf3", "-c", servers.ADDRESS, "-p",
                             str(PORT + index), "-t", f"{seconds:g}", "-J", *words], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def iperf_end(process, seconds, part="sum_received"):
    try:
        text = process.communicate(timeout=seconds + 20)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Failed("iperf3 did not end") from None
    try:
        result = json.loads(text)
    except ValueError:
        raise Failed(f"iperf3: {text[-300:]}") from None
    if "error" in result:
        raise Failed(f"iperf3: {result['error']}")
    return result["end"][part]


def kernel_share(before, after):
    user, system = (b - a for a, b in zip(before, after))
    return system / (user + system) if user + system else None


def tcp(server, seconds, clients=1, streams=1, back=False, tries=2, first=0):
    """Through `clients` clients at once, from the `first` on: {mbit_per_s, cpu_s_per_gb, kernel_share} of the server. An
    iperf3 server may still be busy with the end of its last run: tried again."""
    words = ["-P", str(streams)] + (["-R"] if back else [])
    before, parts = server.cpu_s(), servers.spent(server.pids)
    running = [iperf_start(server.net, i, int(max(1, seconds)), *words) for i in range(first, first + clients)]
    sums, wrong = [], None
    for process in running:  # all are waited for, whatever one of them says
        try:
            sums.append(iperf_end(process, seconds))
        except Failed as e:
            wrong = e
    if wrong and tries > 1:
        time.sleep(0.5)
        return tcp(server, seconds, clients, streams, back, tries - 1, first)
    if wrong:
        raise wrong
    spent = server.cpu_s() - before
    return {"mbit_per_s": sum(s["bits_per_second"] for s in sums) / 1e6,
            "cpu_s_per_gb": spent / (sum(s["bytes"] for s in sums) / 1e9),
            "kernel_share": kernel_share(parts, servers.spent(server.pids))}


def tunnel_sent(server):
    """Packets that the server has taken out of its tunnel."""
    return int(run("cat", f"/sys/class/net/{TUNNEL}/statistics/tx_packets", namespace=server.net.hub))


def datagrams(server, seconds, payload, back=False, tries=6):
    """UDP by iperf3 through the first stock client, more than that can take: {packets_per_s, cpu_s_per_million,
    kernel_share} of what arrived, and `sent_per_arrived`: what the server took out of its tunnel for each that did (the rest
    the client loses), None the other way. Not as fast as it goes: iperf3's own connection is in the tunnel, too, and would be
    lost."""
    words = ["-u", "-b", str(FLOOD_PER_S * payload * 8), "-l", str(payload)] + (["-R"] if back else [])
    before, parts, sent = server.cpu_s(), servers.spent(server.pids), tunnel_sent(server)
    try:
        end = iperf_end(iperf_start(server.net, 0, int(max(1, seconds)), *words), seconds, "sum")
    except Failed:
        if tries < 2:
            raise
        time.sleep(0.5)
        return datagrams(server, seconds, payload, back, tries - 1)
    arrived = end["packets"] - end["lost_packets"]
    if arrived <= 0:
        raise Failed("iperf3: nothing arrived")
    return {"packets_per_s": arrived / end["seconds"], "cpu_s_per_million": (server.cpu_s() - before) / (arrived / 1e6),
            "kernel_share": kernel_share(parts, servers.spent(server.pids)),
            "sent_per_arrived": (tunnel_sent(server) - sent) / arrived if back else None}


def vpnload_words(net, build=None):
    folder = net.folder
    return [servers.programs(build)[0], "--remote", f"10.99.{LOADER}.1:1194", "--ca", f"{folder}/ca.crt", "--cert",
            f"{folder}/client.crt", "--key", f"{folder}/client.key", "--ciphers", "AES-256-GCM", "--far",
            servers.ADDRESS, "--json"]


def station(net):
    folder = net.folder
    process = net.start([servers.programs()[2], "--remote", f"10.99.{LOADER}.1:1194", "--ca", f"{folder}/ca.crt", "--cert",
                         f"{folder}/client.crt", "--key", f"{folder}/client.key"], f"station-{time.monotonic():.3f}.log",
                        net.clients[LOADER])
    process.wait_text("open", 10)
    return process


def vpnload(server, seconds, *words, timeout=60):
    """One run; its JSON."""
    text = run(*vpnload_words(server.net, server.build), "--watch", ",".join(map(str, server.pids)), "--seconds", seconds, *words,
               namespace=server.net.clients[LOADER], check=False, timeout=seconds + timeout)
    lines = [line for line in text.splitlines() if line.startswith("{")]
    if not lines:
        raise Failed(f"vpnload {' '.join(map(str, words))}: {text[-300:]}")
    try:
        return json.loads(lines[-1])
    except ValueError:
        raise Failed(f"vpnload: {text[-300:]}") from None


def packets(server, seconds, way, size, *words):
    """{packets_per_s, cpu_s_per_million, cpu_s_per_gb, mbit_per_s, lost_percent} of packets one way, 'up' or 'down'."""
    result = vpnload(server, seconds, "--mode", way, "--size", size, *words)
    if way not in result:
        raise Failed(f"vpnload {way}: no packets; {result.get('why') or 'the far end did not answer'}")
    figures = result[way]
    if not figures["received"]:
        raise Failed(f"vpnload {way}: nothing arrived of {figures['sent']}")
    return {"packets_per_s": figures["packets_per_s"], "mbit_per_s": figures["mbit_per_s"],
            "lost_percent": figures["lost_percent"], "latency_ms": figures["latency_ms"],
            "cpu_s_per_million": result["watched_cpu_s"] / (figures["received"] / 1e6),
            "cpu_s_per_gb": result["watched_cpu_s"] / (figures["bytes"] / 1e9)}


def pings(net, index, seconds, interval=0.003):
    """Round trips in milliseconds, sorted, and the share that was lost in percent."""
    count = int(seconds / interval)
    text = run("ping", "-n", "-c", count, "-i", interval, "-W", 1, servers.ADDRESS, namespace=net.clients[index],
               check=False, timeout=seconds * 3 + 20)
    times = sorted(float(t) for t in re.findall(r"time=([\d.]+) ms", text))
    if not times:
        raise Failed(f"ping: {text[-300:]}")
    return times, 100.0 * (count - len(times)) / count


def percentile(times, part):
    return times[min(len(times) - 1, int(part * len(times)))]
