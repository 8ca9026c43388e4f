# SPDX-License-Identifier: MIT
"""`vpnadm top` in a terminal that is a tmux: what stands on the screen, what keys do, and how it leaves."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, wait_for  # noqa: E402

CROWD = os.path.join(hub.BUILD, "tests", "load", "crowd")


def expect(true, text):
    if not true:
        raise Failed(text)


class Screen:
    """A tmux server of our own with one window; `command` runs in it, and the shell around says how it ended."""

    serial = 0

    def __init__(self, folder, command, width=120, height=30, locale="C.UTF-8", term="screen"):
        if not shutil.which("tmux"):
            raise runner.Skipped("tmux is not installed")
        Screen.serial += 1  # the server before may still be going
        self.socket = os.path.join(folder, f"tmux{Screen.serial}")
        self.pid_file = os.path.join(folder, "top.pid")
        env = {"PATH": os.environ["PATH"], "LC_ALL": locale, "TERM": "dumb", "HOME": folder}
        script = hub.write(folder, "shell", f"trap : INT\nstty -a >{folder}/before\nexport TERM={term}\n"
                           f"sh -c 'echo $$ >{self.pid_file}; exec {command}'; echo \"ended with $?\"\n"
                           f"stty -a >{folder}/after\nexec sleep 100\n")
        subprocess.run(["tmux", "-S", self.socket, "-u", "-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y",
                        str(height), "sh", script], check=True, env=env, timeout=20)
        self.folder = folder

    def tmux(self, *words):
        return subprocess.run(["tmux", "-S", self.socket, "-u", *words], check=True, stdout=subprocess.PIPE, text=True,
                              timeout=20).stdout

    def lines(self):
        return self.tmux("capture-pane", "-p").splitlines()

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def wait(self, what, condition, seconds=15):
        """Until the lines satisfy the condition; what that gave."""
        try:
            return wait_for(what, lambda: condition(self.lines()), seconds)
        except Failed as e:
            raise Failed(f"{e}; the screen:\n" + "\n".join(self.lines())) from None

    def resize(self, width, height):
        self.tmux("resize-window", "-x", str(width), "-y", str(height))

    def pid(self):
        with open(self.pid_file) as f:
            return int(f.read())

    def same_terminal(self):
        with open(f"{self.folder}/before") as a, open(f"{self.folder}/after") as b:
            before, after = a.read(), b.read()
        expect(before == after, f"the terminal was left otherwise:\n{before}\n{after}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], stderr=subprocess.DEVNULL, timeout=20)


def top(folder, *words):
    return " ".join([os.path.abspath(hub.VPNADM), "--dir", f"{folder}/run", "--name", "test", "top", *words])


def titles(lines):
    """The number of the line with the columns' names, or None."""
    return next((i for i, line in enumerate(lines) if re.match(r"NAME( [v^])? +", line)), None)


def names(lines):
    """Of the clients, as they stand below each other."""
    at = titles(lines)
    return [line.split()[0] for line in lines[at + 1:-1] if line.strip()] if at is not None else []


def any_line(text):
    return lambda lines: next((line for line in lines if text in line), None)


def start_three(net, folder):
    people = ["alice", "bob", "carol"]
    hub.make_pki(folder, people)
    it = hub.Hub(net, hub.hub_config(folder))
    clients = [hub.start_client(net, i, name) for i, name in enumerate(people)]
    hub.wait_connected(*clients)
    return it, clients


