# SPDX-License-Identifier: MIT
"""Stock OpenVPN clients against the hub: they connect, reach what they may, and are told why when they may not."""
import contextlib
import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from hub import CONNECTED, start_client  # noqa: E402
from netns import Failed, wait_for  # noqa: E402

CIPHERS = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305", "AES-256-GCM", "AES-192-GCM", "AES-128-GCM",
           "CHACHA20-POLY1305", "AES-256-GCM")


@contextlib.contextmanager
def setting(folder, names, *lines, **how):
    """A hub with a namespace and a certificate for each name: (net, hub)."""
    hub.make_pki(folder, names)
    with netns.Net(len(names), folder) as net:
        yield net, hub.Hub(net, hub.hub_config(folder, *lines, **how))


def expect(true, what):
    if not true:
        raise Failed(what)


def connections(process):
    return process.text().count(CONNECTED)


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
            clients.append(start_client(net, i, name, f"data-ciphers {CIPHERS[i]}", *hub.wrap_lines(folder, wrap, name),
                                        remote=remote, proto=proto))
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


# -- throughput --

@runner.alone
def test_tcp_runs_both_ways_and_between_clients_without_a_stall(folder):
    with setting(folder, ["c0", "c1"], "client-to-client") as (net, it):
        hub.wait_connected(*[start_client(net, i, f"c{i}") for i in range(2)])
        other = hub.tun_address(net.clients[1])
        for what, server, address in (("hub", net.hub, "10.77.0.1"), ("other client", net.clients[1], other)):
            for way, words in ((f"client to {what}", []), (f"{what} to client", ["-R"])):
                result = hub.iperf(net, server, net.clients[0], address, *words)
                expect(not hub.stalls(result), f"{way}: nothing moved in the seconds from {hub.stalls(result)}")
                runner.say(f"{way}: {result['end']['sum_received']['bits_per_second'] / 1e6:.0f} Mbit/s")


# -- refused --

def test_those_who_may_not_are_refused_with_a_reason_and_nobody_else_notices(folder):
    names = ["good", "revoked", "expired", "server2", "cipher", "foreign", "forged"]
    hub.make_pki(folder, [n for n in names if n not in ("expired", "server2", "foreign")])
    hub.make_keys(folder, ())
    hub.make_certificate(folder, "expired", dates=("-startdate", "20200101000000Z", "-enddate", "20200201000000Z"))
    hub.make_certificate(folder, "server2", "server")
    hub.revoke(folder, "revoked")
    other = os.path.join(folder, "other")
    os.mkdir(other)
    hub.make_pki(other, ["foreign"])
    hub.run(hub.STOCK, "--genkey", "secret", f"{other}/ta.key")
    with netns.Net(len(names), folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, f"tls-crypt {folder}/ta.key", f"crl-verify {folder}/crl.pem",
                                         "data-ciphers AES-256-GCM:CHACHA20-POLY1305"))
        right, wrong = f"tls-crypt {folder}/ta.key", f"tls-crypt {other}/ta.key"
        good = start_client(net, 0, "good", right)
        hub.wait_connected(good)
        finish = hub.stream(net, net.clients[0], net.hub, "10.77.0.1", 100, 6)
        bad = {name: start_client(net, i, name, wrong if name == "forged" else right,
                                  *(["data-ciphers AES-128-GCM"] if name == "cipher" else []),
                                  pki=other if name == "foreign" else None)
               for i, name in enumerate(names) if i}
        said = {"revoked": "revoked", "expired": "expired", "server2": "(?i:usage|purpose)",
                "cipher": "no shared cipher", "foreign": "(?i:issuer|unable to get|unknown ca|not trusted)"}
        for name, why in said.items():
            address = re.escape(f"10.99.{names.index(name)}.2")
            it.wait_text(f"{address}:\\d+ .*({why})", 10)
        wait_for("WRAP_FORGED", lambda: it.counters()["WRAP_FORGED"])
        it.wait_text(f"the control wrapping did not verify: 10.99.{names.index('forged')}.2:", 5)
        bad["cipher"].wait_text("AUTH_FAILED,Data channel cipher negotiation failed", 5)
        for name, process in bad.items():
            expect(CONNECTED not in process.text(), f"{name} was let in")
        figures = finish()
        expect(figures["lost"] == 0, f"the good client lost packets: {figures}")
        expect(connections(good) == 1, "the good client was disturbed")


