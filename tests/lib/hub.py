# SPDX-License-Identifier: MIT
"""Configurations and processes of a hub under test and of the stock programs it is tried against."""
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading

from netns import Failed, run, wait_for
from stats import FATES, Stats  # noqa: F401

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("BUILD_DIR", os.path.join(HERE, "..", "..", "build"))
HUB = os.path.join(BUILD, "master", "vpnserverd")
VPNADM = os.path.join(BUILD, "shm", "vpnadm", "vpnadm")
LOAD_CLIENTS = os.path.join(BUILD, "tests", "load", "clients")
NONCES = os.path.join(BUILD, "tests", "load", "nonces")
STOCK = "/usr/sbin/openvpn"  # makes keys
OPENVPN = os.environ.get("OPENVPN", STOCK)  # the clients: of another version, if told


def sanitized():
    """This build has AddressSanitizer in it."""
    with open(HUB, "rb") as f:
        return b"__asan_init" in f.read()


def make_pki(folder, clients=("client",)):
    """CA, server and clients by the openssl program, so that certificates are not of our own making."""
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder)

    def write(name, text):
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)

    write("ca.cnf", "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\ncrlnumber=crlnumber\n"
          "default_md=sha256\ndefault_crl_days=30\ndefault_days=30\nnew_certs_dir=.\nunique_subject=no\n"
          "policy=p\n[p]\ncommonName=supplied\n"
          "[server]\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth\n"
          "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
          "[both]\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth,serverAuth\n"
          "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
          "[client]\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n"
          "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    write("index.txt", "")
    write("serial", "1000\n")
    write("crlnumber", "1000\n")
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca.key")
    openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=Test CA", "-days", "30", "-out", "ca.crt",
            "-addext", "keyUsage=keyCertSign,cRLSign")
    for name, kind in [("server", "server")] + [(c, "client") for c in clients]:
        make_certificate(folder, name, kind)
    openssl("ca", "-config", "ca.cnf", "-gencrl", "-keyfile", "ca.key", "-cert", "ca.crt", "-out", "crl.pem")


def make_certificate(folder, name, kind="client", dates=(), rsa=False):
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder)
    if rsa:
        openssl("genrsa", "-out", f"{name}.key", "2048")
    else:
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
    openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
    openssl("ca", "-batch", "-config", "ca.cnf", "-extensions", kind, "-in", f"{name}.csr", "-out", f"{name}.crt",
            "-keyfile", "ca.key", "-cert", "ca.crt", "-notext", *dates)


