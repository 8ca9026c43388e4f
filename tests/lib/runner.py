# SPDX-License-Identifier: MIT
"""Runs test functions of this process one after another and says how they went.

A module calls main(globals()). Functions named test_* run in the order they stand; each gets a folder of its own. A
test that cannot run here raises Skipped(why). The last line is 'N passed, N failed, N skipped'.
"""
import os
import shutil
import sys
import tempfile
import time
import traceback


class Skipped(Exception):
    """This machine cannot; the text says why."""


def main(names):
    wanted = sys.argv[1:]
    tests = [(n, f) for n, f in names.items() if n.startswith("test_") and callable(f)]
    if wanted:
        tests = [(n, f) for n, f in tests if any(w in n for w in wanted)]
    keep = os.environ.get("KEEP_LOGS")
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, function in tests:
        folder = tempfile.mkdtemp(prefix=f"{name}-")
        began = time.monotonic()
        try:
            function(folder)
            kind, text = "passed", ""
        except Skipped as e:
            kind, text = "skipped", f"skipped: {e}"
        except KeyboardInterrupt:
            raise
        except BaseException as e:  # noqa: a test may fail in any way; all are told
            kind, text = "failed", f"{e}\n{traceback.format_exc()}"
        counts[kind] += 1
        print(f"{kind:8} {name} ({time.monotonic() - began:.1f} s) {text}", flush=True)
        if kind == "failed":
            for file in sorted(os.listdir(folder)):
                path = os.path.join(folder, file)
                if file.endswith(".log") and os.path.getsize(path):
                    with open(path, errors="replace") as f:
                        lines = f.read().splitlines()[-40:]
                    print(f"  -- {file} --\n    " + "\n    ".join(lines), flush=True)
        if not (keep and kind == "failed"):
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped", flush=True)
    return 1 if counts["failed"] else 0