# -- one name, many clients, no room --

def test_a_second_connection_of_a_name_takes_the_place_and_the_address_of_the_first(folder):
    with setting(folder, ["same", "other"]) as (net, it):
        first = start_client(net, 0, "same", "connect-retry 30", file="first")
        hub.wait_connected(first)
        slot, row = it.row("same")
        second = start_client(net, 1, "same", "connect-retry 30", file="second")
        hub.wait_connected(second)
        it.wait_text("replaced by a new connection of the same name", 5)
        wait_for("one session", lambda: len(it.stats().rows) == 1)
        expect(it.row("same")[1]["inner4"] == row["inner4"], "it has another address")
        expect(netns.ping(net.clients[1], "10.77.0.1") == 0, "it does not reach the hub")


def test_with_duplicate_cn_both_stay(folder):
    with setting(folder, ["same", "other"], "duplicate-cn") as (net, it):
        clients = [start_client(net, i, "same", file=f"same{i}") for i in range(2)]
        hub.wait_connected(*clients)
        expect(len({hub.tun_address(n) for n in net.clients}) == 2, "they have one address")
        lost = netns.pings([(n, a) for n in net.clients for a in ("10.77.0.1", "fd77::1")])
        expect(not lost, f"lost: {lost}")
        expect(len(it.stats().rows) == 2, "not two sessions")


def test_max_clients_2_lets_in_two(folder):
    with setting(folder, ["c0", "c1", "c2"], "max-clients 2") as (net, it):
        clients = [start_client(net, i, f"c{i}", "explicit-exit-notify 1") for i in range(2)]
        hub.wait_connected(*clients)
        third = start_client(net, 2, "c2", "hand-window 5")
        it.wait_text(r"max-clients: .*10\.99\.2\.2", 10)
        expect(it.counters()["TABLE_FULL"] > 0, "not counted")
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients[:2]]), "the two lose packets")
        clients[0].stop()
        hub.wait_connected(third, seconds=30)


def test_a_client_without_an_address_left_is_told_so(folder):
    server = ("server 10.77.0.0 255.255.255.248 nopool", "ifconfig-pool 10.77.0.2 10.77.0.3 255.255.255.248")
    with setting(folder, ["c0", "c1", "c2"], server=server) as (net, it):
        hub.wait_connected(*[start_client(net, i, f"c{i}") for i in range(2)])
        third = start_client(net, 2, "c2")
        it.wait_text("c2/.* refused: the address pool is used up", 10)
        third.wait_text("AUTH_FAILED", 5)


# -- where a client is, and whom it reaches --

def test_a_client_that_changes_its_address_goes_on(folder):
    with setting(folder, ["c0"]) as (net, it):
        between = hub.relay(net, "10.99.0.1:3000", "127.0.0.1:1194")
        client = start_client(net, 0, "c0", port=3000)
        hub.wait_connected(client)
        slot, row = it.row("c0")
        up = hub.stream(net, net.clients[0], net.hub, "10.77.0.1", 100, 5)
        for turn in range(3):
            between.popen.send_signal(signal.SIGUSR1)
            wait_for("floating", lambda: it.counters()["FLOATS"] > turn)
            expect(netns.ping(net.hub, hub.tun_address(net.clients[0])) == 0, "not reached at its new place")
        figures = up()
        it.wait_text("floats from 127.0.1.1:.* to 127.0.1.2:", 1)
        expect(figures["lost"] <= 3, f"lost more than what was on its way: {figures}")
        expect(it.row("c0")[0] == slot and connections(client) == 1, "it connected anew")