def revoke(folder, name):
    for words in (["-revoke", f"{name}.crt"], ["-gencrl", "-out", "crl.pem.new"]):
        subprocess.run(["openssl", "ca", "-config", "ca.cnf", "-keyfile", "ca.key", "-cert", "ca.crt", *words],
                       check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    os.rename(os.path.join(folder, "crl.pem.new"), os.path.join(folder, "crl.pem"))


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write(text)
    return path


LISTENERS = ("local 0.0.0.0 1194 udp4", "local :: 1194 udp6")
SERVER = ("server 10.77.0.0 255.255.255.0", "server-ipv6 fd77::/64")


def hub_config(folder, *lines, workers=2, dev="tun0", name="test", listeners=LISTENERS, server=SERVER):
    """A server.conf as an administrator would write it; returns its path."""
    return write(folder, f"{name}.conf", "\n".join([
        *listeners, f"dev {dev}", "topology subnet", *server,
        f"ca {folder}/ca.crt", f"cert {folder}/server.crt", f"key {folder}/server.key", "dh none",
        "remote-cert-tls client", "keepalive 5 30", "verb 4", f"hub.workers {workers}", f"hub.name {name}",
        f"hub.runtime-dir {folder}/run", "connect-freq-initial 10000 10", *lines]) + "\n")


def client_config(folder, name, remote, *lines, proto="udp4", dev="tun0", port=1194, file=None, pki=None,
                  nobind=True):
    """A client's; `pki` is the folder of its own certificate if that is another."""
    return write(folder, f"{file or name}.conf", "\n".join([
        "client", f"dev {dev}", f"remote {remote} {port} {proto}", *(["nobind"] if nobind else []),
        "remote-cert-tls server",
        f"ca {folder}/ca.crt", f"cert {pki or folder}/{name}.crt", f"key {pki or folder}/{name}.key", "verb 3",
        "connect-retry 1", "suppress-timestamps", *lines]) + "\n")


class Hub:
    """A running vpnserverd."""

    def __init__(self, net, config, name="test", log="hub.log", program=None):
        self.net, self.config, self.name, self.folder = net, config, name, net.folder
        os.makedirs(os.path.join(net.folder, "run"), exist_ok=True)
        self.process = net.start([program or HUB, config], log, net.hub)
        self.process.wait_text("Initialization Sequence Completed", 15)

    def stats(self):
        return Stats(os.path.join(self.folder, "run", f"{self.name}.stats"))

    def counters(self):
        return self.stats().counters

    def worker_pids(self):
        return [w["pid"] for w in self.stats().workers]

    def all_ready(self):
        return all(w["state"] == 2 for w in self.stats().workers if w["pid"])

    def signal_worker(self, index, number):
        """Its pid. A place without a worker has pid 0, which would be all of ours."""
        pid = self.worker_pids()[index]
        if pid <= 1:
            raise Failed(f"worker {index} is not there")
        os.kill(pid, number)
        return pid

    def kill_worker(self, index):
        """The new pid; the old one died in whatever it was doing."""
        old = self.signal_worker(index, signal.SIGKILL)
        return wait_for(f"worker {index} is back", lambda: self.worker_pids()[index] not in (0, old) and
                        self.all_ready() and self.worker_pids()[index])

    def pids(self):
        """The master and all its children: workers, keyholder."""
        found = [self.process.pid]
        for pid in found:
            try:
                with open(f"/proc/{pid}/task/{pid}/children") as f:
                    found += [int(word) for word in f.read().split()]
            except OSError:
                pass
        return found

    def row(self, common_name):
        """The live session of a name: (peer id, row); the newest if there are several."""
        rows = [(slot, row) for slot, row in self.stats().rows.items()
                if row["common_name"] == common_name and row["state"] == "ACTIVE"]
        return max(rows, key=lambda r: r[1]["client_id"]) if rows else None

    def text(self):
        return self.process.text()

    def wait_text(self, pattern, seconds=15.0):
        return self.process.wait_text(pattern, seconds)

    def signal(self, number):
        os.kill(self.process.pid, number)

    def control(self, command):
        """The answer to one line on the control socket, up to its SUCCESS or ERROR."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(os.path.join(self.folder, "run", f"{self.name}.control"))
            s.sendall(command.encode() + b"\n")
            text = b""
            while not any(line.startswith((b"SUCCESS:", b"ERROR:", b"END")) for line in text.split(b"\r\n")[:-1]):
                more = s.recv(65536)
                if not more:
                    raise Failed(f"the control socket closed after {text!r}")
                text += more
        return "\n".join(line for line in text.decode().split("\r\n") if line and not line.startswith(">"))

    def stop(self):
        return self.process.stop()


def start_client(net, index, name, *lines, remote=None, log=None, file=None, **how):
    """A stock client in its namespace, with the certificate of that name."""
    config = client_config(net.folder, name, remote or f"10.99.{index}.1", *lines, file=file, **how)
    return net.start([OPENVPN, "--config", config], log or f"client{index}.log", net.clients[index])


CONNECTED = "Initialization Sequence Completed"


def tun_address(namespace, device="tun0", family=4):
    text = run("ip", "-o", f"-{family}", "addr", "show", "dev", device, "scope", "global", namespace=namespace, check=False)
    words = text.split()
    return words[3].split("/")[0] if len(words) > 3 else None


def wait_connected(*processes, seconds=20):
    for process in processes:
        process.wait_text(CONNECTED, seconds)


def make_keys(folder, v2_clients=("client",)):
    """Keys for every wrapping of the control channel, by the stock program."""
    run(STOCK, "--genkey", "secret", f"{folder}/ta.key")
    run(STOCK, "--genkey", "tls-crypt-v2-server", f"{folder}/v2s.key")
    for name in v2_clients:
        run(STOCK, "--tls-crypt-v2", f"{folder}/v2s.key", "--genkey", "tls-crypt-v2-client", f"{folder}/{name}.v2")


def wrap_lines(folder, wrap, client=None):
    """The directives of a wrapping: of the server, or of a client."""
    return {"plain": [],
            "tls-auth": [f"tls-auth {folder}/ta.key {1 if client else 0}", "auth SHA256"],
            "tls-crypt": [f"tls-crypt {folder}/ta.key"],
            "tls-crypt-v2": [f"tls-crypt-v2 {folder}/{client + '.v2' if client else 'v2s.key'}"]}[wrap]


WRAPS = ("plain", "tls-auth", "tls-crypt", "tls-crypt-v2")


def stream(net, sender, receiver, address, per_s, seconds, port=7000, size=200, name="stream", silence=3):
    """Starts a numbered UDP stream between two namespaces; call the answer to wait for its end and get the figures."""
    program = [sys.executable, os.path.join(HERE, "stream.py")]
    into = net.start([*program, "receive", address, port, silence], f"{name}-in.log", receiver)
    wait_for("the receiver", lambda: f":{port} " in run("ss", "-Hlun", namespace=receiver))
    out = net.start([*program, "send", address, port, per_s, seconds, size], f"{name}-out.log", sender)

    def finish():
        out.wait_text('"sent"', seconds + 30)
        into.wait_text('"received"', 70)
        figures = json.loads(into.text().strip().splitlines()[-1])
        sent = json.loads(out.text().strip().splitlines()[-1])
        figures["lost"] += sent["sent"] - 1 - figures["last"]
        return {**sent, **figures}
    return finish


def relay(net, listen, to, *words, name="relay"):
    process = net.start([sys.executable, os.path.join(HERE, "relay.py"), "--listen", listen, "--to", to, *words],
                        f"{name}.log", net.hub)
    process.wait_text("relaying", 5)
    return process


def nonces(net, port=1194):
    """Watches the hub's wire for a nonce that is used twice; call the answer for what was seen."""
    watch = net.start([NONCES, port], "nonces.log", net.hub)
    watch.wait_text("watching", 5)

    def finish():
        watch.stop()
        return json.loads(watch.text().strip().splitlines()[-1])
    return finish


def iperf(net, server, client, address, *words, seconds=5, port=5201):
    """One iperf3 run; its JSON."""
    process = net.start(["iperf3", "-s", "-1", "-p", port, "-B", address], f"iperf-{port}.log", server)
    wait_for("iperf3 -s", lambda: f":{port} " in run("ss", "-Hltn", namespace=server))
    try:
        text = run("iperf3", "-c", address, "-p", port, "-t", seconds, "-i", "1", "-J", *words, namespace=client,
                   timeout=seconds + 20, check=False)
    except Failed as e:
        ends = [run("ss", "-Htinom", f"( sport = :{port} or dport = :{port} )", namespace=n) for n in (server, client)]
        raise Failed(f"{e}\nsockets of the server:\n{ends[0]}\nof the client:\n{ends[1]}\nthe server said: "
                     f"{process.text()[-500:]}") from None
    finally:
        process.stop()
    try:
        result = json.loads(text)
    except ValueError:
        raise Failed(f"iperf3: {text[-500:]}") from None
    if "error" in result:
        raise Failed(f"iperf3: {result['error']}")
    return result


def stalls(result):
    """Whole seconds without a byte."""
    return [i["sum"]["start"] for i in result["intervals"] if i["sum"]["bytes"] == 0 and i["sum"]["seconds"] > 0.9]


class Load:
    """Streams of 1 kHz both ways for the first clients, iperf3 upwards for one and downwards for another (-1: not)."""

    def __init__(self, net, seconds, streams=3, up=-1, down=-1):
        inside = [tun_address(n) for n in net.clients[:streams]]
        self.runs, self.results, self.threads = {}, {}, []
        for i in range(streams):
            self.runs[f"down{i}"] = stream(net, net.hub, net.clients[i], inside[i], 1000, seconds, name=f"down{i}")
            self.runs[f"up{i}"] = stream(net, net.clients[i], net.hub, "10.77.0.1", 1000, seconds, port=7100 + i,
                                         name=f"up{i}")

        def run_iperf(name, client, *words):
            try:
                self.results[name] = iperf(net, net.hub, net.clients[client], "10.77.0.1", *words, seconds=seconds - 1,
                                           port=5201 + client)
            except Failed as e:
                self.results[name] = e
        for name, client, words in (("iperf up", up, ()), ("iperf down", down, ("-R",))):
            if client >= 0:
                self.threads.append(threading.Thread(target=run_iperf, args=(name, client, *words, "-b", "50M")))
        for thread in self.threads:
            thread.start()

    def finish(self, say, count):
        """Waits for the end, tells the `count` longest gaps of each and complains of what stood still; those gaps."""
        for thread in self.threads:
            thread.join()
        figures = {name: finish() for name, finish in self.runs.items()}
        gaps = []
        for name, f in figures.items():
            gaps += f["gaps_ms"][:count]
            say(f"  {name}: gaps {f['gaps_ms'][:count]}, lost {f['lost']}, duplicates {f['duplicates']}")
        say(f"  all of them: median {statistics.median(gaps):.1f} ms, worst {max(gaps)} ms")
        for name, result in self.results.items():
            if isinstance(result, Failed):
                raise Failed(f"{name}: {result}")
            if stalls(result):
                raise Failed(f"{name}: nothing moved in the seconds from {stalls(result)}")
        for name, f in figures.items():
            if f["longest_gap_ms"] >= 1000 or f["duplicates"]:
                raise Failed(f"{name} stood still for {f['longest_gap_ms']} ms, {f['duplicates']} came twice")
        return gaps


def no_nonce_twice(relay, record, say):
    """Of what the relay wrote down."""
    relay.stop()
    with open(record) as f:
        seen = json.load(f)
    say(f"recorded {seen['down']} datagrams to a client under {seen['keys']} keys: {len(seen['repeated'])} nonces twice")
    if seen["repeated"] or seen["keys"] < 2:
        raise Failed(f"nonces repeated: {seen['repeated'][:10]}, {seen['keys']} keys")
