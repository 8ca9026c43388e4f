# SPDX-License-Identifier: MIT
"""The hub's processes when things go wrong around them: rights, a dead master, junk on the wire, silent clients, names
made to confuse."""
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, run, wait_for  # noqa: E402


def expect(true, what):
    if not true:
        raise Failed(what)


def status_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def test_workers_and_keyholder_have_no_rights_left(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, "user nobody", "group nogroup"))
        hub.wait_connected(hub.start_client(net, 0, "c0"))
        workers = it.worker_pids()
        for pid in it.pids()[1:]:
            what = "worker" if pid in workers else "keyholder"
            status = status_of(pid)
            expect(status["Uid"].split() == ["65534"] * 4, f"{what}: uid {status['Uid']}")
            expect(status["Gid"].split() == ["65534"] * 4, f"{what}: gid {status['Gid']}")
            expect(not status["Groups"].strip() or status["Groups"].split() == ["65534"], f"{what}: {status['Groups']}")
            for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                expect(int(status[kind], 16) == 0, f"{what}: {kind} {status[kind]}")
            if hub.sanitized():
                continue # a sanitizer's runtime calls what our filters forbid: those builds have none
            expect(status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", f"{what}: {status['NoNewPrivs']}, "
                   f"seccomp {status['Seccomp']}")
        for pid in workers:
            with open(f"/proc/{pid}/maps") as f:
                text = f.read()
            expect(not re.search(r"^\S+ .wx", text, re.M), "a worker has memory that can be written and executed")
        with open(f"{folder}/server.key") as f:
            secret = f.read().splitlines()[2]
        for pid in workers:
            expect(secret.encode() not in readable_memory(pid), "a worker has the private key's file in its memory")


def test_each_worker_has_a_cpu_a_ring_a_queue_and_sockets_of_its_own(folder):
    hub.make_pki(folder, [])
    workers = len(os.sched_getaffinity(0))
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, workers=workers))
        pids = it.worker_pids()
        cpus = [status_of(pid)["Cpus_allowed_list"] for pid in pids]
        expect(len(set(cpus)) == workers and all(c.isdigit() for c in cpus), f"they run on {cpus}")
        sockets = run("ss", "-Hlunpe", "sport = :1194", namespace=net.hub)
        for pid in pids:
            expect(len(re.findall(f"pid={pid},", sockets)) == 2, f"not one socket per listener of its own: {sockets}")
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            expect(sum("io_uring" in link for link in links) == 1, f"not one ring: {links}")
            expect(sum(link == "/dev/net/tun" for link in links) == 1, f"not one queue: {links}")


def readable_memory(pid):
    """All private memory of a process."""
    found = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, mode = line.split()[:2]
            first, last = [int(n, 16) for n in span.split("-")]
            if mode.startswith("rw") and last - first < 64 << 20:
                try:
                    memory.seek(first)
                    found.append(memory.read(last - first))
                except OSError:
                    pass
    return b"".join(found)


def test_when_the_master_is_killed_clients_are_told_and_workers_end(folder):
    hub.make_pki(folder, ["c0", "c1"])
    with netns.Net(2, folder) as net:
        config = hub.hub_config(folder)
        it = hub.Hub(net, config)
        clients = [hub.start_client(net, i, f"c{i}", "connect-retry 3") for i in range(2)]
        hub.wait_connected(*clients)
        pids = it.pids()
        it.signal(signal.SIGKILL)
        it.process.popen.wait(5)
        wait_for("all of it has ended", lambda: not [p for p in pids[1:] if os.path.exists(f"/proc/{p}")], 6)
        for client in clients:
            client.wait_text("(?i:restart|reset command was pushed)", 3)
        again = hub.Hub(net, config, log="again.log")
        wait_for("both are back", lambda: all(c.text().count(hub.CONNECTED) == 2 for c in clients), 20)
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients]), "no way through")
        expect(again.stop() == 0, "exit status")