def test_without_client_to_client_only_the_kernel_forwards(folder):
    with setting(folder, ["c0", "c1"]) as (net, it):
        hub.wait_connected(*[start_client(net, i, f"c{i}") for i in range(2)])
        other = hub.tun_address(net.clients[1])
        hub.run("sysctl", "-qw", "net.ipv4.ip_forward=0", namespace=net.hub)
        expect(netns.ping(net.clients[0], other, count=2, wait=1) == 2, "the hub let it through by itself")
        hub.run("sysctl", "-qw", "net.ipv4.ip_forward=1", namespace=net.hub)
        expect(netns.ping(net.clients[0], other) == 0, "the kernel's way is closed")


def test_a_foreign_inner_source_is_dropped_and_counted(folder):
    with setting(folder, ["c0", "c1"], "client-to-client") as (net, it):
        hub.wait_connected(*[start_client(net, i, f"c{i}") for i in range(2)])
        for foreign in ("10.77.0.200", hub.tun_address(net.clients[1]), "192.0.2.9"):
            before = it.counters()["BAD_SOURCE"]
            hub.run("ip", "addr", "add", f"{foreign}/32", "dev", "lo", namespace=net.clients[0])
            hub.run("ping", "-c", 3, "-i", "0.2", "-W", 1, "-I", foreign, "10.77.0.1", namespace=net.clients[0],
                    check=False)
            hub.run("ip", "addr", "del", f"{foreign}/32", "dev", "lo", namespace=net.clients[0])
            expect(it.counters()["BAD_SOURCE"] >= before + 3, f"{foreign} was believed")
        expect(netns.ping(net.clients[0], "10.77.0.1") == 0, "its own address suffers")


# -- leaving --

def test_a_client_that_says_goodbye_is_gone_at_once(folder):
    with setting(folder, ["c0"]) as (net, it):
        client = start_client(net, 0, "c0", "explicit-exit-notify 1")
        hub.wait_connected(client)
        expect(it.row("c0"), "no session")
        client.popen.send_signal(signal.SIGTERM)
        wait_for("the slot is free", lambda: not it.stats().rows, 2)
        it.wait_text("c0/.*session over: ", 1)


def test_sigterm_tells_the_clients_and_leaves_nothing_behind(folder):
    with setting(folder, ["c0", "c1"], "explicit-exit-notify 1", f"status {folder}/status.txt",
                 f"writepid {folder}/hub.pid") as (net, it):
        clients = [start_client(net, i, f"c{i}", "connect-retry 30") for i in range(2)]
        hub.wait_connected(*clients)
        pids = it.pids()
        expect(len(pids) == 4, f"master, keyholder and two workers are not {pids}")
        began = time.monotonic()
        status = it.stop()
        took = time.monotonic() - began
        expect(status == 0, f"exit status {status}")
        expect(took < 2, f"took {took:.1f} s")
        for client in clients:
            client.wait_text("(?i:restart|reset command was pushed)", 3)
        left = [p for p in pids if os.path.exists(f"/proc/{p}")]
        expect(not left, f"processes are left: {left}")
        expect(os.listdir(f"{folder}/run") == ["test.events"],
               f"beside the flight recorder files are left: {os.listdir(folder + '/run')}")
        expect(not os.path.exists(f"{folder}/hub.pid"), "the pid file is left")
        expect("tun0" not in hub.run("ip", "link", namespace=net.hub), "the device is left")


def test_a_second_hub_of_the_same_name_or_port_is_refused(folder):
    with setting(folder, ["c0"]) as (net, it):
        text = hub.run(hub.HUB, it.config, namespace=net.hub, check=False)
        expect("already" in text and "Completed" not in text, f"same name: {text}")
        other = hub.hub_config(folder, name="other", dev="tun1")
        text = hub.run(hub.HUB, other, namespace=net.hub, check=False)
        expect(re.search("(?i:in use)", text) and "Completed" not in text, f"same port: {text}")
        hub.wait_connected(start_client(net, 0, "c0"))


