# SPDX-License-Identifier: MIT
"""vpnadm against a real hub with stock clients: what it shows is what is the case, of a hub that is gone, too."""
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, wait_for  # noqa: E402


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


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
