# SPDX-License-Identifier: MIT
"""The management interface of a real hub with stock clients, by the documented protocol and by vpnadm: beside a stock
server's answers, while workers die, against hostile clients, and from accounts that may not use it."""
import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from management import Management  # noqa: E402
from netns import Failed, wait_for  # noqa: E402


def expect(true, what):
    if not true:
        raise Failed(what)


def vpnadm(folder, *words, status=0, **how):
    it = subprocess.run([hub.VPNADM, "--dir", f"{folder}/run", *words], capture_output=True, text=True, timeout=60, **how)
    expect(it.returncode == status, f"vpnadm {words}: status {it.returncode}: {it.stdout}{it.stderr}")
    return it.stdout + it.stderr


def control(folder):
    return Management(f"{folder}/run/test.control")


def connections(client):
    return client.text().count(hub.CONNECTED)


def stock_server(net, folder, *lines):
    config = hub.write(folder, "stock.conf", "\n".join([
        "port 1195", "proto udp", "dev tun9", "topology subnet", "server 10.78.0.0 255.255.255.0", "server-ipv6 fd78::/64",
        f"ca {folder}/ca.crt", f"cert {folder}/server.crt", f"key {folder}/server.key", "dh none", "keepalive 5 30",
        "verb 3", "disable-dco", f"management {folder}/stock.sock unix", *lines]) + "\n")
    server = net.start([hub.OPENVPN, "--config", config], "stock.log", net.hub)
    server.wait_text("Initialization Sequence Completed")
    return server


NUMBER = re.compile(r"\d+")


def shape(line, separator):
    """Fields of a status line, with what differs between two servers taken out of each."""
    return [re.sub(r"[0-9a-f]{1,4}::[0-9a-f]*", "6", re.sub(r"\d+", "0", field)) for field in line.split(separator)]


def test_answers_are_those_of_a_stock_server_field_by_field(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, f"management {folder}/m.sock unix"))
        stock_server(net, folder)
        clients = [hub.start_client(net, 0, "c0"), hub.start_client(net, 1, "c0", port=1195, file="stock-client")]
        hub.wait_connected(*clients)
        ours, theirs = Management(f"{folder}/m.sock"), Management(f"{folder}/stock.sock")
        expect(ours.greeting == theirs.greeting, f"{ours.greeting} / {theirs.greeting}")
        for command, separator in (("status", ","), ("status 1", ","), ("status 2", ","), ("status 3", "\t")):
            lines = [ours.list(command), theirs.list(command)]
            # the title names the program; the order of IPv4 and IPv6 routes means nothing
            kinds = [sorted(shape(line, separator)[0] for line in one) for one in lines]
            expect(len(lines[0]) == len(lines[1]), f"{command}: {lines}")
            for mine, stock in zip(*[sorted(one) for one in lines]):
                if mine.startswith("TITLE"):
                    continue
                expect(shape(mine, separator) == shape(stock, separator), f"{command}: '{mine}' is not like '{stock}'")
            expect(kinds[0] == kinds[1], f"{command}: {kinds}")
        for command in ("pid", "load-stats", "verb", "mute", "hold", "bytecount 0", "log on", "log off", "state on",
                        "verb 4", "verb 99", "mute 5", "kill nobody", "kill udp:1.2.3.4:5", "nonsense", "signal SIGX",
                        "client-kill 77", "kill", "bytecount", "log"):
            mine, stock = ours.ask(command), theirs.ask(command)
            expect(mine.split(": ")[0] == stock.split(": ")[0], f"{command}: '{mine}' / '{stock}'")
            if mine.startswith("SUCCESS"):
                expect(NUMBER.sub("0", mine) == NUMBER.sub("0", stock), f"{command}: '{mine}' / '{stock}'")
        mine, stock = ours.list("state"), theirs.list("state")
        expect(shape(mine[0], ",") == shape(stock[0], ","), f"{mine} / {stock}")
        log = ours.list("log 1")[0].split(",", 2), theirs.list("log 1")[0].split(",", 2)
        expect(all(one[0].isdigit() and re.fullmatch("[IFNWD]*", one[1]) for one in log), f"{log}")
        version = ours.list("version")
        expect(version[0].startswith("OpenVPN Version: OpenVPN 2.") and version[1] == "Management Version: 5", f"{version}")
        expect([line.split(":")[0] for line in version] == [line.split(":")[0] for line in theirs.list("version")], "version")
        for one in (ours, theirs):
            one.done("bytecount 1")
        netns.run("ping", "-c", "3", "-i", "0.2", "10.77.0.1", namespace=net.clients[0])
        mine, stock = ours.notice(">BYTECOUNT_CLI:"), theirs.notice(">BYTECOUNT_CLI:")
        expect(NUMBER.sub("0", mine) == NUMBER.sub("0", stock), f"{mine} / {stock}")
        ours.send("quit"), theirs.send("quit")
        expect(ours.closed() and theirs.closed(), "quit does not end the connection")
        it.stop()


