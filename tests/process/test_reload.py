# SPDX-License-Identifier: MIT
"""Reload as a transaction, with stock clients: what it will mean is said before, only those lose their session whose
settings changed, a broken configuration changes nothing."""
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, wait_for  # noqa: E402


def expect(true, what):
    if not true:
        raise Failed(what)


def reload(it, text="Reload done"):
    """SIGHUP, then the log from there to its end."""
    before = len(it.text())
    it.signal(signal.SIGHUP)
    wait_for("the reload's end", lambda: text in it.text()[before:], 20)
    return it.text()[before:]


def anew(client):
    """How often a client did more than connect once."""
    return client.text().count(hub.CONNECTED) - 1 + client.text().count("process restarting")


@runner.timed
@runner.alone
def test_five_reloads_under_traffic_lose_nobody(folder):
    names = ["c0", "c1", "c2"]
    hub.make_pki(folder, names)
    with netns.Net(3, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder))
        clients = [hub.start_client(net, i, n) for i, n in enumerate(names)]
        hub.wait_connected(*clients)
        slots = [it.row(n)[0] for n in names]
        inside = [hub.tun_address(n) for n in net.clients]
        seconds = 16
        runs = {}
        for i in range(3):
            runs[f"down{i}"] = hub.stream(net, net.hub, net.clients[i], inside[i], 1000, seconds, name=f"down{i}")
            runs[f"up{i}"] = hub.stream(net, net.clients[i], net.hub, "10.77.0.1", 1000, seconds, port=7100 + i,
                                        name=f"up{i}")
        workers = it.worker_pids()
        for lines, done in ((["verb 5", "status-version 2"], "no worker had to be replaced"),
                            (["verb 5", "reneg-sec 3000", 'push "route 10.50.0.0 255.255.0.0"'], "all workers run"),
                            (["nonsense 3", "reneg-sec 2000"], "Reload failed"),
                            (["tls-cipher NO-SUCH-SUITE"], "Reload failed"),
                            (["reneg-sec 3000", "port 1195", "max-clients 17"], "all workers run")):
            hub.hub_config(folder, *lines)
            said = reload(it, done)
            if "max-clients 17" in lines:
                line = next(x for x in said.splitlines() if "takes a restart, they stay" in x)
                expect("max-clients" in line, line)
            if done == "no worker had to be replaced":
                expect(it.worker_pids() == workers, "workers were replaced for a line of the log's")
                expect("reload: status-version new: at once" in said, said)
            if done == "all workers run":
                expect("0 must reconnect" in said, said)
            if done == "Reload failed":
                expect("everything stays as it was" in said, said)
        figures = {name: finish() for name, finish in runs.items()}
        for name, f in figures.items():
            runner.say(f"  {name}: gaps {f['gaps_ms'][:3]} ms, lost {f['lost']}")
            expect(f["duplicates"] == 0 and f["longest_gap_ms"] < 1000, f"{name}: {f}")
        expect([it.row(n)[0] for n in names] == slots, "other peer ids")
        expect([anew(c) for c in clients] == [0, 0, 0], f"reconnects {[anew(c) for c in clients]}")
        expect(it.counters()["GIVEN_UP"] == 0, "a session was lost")
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients]), "no way through afterwards")


def test_a_dry_run_says_it_all_and_changes_nothing(folder):
    hub.make_pki(folder, ["c0", "c1"])
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder))
        clients = [hub.start_client(net, 0, "c0"), hub.start_client(net, 1, "c1", "data-ciphers AES-128-GCM")]
        hub.wait_connected(*clients)
        workers = it.worker_pids()
        hub.hub_config(folder, "data-ciphers AES-256-GCM:CHACHA20-POLY1305", "port 1195", "verb 5",
                       'push "route 10.50.0.0 255.255.0.0"')
        said = it.control("reload dry-run")
        for part in ("directives: ", "data-ciphers", "for clients that connect from now on", "takes a restart",
                     "workers: are replaced", "update: route 10.50.0.0 255.255.0.0",
                     "must reconnect: AES-128-GCM is not in data-ciphers any more",
                     "2 clients: 0 nothing, 0 pushed update, 0 at next renegotiation, 1 when they connect anew, 1 must reconnect"):
            expect(part in said, f"'{part}' is not in {said}")
        expect(said.splitlines()[-1].startswith("SUCCESS:"), said)
        hub.hub_config(folder, "nonsense 3", "reneg-sec x")
        said = it.control("reload dry-run")
        expect("nonsense" in said and "reneg-sec" in said and said.splitlines()[-1].startswith("ERROR:"), said)
        time.sleep(1.5)
        expect(it.worker_pids() == workers, "workers were replaced")
        expect("Reload" not in it.text(), "a dry run was a reload")
        expect([anew(c) for c in clients] == [0, 0], "a client reconnected")
        expect("ERROR" in it.control("reload nonsense"), "any word is taken")