# -- signals --

def test_sighup_reads_anew_and_keeps_the_clients(folder):
    with setting(folder, ["c0", "c1"]) as (net, it):
        clients = [start_client(net, i, f"c{i}") for i in range(2)]
        hub.wait_connected(*clients)
        slots = [it.row(f"c{i}")[0] for i in range(2)]
        before = it.worker_pids()
        runs = [hub.stream(net, net.hub, n, hub.tun_address(n), 200, 6, name=f"down{i}")
                for i, n in enumerate(net.clients)]
        runs += [hub.stream(net, n, net.hub, "10.77.0.1", 200, 6, port=7001 + i, name=f"up{i}")
                 for i, n in enumerate(net.clients)]
        hub.hub_config(folder, "push \"route 192.0.2.0 255.255.255.0\"")
        it.signal(signal.SIGHUP)
        wait_for("both workers are new", lambda: not set(before) & set(it.worker_pids()) and
                 all(w["state"] == 2 for w in it.stats().workers))
        figures = [finish() for finish in runs]
        runner.say(f"lost by a reload: {[f['lost'] for f in figures]}, longest gap "
                   f"{max(f['longest_gap_ms'] for f in figures)} ms")
        expect(all(f["lost"] == 0 for f in figures), f"packets were lost: {figures}")
        expect([it.row(f"c{i}")[0] for i in range(2)] == slots, "other peer ids")
        expect(all(connections(c) == 1 for c in clients), "clients connected anew")
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients]), "no way through")
        clients[0].stop()
        again = start_client(net, 0, "c0", file="again", log="again.log")
        hub.wait_connected(again)
        again.wait_text("route 192.0.2.0 255.255.255.0", 1)


def test_sighup_with_a_mistake_changes_nothing(folder):
    with setting(folder, ["c0"]) as (net, it):
        client = start_client(net, 0, "c0")
        hub.wait_connected(client)
        before = it.worker_pids()
        hub.hub_config(folder, "no-such-directive 1")
        it.signal(signal.SIGHUP)
        it.wait_text(r"test\.conf:\d+: no-such-directive", 5)
        expect(netns.ping(net.clients[0], "10.77.0.1", count=10, interval=0.1) == 0, "packets were lost")
        expect(it.worker_pids() == before, "workers were replaced")


def test_sigusr2_prints_the_status(folder):
    with setting(folder, ["c0"]) as (net, it):
        hub.wait_connected(start_client(net, 0, "c0"))
        it.signal(signal.SIGUSR2)
        it.wait_text(r"c0,10\.99\.0\.2:\d+,\d+,\d+,20\d\d-", 5)
        it.wait_text("GLOBAL STATS", 1)


def status_is_readable(folder, version):
    path = f"{folder}/status.txt"
    with setting(folder, ["c0"], f"status {path} 1", f"status-version {version}") as (net, it):
        hub.wait_connected(start_client(net, 0, "c0"))

        def look():
            with open(path) as f:
                text = f.read()
            return text if "c0" in text else None
        text = wait_for("c0 in the status file", look, 10)
        comma = "\t" if version == 3 else ","
        lines = text.splitlines()
        expect(lines[-1] == "END", text)
        if version == 1:
            expect(lines[0] == "OpenVPN CLIENT LIST" and "ROUTING TABLE" in lines, text)
            expect(any(re.match(r"10\.77\.0\.\d+,c0,10\.99\.0\.2:", line) for line in lines), text)
            return
        header = [line for line in lines if line.startswith(f"HEADER{comma}CLIENT_LIST")][0].split(comma)[2:]
        row = [line for line in lines if line.startswith("CLIENT_LIST")][0].split(comma)[1:]
        expect(len(header) == len(row), f"{header} against {row}")
        client = dict(zip(header, row))
        expect(client["Common Name"] == "c0" and client["Virtual Address"].startswith("10.77.0."), text)
        expect(client["Peer ID"] == str(it.row("c0")[0]) and client["Data Channel Cipher"] == "AES-256-GCM", text)


