# SPDX-License-Identifier: MIT
"""`vpnadm prometheus` of a real hub: promtool finds no fault with it, over HTTP strangers get what they deserve, and the
dashboard uses nothing that is not there."""
import concurrent.futures
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, wait_for  # noqa: E402

CROWD = os.path.join(hub.BUILD, "tests", "load", "crowd")
DASHBOARD = os.path.join(hub.HERE, "..", "..", "conf", "grafana", "vpnserverd.json")


def expect(true, text):
    if not true:
        raise Failed(text)


def promtool(*words, stdin=None):
    """Exit status and what it says; every complaint of the linter counts as one."""
    if not shutil.which("promtool"):
        raise runner.Skipped("promtool is not installed")
    done = subprocess.run(["promtool", *words], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=30)
    return done.returncode, done.stdout.strip()


def export(folder, *words, check=True):
    done = subprocess.run([hub.VPNADM, "--dir", f"{folder}/run", "prometheus", *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=30)
    if check and (done.returncode or done.stderr):
        raise Failed(f"exit {done.returncode}: {done.stderr}")
    return done.stdout if check else (done.returncode, done.stdout, done.stderr)


def value(text, line):
    found = re.search(rf"(?m)^{re.escape(line)} ([0-9.]+)$", text)
    return float(found[1]) if found else None


def start_hub(net, folder):
    hub.make_pki(folder, ["alice"])
    it = hub.Hub(net, hub.hub_config(folder, f"crl-verify {folder}/crl.pem"))
    client = hub.start_client(net, 0, "alice")
    hub.wait_connected(client)
    return it


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Exporter:
    """In our own namespace, where we can reach it: all it needs of the hub is the file."""

    def __init__(self, net, folder, *addresses):
        self.port = free_port()
        listen = [word for address in addresses for word in ("--listen", f"{address}:{self.port}")]
        self.process = net.start([hub.VPNADM, "--dir", f"{folder}/run", "--name", "test", "prometheus", *listen],
                                 "exporter.log", None)
        wait_for("its port", lambda: f":{self.port} " in netns.run("ss", "-Hltn"))

    def connect(self, address="127.0.0.1", seconds=15):
        return socket.create_connection((address, self.port), seconds)

    def ask(self, request, address="127.0.0.1"):
        """What comes back for these bytes, to the end of the connection."""
        with self.connect(address) as s:
            s.sendall(request)
            return read_all(s)

    def get(self, path="/metrics", **how):
        head, _, body = self.ask(f"GET {path} HTTP/1.1\r\nHost: hub\r\n\r\n".encode(), **how).partition(b"\r\n\r\n")
        return head.decode().split("\r\n")[0], body.decode()


def read_all(s):
    got = b""
    while True:
        try:
            part = s.recv(65536)
        except ConnectionResetError:
            return got
        if not part:
            return got
        got += part


def test_promtool_finds_no_fault(folder):
    with netns.Net(1, folder) as net:
        it = start_hub(net, folder)
        expect(not netns.ping(net.clients[0], "10.77.0.1"), "no way through")
        wait_for("a row with bytes", lambda: value(export(folder, "--clients"),
                                                   'vpnserverd_client_in_packets_total{client="alice"}'))
        for words in ([], ["--clients"]):
            text = export(folder, *words)
            status, said = promtool("check", "metrics", stdin=text)
            expect(status == 0 and not said, said)
            expect(value(text, "vpnserverd_up") == 1, "not up")
            expect(value(text, 'vpnserverd_sessions{state="active"}') == 1, text)
            expect(("alice" in text) == bool(words), "client names unasked, or not when asked")
            expect(len(re.findall(r'(?m)^vpnserverd_worker_up\{worker="[01]"\} 1$', text)) == 2, text)
        status, said = promtool("check", "metrics", stdin=text.replace("vpnserverd_reloads_total", "vpnserverd_reloads"))
        expect(said, "promtool finds no fault with anything")
        it.stop()
        status, text, said = export(folder, "--name", "test", check=False)
        expect(status == 1 and value(text, "vpnserverd_up") == 0 and "_total" not in text, f"{status} {text} {said}")


def test_the_dashboard_uses_what_is_there(folder):
    with open(DASHBOARD) as f:
        dashboard = json.load(f)
    expressions = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", ())]
    expect(len(expressions) > 20, "hardly a dashboard")
    with netns.Net(1, folder) as net:
        start_hub(net, folder)
        wait_for("the client's lines", lambda: "client=" in export(folder, "--clients"))
        text = export(folder, "--clients")
        there = set(re.findall(r"(?m)^(vpnserverd_\w+)", text))
        used = set(re.findall(r"vpnserverd_\w+", json.dumps(expressions + dashboard["templating"]["list"])))
        expect(not used - there, f"not there: {sorted(used - there)}")
        labels = set(re.findall(r"\{\{(\w+)\}\}", json.dumps(dashboard)))
        expect(all(f'{label}="' in text for label in labels), f"labels {labels}")
    rules = "".join(f"  - record: a:b{i}\n    expr: {json.dumps(e)}\n" for i, e in enumerate(
        e.replace("$__rate_interval", "5m") for e in expressions))
    file = hub.write(folder, "rules.yml", f"groups:\n- name: dashboard\n  rules:\n{rules}")
    status, said = promtool("check", "rules", file)
    expect(status == 0, said)
    status, said = promtool("check", "rules", hub.write(folder, "bad.yml", f"groups:\n- name: x\n  rules:\n{rules})\n"))
    expect(status != 0, "promtool takes everything")


def test_over_http_the_page_and_nothing_else(folder):
    with netns.Net(1, folder) as net:
        it = start_hub(net, folder)
        at = Exporter(net, folder, "127.0.0.1", "[::1]")
        status, text = at.get()
        expect(status == "HTTP/1.1 200 OK" and value(text, "vpnserverd_up") == 1, f"{status}\n{text}")
        expect(promtool("check", "metrics", stdin=text) == (0, ""), "not what promtool wants")
        expect(at.get(address="::1")[0] == "HTTP/1.1 200 OK", "IPv6")
        for request, answer in ((b"GET / HTTP/1.1\r\n\r\n", b"404 Not Found"),
                                (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"405 Method Not Allowed"),
                                (b"hello\r\n\r\n", b"400 Bad Request"),
                                (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 5000, b"431 Request Header Fields Too Large")):
            got = at.ask(request)
            expect(got.startswith(b"HTTP/1.1 " + answer + b"\r\n"), f"{request[:40]}: {got[:100]}")

        # the hub goes and comes back: the exporter stays
        it.stop()
        expect(value(at.get()[1], "vpnserverd_up") == 0, "up without a hub")
        it = hub.Hub(net, it.config, log="again.log")
        expect(value(at.get()[1], "vpnserverd_up") == 1, "the new hub is not seen")
        it.process.stop(how=9)
        expect(value(at.get()[1], "vpnserverd_up") == 0, "a dead hub is up")
        expect(at.process.stop() == 0, "SIGTERM is no error")


def test_nobody_can_hold_it_up(folder):
    """Silent and slow ones are sent away in time; while all places are taken others wait, and get their answer then."""
    with netns.Net(1, folder) as net:
        start_hub(net, folder)
        at = Exporter(net, folder, "127.0.0.1")
        silent = [at.connect() for _ in range(39)]
        slow = silent.pop()
        began = time.monotonic()
        slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            late = threads.submit(at.get)
            said = b""
            slow.setblocking(False)
            while time.monotonic() - began < 20 and not late.done():
                try:
                    slow.send(b"X")
                    said += slow.recv(4096)
                except OSError:
                    pass
                time.sleep(0.1)
            status = late.result()[0]
        runner.say(f"39 silent connections: the 40th was answered after {time.monotonic() - began:.1f} s")
        expect(status == "HTTP/1.1 200 OK", status)
        with open(f"/proc/{at.process.pid}/status") as f:
            rss = int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])
        expect(rss < 40000, f"{rss} KiB")
        for s in silent:
            s.setblocking(True)
            s.settimeout(15)
            expect(read_all(s) == b"", "an answer without a question")
            s.close()
        slow.close()
        expect(at.get()[0] == "HTTP/1.1 200 OK", "it is not as before")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e9


