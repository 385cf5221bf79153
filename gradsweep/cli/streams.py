"""Standard output and error that end no run: closed, full, a pipe that broke, letters they lack."""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import Any

_PLAIN = dict(zip("·•…→−×≤≥σΣ✓✗⟦⟧↵′", "-*.>-x<>sSvx[]|'", strict=True))
"""What stands for our letters where the terminal has none of them; as wide, so that columns fit."""

_HANDLER = "plain_letters"


class SteadyFile(io.RawIOBase):
    """A file descriptor whose first fault is kept instead of raised; then nothing is written."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.fault: OSError | None = None

    def write(self, data: Any) -> int:
        """Write some of `data` and return how many bytes are dealt with."""
        while self.fault is None:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # a terminal that another program has set so
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.fault = error
        return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)


class Streams:
    """Puts steady files in place of this process's standard output and error."""

    def __init__(self) -> None:
        codecs.register_error(_HANDLER, _plain)
        _occupy_standard_descriptors()
        self._out, sys.stdout = _steady(sys.stdout, 1)
        _, sys.stderr = _steady(sys.stderr, 2)

    def fault(self) -> str:
        """Why some output was lost; empty when none was, or when its reader had enough of it."""
        sys.stdout.flush()
        sys.stderr.flush()
        fault = self._out.fault
        return "" if fault is None or fault.errno == errno.EPIPE else str(fault.strerror)


def _steady(stream: Any, descriptor: int) -> tuple[SteadyFile, io.TextIOWrapper]:
    raw = SteadyFile(descriptor)
    text = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors=_HANDLER,
        line_buffering=descriptor == 2 or raw.isatty(),
    )
    return raw, text


def _occupy_standard_descriptors() -> None:
    """Open what is closed of 0, 1 and 2: a file of results would get the number, and the output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one


def _plain(error: UnicodeError) -> tuple[str, int]:
    """The codec error handler of output: see `_PLAIN`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter, "?") for letter in lost), error.end