def test_junk_on_the_wire_disturbs_nobody_and_is_counted(folder):
    hub.make_pki(folder, ["c0", "c1"])
    hub.make_keys(folder, ())
    crypt = f"tls-crypt {folder}/ta.key"
    junk = """
import os, random, socket, sys, time
r = random.Random(5)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sizes = [0, 1, 4, 8, 14, 22, 54, 100, 300, 1250, 1400, 3000]
end, n = time.monotonic() + 4, 0
while time.monotonic() < end:
    opcode = r.randrange(32)
    body = bytes([opcode << 3 | r.randrange(8)]) + os.urandom(r.choice(sizes))
    if r.random() < .3:
        body = bytes([9 << 3]) + (r.choice([0, 1, 512, 0xffffff, 5])).to_bytes(3, "big") + os.urandom(40)
    if r.random() < .3:
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.sendto(body, ("10.99.1.1", 1194))
    n += 1
    if n % 20 == 0:
        time.sleep(.001)
print(n)
"""
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, crypt))
        client = hub.start_client(net, 0, "c0", crypt)
        hub.wait_connected(client)
        before = it.counters()
        runs = [hub.stream(net, net.hub, net.clients[0], hub.tun_address(net.clients[0]), 500, 5, name="down"),
                hub.stream(net, net.clients[0], net.hub, "10.77.0.1", 500, 5, port=7001, name="up")]
        sent = int(run("python3", "-c", junk, namespace=net.clients[1]))
        figures = [finish() for finish in runs]
        expect(all(f["lost"] == 0 for f in figures), f"a good client lost packets: {figures}")
        after = it.counters()
        grew = {n: after[n] - before[n] for n in after if after[n] != before[n]}
        bad = sum(grew.get(n, 0) for n in hub.FATES if n not in ("DELIVERED", "CONSUMED", "HANDED_OVER"))
        runner.say(f"{sent} datagrams of junk: " + ", ".join(f"{n} {grew[n]}" for n in hub.FATES if n in grew))
        expect(bad >= 0.99 * sent, f"only {bad} of {sent} are counted")
        expect(not [w for w in it.stats().workers if w["births"] != 1], "a worker died")
        expect(len(it.stats().rows) == 1, "sessions were opened")
        lines = len(it.text().splitlines())
        expect(lines < 200, f"{lines} lines of log")
        expect(client.text().count(hub.CONNECTED) == 1, "the client connected anew")


def test_listeners_tell_senders_of_one_address_apart(folder):
    program = """
import os, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
mine = b"listener"
s.sendto(bytes([7 << 3]) + mine + bytes(5), ("10.99.0.1", 1194))
answer, _ = s.recvfrom(2048)
assert answer[0] == 8 << 3 and answer[14:22] == mine, answer
for port in 1195, 1194: # an ack of the answer, with the proof in it
    s.sendto(bytes([5 << 3]) + mine + bytes([1]) + bytes(4) + answer[1:9], ("10.99.0.1", port))
"""
    hub.make_pki(folder, [])
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, listeners=("local 0.0.0.0 1194 udp4", "local 0.0.0.0 1195 udp4")))
        run("python3", "-c", program, namespace=net.clients[0])
        wait_for("it is let in where it was answered", lambda: len(it.stats().rows) == 1, 3)
        wait_for("and not at the other one", lambda: it.counters()["COOKIE_BAD"] == 1, 3)


def test_a_client_that_fell_silent_is_forgotten(folder):
    hub.make_pki(folder, ["c0", "c1"])
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, "keepalive 1 3"))
        clients = [hub.start_client(net, i, f"c{i}") for i in range(2)]
        hub.wait_connected(*clients)
        clients[0].popen.send_signal(signal.SIGKILL)
        it.wait_text("c0/.*session over: ping-restart", 12)
        expect(len(it.stats().rows) == 1, "its place is not free")
        expect(netns.ping(net.clients[1], "10.77.0.1") == 0 and clients[1].text().count(hub.CONNECTED) == 1,
               "the other one suffers")


