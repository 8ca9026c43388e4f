# SPDX-License-Identifier: MIT
"""Stands in for a service manager that keeps descriptors: NOTIFY_SOCKET, FDSTORE and LISTEN_FDS as in sd_notify(3) and
sd_listen_fds(3)."""
import array
import fcntl
import os
import socket
import subprocess
import threading

import netns

FIRST = 3


class Store:
    def __init__(self, folder, most=1000):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.most, self.fds, self.heard = most, [], []  # fds: [(name, fd)]
        self.lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        """A few messages fill the socket, and whoever sends them waits."""
        while True:
            data, passed, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(16 * 4))
            if data == b"end":
                return
            fds = array.array("i")
            for level, kind, raw in passed:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(raw[:len(raw) - len(raw) % fds.itemsize])
            said = dict(line.split("=", 1) for line in data.decode().split("\n"))
            with self.lock:
                self.heard.append(said)
                self._keep(said, list(fds))

    def _keep(self, said, fds):
        name = said.get("FDNAME", "stored")
        if said.get("FDSTOREREMOVE") == "1":
            for kept, fd in self.fds:
                if kept == name:
                    os.close(fd)
            self.fds = [(kept, fd) for kept, fd in self.fds if kept != name]
        for fd in fds:
            if said.get("FDSTORE") == "1" and len(self.fds) < self.most:
                self.fds.append((name, fd))
            else:
                os.close(fd)

    def count(self, key, value=None):
        with self.lock:
            return len([m for m in self.heard if key in m and value in (None, m[key])])

    def names(self):
        with self.lock:
            return sorted(name for name, _ in self.fds)

    def drop(self):
        """As for a service that nobody starts again."""
        with self.lock:
            for _, fd in self.fds:
                os.close(fd)
            self.fds = []

    def start(self, net, command, log, namespace):
        """Starts a process with all that is kept."""
        env = dict(os.environ, NOTIFY_SOCKET=self.path)
        fds = [fd for _, fd in self.fds]
        words = ["ip", "netns", "exec", namespace, *command]
        if fds:
            env.update(LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join(name for name, _ in self.fds))
            words = ["sh", "-c", 'LISTEN_PID=$$; export LISTEN_PID; exec "$@"', "sh", *words]

        def arrange():
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 800) for fd in fds]
            for i, fd in enumerate(high):
                os.dup2(fd, FIRST + i)
        process = netns.Process.__new__(netns.Process)
        process.log = os.path.join(net.folder, log)
        process.out = open(process.log, "ab", buffering=0)
        process.popen = subprocess.Popen(words, stdout=process.out, stderr=subprocess.STDOUT, env=env,
                                         stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=arrange,
                                         pass_fds=tuple(range(FIRST, FIRST + len(fds))))
        net.processes.append(process)
        return process

    def close(self):
        self.drop()
        self.socket.sendto(b"end", self.path)