def test_kill_makes_the_client_come_again(folder):
    hub.make_pki(folder, ["c0", "c1"])
    with netns.Net(3, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, "duplicate-cn"))
        clients = [hub.start_client(net, i, name, file=f"f{i}") for i, name in enumerate(("c0", "c1", "c1"))]
        hub.wait_connected(*clients)
        one = control(folder)
        slot, before = it.row("c0")
        expect(one.done("kill c0") == "common name 'c0' found, 1 client(s) killed", "kill by name")
        wait_for("c0 again", lambda: connections(clients[0]) == 2, 20)
        expect([connections(c) for c in clients] == [2, 1, 1], "others were ended, too")
        expect(it.row("c0")[1]["client_id"] != before["client_id"], "it is the same session")
        # by the address that status shows; the old session waits a moment for its client's acknowledgement
        def addresses():
            return [line.split(",")[2] for line in one.list("status 2") if line.startswith("CLIENT_LIST,c0,")]
        wait_for("the old session is gone", lambda: len(addresses()) == 1, 5)
        address = addresses()[0]
        expect("1 client(s)" in one.done(f"kill udp:{address}"), "kill by address")
        wait_for("c0 again", lambda: connections(clients[0]) == 3, 20)
        cid = it.row("c0")[1]["client_id"]
        one.done(f"client-kill {cid}")
        wait_for("c0 again", lambda: connections(clients[0]) == 4, 20)
        wait_for("the client id is nobody's", lambda: one.ask(f"client-kill {cid}").startswith("ERROR:"), 5)
        # all of a name, by vpnadm; and who is told to stay away does
        expect("common name 'c1' found, 2 client(s) killed" in vpnadm(folder, "kill", "c1"), "vpnadm kill")
        wait_for("both c1 again", lambda: [connections(c) for c in clients[1:]] == [2, 2], 20)
        wait_for("the old session is gone", lambda: len(addresses()) == 1, 5)
        expect("not found" in vpnadm(folder, "kill", "nobody", status=1), "nobody was killed")
        vpnadm(folder, "kill", "c0", "HALT")
        wait_for("c0 ends", lambda: not clients[0].alive(), 10)
        told = vpnadm(folder, "events")
        expect(told.count("control socket (uid 0)") == 1, f"the caller is not noted, or again and again: {told}")
        expect("kill c1 (uid 0)" in told and "an administrator ended it" in told, told)
        it.stop()