def test_status_file_version_1(folder):
    status_is_readable(folder, 1)


def test_status_file_version_2(folder):
    status_is_readable(folder, 2)


def test_status_file_version_3(folder):
    status_is_readable(folder, 3)


def test_sigusr1_makes_the_clients_begin_anew(folder):
    with setting(folder, ["c0", "c1"]) as (net, it):
        clients = [start_client(net, i, f"c{i}") for i in range(2)]
        hub.wait_connected(*clients)
        it.signal(signal.SIGUSR1)
        wait_for("both are back", lambda: all(connections(c) == 2 for c in clients), 20)
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients]), "no way through")
        expect([w["births"] for w in it.stats().workers] == [1, 1], "workers were replaced")


# -- sizes --

def every_size_passes(net, it, address, namespace, sizes):
    """One after another: two of the largest at a time fill the receive buffer of a stock client."""
    before = it.counters()
    text = hub.run(sys.executable, "-IS", netns.ECHO, address, "--interval", "0.06", "--size",
                   ",".join(str(size) for size in sizes), namespace=namespace)
    found = json.loads(text)
    if found["lost"]:
        after = it.counters()
        grew = {n: after[n] - before[n] for n in hub.FATES if after[n] != before[n]}
        dropped = {n: re.findall(r"(\w*(?:RcvbufErrors|SndbufErrors|ReasmFails)) +([1-9]\d*)",
                                 hub.run("nstat", "-asz", namespace=n, check=False)) for n in net.clients + [net.hub]}
        raise Failed(f"{found['sizes']} bytes to {address} from {namespace}: fates {grew}, kernels' counters {dropped}")


def test_packets_of_every_size_pass_both_ways_and_between_clients(folder):
    sizes = [0, 1, 7, 8, 16, 500, 1271, 1272, 1399, 1400, 1428, 1452, 1471, 1472, 1473, 4000, 9000, 65000]
    with setting(folder, ["c0", "c1"], "client-to-client") as (net, it):
        hub.wait_connected(start_client(net, 0, "c0"), start_client(net, 1, "c1", remote="fd99:1::1", proto="udp6"))
        places = [(n, hub.tun_address(n), hub.tun_address(n, family=6)) for n in net.clients]
        every_size_passes(net, it, "10.77.0.1", net.clients[0], sizes)
        every_size_passes(net, it, "fd77::1", net.clients[1], sizes)
        every_size_passes(net, it, places[0][2], net.hub, sizes)
        every_size_passes(net, it, places[1][1], net.hub, sizes)
        every_size_passes(net, it, places[1][1], net.clients[0], sizes)
        every_size_passes(net, it, places[0][2], net.clients[1], sizes)


def test_a_narrow_outer_path_fragments_but_carries(folder):
    with setting(folder, ["c0", "c1"]) as (net, it):
        for i, name in enumerate(net.clients):
            hub.run("ip", "link", "set", f"h{i}", "mtu", 1280, namespace=net.hub)
            hub.run("ip", "link", "set", "eth0", "mtu", 1280, namespace=name)
        hub.wait_connected(start_client(net, 0, "c0"), start_client(net, 1, "c1", remote="fd99:1::1", proto="udp6"))
        for name in net.clients:
            every_size_passes(net, it, "10.77.0.1", name, [56, 1100, 1200, 1300, 1472, 3000])
            every_size_passes(net, it, hub.tun_address(name), net.hub, [56, 1100, 1200, 1300, 1472, 3000])
        for i in range(2):
            for words in ([], ["-R"]):
                result = hub.iperf(net, net.hub, net.clients[i], "10.77.0.1", *words, seconds=2)
                expect(result["end"]["sum_received"]["bytes"] > 1e6, f"client {i} {words}: next to nothing moved")