def test_rows_order_filter_and_sizes(folder):
    with netns.Net(3, folder) as net:
        start_three(net, folder)
        with Screen(folder, top(folder, "--interval", "0.5")) as screen:
            screen.wait("three clients", lambda lines: sorted(names(lines)) == ["alice", "bob", "carol"])
            screen.wait("the hub", lambda lines: "test: up" in lines[0] and "3 clients" in lines[0])
            screen.wait("its workers", lambda lines: any_line("worker 0   ready")(lines) and any_line("worker 1   ready")(lines))

            # bob sends most, carol a little
            traffic = [net.start([sys.executable, os.path.join(hub.HERE, "stream.py"), "send", "10.77.0.1", 7000, rate, 60, size],
                                 f"traffic{i}.log", net.clients[i]) for i, rate, size in ((1, 200, 1000), (2, 50, 200))]
            screen.wait("bob on top", lambda lines: names(lines)[:2] == ["bob", "carol"])
            line = screen.wait("his rate", lambda lines: next(
                (line for line in lines if line.startswith("bob") and re.search(r" (1\d\d|2\d\d)\.\d KB/s", line)), None))
            expect(re.search("[▁▂▃▄▅▆▇█]", line), f"no graph: {line}")
            screen.wait("the sum", lambda lines: re.search(r"in (1\d\d|2\d\d|3\d\d)\.\d KB/s", lines[0]))
            screen.keys("r")
            screen.wait("alice on top", lambda lines: names(lines) == ["alice", "carol", "bob"])
            for process in traffic:
                process.stop()

            for _ in range(20):  # from column to column until it is the name's
                if re.match(r"NAME \^", screen.lines()[titles(screen.lines())]):
                    break
                screen.keys("<")
                time.sleep(0.2)
            screen.wait("by name", lambda lines: names(lines) == ["alice", "bob", "carol"])
            screen.keys("r")
            screen.wait("by name, the other way", lambda lines: names(lines) == ["carol", "bob", "alice"])

            screen.keys("/", "BO")
            screen.wait("bob alone", lambda lines: names(lines) == ["bob"] and "Filter: BO_" in lines[-1])
            screen.keys("Enter")
            screen.wait("what the filter is", any_line("1 of 3 match 'BO'"))
            screen.keys("/", "x", "Escape")
            screen.wait("the filter before", any_line("1 of 3 match 'BO'"))
            screen.keys("/", "Enter")
            screen.wait("all again", lambda lines: len(names(lines)) == 3)

            screen.resize(40, 10)
            screen.wait("a small screen", lambda lines: len(names(lines)) == 3 and max(map(len, lines)) <= 40 and
                        "ADDRESS" not in "".join(lines))
            screen.resize(150, 40)
            screen.wait("a large one", lambda lines: "SEEN" in lines[titles(lines) or 0] and len(names(lines)) == 3)
            for width, height in ((1, 1), (3, 2), (20, 5), (120, 30)):
                screen.resize(width, height)
                time.sleep(0.2)
            screen.wait("as before", lambda lines: len(names(lines)) == 3 and "ADDRESS" in lines[titles(lines)])
            screen.keys("q")
            screen.wait("its end", any_line("ended with 0"))
            screen.same_terminal()


def test_a_hub_that_dies_and_comes_back(folder):
    with netns.Net(3, folder) as net:
        it, _ = start_three(net, folder)
        with Screen(folder, top(folder)) as screen:
            screen.wait("three clients", lambda lines: len(names(lines)) == 3)
            for pid in it.pids():
                os.kill(pid, signal.SIGKILL)
            it.process.stop()
            screen.wait("that it is dead", lambda lines: "hub is dead" in lines[0])
            it = hub.Hub(net, it.config, log="again.log")
            screen.wait("the new one", lambda lines: re.match("test: up [0-9] s", lines[0]))
            screen.wait("its clients", lambda lines: len(names(lines)) == 3, 60)
            it.stop()
            screen.wait("that it stopped", lambda lines: "hub is stopped" in lines[0] or "No such file" in lines[0])
            screen.keys("q")
            screen.wait("its end", any_line("ended with 0"))


def test_signals_leave_the_terminal_as_it_was(folder):
    with netns.Net(0, folder) as net:
        hub.make_pki(folder, [])
        hub.Hub(net, hub.hub_config(folder))
        for number in (signal.SIGTERM, signal.SIGHUP, None):
            with Screen(folder, top(folder)) as screen:
                screen.wait("a picture", lambda lines: titles(lines) is not None)
                if number:
                    os.kill(screen.pid(), number)
                else:
                    screen.keys("C-c")
                screen.wait("its end", any_line(f"ended with {128 + (number or signal.SIGINT)}"))
                wait_for("the shell", lambda: os.path.exists(f"{folder}/after"))
                time.sleep(0.2)
                screen.same_terminal()
                os.unlink(f"{folder}/after")