def test_only_who_may_not_stay_must_reconnect(folder):
    """A cipher that is not allowed any more: its client begins anew with another one, the others notice nothing."""
    hub.make_pki(folder, ["c0", "c1"])
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder))
        clients = [hub.start_client(net, 0, "c0"),
                   hub.start_client(net, 1, "c1", "data-ciphers AES-128-GCM:CHACHA20-POLY1305")]
        hub.wait_connected(*clients)
        expect(it.row("c1")[1]["cipher"] == "AES-128-GCM", it.row("c1")[1])
        hub.hub_config(folder, "data-ciphers AES-256-GCM:CHACHA20-POLY1305")
        said = reload(it)
        expect("1 must reconnect" in said, said)
        wait_for("the other cipher", lambda: it.row("c1") and it.row("c1")[1]["cipher"] == "CHACHA20-POLY1305", 20)
        wait_for("all connected", lambda: clients[1].text().count(hub.CONNECTED) == 2, 20)
        expect(anew(clients[0]) == 0, "the other one reconnected, too")
        expect(not netns.pings([(n, "10.77.0.1") for n in net.clients]), "no way through afterwards")


def test_a_clients_own_file_that_changed_is_read_by_connecting_anew(folder):
    hub.make_pki(folder, ["c0", "c1"])
    ccd = os.path.join(folder, "ccd")
    os.mkdir(ccd)
    hub.write(ccd, "c0", "ifconfig-push 10.77.0.40 255.255.255.0\n")
    for path in (folder, ccd):
        os.chmod(path, 0o755)
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, f"client-config-dir {ccd}"))
        clients = [hub.start_client(net, i, f"c{i}") for i in range(2)]
        hub.wait_connected(*clients)
        expect(hub.tun_address(net.clients[0]) == "10.77.0.40", "the file was not read")
        reload(it)
        expect([anew(c) for c in clients] == [0, 0], "an unchanged file made somebody reconnect")
        time.sleep(1.1) # seconds are what a file's time is compared by
        hub.write(ccd, "c0", "ifconfig-push 10.77.0.41 255.255.255.0\n")
        said = reload(it)
        expect("1 must reconnect" in said and "client-config-dir changed" in it.text(), said)
        wait_for("the other address", lambda: hub.tun_address(net.clients[0]) == "10.77.0.41", 20)
        expect(anew(clients[1]) == 0, "the other one reconnected, too")


def test_who_is_revoked_goes_at_once(folder):
    """The CRL's file alone changes, without a signal: the revoked client is told so within a tick, the other stays. With
    hub.live-revoke off it stays until it renegotiates."""
    hub.make_pki(folder, ["c0", "c1", "c2"])
    with netns.Net(3, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, f"crl-verify {folder}/crl.pem"))
        clients = [hub.start_client(net, i, f"c{i}") for i in range(3)]
        hub.wait_connected(*clients)
        hub.revoke(folder, "c1")
        began = time.monotonic()
        wait_for("c1 is gone", lambda: it.row("c1") is None, 10)
        runner.say(f"the revoked client's session was over {time.monotonic() - began:.1f} s after its CRL was there")
        clients[1].wait_text("AUTH_FAILED", 5)
        expect("its certificate is revoked" in it.text(), "no reason in the log")
        expect(anew(clients[0]) == 0 and it.row("c0"), "another one went, too")
        # a line that was never in the configuration, and a list that a reload brings
        hub.hub_config(folder, f"crl-verify {folder}/crl.pem", "hub.live-revoke off")
        reload(it)
        hub.revoke(folder, "c2")
        it.wait_text("changed, read again", 5)
        time.sleep(2.5)
        expect(it.row("c2"), "c2 went although hub.live-revoke is off")
        hub.hub_config(folder, f"crl-verify {folder}/crl.pem")
        said = reload(it)
        expect("1 must reconnect" in said, said)
        wait_for("c2 is gone", lambda: it.row("c2") is None, 10)
        expect(anew(clients[0]) == 0 and it.row("c0"), "another one went, too")


