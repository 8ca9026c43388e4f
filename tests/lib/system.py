# SPDX-License-Identifier: MIT
"""A systemd of its own, with an installed hub, in namespaces of its own: it sees this machine's files and changes none.

The tree is an overlay whose upper side is in memory; /proc/sys is read-only, /dev has the few devices that hubs use.
"""
import os
import signal
import subprocess

from netns import Failed, run, wait_for

SYSTEMD = "/lib/systemd/systemd"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "net/tun")

BOOT = """set -e
top=$1 tree=$1/tree
mount -t tmpfs tmpfs "$top"
mkdir "$top/upper" "$top/work" "$tree"
mount -t overlay overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" "$tree"
mount -t proc proc "$tree/proc"
mount --bind -o ro "$tree/proc/sys" "$tree/proc/sys"
mount -t sysfs -o ro sysfs "$tree/sys"
mount -t cgroup2 cgroup2 "$tree/sys/fs/cgroup"
for dir in run tmp dev; do mount -t tmpfs -o mode=0755 tmpfs "$tree/$dir"; done
chmod 1777 "$tree/tmp"
for device in {devices}; do
	mkdir -p "$(dirname "$tree/dev/$device")"
	cp -a "/dev/$device" "$tree/dev/$device"
done
ip link set lo up
cp -a "$2/." "$tree/"
mkdir -p "$tree/etc/systemd/system"
chroot "$tree" systemd-sysusers >/dev/null 2>&1
chroot "$tree" systemd-tmpfiles --create vpnserverd.conf >/dev/null 2>&1
printf '[Unit]\\nDefaultDependencies=no\\nRequires=systemd-journald.service\\n' >"$tree/etc/systemd/system/alone.target"
echo booting
exec chroot "$tree" env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
	{systemd} --unit=alone.target --log-target=console --show-status=0
"""


def why_not():
    """None, or why there can be no such system here."""
    if not os.path.exists(SYSTEMD):
        return "systemd is not installed"
    done = subprocess.run(["unshare", "-mpCf", "--propagation", "private", "sh", "-c",
                           "mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w /mnt/t /mnt/c && mount -t cgroup2 c /mnt/c &&"
                           " rmdir \"$(mktemp -d /mnt/c/try-XXXXXX)\" &&"  # two stories ask at once
                           " mount -t overlay o -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/t"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=30)
    return f"no namespaces for it: {done.stderr.strip()}" if done.returncode else None


class System:
    """`installed` is laid over the tree; `prepare(tree)` may add to it before anything is started."""

    def __init__(self, net, folder, installed):
        self.top = os.path.join(folder, "system")
        os.makedirs(self.top)
        boot = BOOT.replace("{devices}", " ".join(DEVICES)).replace("{systemd}", SYSTEMD)
        self.process = net.start(["unshare", "-mpCuif", "--propagation", "private", "bash", "-c", boot, "boot", self.top,
                                  installed], "console.log", net.hub)
        self.process.wait_text("booting", 20)
        self.init = wait_for("init", self._init, 10)
        wait_for("systemd", lambda: "running" in self.do("systemctl", "is-system-running", check=False), 20)

    def _init(self):
        """The systemd is the grandchild of what we started (ip and unshare in between, which become one another)."""
        found = [self.process.pid]
        for pid in found:
            with open(f"/proc/{pid}/task/{pid}/children") as f:
                found += [int(word) for word in f.read().split()]
        return next((p for p in found if open(f"/proc/{p}/comm").read().strip() == "systemd"), None)

    def do(self, *words, check=True):
        """Runs a command in there; its output."""
        return run("nsenter", "-t", self.init, "-a", "-r", "-w", *words, check=check, timeout=60)

    def path(self, name):
        return f"/proc/{self.init}/root{name}"

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as f:
            f.write(text)

    def read(self, name):
        try:
            with open(self.path(name), errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def show(self, unit, name):
        return self.do("systemctl", "show", "-P", name, unit).strip()

    def expect(self, unit, name, value, seconds=15):
        try:
            wait_for(f"{unit}: {name}={value}", lambda: self.show(unit, name) == value, seconds)
        except Failed as e:
            raise Failed(f"{e}; it is {self.show(unit, name)}\n{self.do('systemctl', 'status', '-l', unit, check=False)}\n"
                         f"{self.do('journalctl', '--no-pager', '-n', '30', '-u', unit, check=False)}") from None

    def close(self):
        """Its init's end is the end of all in there."""
        try:
            os.kill(self.init, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.popen.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
