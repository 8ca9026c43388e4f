# SPDX-License-Identifier: MIT
"""Runs test functions, some at a time, each in a process and a folder of its own, and says how they went.

A module calls main(globals()). Functions named test_* are tests; each gets its folder. @alone: it runs while no other
does (it measures something, or needs the whole machine). @limit(seconds): how long it may take, 120 if not given.
@timed: it judges how long something took, which says nothing of a build that a sanitizer slows down (--untimed).
A test that cannot run here raises Skipped(why). say(text) prints a figure that the reader wants to see also when all
is well. The last line is 'N passed, N failed, N skipped'; exit status 1 if any failed.

    python3 tests/interop/test_clients.py [part of a name]... [-j N] [-l] [--untimed]
"""
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback

import netns

PASSED, FAILED, SKIPPED = 0, 1, 77
PARALLEL = 4
# In memory where there is such a place: what a hub writes into its runtime directory must not wait for a busy disk.
FOLDERS = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
GRACE = 30 # seconds for a test that was told to end to clean up


class Skipped(Exception):
    """This machine cannot; the text says why."""


def alone(function):
    function.alone = True
    return function


def timed(function):
    function.timed = True
    return function


def limit(seconds):
    def mark(function):
        function.limit = seconds
        return function
    return mark


def say(text):
    print(f"    {text}", flush=True)


# A worker that crashed is replaced so quietly that a test may not notice. Tests themselves kill by signal 9 only.
# What a script ends with is its own affair.
CRASH = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|died by signal (?!9\b)\d+|"
                   r"(?:worker|keyholder|helper)\b[^:]* \(pid \d+\) ended with status [1-9]")


def look_for_crashes(folder):
    for file in sorted(os.listdir(folder)):
        if file.endswith(".log"):
            with open(os.path.join(folder, file), errors="replace") as f:
                found = [line for line in f if CRASH.search(line)]
            if found:
                raise netns.Failed(f"{file}: {found[0].strip()}")


class Test:
    """One test function running in a child process."""

    def __init__(self, name, function):
        self.name, self.function = name, function
        self.folder = tempfile.mkdtemp(prefix=f"{name}-", dir=FOLDERS)
        os.chmod(self.folder, 0o755)
        self.output = os.path.join(self.folder, ".output")
        self.began = time.monotonic()
        self.deadline = self.began + getattr(function, "limit", 120) + GRACE
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(self._run())

    def _run(self):
        fd = os.open(self.output, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(fd, 1)
        os.dup2(fd, 2)

        def enough(number, _frame):
            signal.alarm(0)
            raise netns.Failed("took too long" if number == signal.SIGALRM else "interrupted")
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, enough)
        signal.alarm(getattr(self.function, "limit", 120))
        try:
            self.function(self.folder)
            look_for_crashes(self.folder)
            status = PASSED
        except Skipped as e:
            print(f"    {e}")
            status = SKIPPED
        except BaseException as e:  # a test may fail in any way; all are told
            print(f"{e}\n{traceback.format_exc()}")
            status = FAILED
        signal.alarm(0)
        sys.stdout.flush()
        return status

    def ended(self):
        """Its exit status, or None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > self.deadline:
            os.kill(self.pid, signal.SIGKILL)
            self.deadline += GRACE
        return None

    def tell(self, status):
        netns.sweep(self.pid)
        kind = {PASSED: "passed", SKIPPED: "skipped"}.get(status, "failed")
        print(f"{kind:8} {self.name} ({time.monotonic() - self.began:.1f} s)", flush=True)
        with open(self.output, errors="replace") as f:
            print(f.read(), end="", flush=True)
        if kind == "failed":
            for file in sorted(os.listdir(self.folder)):
                path = os.path.join(self.folder, file)
                if file.endswith(".log") and os.path.getsize(path):
                    with open(path, errors="replace") as f:
                        lines = f.read().splitlines()[-40:]
                    print(f"  -- {file} --\n    " + "\n    ".join(lines), flush=True)
        if kind == "failed" and os.environ.get("KEEP_LOGS"):
            print(f"  logs: {self.folder}", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        return kind


def main(names):
    words = sys.argv[1:]
    parallel = PARALLEL
    if "-j" in words:
        at = words.index("-j")
        parallel = int(words[at + 1])
        del words[at:at + 2]
    tests = [(n, f) for n, f in names.items() if n.startswith("test_") and callable(f)]
    if "--untimed" in words:
        words.remove("--untimed")
        tests = [(n, f) for n, f in tests if not getattr(f, "timed", False)]
    if "-l" in words:
        print("\n".join(n for n, _ in tests))
        return 0
    if words:
        tests = [(n, f) for n, f in tests if any(w in n for w in words)]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    why = netns.can_make_namespaces()
    if why:
        print(f"skipped  all of them: {why}\n0 passed, 0 failed, {len(tests)} skipped")
        return SKIPPED
    running = []

    def interrupted(number, _frame):
        raise KeyboardInterrupt(number)
    signal.signal(signal.SIGTERM, interrupted)
    waiting = [t for t in tests if not getattr(t[1], "alone", False)]
    lonely = [t for t in tests if getattr(t[1], "alone", False)]
    try:
        while waiting or lonely or running:
            while waiting and len(running) < parallel:
                running.append(Test(*waiting.pop(0)))
            if not running and lonely:
                running.append(Test(*lonely.pop(0)))
            for test in running[:]:
                status = test.ended()
                if status is not None:
                    running.remove(test)
                    counts[test.tell(status)] += 1
            time.sleep(0.05)
    except KeyboardInterrupt:
        for test in running:
            os.kill(test.pid, signal.SIGTERM)
        for test in running:
            os.waitpid(test.pid, 0)
            test.tell(FAILED)
        counts["failed"] += len(running)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped", flush=True)
    return 1 if counts["failed"] else 0
