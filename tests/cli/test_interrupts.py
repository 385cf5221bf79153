"""Ctrl-C is acknowledged at once, also where Python itself cannot answer yet."""

from __future__ import annotations

import signal
import subprocess
import sys

BUSY = """
import hashlib, sys
from gradsweep.cli.interrupts import acknowledged_interrupts
with acknowledged_interrupts():
    sys.stdout.write("busy\\n")
    sys.stdout.flush()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
"""
"""An operation of minutes that no signal ends, as a large product of matrices."""


def test_a_line_comes_while_an_operation_goes_on() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"busy\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == b"\n"
        assert process.stderr.readline().startswith(b"Ctrl-C: stopping")
        assert process.poll() is None, "the operation goes on"
    finally:
        process.kill()
        process.communicate()