def test_a_client_that_starts_again_from_the_same_port_gets_in(folder):
    hub.make_pki(folder, ["c0"])
    hub.make_keys(folder, ["c0"])
    for wrap in hub.WRAPS:
        with netns.Net(1, folder) as net:
            it = hub.Hub(net, hub.hub_config(folder, *hub.wrap_lines(folder, wrap)), log=f"hub-{wrap}.log")
            lines = ["bind", "lport 4000", *hub.wrap_lines(folder, wrap, "c0")]
            first = hub.start_client(net, 0, "c0", *lines, log=f"first-{wrap}.log", nobind=False)
            hub.wait_connected(first)
            address = hub.tun_address(net.clients[0])
            first.popen.send_signal(signal.SIGKILL)
            first.popen.wait(5)
            second = hub.start_client(net, 0, "c0", *lines, log=f"second-{wrap}.log", nobind=False)
            hub.wait_connected(second, seconds=8)
            expect(netns.ping(net.clients[0], "10.77.0.1") == 0, f"{wrap}: no way through")
            expect(hub.tun_address(net.clients[0]) == address, f"{wrap}: another address")
            wait_for("one session", lambda: len(it.stats().rows) == 1, 3)


def test_a_certificate_revoked_while_its_client_is_there(folder):
    hub.make_pki(folder, ["c0", "c1"])
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, f"crl-verify {folder}/crl.pem", "reneg-sec 4", "tran-window 6"))
        clients = [hub.start_client(net, i, f"c{i}") for i in range(2)]
        hub.wait_connected(*clients)
        hub.revoke(folder, "c0")
        it.wait_text("uses the new CRL", 5)
        it.wait_text(r"c0/.*revoked", 10)
        # as stock does, the old key serves until tran-window is over
        wait_for("it is gone", lambda: not it.row("c0"), 15)
        expect(netns.ping(net.clients[1], "10.77.0.1") == 0, "the other one suffers")
        expect(clients[1].text().count(hub.CONNECTED) == 1, "the other one connected anew")


def test_names_made_to_confuse_stay_one_field(folder):
    hub.make_pki(folder, [])
    names = {"comma": "a,b\tc", "line": "x\nCLIENT_LIST,evil", "quote": "q\"'../../etc", "long": "l" * 64}
    for file, name in names.items():
        subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", f"{file}.key", "-out", f"{file}.csr", "-subj", "/CN=" + name.replace("/", "\\/")],
                       check=True, cwd=folder, stderr=subprocess.DEVNULL)
        subprocess.run(["openssl", "ca", "-batch", "-config", "ca.cnf", "-extensions", "client", "-in", f"{file}.csr",
                        "-out", f"{file}.crt", "-keyfile", "ca.key", "-cert", "ca.crt", "-notext"], check=True,
                       cwd=folder, stderr=subprocess.DEVNULL)
    path = f"{folder}/status.txt"
    with netns.Net(len(names), folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, f"status {path} 1", "status-version 2"))
        hub.wait_connected(*[hub.start_client(net, i, file) for i, file in enumerate(names)])

        def rows():
            with open(path) as f:
                return [line for line in f.read().splitlines() if line.startswith("CLIENT_LIST")]
        lines = wait_for("all of them in the status file", lambda: len(rows()) >= len(names) and rows(), 10)
        expect(len(lines) == len(names), f"{lines}")
        expect(all(line.count(",") == 12 for line in lines), f"{lines}")
        for line in it.text().splitlines():
            expect(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line), f"a log line of its own: {line}")


def test_vpnadm_tells_what_the_statistics_say(folder):
    if not os.path.exists(hub.VPNADM):
        raise runner.Skipped("vpnadm is not in this build")
    hub.make_pki(folder, ["c0", "c1"])
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder))
        hub.wait_connected(*[hub.start_client(net, i, f"c{i}") for i in range(2)])
        place = ["--dir", f"{folder}/run", "--name", "test"]
        for command in ("status", "clients", "workers"):
            text = run(hub.VPNADM, *place, command)
            expect("c0" in text or command != "clients", text)
        time.sleep(1.1) # rows are published once a second
        found = json.loads(run(hub.VPNADM, *place, "clients", "--json"))
        text = json.dumps(found)
        expect("c0" in text and "c1" in text and "10.77.0." in text and "10.99.0.2" in text, text)
        it.stop()
        done = subprocess.run([hub.VPNADM, *place, "status"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=5)
        expect(done.returncode != 0, "it has a status of a hub that is gone")


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
