# SPDX-License-Identifier: MIT
"""Who may do what in a running hub, as the threat model's table says: accounts, capabilities, filters, descriptors, memory,
files. And that the private key is in the keyholder's memory and in no other."""
import fcntl
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, wait_for  # noqa: E402

NOBODY = 65534
# KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_ADMIN, IPC_LOCK: what the master may keep at most
MASTER_MAY = sum(1 << cap for cap in (5, 6, 7, 8, 10, 12, 14))
F_GET_SEALS, SEALS = 1034, 1 | 2 | 4 # of sealing itself, shrinking, growing


def expect(true, what):
    if not true:
        raise Failed(what)


def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return {line.split(":")[0]: line.split(":", 1)[1].strip() for line in f}


def processes(it):
    """{"master": pid, "vpn-keyholder": pid, "vpn-worker-0": pid, ...}"""
    found = {}
    for pid in it.pids():
        with open(f"/proc/{pid}/comm") as f:
            found["master" if pid == it.process.pid else f.read().strip()] = pid
    return found


def descriptors(pid):
    return {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}


def caps(facts, name):
    return int(facts[name], 16)


def config(folder, *lines, **how):
    return hub.hub_config(folder, f"status {folder}/status 1", f"writepid {folder}/pid", *lines, **how)


def check_process(name, pid, uid=NOBODY):
    facts = status(pid)
    expect(facts["NoNewPrivs"] == "1", f"{name} may gain privileges")
    if name != "vpn-helper": # it starts programs of which nobody knows what they call
        expect(facts["Seccomp"] == "2", f"{name} has no filter")
    with open(f"/proc/{pid}/limits") as f:
        limits = f.read()
    expect(re.search(r"Max core file size +0 +0 ", limits), f"{name} may leave a core")
    expect(facts["CapInh"] == facts["CapAmb"] == "0" * 16, f"{name} hands capabilities on")
    if name == "master":
        for which in ("CapEff", "CapPrm") + (("CapBnd",) if uid == NOBODY else ()):
            expect(not caps(facts, which) & ~MASTER_MAY, f"{name} {which} {facts[which]}")
        return
    expect(set(facts["Uid"].split()) == {str(uid)}, f"{name} Uid {facts['Uid']}")
    expect("0" not in facts["Gid"].split() and not facts["Groups"], f"{name} Gid {facts['Gid']} {facts['Groups']}")
    for which in ("CapEff", "CapPrm") + (("CapBnd",) if uid == NOBODY else ()):
        expect(caps(facts, which) == 0, f"{name} {which} {facts[which]}")
    # of a process that is not dumpable these belong to root, whatever its account
    expect(os.stat(f"/proc/{pid}/environ").st_uid == 0, f"{name} is dumpable")


def test_every_process_has_given_up_what_it_does_not_need(folder):
    hub.make_pki(folder)
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, config(folder))
        found = processes(it)
        expect(set(found) == {"master", "vpn-keyholder", "vpn-worker-0", "vpn-worker-1"}, f"{found}")
        for name, pid in found.items():
            check_process(name, pid)
        expect(int(status(found["vpn-keyholder"])["VmLck"].split()[0]) > 0, "the keyholder's memory is not locked")
        state = os.stat(f"/proc/{found['master']}/fd/{state_fd(found['master'])}").st_size
        expect(int(status(found["master"])["VmLck"].split()[0]) * 1024 >= state, "the session table is not locked")
        # in another program of ours, too
        old = set(found.values()) - {it.process.pid}
        it.signal(signal.SIGURG)
        it.wait_text("Upgrade done")
        wait_for("the end of the others", lambda: not old & set(it.pids()))
        found = processes(it)
        for name, pid in found.items():
            check_process(name, pid)
        expect(int(status(it.process.pid)["VmLck"].split()[0]) * 1024 >= state, "the session table is not locked any more")
        # and those that come later
        os.kill(found["vpn-worker-0"], signal.SIGKILL)
        wait_for("a successor", lambda: processes(it).get("vpn-worker-0", found["vpn-worker-0"]) !=
                 found["vpn-worker-0"] and it.stats().workers[0]["state"] == 2)
        check_process("vpn-worker-0", processes(it)["vpn-worker-0"])