def test_signals_verb_and_logs(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        config = hub.hub_config(folder, f"management {folder}/m.sock unix", "management-log-cache 20", "echo forget-passwords",
                                "echo msg hello")
        it = hub.Hub(net, config)
        client = hub.start_client(net, 0, "c0")
        hub.wait_connected(client)
        one = Management(f"{folder}/m.sock")
        expect(one.done("log on") == "real-time log notification set to ON", "log on")
        echoes = [line.split(",", 1)[1] for line in one.list("echo all")]
        expect(echoes == ["forget-passwords", "msg hello"] and "ECHO: msg hello" in it.text(), f"{echoes}")
        one.done("state on")
        one.done("echo on")
        one.done("signal SIGUSR2")
        expect(">LOG:" in one.notice(">LOG:"), "no log line came")
        wait_for("the status in the log", lambda: "OpenVPN CLIENT LIST" in it.text())
        one.done("verb 1")
        expect(one.done("verb") == "verb=1", "verb")
        expect("verb level changed" in vpnadm(folder, "log-level", "4"), "vpnadm log-level")
        expect("verb=4" in vpnadm(folder, "log-level"), "vpnadm log-level shows it")
        one.done("signal SIGUSR1")
        wait_for("the client again", lambda: connections(client) == 2, 20)
        states = [line.split(",")[1] for line in one.list("state all")]
        expect(states == ["CONNECTING", "ASSIGN_IP", "CONNECTED", "RECONNECTING", "CONNECTED"], f"{states}")
        expect(len(one.list("log all")) == 20, "the log cache has another size")
        # a reload by the socket: its own words, then how it went
        expect("workers are replaced" in vpnadm(folder, "reload"), "vpnadm reload")
        wait_for("the reload", lambda: "Reload done" in it.text(), 20)
        expect(one.notice(">ECHO:").endswith(",forget-passwords"), "no echo at the reload")
        hub.write(folder, "test.conf", open(config).read() + "nonsense\n")
        told = vpnadm(folder, "reload", status=1)
        expect("nonsense" in told and "everything stays as it was" in told, told)
        one.notices.clear()
        one.done("signal SIGTERM")
        expect(",EXITING,SIGTERM," in one.notice(">STATE:"), "no last state")
        expect(one.closed(), "the connection outlives the hub")
        it.process.popen.wait(10)
        expect(not os.path.exists(f"{folder}/m.sock") and not os.path.exists(f"{folder}/run/test.control"), "sockets stay")
        expect("not running" in vpnadm(folder, "--name", "test", "kill", "c0", status=1), "vpnadm finds a hub")


def test_a_trace_shows_every_packet_and_outlives_its_worker(folder):
    hub.make_pki(folder, ["c0", "c1"])
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, "client-to-client"))
        clients = [hub.start_client(net, i, f"c{i}") for i in (0, 1)]
        hub.wait_connected(*clients)
        inside = hub.tun_address(net.clients[0])
        one = control(folder)
        one.done("trace c0 30")
        cid = it.row("c0")[1]["client_id"]

        def pinged(count=3, seconds=10):
            """Pings the hub; how many lines of the trace tell of it."""
            one.notices.clear()
            netns.run("ping", "-c", count, "-i", "0.2", "10.77.0.1", namespace=net.clients[0])
            netns.run("ping", "-c", count, "-i", "0.2", "10.77.0.1", namespace=net.clients[1])
            found = {"in": 0, "out": 0}
            while min(found.values()) < count:
                line = one.notice(f">TRACE:{cid},", seconds)
                match = re.fullmatch(r">TRACE:\d+,\d+,(in|out) (?:[\d.]+:\d+ )?(.*) \| (.*): DELIVERED", line)
                if match and "ICMP" in line:
                    expect("DATA_V2 kid=" in line and f"{inside}" in line and "len 84" in line, line)
                    found[match[1]] += 1
            return found

        def follows():
            """A trace that has just begun, or whose owner has just changed, reaches it a moment later."""
            try:
                return pinged(1, 1)
            except Failed:
                return False
        wait_for("the trace", follows, 10)
        expect(pinged() == {"in": 3, "out": 3}, "not a line for each packet")
        # its worker dies: the successor is told
        index = it.row("c0")[1]["owner"]
        old = it.worker_pids()[index]
        os.kill(old, signal.SIGKILL)
        wait_for("a successor", lambda: it.worker_pids()[index] not in (0, old) and
                 all(w["state"] == 2 for w in it.stats().workers))
        wait_for("the trace goes on", follows, 10)
        # to the other worker: it follows
        one.done(f"drain {index}")
        wait_for("the session moves", lambda: it.row("c0")[1]["owner"] != index, 20)
        wait_for("the trace follows the session", follows, 10)
        expect(pinged(2) == {"in": 2, "out": 2}, "the trace did not follow the session")
        one.done(f"undrain {index}")
        # a flood: no more lines than allowed, then their number
        one.notices.clear()
        netns.run("ping", "-c", "2000", "-f", "10.77.0.1", namespace=net.clients[0], check=False)
        time.sleep(1.2)
        netns.run("ping", "-c", "1", "10.77.0.1", namespace=net.clients[0])
        line = one.notice(f">TRACE:{cid},", 5)
        while "were left out" not in line:
            line = one.notice(f">TRACE:{cid},", 5)
        one.done("trace c0 0")
        expect("END it was asked for" in "".join(one.notices) + one.notice(">TRACE:"), "no end")
        # vpnadm, to its end
        tracer = net.start([hub.VPNADM, "--dir", f"{folder}/run", "trace", "c1", "2"], "vpnadm.log", net.hub)
        tracer.wait_text("1 session")
        netns.run("ping", "-c", "2", "-i", "0.2", "10.77.0.1", namespace=net.clients[1])
        tracer.wait_text("END its time is over", 10)
        expect(tracer.popen.wait(5) == 0 and "ICMP" in tracer.text() and inside not in tracer.text(), tracer.text())
        expect(it.text().count(f"TRACE c1/") >= 4, "the log has no trace")
        it.stop()