# -- TLS --

def test_rsa_chains_and_tls_1_2(folder):
    """A server certificate of RSA with an intermediate CA behind it, and clients of TLS 1.2 and 1.3 of both kinds."""
    hub.make_pki(folder, ["c0", "c1"])
    hub.make_certificate(folder, "server", "server", rsa=True)
    for name in ("c2", "c3"):
        hub.make_certificate(folder, name, rsa=True)
    with netns.Net(4, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, "tls-version-min 1.2"))
        clients = [start_client(net, i, f"c{i}", *(["tls-version-max 1.2"] if i % 2 else [])) for i in range(4)]
        hub.wait_connected(*clients)
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients]), "no way through")
        for i, client in enumerate(clients):
            client.wait_text("Control Channel: TLSv1.2" if i % 2 else "Control Channel: TLSv1.3", 1)
            it.wait_text(f"c{i}.* TLSv1.{2 if i % 2 else 3}", 1)


def test_an_intermediate_ca_in_the_server_s_file(folder):
    hub.make_pki(folder, ["c0"])
    middle = os.path.join(folder, "middle")
    os.mkdir(middle)
    hub.make_pki(middle, [])
    with open(f"{folder}/ca.cnf", "a") as f:
        f.write("[middle]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\n"
                "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    hub.make_certificate(folder, "between", "middle", rsa=True)
    for ending in ("crt", "key"):
        os.replace(f"{folder}/between.{ending}", f"{middle}/ca.{ending}")
    hub.make_certificate(middle, "server", "server", rsa=True)
    hub.make_certificate(middle, "c1")
    for name in ("server", "c1"):
        with open(f"{middle}/ca.crt") as f, open(f"{middle}/{name}.crt", "a") as out:
            out.write(f.read())
        for ending in ("crt", "key"):
            os.replace(f"{middle}/{name}.{ending}", f"{folder}/{name}.{ending}")
    with netns.Net(2, folder) as net:
        hub.Hub(net, hub.hub_config(folder))
        hub.wait_connected(*[start_client(net, i, f"c{i}") for i in range(2)])
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients]), "no way through")


def test_tls_crypt_v2_with_and_without_cookies(folder):
    hub.make_pki(folder, ["c0"])
    hub.make_keys(folder, ["c0"])
    for word in ("force-cookie", "allow-noncookie"):
        with netns.Net(1, folder) as net:
            hub.Hub(net, hub.hub_config(folder, f"tls-crypt-v2 {folder}/v2s.key {word}"), log=f"{word}.log")
            client = start_client(net, 0, "c0", f"tls-crypt-v2 {folder}/c0.v2", log=f"client-{word}.log")
            hub.wait_connected(client)
            expect(netns.ping(net.clients[0], "10.77.0.1") == 0, f"{word}: no way through")


# -- options --

def test_a_hello_in_many_datagrams_needs_no_second_try(folder):
    """As one with a post-quantum key share does: what comes behind the datagram that opens the session belongs to it."""
    with setting(folder, ["c0", "c1", "c2", "c3"]) as (net, it):
        clients = [start_client(net, i, f"c{i}", "max-packet-size 160") for i in range(4)]
        hub.wait_connected(*clients)
        expect(it.counters()["COOKIE_BAD"] == 0, f"{it.counters()['COOKIE_BAD']} datagrams of them were a stranger's")
        expect(it.counters()["HANDSHAKES_STARTED"] == 4, f"{it.counters()['HANDSHAKES_STARTED']} handshakes for 4 clients")


def test_without_steering_other_workers_hand_over(folder):
    names = [f"c{i}" for i in range(4)]
    with setting(folder, names, "hub.steering off", "client-to-client") as (net, it):
        clients = [start_client(net, i, n) for i, n in enumerate(names)]
        hub.wait_connected(*clients)
        before = it.counters()["HANDED_OVER_IN"]
        inside = {n: hub.tun_address(n) for n in net.clients}
        asked = [(n, "10.77.0.1") for n in net.clients] + [(n, "fd77::1") for n in net.clients]
        asked += [(n, inside[o]) for n in net.clients for o in net.clients if n != o]
        lost = netns.pings(asked, count=10, interval=0.1)
        expect(not lost, f"lost: {lost}")
        expect(it.counters()["HANDED_OVER_IN"] > before, "nothing was handed over")


