# SPDX-License-Identifier: MIT
"""The engine's client role (tests/load/clients) against a stock OpenVPN server: it connects, renegotiates, and what it
sends arrives."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, run  # noqa: E402


def clients_words(folder, wrap):
    return {"plain": [], "tls-auth": ["--tls-auth", f"{folder}/ta.key", 1, "--auth", "SHA256"],
            "tls-crypt": ["--tls-crypt", f"{folder}/ta.key"],
            "tls-crypt-v2": ["--tls-crypt-v2", f"{folder}/client.v2"]}[wrap]


def against_stock(folder, wrap, server_lines=(), words=(), seconds=8, renegotiations=0):
    hub.make_pki(folder)
    hub.make_keys(folder)
    with netns.Net(1, folder) as net:
        config = hub.write(folder, "server.conf", "\n".join([
            "port 1194", "proto udp", "dev tun0", "topology subnet", "server 10.77.0.0 255.255.255.0",
            f"ca {folder}/ca.crt", f"cert {folder}/server.crt", f"key {folder}/server.key", "dh none",
            "keepalive 5 30", "verb 3", "duplicate-cn", *hub.wrap_lines(folder, wrap), *server_lines]) + "\n")
        server = net.start([hub.OPENVPN, "--config", config], "server.log", net.hub)
        hub.wait_connected(server)
        text = run(hub.LOAD_CLIENTS, "--remote", "10.99.0.1:1194", "--clients", 3, "--seconds", seconds, "--ca",
                   f"{folder}/ca.crt", "--cert", f"{folder}/client.crt", "--key", f"{folder}/client.key",
                   "--ping-ms", 50, "--gateway", "10.77.0.1", *clients_words(folder, wrap), *words,
                   namespace=net.clients[0], timeout=seconds + 20)
        figures = json.loads(text.strip().splitlines()[-1])
        # the last ping of each may still be on its way
        if figures["open"] != 3 or figures["asked"] - figures["answered"] > 3 or figures["answered"] < seconds * 30:
            raise Failed(f"{figures}")
        if figures["renegotiated"] < renegotiations:
            raise Failed(f"{figures['renegotiated']} renegotiations instead of {renegotiations}: {figures}")


def test_plain(folder):
    against_stock(folder, "plain")


def test_tls_auth(folder):
    against_stock(folder, "tls-auth")


def test_tls_crypt(folder):
    against_stock(folder, "tls-crypt")


def test_tls_crypt_v2(folder):
    against_stock(folder, "tls-crypt-v2")


def test_tls_1_2(folder):
    against_stock(folder, "tls-crypt", ["tls-version-max 1.2"])


def test_old_abilities_and_chacha(folder):
    """Keys by the PRF, no PROTO_CC_EXIT, no dynamic tls-crypt."""
    against_stock(folder, "tls-auth", ["data-ciphers CHACHA20-POLY1305", "reneg-sec 3"], ["--proto-mask", "0x288"],
                  renegotiations=3)


def test_the_server_renegotiates(folder):
    against_stock(folder, "tls-crypt-v2", ["reneg-sec 3"], renegotiations=3)


def test_the_server_renegotiates_with_tls_1_2(folder):
    against_stock(folder, "plain", ["reneg-sec 3", "tls-version-max 1.2"], renegotiations=3)


def test_the_client_renegotiates(folder):
    against_stock(folder, "tls-crypt", ["reneg-sec 0"], ["--reneg-s", 3], renegotiations=3)


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