def test_who_may_not_use_it_is_told_so(folder):
    hub.make_pki(folder)
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, f"management {folder}/m.sock unix", "management-client-user nobody"))
        os.chmod(folder, 0o755)
        expect("no permission" in vpnadm(folder, "kill", "c0", status=1, user=65534, group=65534, extra_groups=[]), "control")

        def as_user(uid, path):
            """What that account hears, or the number of the error that keeps it out."""
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.setgroups([]), os.setgid(uid), os.setuid(uid)
                s = socket.socket(socket.AF_UNIX)
                s.settimeout(5)
                try:
                    s.connect(path)
                    os.write(writing, s.recv(100) or b"nothing")
                except OSError as e:
                    os.write(writing, b"errno %d" % e.errno)
                os._exit(0)
            os.close(writing)
            os.waitpid(pid, 0)
            with os.fdopen(reading, "rb") as f:
                return f.read().decode()
        nobody = as_user(65534, f"{folder}/m.sock")
        expect(">INFO:" in nobody, f"the named user is refused: {nobody}")
        expect(as_user(1, f"{folder}/m.sock") == f"errno {errno.EACCES}", "another one is let in")
        # the mode is not all: it is asked who calls
        os.chmod(f"{folder}/m.sock", 0o666)
        expect(as_user(1, f"{folder}/m.sock") == "nothing", "another one is let in")
        wait_for("the log says so", lambda: "uid 1 may not use" in it.text())
        Management(f"{folder}/m.sock").done("pid")
        it.stop()


def passworded(folder):
    hub.write(folder, "pw", "sesame\n")
    os.chmod(f"{folder}/pw", 0o600)
    return f"{folder}/pw"


