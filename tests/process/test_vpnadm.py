# SPDX-License-Identifier: MIT
"""vpnadm against a real hub with stock clients: what it shows is what is the case, of a hub that is gone, too."""
import fcntl
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, wait_for  # noqa: E402


COMPLETION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf", "service", "completion")


def expect(true, what):
    if not true:
        raise Failed(what)


def vpnadm(folder, *words, status=0):
    it = subprocess.run([hub.VPNADM, "--dir", f"{folder}/run", *words], capture_output=True, text=True, timeout=20)
    expect(it.returncode == status, f"vpnadm {words}: status {it.returncode}: {it.stdout}{it.stderr}")
    return it.stdout


def as_json(folder, *words, status=0):
    return json.loads(vpnadm(folder, *words, "--json", status=status))


def kinds(events):
    return [e["kind"] for e in events]


def in_order(wanted, found):
    """All of `wanted` stand in `found` in this order."""
    rest = iter(found)
    return all(word in rest for word in wanted)


def kill_worker(it, index):
    old = it.worker_pids()[index]
    os.kill(old, signal.SIGKILL)
    wait_for("its successor", lambda: it.worker_pids()[index] not in (0, old) and
             all(w["state"] == 2 for w in it.stats().workers))


def test_the_flight_recorder_tells_a_clients_story_after_the_hub_is_gone(folder):
    hub.make_pki(folder, ["c0", "c1", "stranger"])
    hub.revoke(folder, "stranger")
    with netns.Net(3, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, f"crl-verify {folder}/crl.pem"))
        clients = [hub.start_client(net, i, f"c{i}") for i in (0, 1)]
        hub.start_client(net, 2, "stranger", "connect-retry-max 1")
        hub.wait_connected(*clients)
        slot, row = it.row("c0")
        kill_worker(it, row["owner"])
        wait_for("it renegotiates", lambda: "RENEGOTIATED" in kinds(as_json(folder, "events", "--client", "c0")), 20)
        wait_for("the stranger fails", lambda: "HANDSHAKE_FAILED" in kinds(as_json(folder, "events")), 20)
        it.signal(signal.SIGHUP)
        it.wait_text("Reload done")
        expect(it.stop() == 0, "not ended in good order")
    expect(not os.path.exists(f"{folder}/run/test.stats"), "the statistics are left")
    mine = as_json(folder, "events", "--client", "c0")
    expect(in_order(["SESSION_OPENED", "ADMITTED", "CONNECTED", "ADOPTED", "RENEGOTIATED", "ENDED"], kinds(mine)), mine)
    expect(mine[-1]["why"] == "HUB_STOPS" or mine[-1]["kind"] == "ENDED", mine[-1])
    expect(all(e["peer_id"] == slot and e["name"] in (None, "c0") for e in mine), mine)
    every = as_json(folder, "events")
    expect(in_order(["HUB_STARTED", "WORKER_BORN", "WORKER_READY", "WORKER_DIED", "WORKER_BORN", "RELOAD_BEGUN",
                     "WORKER_LEFT", "RELOAD_DONE", "HUB_STOPPED"], kinds(every)), kinds(every))
    died = [e for e in every if e["kind"] == "WORKER_DIED"]
    expect(len(died) == 1 and died[0]["worker"] == row["owner"] and "signal 9" in died[0]["text"], died)
    expect([e["order"] for e in every] == sorted({e["order"] for e in every}), "orders")
    text = vpnadm(folder, "events", "-n", "1")
    expect(len(text.splitlines()) == 2 and every[-1]["sentence"] in text, text)
    expect(vpnadm(folder, "events", "--client", "nobody") == "", "somebody")
    expect(len(as_json(folder, "events", "--since", "1h")) == len(every), "--since")
    for word in ("soon", "12:99", "-3", "1w"):
        vpnadm(folder, "events", "--since", word, status=1)