def test_a_crl_that_is_lost_keeps_everybody_out_who_is_not_in(folder):
    """Gone, then broken: who is connected stays, nobody new comes in after a while, and that is seen; then it is there again,
    and another one, and both count."""
    hub.make_pki(folder, ["c0", "c1", "c2"])
    with netns.Net(3, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, f"crl-verify {folder}/crl.pem", "keepalive 1 60"))
        status = lambda: netns.run(hub.VPNADM, "--dir", f"{folder}/run", "status")
        events = lambda: netns.run(hub.VPNADM, "--dir", f"{folder}/run", "events")
        first = hub.start_client(net, 0, "c0")
        hub.wait_connected(first)
        for trouble in "gone", "broken":
            os.rename(f"{folder}/crl.pem", f"{folder}/kept.pem")
            if trouble == "broken":
                hub.write(folder, "crl.pem", "-----BEGIN X509 CRL-----\nAAAA\n")
            wait_for(f"{trouble}: the status says so", lambda: re.search("CRL +LOST since", status()), 15)
            # successors know, too, and c0 agrees on new keys with its own
            renewed = events().count("new keys were agreed")
            it.kill_worker(0)
            it.kill_worker(1)
            wait_for("all are at work", it.all_ready, 10)
            wait_for("c0 has new keys", lambda: events().count("new keys were agreed") > renewed, 20)
            before = len(it.text())
            second = hub.start_client(net, 1, "c1", log=f"{trouble}.log")
            wait_for(f"{trouble}: c1 is refused", lambda: "the CRL is lost" in it.text()[before:], 20)
            expect(hub.CONNECTED not in second.text(), f"{trouble}: c1 came in")
            second.stop()
            expect(netns.ping(net.clients[0], "10.77.0.1") == 0 and anew(first) == 0, f"{trouble}: who was there suffers")
            os.rename(f"{folder}/kept.pem", f"{folder}/crl.pem")
            wait_for("the status says no more", lambda: "LOST" not in status(), 10)
            second = hub.start_client(net, 1, "c1", log=f"{trouble}-then.log")
            hub.wait_connected(second)
            second.stop()
        os.rename(f"{folder}/crl.pem", f"{folder}/kept.pem")
        wait_for("it is lost once more", lambda: "LOST" in status(), 15)
        hub.revoke(folder, "c0")
        wait_for("c0 is gone", lambda: it.row("c0") is None, 10)
        hub.wait_connected(hub.start_client(net, 2, "c2"))
        expect(events().count("list cannot be used any more") == 3 and events().count("list is there again") == 3, events())


def test_a_list_of_fingerprints_that_shrinks_counts_at_once(folder):
    hub.make_pki(folder, ["c0", "c1"])
    def fingerprint(name):
        text = netns.run("openssl", "x509", "-in", f"{folder}/{name}.crt", "-noout", "-fingerprint", "-sha256")
        return "peer-fingerprint " + text.strip().split("=")[1]
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, fingerprint("c0"), fingerprint("c1")))
        clients = [hub.start_client(net, i, f"c{i}") for i in range(2)]
        hub.wait_connected(*clients)
        hub.hub_config(folder, fingerprint("c0"))
        reload(it)
        wait_for("c1 is gone", lambda: it.row("c1") is None, 10)
        expect("not listed in peer-fingerprint any more" in it.text(), "no reason in the log")
        expect(anew(clients[0]) == 0 and it.row("c0"), "another one went, too")


def test_who_can_take_an_update_is_pushed_one(folder):
    """No released client that is installed here can; the engine plays one: it announces it and shows what it is told."""
    hub.make_pki(folder, ["c0", "new"])
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, 'push "route 10.50.0.0 255.255.0.0"', "duplicate-cn"))
        old = hub.start_client(net, 0, "c0")
        new = net.start([hub.LOAD_CLIENTS, "--remote", "10.99.1.1:1194", "--ca", f"{folder}/ca.crt", "--cert",
                         f"{folder}/new.crt", "--key", f"{folder}/new.key", "--clients", "2", "--seconds", "15",
                         "--proto-more", "4096", "--say-texts", "--say-when-open"], "new.log", net.clients[1])
        hub.wait_connected(old)
        new.wait_text("all open", 10)
        hub.hub_config(folder, 'push "route 10.50.0.0 255.255.0.0"', 'push "route 10.51.0.0 255.255.0.0"',
                       'push "dhcp-option DNS 10.77.0.1"', "duplicate-cn")
        said = reload(it)
        expect("3 clients: 0 nothing, 2 pushed update, 0 at next renegotiation, 1 when they connect anew" in said, said)
        wait_for("both are told", lambda: new.text().count("PUSH_UPDATE,") == 2, 10)
        expect("PUSH_UPDATE,route 10.50.0.0 255.255.0.0,route 10.51.0.0 255.255.0.0,dhcp-option DNS 10.77.0.1" in new.text(),
               new.text())
        expect(anew(old) == 0, "the old one reconnected")


def test_a_reload_during_a_reload_follows_it(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder))
        client = hub.start_client(net, 0, "c0")
        hub.wait_connected(client)
        hub.hub_config(folder, "reneg-sec 3000")
        for _ in range(6):
            it.signal(signal.SIGHUP)
            time.sleep(0.005)
        wait_for("the last of them", lambda: it.text().count("Reload done") >= 2, 20)
        time.sleep(1)
        expect(it.text().count("Reload done") == it.text().count("Configuration read"), "one has no end")
        expect(anew(client) == 0, "the client reconnected")
        expect(not netns.pings([(net.clients[0], "10.77.0.1")]), "no way through")


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
