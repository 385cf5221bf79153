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


def test_an_interrupt_while_the_command_line_is_imported_is_no_traceback() -> None:
    code = (
        "import sys\nfrom gradsweep import cli\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'gradsweep.cli.run':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "sys.argv[1:] = ['n_samples=2']\n"
        "sys.exit(cli.main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "stopped before anything was run\n"