def test_tun_mtu_is_pushed_and_mssfix_is_kept_to(folder):
    with setting(folder, ["c0"], "tun-mtu 1400", "mssfix 1200") as (net, it):
        hub.wait_connected(start_client(net, 0, "c0", "mssfix 0"))
        for space in (net.hub, net.clients[0]):
            expect(" mtu 1400 " in hub.run("ip", "-o", "link", "show", "tun0", namespace=space), "not 1400")
        for words in ([], ["-R"]):
            result = hub.iperf(net, net.hub, net.clients[0], "10.77.0.1", *words, seconds=1)
            mss = result["start"]["tcp_mss_default"]
            expect(1050 < mss <= 1200 - 40, f"MSS {mss}")


def test_the_second_number_of_tun_mtu_is_only_told(folder):
    with setting(folder, ["c0"], "tun-mtu 1400 1350") as (net, it):
        client = start_client(net, 0, "c0", "verb 7")
        hub.wait_connected(client)
        expect("remote='tun-mtu 1350'" in client.text(), "it is not told")
        expect(" mtu 1400 " in hub.run("ip", "-o", "link", "show", "tun0", namespace=net.clients[0]), "it is meant")


def test_the_command_line_form_starts_a_hub(folder):
    hub.make_pki(folder, ["c0"])
    os.mkdir(f"{folder}/run")
    with netns.Net(1, folder) as net:
        words = (f"--port 1194 --proto udp --dev tun0 --server 10.77.0.0 255.255.255.0 --topology subnet --ca "
                 f"{folder}/ca.crt --cert {folder}/server.crt --key {folder}/server.key --dh none --keepalive 5 30 "
                 f"--hub.runtime-dir {folder}/run --hub.name line --verb 3").split()
        process = net.start([hub.HUB, *words], "hub.log", net.hub)
        process.wait_text(CONNECTED, 10)
        hub.wait_connected(start_client(net, 0, "c0"))
        expect(netns.ping(net.clients[0], "10.77.0.1") == 0, "no way through")
        expect(process.stop() == 0, "exit status")


def test_what_is_not_supported_is_told_with_its_line(folder):
    hub.make_pki(folder, ["c0"])
    os.mkdir(f"{folder}/run")
    path = hub.hub_config(folder, "plugin /nowhere.so", "secret static.key", "no-such-thing 5", "max-clients none")
    with open(path) as f:
        lines = [line.split()[0] for line in f.read().splitlines()]
    at = {word: lines.index(word) + 1 for word in ("plugin", "secret", "no-such-thing", "max-clients")}
    for words in ([hub.HUB, path], [hub.HUB, "--test-config", path]):
        done = hub.subprocess.run(words, stdout=hub.subprocess.PIPE, stderr=hub.subprocess.STDOUT, text=True, timeout=20)
        expect(done.returncode == 1, f"exit status {done.returncode}: {done.stdout}")
        expect(re.search(rf"test\.conf:{at['plugin']}: plugin: .*not supported yet", done.stdout), done.stdout)
    for word, line in at.items():
        expect(re.search(rf"test\.conf:{line}: {word}: ", done.stdout), f"{word} is missing: {done.stdout}")
    expect(re.search(r"^[4-9] errors", done.stdout, re.M), done.stdout)
    good = hub.hub_config(folder)
    done = hub.subprocess.run([hub.HUB, "--test-config", good], stdout=hub.subprocess.PIPE,
                              stderr=hub.subprocess.STDOUT, text=True, timeout=20)
    expect(done.returncode == 0, f"a good file: {done.stdout}")


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
