"""What a process asks of the C library before it runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import threading
from extproc.loop import give_memory_back

def rss():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS:"))

give_memory_back()
before = rss()

def churn():
    kept = []
    for size in range(1, 9):
        large = [b"x" * (size << 20) for _ in range(8)]
        kept.append(b"y" * 1000)
        del large

for _ in range(2):
    thread = threading.Thread(target=churn)
    thread.start()
    thread.join()
assert rss() - before < 8 << 10, rss() - before
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_large_blocks_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
