# SPDX-License-Identifier: MIT
"""Who may connect, said in other ways than by a CA alone: fingerprints, names, a CRL that stands in the configuration;
and that what the hub says about it reaches syslog."""
import os
import re
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from hub import start_client  # noqa: E402
from netns import Failed, wait_for  # noqa: E402


def expect(true, what):
    if not true:
        raise Failed(what)


def fingerprint(folder, name):
    text = subprocess.run(["openssl", "x509", "-in", f"{folder}/{name}.crt", "-noout", "-fingerprint", "-sha256"],
                          check=True, capture_output=True, text=True).stdout
    return text.strip().split("=")[1]


def inline(folder, directive, name):
    with open(f"{folder}/{name}") as f:
        return f"<{directive}>\n{f.read()}</{directive}>"


def in_and_out(folder, lines, reason):
    """c0 gets in; c1 does not, and the log says why."""
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, *lines))
        good, bad = start_client(net, 0, "c0"), start_client(net, 1, "c1")
        hub.wait_connected(good)
        it.wait_text(reason, 10)
        expect(not netns.ping(net.clients[0], "10.77.0.1"), "no way through")
        expect(hub.CONNECTED not in bad.text() and not it.row("c1"), "the other one got in, too")
        return it.text()


def test_peer_fingerprint(folder):
    hub.make_pki(folder, ["c0", "c1"])
    block = f"<peer-fingerprint>\n{fingerprint(folder, 'c0')}\n{'00:' * 31}00\n</peer-fingerprint>"
    in_and_out(folder, [block], "(?i)c1.*fingerprint|fingerprint.*c1")


def test_verify_x509_name(folder):
    hub.make_pki(folder, ["c0", "c1"])
    in_and_out(folder, ["verify-x509-name c0 name"], "(?i)c1.*name|verify-x509-name.*c1")


def test_verify_x509_name_prefix(folder):
    hub.make_pki(folder, ["c0", "c1"])
    os.rename(f"{folder}/c1.crt", f"{folder}/away.crt")
    hub.make_certificate(folder, "d0")
    os.rename(f"{folder}/d0.crt", f"{folder}/c1.crt")
    os.rename(f"{folder}/d0.key", f"{folder}/c1.key")
    in_and_out(folder, ["verify-x509-name c name-prefix"], "(?i)d0.*name|verify-x509-name.*d0")


def test_remote_cert_tls_server_asks_clients_for_a_servers_usage(folder):
    hub.make_pki(folder, ["c1"])
    hub.make_certificate(folder, "c0", "both")
    in_and_out(folder, ["remote-cert-tls server"], "(?i)c1.*server authentication")


def test_a_crl_inside_the_configuration(folder):
    hub.make_pki(folder, ["c0", "c1"])
    hub.revoke(folder, "c1")
    in_and_out(folder, [inline(folder, "crl-verify", "crl.pem")], "(?i)c1.*revoked|revoked.*c1")


def test_a_new_crl_inside_the_configuration_counts_after_a_reload(folder):
    hub.make_pki(folder, ["c0", "c1"])
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, inline(folder, "crl-verify", "crl.pem")))
        good, bad = start_client(net, 0, "c0"), start_client(net, 1, "c1")
        hub.wait_connected(good, bad)
        bad.stop()
        hub.revoke(folder, "c1")
        hub.hub_config(folder, inline(folder, "crl-verify", "crl.pem"))
        it.signal(signal.SIGHUP)
        it.wait_text("Reload done", 15)
        again = start_client(net, 1, "c1", file="again", log="again.log")
        it.wait_text("(?i)c1.*revoked|revoked.*c1", 10)
        expect(hub.CONNECTED not in again.text(), "it got in all the same")
        expect(not netns.ping(net.clients[0], "10.77.0.1"), "no way through for the other")


# A /dev of the hub's own, in the mount namespace that `ip netns exec` makes, with a log socket that the test reads.
OWN_DEV = """set -e
mkdir {folder}/dev
mount -t tmpfs none {folder}/dev
cp -a /dev/null /dev/zero /dev/urandom /dev/net {folder}/dev
ln -s {folder}/syslog.sock {folder}/dev/log
mkdir {folder}/dev/shm
mount --rbind /dev/shm {folder}/dev/shm
mount --move {folder}/dev /dev
exec {hub} {config}
"""


def test_syslog_gets_every_line_with_facility_and_name(folder):
    hub.make_pki(folder, ["c0"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon, netns.Net(1, folder) as net:
        daemon.bind(f"{folder}/syslog.sock")
        daemon.settimeout(0.05)
        got = []

        def hear(pattern):
            def look():
                try:
                    while True:
                        got.append(daemon.recv(4096).decode())
                except TimeoutError:
                    return any(re.search(pattern, line) for line in got)
            wait_for(f"'{pattern}' in syslog", look, 20)
        os.makedirs(f"{folder}/run")
        config = hub.hub_config(folder, "syslog my-vpn")
        it = net.start(["sh", "-c", OWN_DEV.format(folder=folder, hub=hub.HUB, config=config)], "hub.log", net.hub)
        hear("Initialization Sequence Completed")
        hub.wait_connected(start_client(net, 0, "c0"))
        hear("c0/10.99.0.2:.*(?i:connected|address)")
        expect(all(re.match(rf"<(2[4-9]|3[01])>.*my-vpn\[{it.popen.pid}\]: ", line) for line in got),
               f"lines without facility daemon, name and pid: {got[:5]}")
        expect("Completed" not in it.text(), "lines went to standard output, too")
        expect(it.stop() == 0, "exit status")
        hear("vpnserverd has ended")


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