def test_the_helper_and_its_scripts_have_no_right_of_their_own(folder):
    hub.make_pki(folder)
    script = hub.write(folder, "connect", "#!/bin/sh\ngrep -E '^(Uid|Gid|Groups|Cap|NoNew)' /proc/self/status\n")
    os.chmod(script, 0o755)
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, config(folder, "script-security 2", f"client-connect {script}"))
        helper = processes(it)["vpn-helper"]
        check_process("vpn-helper", helper)
        expect(not [to for to in descriptors(helper).values() if "memfd" in to or "eventfd" in to or "tun" in to or
                    to.startswith(folder) and not to.endswith("hub.log")], f"the helper has {descriptors(helper)}")
        hub.wait_connected(hub.start_client(net, 0, "client"))
        said = it.text()
        expect(re.search(rf"Uid:\S*{NOBODY}\S*{NOBODY}", said.replace("\\x09", "")), f"the script's account: {said}")
        expect(not re.search(r"Cap\w+:(\\x09|\s)*0*[1-9a-f]", said), f"the script has capabilities: {said}")
        expect(re.search(r"NoNewPrivs:(\\x09|\s)*1", said), f"the script may gain privileges: {said}")
        check_memory(it, private_numbers(folder))


def test_started_by_a_supervisor_as_another_account_nobody_keeps_more(folder):
    """With capabilities given, as by AmbientCapabilities= of systemd: what is not needed goes, children have none."""
    if not shutil.which("setpriv"):
        raise runner.Skipped("needs setpriv")
    hub.make_pki(folder)
    uid = 54321
    given = "+net_admin,+ipc_lock,+sys_ptrace,+dac_read_search"
    # the mount is of this process alone: `ip netns exec` gave it a namespace for them
    program = hub.write(folder, "as-account", f"#!/bin/sh\nmount --bind {folder}/tun /dev/net/tun && "
                        f"exec setpriv --reuid {uid} --regid {uid} --clear-groups --inh-caps {given} "
                        f"--ambient-caps {given} {hub.HUB} \"$@\"\n")
    os.chmod(program, 0o755)
    os.mknod(f"{folder}/tun", 0o666 | stat.S_IFCHR, os.makedev(10, 200))
    os.chmod(f"{folder}/tun", 0o666)
    os.makedirs(f"{folder}/run")
    for path in (folder, f"{folder}/run", f"{folder}/server.key"):
        os.chown(path, uid, uid)
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, config(folder), program=program)
        for name, pid in processes(it).items():
            check_process(name, pid, uid)
        hub.wait_connected(hub.start_client(net, 0, "client"))
        it.signal(signal.SIGHUP) # births after it gave up the rest
        it.wait_text("Reload done")
        wait_for("the old keyholder's end", lambda: len(it.pids()) == 4)
        for name, pid in processes(it).items():
            check_process(name, pid, uid)
        it.signal(signal.SIGURG) # its rights outlive an exec, and no more than these
        it.wait_text("Upgrade done")
        wait_for("the old keyholder's end", lambda: len(it.pids()) == 4)
        for name, pid in processes(it).items():
            check_process(name, pid, uid)
        expect(caps(status(it.process.pid), "CapEff") & 1 << 12, "it has lost NET_ADMIN")
        expect(it.stop() == 0, "not ended in good order")


def state_fd(pid):
    return next(fd for fd, to in descriptors(pid).items() if to.startswith("/memfd:vpnserverd-state"))


def kinds(pid):
    """Descriptors by what they are: every count of them is known."""
    count = {}
    for fd, to in descriptors(pid).items():
        kind = "standard" if fd <= 2 else to.split(":")[0] if to.startswith("socket:") else to
        count[kind] = count.get(kind, 0) + 1
    return count


