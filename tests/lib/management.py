# SPDX-License-Identifier: MIT
"""A client of OpenVPN's management protocol, as its documentation describes it and monitors speak it: for our hub and
for a stock server alike."""
import socket
import time

from netns import Failed


class Management:
    """One connection. Lines that begin with '>' are notices and wait in `notices`."""

    def __init__(self, path=None, address=None, password=None, greeting=True):
        family = socket.AF_UNIX if path else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(10)
        self.socket.connect(path or address)
        self.buffer, self.notices = b"", []
        if password is not None:
            self.expect_bytes(b"ENTER PASSWORD:")
            self.send(password)
            self.password_answer = self.line()
        if greeting:
            self.greeting = self.notice(">INFO:")

    def more(self, seconds=10.0):
        self.socket.settimeout(seconds)
        try:
            got = self.socket.recv(65536)
        except socket.timeout:
            raise Failed("the management interface says nothing") from None
        if not got:
            raise EOFError
        self.buffer += got

    def expect_bytes(self, text):
        while len(self.buffer) < len(text):
            self.more()
        if not self.buffer.startswith(text):
            raise Failed(f"{self.buffer!r} is not {text!r}")
        self.buffer = self.buffer[len(text):]

    def any_line(self, seconds=10.0):
        while b"\n" not in self.buffer:
            self.more(seconds)
        line, self.buffer = self.buffer.split(b"\n", 1)
        if not line.endswith(b"\r"):
            raise Failed(f"a line does not end with CR LF: {line!r}")
        return line[:-1].decode(errors="surrogateescape")

    def line(self):
        """The next line of an answer."""
        while True:
            line = self.any_line()
            if not line.startswith(">"):
                return line
            self.notices.append(line)

    def notice(self, beginning, seconds=10.0):
        """The next notice that begins so, those before it thrown away."""
        end = time.monotonic() + seconds
        while True:
            while self.notices:
                line = self.notices.pop(0)
                if line.startswith(beginning):
                    return line
            left = end - time.monotonic()
            if left <= 0:
                raise Failed(f"no notice {beginning}")
            line = self.any_line(left)
            if not line.startswith(">"):
                raise Failed(f"{line!r} is no notice")
            self.notices.append(line)

    def send(self, command):
        self.socket.sendall(command.encode() + b"\n")

    def ask(self, command):
        """A command that is answered by one line."""
        self.send(command)
        return self.line()

    def list(self, command):
        """One that is answered by lines and END; an ERROR is an answer as well."""
        self.send(command)
        lines = [self.line()]
        while lines[-1] != "END" and not lines[0].startswith("ERROR:"):
            lines.append(self.line())
        return lines[:-1] if lines[-1] == "END" else lines

    def done(self, command):
        answer = self.ask(command)
        if not answer.startswith("SUCCESS: "):
            raise Failed(f"{command}: {answer}")
        return answer[9:]

    def closed(self, seconds=10.0):
        """The other end hangs up, whatever it says before."""
        try:
            while True:
                self.more(seconds)
        except (EOFError, ConnectionError):
            return True
        except Failed:
            return False

    def close(self):
        self.socket.close()