def test_a_hold_lasts_until_it_is_released(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        config = hub.hub_config(folder, f"management {folder}/m.sock unix {passworded(folder)}", "management-hold",
                                f"writepid {folder}/pid")
        process = net.start([hub.HUB, config], "held.log", net.hub)
        process.wait_text("Waiting for `hold release`")
        expect(open(f"{folder}/pid").read().strip() == str(process.pid), "no pid file")
        process.popen.send_signal(signal.SIGUSR1)  # nothing to restart yet
        expect(process.stop() == 1 and not os.path.exists(f"{folder}/pid"), "it does not end while it is held")

        process = net.start([hub.HUB, config], "hub.log", net.hub)
        process.wait_text("Waiting for `hold release`")
        client = hub.start_client(net, 0, "c0")
        one = Management(f"{folder}/m.sock", password="wrong", greeting=False)
        expect(one.password_answer == "ERROR: bad password", one.password_answer)
        one.close()
        one = Management(f"{folder}/m.sock", password="sesame")
        expect(one.notice(">HOLD:") == ">HOLD:Waiting for hold release:0", "no hold")
        expect(one.ask("status").startswith("ERROR:") and one.done("hold") == "hold=1", "hold")
        expect(netns.run("ss", "-Hlun", namespace=net.hub).strip() == "", "it listens before it is released")
        expect(one.done("hold release") == "hold release succeeded", "hold release")
        process.wait_text("Initialization Sequence Completed")
        hub.wait_connected(client)
        expect(any("c0" in line for line in one.list("status")), "the client is not in the status")
        with open(f"{folder}/pw", "w") as f:
            f.write("changed\n")
        one.done("signal SIGHUP")
        process.wait_text("Reload done", 20)
        Management(f"{folder}/m.sock", password="changed").done("pid")
        expect(process.stop() == 0, "the end")


def test_over_tcp_with_a_password(folder):
    hub.make_pki(folder)
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, f"management 127.0.0.1 7505 {passworded(folder)}"))

        def say(*lines):
            """What one connection hears that says these lines."""
            program = ("import socket, sys, time\ns = socket.create_connection(('127.0.0.1', 7505), 5)\ns.settimeout(5)\n"
                       "for line in sys.argv[1:]:\n    s.sendall(line.encode() + b'\\n')\nheard = b''\n"
                       "try:\n    while got := s.recv(4096):\n        heard += got\n"
                       "except ConnectionResetError:\n    pass\n" # closed, with a line of ours unread
                       "except OSError:\n    heard += b'(still there)'\nprint(heard.decode())")
            return netns.run(sys.executable, "-c", program, *lines, namespace=net.hub)
        heard = say("sesame", "pid", "quit")
        expect(heard.startswith("ENTER PASSWORD:SUCCESS: password is correct") and
               f"SUCCESS: pid={it.process.pid}" in heard, heard)
        heard = say("verb 1", "a", "b", "sesame", "pid")
        expect(heard.count("ERROR: bad password") == 3 and "SUCCESS" not in heard and "still" not in heard, heard)
        expect("turned away: management: wrong password" in vpnadm(folder, "events"), vpnadm(folder, "events"))
        expect("verb=4" in say("sesame", "verb", "quit"), "a command was done before the password")
        # another hub that wants the same port does not start, and says why
        other = hub.hub_config(folder, "management 127.0.0.1 7505 " + passworded(folder), name="other", dev="tun1",
                               listeners=("local 0.0.0.0 1196 udp4",))
        process = net.start([hub.HUB, other], "other.log", net.hub)
        expect(process.popen.wait(10) == 1 and "management 127.0.0.1: Address already in use" in process.text(),
               process.text())
        it.stop()


def hostile(path, stop):
    """Does what no client should; ends when told."""
    sockets = []
    while not os.path.exists(stop):
        try:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(0.2)
            s.connect(path)
            sockets.append(s)
            for junk in (b"log on all\nbytecount 1\nstate on\n", b"status 2\n" * 200, b"\x00\xff" * 3000, b"x" * 100000,
                         b"help\n" * 5000):
                try:
                    s.send(junk)
                except OSError:
                    pass
            if len(sockets) > 60:
                for old in sockets[:30]:
                    old.close()
                sockets = sockets[30:]
        except OSError:
            time.sleep(0.01)


def test_hostile_clients_do_not_hold_up_the_hub_while_workers_die(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, f"management {folder}/m.sock unix"))
        client = hub.start_client(net, 0, "c0")
        hub.wait_connected(client)
        stop = f"{folder}/stop"
        children = []
        for path in (f"{folder}/m.sock", f"{folder}/run/test.control"):
            pid = os.fork()
            if pid == 0:
                try:
                    hostile(path, stop)
                finally:
                    os._exit(0)
            children.append(pid)
        try:
            births = []
            for kill in range(6):
                old = it.worker_pids()[kill % 2]
                began = time.monotonic()
                os.kill(old, signal.SIGKILL)
                wait_for("a successor", lambda: it.worker_pids()[kill % 2] not in (0, old) and
                         all(w["state"] == 2 for w in it.stats().workers))
                births.append(time.monotonic() - began)
                time.sleep(0.3)
            netns.run("ping", "-c", "3", "-i", "0.2", "10.77.0.1", namespace=net.clients[0])
        finally:
            open(stop, "w").close()
            for pid in children:
                os.waitpid(pid, 0)
        births.sort()
        runner.say(f"workers back after {births[3] * 1000:.0f} ms at the median, {births[-1] * 1000:.0f} at worst, "
                   "with two hostile management clients")
        expect(births[3] < 2, f"{births}")
        wait_for("the interface answers", lambda: Management(f"{folder}/m.sock").done("pid"), 40)
        with open(f"/proc/{it.process.pid}/statm") as f:
            expect(int(f.read().split()[1]) * 4096 < 400 << 20, "the master has grown")
        expect(connections(client) == 1, "the client had to connect again")
        it.stop()


if __name__ == "__main__":
    runner.main(globals())
