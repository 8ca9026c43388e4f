# SPDX-License-Identifier: MIT
"""`vpnadm watch`: a line for each thing that happens, through the lives of a hub, until nobody reads it."""
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


def expect(true, text):
    if not true:
        raise Failed(text)


def watch(net, folder, *words, log="watch.log"):
    return net.start([hub.VPNADM, "--dir", f"{folder}/run", "--name", "test", "watch", *words], log, None)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e9


def test_the_lives_of_a_client_and_a_hub(folder):
    hub.make_pki(folder, ["alice", "mallory"])
    hub.revoke(folder, "mallory")
    os.makedirs(f"{folder}/run")
    with netns.Net(2, folder) as net:
        text, lines = watch(net, folder), watch(net, folder, "--json", log="json.log")  # before there is a hub

        def objects():
            return [json.loads(line) for line in lines.text().splitlines()]

        def wait_object(kind, seconds=15, **fields):
            def look():
                return next((o for o in objects() if o["kind"] == kind and
                             all(o[name] == value for name, value in fields.items())), None)
            try:
                return wait_for(f"{kind} {fields}", look, seconds)
            except Failed as e:
                raise Failed(f"{e}\n{lines.text()}") from None

        it = hub.Hub(net, hub.hub_config(folder, f"crl-verify {folder}/crl.pem", "keepalive 1 6"))
        wait_object("HUB_STARTED")
        for worker in (0, 1):
            wait_object("WORKER_READY", worker=worker)
        text.wait_text("worker is at work: 1", 5)

        client = hub.start_client(net, 0, "alice")
        hub.wait_connected(client)
        said = wait_object("CONNECTED", name="alice")
        expect(said["client"] and said["client"]["inner4"] == "10.77.0.2" and said["client"]["cipher"] == "AES-256-GCM" and
               said["client"]["address"].startswith("10.99.0.2:"), said)
        text.wait_text(r"alice .*a client is connected.* \[from 10\.99\.0\.2:\d+, has 10\.77\.0\.2 fd77::1000, AES-256-GCM, "
                       r"worker [01]\]\n", 5)
        expect("SESSION_OPENED" not in lines.text() and "ADMITTED" not in lines.text(), "more than changes")

        hub.start_client(net, 1, "mallory")
        wait_for("mallory's end", lambda: any(o["kind"] in ("REFUSED", "HANDSHAKE_FAILED") for o in objects()))

        # it comes from another address of its own
        run("ip", "addr", "add", "10.99.0.9/24", "dev", "eth0", namespace=net.clients[0])
        run("ip", "route", "add", "10.99.0.0/24", "dev", "h0", "src", "10.99.0.1", namespace=net.hub, check=False)
        run("ip", "route", "replace", "10.99.0.1/32", "dev", "eth0", "src", "10.99.0.9", namespace=net.clients[0])
        netns.ping(net.clients[0], "10.77.0.1", count=5)
        said = wait_object("FLOATED", name="alice")
        expect("10.99.0.9:" in json.dumps(said), said)

        os.kill(it.worker_pids()[0], signal.SIGKILL)
        wait_object("WORKER_DIED", worker=0)
        wait_for("its successor", lambda: sum(o["kind"] == "WORKER_READY" and o["worker"] == 0 for o in objects()) == 2)

        client.stop()
        said = wait_object("ENDED", 40, name="alice")
        expect(said["client"] is None, said)

        it.stop()
        wait_object("HUB_STOPPED")
        expect(not any(o["kind"] == "HUB_DIED" for o in objects()), "a hub that stopped is no dead one")
        it = hub.Hub(net, it.config, log="again.log")
        wait_for("its second life", lambda: sum(o["kind"] == "HUB_STARTED" for o in objects()) == 2)
        os.kill(it.process.pid, signal.SIGKILL)  # its workers notice, and end by themselves when nobody takes over
        wait_object("MASTER_GONE")
        it.process.stop()
        wait_object("HUB_DIED")
        kinds = [o["kind"] for o in objects()]
        expect(kinds.index("MASTER_GONE") < kinds.index("HUB_DIED"), f"dead while its workers lived: {kinds}")
        text.wait_text("the hub is dead\n", 5)
        it = hub.Hub(net, it.config, log="third.log")
        wait_for("its third life", lambda: sum(o["kind"] == "HUB_STARTED" for o in objects()) == 3)

        told = [o["order"] for o in objects() if o["order"] is not None]
        expect(told == sorted(set(told)), f"not each once, in order: {told}")
        moments = [line for line in text.text().splitlines() if not re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  ", line)]
        expect(not moments, f"lines of another form: {moments}")
        wait_for("the same in both", lambda: len(text.text().splitlines()) == len(objects()), 5)
        for process in (text, lines):
            expect(process.alive(), "it ended")


def test_more_workers_make_a_larger_file_and_nothing_is_missed(folder):
    hub.make_pki(folder, [])
    with netns.Net(0, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, workers=1))
        lines = watch(net, folder, "--json")
        time.sleep(0.5)
        expect(not lines.text(), f"what was before it came: {lines.text()}")
        it.stop()
        it = hub.Hub(net, hub.hub_config(folder, workers=3), log="again.log")
        lines.wait_text('"kind":"WORKER_READY".*"worker":2', 10)
        for kind in ("HUB_STOPPED", "HUB_STARTED"):
            expect(lines.text().count(f'"{kind}"') == 1, lines.text())


def test_it_ends_with_its_reader_and_costs_next_to_nothing(folder):
    hub.make_pki(folder, [])
    with netns.Net(0, folder) as net:
        hub.Hub(net, hub.hub_config(folder))
        read, write = os.pipe()
        process = subprocess.Popen([hub.VPNADM, "--dir", f"{folder}/run", "watch"], stdout=write, stderr=subprocess.PIPE)
        try:
            os.close(write)
            time.sleep(0.5)
            used = cpu_seconds(process.pid)
            time.sleep(3)
            share = (cpu_seconds(process.pid) - used) / 3
            runner.say(f"with nothing to tell: {share * 100:.2f} % of a CPU")
            expect(share < 0.02, f"{share}")
            expect(process.poll() is None, "it ended before its reader")
            os.close(read)
            expect(process.wait(3) == 0, "its reader's end is no error")
        finally:
            process.kill()
            process.wait()
        for words in (["--interval", "0"], ["--interval", "x"], ["--interval", "nan"], ["word"]):
            done = subprocess.run([hub.VPNADM, "--dir", f"{folder}/run", "watch", *words], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, timeout=20)
            expect(done.returncode == 1 and done.stderr and not done.stdout, f"{words}: {done}")


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