def test_without_descriptors_it_waits_and_does_not_spin(folder):
    with netns.Net(1, folder) as net:
        start_hub(net, folder)
        at = Exporter(net, folder, "127.0.0.1")
        before = resource.prlimit(at.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(at.process.pid, resource.RLIMIT_NOFILE, (8, before[1]))
        silent = [at.connect() for _ in range(20)]
        time.sleep(0.5)
        used = cpu_seconds(at.process.pid)
        time.sleep(2)
        share = (cpu_seconds(at.process.pid) - used) / 2
        expect(share < 0.05, f"{share * 100:.0f} % of a CPU while it cannot accept")
        resource.prlimit(at.process.pid, resource.RLIMIT_NOFILE, before)
        for s in silent:
            s.close()
        expect(at.get()[0] == "HTTP/1.1 200 OK", "it does not go on")


def test_a_page_of_ten_thousand_clients(folder):
    os.makedirs(f"{folder}/run")
    with netns.Net(0, folder) as net:
        net.start([CROWD, f"{folder}/run", "test", "10000"], "crowd.log", None).wait_text("published", 10)
        began = time.monotonic()
        text = export(folder, "--clients")
        took = time.monotonic() - began
        runner.say(f"10,000 clients: {len(text) / 1e6:.1f} MB in {took * 1000:.0f} ms")
        expect(text.count("vpnserverd_client_in_bytes_total{") == 10000, "not all")
        expect(promtool("check", "metrics", stdin=text) == (0, ""), "not what promtool wants")


def test_what_cannot_be_listened_on_is_said(folder):
    with netns.Net(0, folder) as net:
        hub.make_pki(folder, [])
        hub.Hub(net, hub.hub_config(folder))
        for address in ("9176", ":9176", "127.0.0.1", "127.0.0.1:", "::1:9176", "[::1:9176", "host.invalid:1", "127.0.0.1:x",
                        "192.0.2.1:9176"):
            status, text, said = export(folder, "--listen", address, check=False)
            expect(status == 1 and not text and said.startswith("vpnadm: "), f"{address}: {status} {said}")
        status, text, said = export(folder, "--json", check=False)
        expect(status == 1 and "JSON" in said, said)


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