def test_the_next_life_of_a_hub_writes_on_and_a_killed_one_loses_nothing(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        for life in range(3):
            it = hub.Hub(net, hub.hub_config(folder, workers=2 + life % 2), log=f"hub{life}.log")
            client = hub.start_client(net, 0, "c0", log=f"client{life}.log")
            hub.wait_connected(client)
            client.stop()
            if life == 1:
                pids = it.pids()
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                wait_for("all is gone", lambda: not any(os.path.exists(f"/proc/{pid}/stat") and
                                                        open(f"/proc/{pid}/stat").read().split(") ")[1][0] != "Z"
                                                        for pid in pids))
                expect("dead" in subprocess.run([hub.VPNADM, "--dir", f"{folder}/run", "status"], capture_output=True,
                                                text=True).stderr, "a hub that was killed is not dead")
            else:
                expect(it.stop() == 0, "not ended in good order")
    every = as_json(folder, "events")
    found = kinds(every)
    expect(found.count("HUB_STARTED") == 3 and found.count("HUB_STOPPED") == 2, found)
    expect(found.count("CONNECTED") == 3, found)
    expect([e["order"] for e in every] == sorted({e["order"] for e in every}), "orders")


def complete_in_bash(folder, *words):
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vpnadm; printf "%s\\n" "${COMPREPLY[@]}"')
    return netns.run("bash", "-c", script, "bash", os.path.join(COMPLETION, "vpnadm.bash"), hub.VPNADM, "--dir",
                     f"{folder}/run", *words).splitlines()


def complete_in_zsh(folder, *words):
    # compadd as it is called, without a terminal
    script = ('compadd() { [[ $1 == -- ]] && shift; print -l -- $@ }; _files() { print FILES }; '
              '_call_program() { shift; eval $@ }; words=("${@[2,-1]}"); CURRENT=$#words; source "$1"')
    found = netns.run("zsh", "-f", "-c", script, "zsh", os.path.join(COMPLETION, "_vpnadm"), hub.VPNADM, "--dir",
                      f"{folder}/run", *words).splitlines()
    return [word for word in found if word.startswith(words[-1])]


def in_a_terminal(columns, *words):
    """What it prints into a terminal that is so wide."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([hub.VPNADM, *words], stdout=its, stdin=subprocess.DEVNULL)
    os.close(its)
    text = b""
    try:
        while (piece := os.read(ours, 4096)):
            text += piece
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    expect(process.wait(10) == 0, text)
    return text.decode().replace("\r\n", "\n")


def test_what_is_shown_of_a_hub_is_the_case(folder):
    names = ["c0", "c1", "c2"]
    hub.make_pki(folder, names)
    hub.make_keys(folder, names)
    os.mkdir(f"{folder}/ccd")
    os.chmod(f"{folder}/ccd", 0o755)
    hub.write(folder, "ccd/c0", "iroute 192.168.50.0 255.255.255.0\niroute-ipv6 fd99::/48\n")
    with netns.Net(3, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, f"client-config-dir {folder}/ccd", f"crl-verify {folder}/crl.pem",
                                         *hub.wrap_lines(folder, "tls-crypt-v2")))
        clients = [hub.start_client(net, i, name, "explicit-exit-notify 1", *hub.wrap_lines(folder, "tls-crypt-v2", name))
                   for i, name in enumerate(names)]
        hub.wait_connected(*clients)
        run = hub.stream(net, net.clients[1], net.hub, "10.77.0.1", 1000, 4, size=500)
        wait_for("its rate is seen", lambda: as_json(folder, "clients", "--sort", "rate")[0]["rate_in"] > 300000)
        busy = as_json(folder, "clients", "--sort", "rate")[0]
        expect(busy["name"] == "c1" and busy["rate_in"] < 1000000, busy)
        expect(as_json(folder, "status")["hub"]["rate_in"] > 300000, "the hub's own rate")
        run()
        wait_for("it is forgotten", lambda: as_json(folder, "client", "c1")["sessions"][0]["rate_in"] < 1000, 30)
        slot, row = it.row("c0")
        c0 = as_json(folder, "client", "c0")
        one = c0["sessions"][0]
        expect(one["peer_id"] == slot and one["worker"] == row["owner"] and one["version"].startswith("2.") and
               one["platform"] == "linux" and one["wrap"] == "tls-crypt-v2" and one["tls"].startswith("TLSv1.3") and
               one["inner4"] == hub.tun_address(net.clients[0]), one)
        expect(0 <= one["round_trip_ms"] < 1000 and one["renegotiations"] == 0, one)
        expect(sorted(one["networks"]) == ["192.168.50.0/24", "fd99::/48"], one)
        expect(kinds(c0["events"]) == ["SESSION_OPENED", "ADMITTED", "CONNECTED"], c0["events"])
        behind = {r["network"]: r["client"] for r in as_json(folder, "routes") if r["behind"]}
        expect(behind == {"192.168.50.0/24": "c0", "fd99::/48": "c0"}, behind)
        expect(as_json(folder, "pool")["used"] == 3, as_json(folder, "pool"))
        at_a_glance = as_json(folder, "status")["hub"]
        for ends in ("certificate_ends", "crl_ends"):
            expect(abs(at_a_glance[ends] - time.time() - 30 * 86400) < 300, f"{ends}: {at_a_glance[ends]}")
        expect([w["counters"]["SESSIONS"] for w in as_json(folder, "workers")] ==
               [w["counters"]["SESSIONS"] for w in it.stats().workers], "workers")

        text = in_a_terminal(60, "--dir", f"{folder}/run", "clients")
        expect(all(len(line) <= 60 for line in text.splitlines()) and "c0" in text and "CIPHER" not in text, text)
        text = in_a_terminal(300, "--dir", f"{folder}/run", "clients")
        expect("CIPHER" in text and "INNER IPV6" in text, text)

        # a worker dies: what its successor shows of the session is still all there
        kill_worker(it, row["owner"])
        again = as_json(folder, "client", "c0")["sessions"][0]
        expect(again["round_trip_ms"] is not None, "its round trip is forgotten")
        for key in ("name", "version", "platform", "wrap", "tls", "networks", "inner4", "lease", "connected"):
            expect(again[key] == one[key], f"{key}: {again[key]}, not {one[key]}")
        wait_for("it has TLS again", lambda: as_json(folder, "client", "c0")["sessions"][0]["renegotiations"] == 1, 20)
        clients[0].stop()
        wait_for("c0 has left", lambda: not it.row("c0"))
        expect(not [r for r in as_json(folder, "routes") if r["client"] == "c0"], "its routes are left")
        expect("CONNECTED" in kinds(as_json(folder, "client", "c0", status=1)["events"]), "its events are gone")
        expect(not any(w["closed"] for w in as_json(folder, "workers")), "a worker is closed")
        vpnadm(folder, "drain", "1")
        wait_for("a closed worker", lambda: [w["closed"] for w in as_json(folder, "workers")] == [False, True])
        wait_for("all moved", lambda: {c["worker"] for c in as_json(folder, "clients")} == {0})
        expect("ready, closed" in vpnadm(folder, "workers"), "closed")
        vpnadm(folder, "undrain", "1")
        expect(it.stop() == 0, "not ended in good order")


def test_shells_complete_commands_options_columns_and_names(folder):
    hub.make_pki(folder, ["c0", "laptop"])
    shells = [complete_in_bash] + ([complete_in_zsh] if shutil.which("zsh") else [])
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder))
        hub.wait_connected(*[hub.start_client(net, i, name) for i, name in enumerate(("c0", "laptop"))])
        for complete in shells:
            expect(set(complete(folder, "")) >= {"status", "clients", "client", "workers", "routes", "pool", "fates",
                                                 "events", "--name"}, f"{complete.__name__}: commands")
            expect(set(complete(folder, "clients", "--")) >= {"--sort", "--filter", "--json"} and
                   "--client" not in complete(folder, "clients", "--"), f"{complete.__name__}: options")
            expect(complete(folder, "clients", "--sort", "rate-") == ["rate-in", "rate-out"],
                   f"{complete.__name__}: columns: {complete(folder, 'clients', '--sort', 'rate-')}")
            expect(set(complete(folder, "client", "")) >= {"c0", "laptop"}, f"{complete.__name__}: clients")
            expect(complete(folder, "client", "lap") == ["laptop"], f"{complete.__name__}: laptop")
            expect(set(complete(folder, "kill", "")) >= {"c0", "laptop"}, f"{complete.__name__}: whom to kill")
            expect(set(complete(folder, "drain", "")) >= {"0", "1"}, f"{complete.__name__}: workers")
            expect(complete(folder, "events", "--client", "c") == ["c0"], f"{complete.__name__}: --client")
            expect(complete(folder, "--name", "") == ["test"], f"{complete.__name__}: --name")
        it.stop()


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