def test_without_blocks_and_without_a_terminal(folder):
    os.makedirs(f"{folder}/run")
    with netns.Net(0, folder) as net:
        net.start([CROWD, f"{folder}/run", "test", "30"], "crowd.log", None).wait_text("published", 10)
        with Screen(folder, top(folder), locale="C") as screen:
            screen.wait("a graph of letters", lambda lines: re.search(r"client-\d+ .* [#@*]+", "\n".join(lines)))
            expect("\n".join(screen.lines()).isascii(), "blocks in a locale without them")
            screen.keys("/", "00000")
            screen.wait("a name that would clear the screen", lambda lines: names(lines) == ["client-00000\\x1b[2J\\x0a\\x"])
            screen.keys("Enter", "k")
            screen.wait("the same in the question", lambda lines: "Kill client-00000\\x1b[2J\\x0a\\xff at" in lines[-1])
        with Screen(folder, top(folder), term="nonsense") as screen:
            screen.wait("what is wrong", any_line("terminal is not known"))
            screen.wait("its end", any_line("ended with 1"))
        for words, said in (([], "needs a terminal"), (["--json"], "watch --json"), (["--interval", "0"], "--interval")):
            done = subprocess.run([hub.VPNADM, "--dir", f"{folder}/run", "top", *words], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
            expect(done.returncode == 1 and said in done.stderr and not done.stdout, f"{words}: {done}")


def test_the_selected_client_is_killed_if_that_is_confirmed(folder):
    with netns.Net(3, folder) as net:
        it, clients = start_three(net, folder)
        with Screen(folder, top(folder)) as screen:
            screen.wait("three clients", lambda lines: len(names(lines)) == 3)
            screen.keys("/", "bob", "Enter", "Down")
            screen.wait("bob alone", lambda lines: names(lines) == ["bob"])
            screen.keys("k")
            screen.wait("a question", lambda lines: re.match(r"Kill bob at 10\.99\.1\.2:\d+\? y/n", lines[-1]))
            screen.keys("n")
            screen.wait("the keys", any_line("q quit"))
            expect(clients[1].text().count("Initialization Sequence Completed") == 1 and
                   "RESTART" not in clients[1].text(), "killed without a yes")
            screen.keys("k", "y")
            screen.wait("the hub's answer", any_line("client-kill command succeeded"))
            clients[1].wait_text("Connection reset command was pushed by server", 10)
            screen.wait("that bob is gone or new", lambda lines: it.row("bob") is None or "Completed" in
                        clients[1].text().split("Connection reset")[1], 20)
            for other in (0, 2):
                expect("RESTART" not in clients[other].text(), "another was killed")
            os.unlink(f"{folder}/run/test.control")
            screen.keys("/", "Enter", "k", "y")
            screen.wait("why not", any_line("nobody listens"))
            screen.keys("q")
            screen.wait("its end", any_line("ended with 0"))
            screen.same_terminal()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e9


def test_ten_thousand_clients_stay_smooth(folder):
    os.makedirs(f"{folder}/run")
    with netns.Net(0, folder) as net:
        net.start([CROWD, f"{folder}/run", "test", "10000"], "crowd.log", None).wait_text("published", 10)
        with Screen(folder, top(folder)) as screen:
            screen.wait("the crowd", lambda lines: "10000 clients of 10000" in lines[0] and len(names(lines)) > 15)
            used = cpu_seconds(screen.pid())
            began = time.monotonic()
            time.sleep(6)
            share = (cpu_seconds(screen.pid()) - used) / (time.monotonic() - began)
            used = cpu_seconds(screen.pid())
            for _ in range(40):
                screen.keys("NPage")
            keys = (cpu_seconds(screen.pid()) - used) / 40
            screen.keys("/", "client-04711")
            screen.wait("the one", lambda lines: names(lines) == ["client-04711"])
            screen.keys("Enter", "/", "Enter", "End")
            screen.wait("the end of the list", lambda lines: len(names(lines)) > 15)
            with open(f"/proc/{screen.pid()}/status") as f:
                memory = int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])
            runner.say(f"10,000 clients: {share * 100:.1f} % of a CPU at one picture a second, {keys * 1000:.1f} ms CPU a key, "
                       f"{memory / 1024:.0f} MiB")
            expect(share < 0.5 and keys < 0.2, "not smooth")
            screen.keys("q")
            screen.wait("its end", any_line("ended with 0"))


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