def check_descriptors(it, listeners, workers, ring):
    """Of all children; gives the master's. A channel to the keyholder may still be on its way: asked until it is right."""
    wanted = {"vpn-keyholder": {"standard": 3, "socket": 1 + workers}}
    for w in range(workers):
        wanted[f"vpn-worker-{w}"] = {"standard": 3, "/dev/net/tun": 1, "socket": listeners + 2,
                                     "anon_inode:[eventfd]": max(4, workers, len(os.sched_getaffinity(0)))}
        if ring:
            wanted[f"vpn-worker-{w}"]["anon_inode:[io_uring]"] = 1
    seen = {}

    def right():
        seen.update({name: kinds(pid) for name, pid in processes(it).items()})
        return all(seen[name] == wanted[name] for name in wanted)
    try:
        wait_for("descriptors as announced", right, 5)
    except Failed:
        raise Failed(f"{seen} where {wanted} was announced") from None
    return seen["master"]


def test_nobody_inherits_a_descriptor_that_is_not_meant_for_it(folder):
    hub.make_pki(folder)
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, config(folder))
        ring = "workers: io_uring" in it.text()
        before = check_descriptors(it, 2, 2, ring)
        expect("anon_inode:[io_uring]" not in before, f"master: {before}")
        for n in range(3):
            it.signal(signal.SIGHUP)
            wait_for("the reload", lambda: it.text().count("Reload done") == n + 1)
        for index in (0, 1):
            pid = it.worker_pids()[index]
            os.kill(pid, signal.SIGKILL)
            wait_for("a successor", lambda: it.stats().workers[index]["state"] == 2 and
                     it.worker_pids()[index] not in (0, pid))
        wait_for("the old keyholders' end", lambda: len(it.pids()) == 4)
        after = check_descriptors(it, 2, 2, ring)
        expect(after == before, f"the master's descriptors grew: {before} {after}")


def private_numbers(folder):
    """The private key as it may stand in memory: text, bytes, and bytes of 64-bit words with the lowest first."""
    text = subprocess.run(["openssl", "pkey", "-in", f"{folder}/server.key", "-text", "-noout"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    digits = re.search(r"priv:\s*((?:[0-9a-f]{2}:?\s*)+)", text).group(1)
    number = bytes.fromhex(re.sub(r"[:\s]", "", digits))[-32:].rjust(32, b"\0")
    with open(f"{folder}/server.key") as f:
        lines = [line.strip().encode() for line in f if not line.startswith("-----")]
    return {"number": number, "number, words": number[::-1], "text": lines[0], "more text": lines[1]}


def in_memory(pid, needles):
    """Which of them are in the memory of a process."""
    seen = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            begin, end = (int(x, 16) for x in line.split()[0].split("-"))
            if line.split()[1][0] != "r" or "[v" in line:
                continue
            tail = b""
            for at in range(begin, end, 1 << 20):
                try:
                    memory.seek(at)
                    part = memory.read(min(1 << 20, end - at))
                except (OSError, ValueError):
                    break
                seen |= {name for name, needle in needles.items() if needle in tail + part}
                tail = part[-100:]
    return seen


def check_memory(it, needles):
    for name, pid in processes(it).items():
        found = in_memory(pid, needles)
        if name == "vpn-keyholder":
            expect(found & {"number", "number, words"}, "the search would not find a key: it is not in the keyholder")
        else:
            expect(not found, f"the private key is in {name}'s memory: {found}")


def key_stays_with_keyholder(folder, inline):
    hub.make_pki(folder)
    needles = private_numbers(folder)
    path = config(folder)
    if inline:
        with open(path) as f:
            lines = [line for line in f if not line.startswith("key ")]
        with open(f"{folder}/server.key") as f:
            lines += ["<key>\n", f.read(), "</key>\n"]
        with open(path, "w") as f:
            f.writelines(lines)
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, path)
        hub.wait_connected(hub.start_client(net, 0, "client")) # so that it was used
        check_memory(it, needles)
        it.signal(signal.SIGHUP)
        it.wait_text("Reload done")
        wait_for("the old keyholder's end", lambda: len(it.pids()) == 4)
        check_memory(it, needles)


def test_the_keyholder_alone_has_the_key(folder):
    key_stays_with_keyholder(folder, False)


def test_the_keyholder_alone_has_a_key_that_was_inline(folder):
    key_stays_with_keyholder(folder, True)


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def as_nobody(function):
    """What a process with the workers' own account gets: the answer, or the name of the error."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            function()
            word = b"done"
        except OSError as e:
            word = type(e).__name__.encode()
        os.write(writing, word)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as f:
        word = f.read().decode()
    os.waitpid(pid, 0)
    return word


def test_files_have_their_modes_and_the_session_table_is_in_none(folder):
    hub.make_pki(folder)
    with netns.Net(1, folder) as net:
        os.umask(0)
        it = hub.Hub(net, config(folder))
        wait_for("a status file", lambda: os.path.exists(f"{folder}/status"))
        for name, wanted in (("run/test.stats", 0o640), ("run/test.events", 0o640), ("run/test.lock", 0o600), ("run/test.control", 0o600), ("pid", 0o644), ("status", 0o640)):
            expect(mode(f"{folder}/{name}") == wanted, f"{name} has mode {mode(f'{folder}/{name}'):o}")
        expect(sorted(os.listdir(f"{folder}/run")) == ["test.control", "test.events", "test.lock", "test.stats"], f"{os.listdir(f'{folder}/run')}")
        master = it.process.pid
        fd = state_fd(master)
        with open(f"/proc/{master}/fd/{fd}", "rb") as f:
            expect(fcntl.fcntl(f, F_GET_SEALS) & SEALS == SEALS, "the session table can be resized")
            expect(os.fstat(f.fileno()).st_nlink == 0, "the session table has a name")
        for name, pid in processes(it).items():
            for path in (f"/proc/{pid}/mem", f"/proc/{pid}/fd/{fd}", f"/proc/{pid}/environ"):
                got = as_nobody(lambda path=path: open(path, "rb").close())
                expect(got in ("PermissionError", "FileNotFoundError"), f"{path} of {name}: {got}")
            got = as_nobody(lambda: os.listdir(f"/proc/{pid}/fd"))
            expect(got == "PermissionError", f"the descriptors of {name}: {got}")
        for name in ("stats", "events"):
            got = as_nobody(lambda name=name: open(f"{folder}/run/test.{name}", "rb").close())
            expect(got == "PermissionError", f"the {name}: {got}")
        expect(it.stop() == 0, "not ended in good order")
        expect(os.listdir(f"{folder}/run") == ["test.events"] and not os.path.exists(f"{folder}/pid"), "files are left")


def unlimited():
    """May this process, and so the hub, raise its limit?"""
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        return True
    except (OSError, ValueError):
        return False


def test_mlock_locks_all_that_hold_keys_or_stops_the_start(folder):
    """Which of the two depends on whether this machine lets its root raise the limit; both are right."""
    may = unlimited()
    hub.make_pki(folder)
    with netns.Net(1, folder) as net:
        try:
            it = hub.Hub(net, config(folder, "mlock"))
        except Failed as e:
            expect(not may and "mlock: RLIMIT_MEMLOCK is" in str(e), f"{e}")
            return
        expect(may, "it started though the limit forbids to lock")
        hub.wait_connected(hub.start_client(net, 0, "client"))
        for name, pid in processes(it).items():
            facts = status(pid)
            locked, resident = (int(facts[n].split()[0]) for n in ("VmLck", "RssAnon"))
            if name != "master":  # has no key; it locks the session table
                expect(locked >= resident, f"{name} has {resident} kB and locks {locked}")


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
