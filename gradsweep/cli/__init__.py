"""The command line: a first word without `=` is a verb; anything else is a run for Hydra."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence

from gradsweep import __version__
from gradsweep.cli.completion import INSTALL, QUERY, SCRIPT, complete
from gradsweep.cli.help import help_text
from gradsweep.cli.interrupts import acknowledged_interrupts
from gradsweep.cli.streams import Streams

HELP_FLAGS = {"-h", "--help"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `argv` and return the exit status.

    Without `argv` the arguments are those of the process, and its output may be closed, full or a
    pipe that nobody reads any more: everything is done all the same.

    0: everything asked for is done. 1: something failed, and the last lines say what.
    2: the command line itself is wrong. 130: interrupted; stored samples are kept.
    """
    if argv is not None:
        return _run(list(argv))
    streams = Streams()
    atexit.register(_leave_cycles)
    with acknowledged_interrupts():
        try:
            status = _run(sys.argv[1:])
        except KeyboardInterrupt:  # while it imports; later ones end inside
            sys.stderr.write("stopped before anything was run\n")
            return 130
    if fault := streams.fault():
        sys.stderr.write(f"error: standard output is cut ({fault}); files are written whole\n")
    return status or int(bool(fault))


def _leave_cycles() -> None:
    """Leave what is left to the end of the process: to look for cycles in it takes a report most of
    a second. Libraries that torch brings along complain of what they are not asked to free."""
    if "torch" not in sys.modules:
        gc.freeze()


def _run(args: list[str]) -> int:
    args = _verb_first(args)
    if args[:1] == ["help"] or (HELP_FLAGS & set(args) and not _is_verb(args[0])):
        print(help_text())
        return 0
    if args[:1] in (["--shell-completion"], ["-sc"]) and args[1:] in ([INSTALL], [QUERY]):
        print(SCRIPT if args[1] == INSTALL else "\n".join(complete(os.environ["COMP_LINE"])))
        return 0
    if "--version" in args:
        print(f"gradsweep {__version__}")
        return 0
    # Hydra and Polars take half a second to import: --help answers without them.
    from gradsweep.cli.run import run
    from gradsweep.cli.verbs import run_verb
    from gradsweep.config.overrides import refuse_ellipsis
    from gradsweep.errors import GradsweepError, UsageError
    from gradsweep.progress import console, show_error

    try:
        for word in args:
            refuse_ellipsis(word)
        if args and _is_verb(args[0]):
            return run_verb(args[0], args[1:])
        return run(args)
    except GradsweepError as error:
        show_error(str(error))
        return 2 if isinstance(error, UsageError) else 1
    except OSError as error:
        if error.filename is None:
            raise
        show_error(f"{error.filename}: {error.strerror}")
        return 1
    except KeyboardInterrupt:
        console.print("stopped; what is stored is kept: the same command goes on from there")
        return 130


def _verb_first(args: list[str]) -> list[str]:
    """Let -m stand before a verb, too."""
    if args[:1] in (["-m"], ["--multirun"]) and len(args) > 1 and _is_verb(args[1]):
        return [args[1], args[0], *args[2:]]
    return args


def _is_verb(word: str) -> bool:
    """Hydra's arguments have a `=`, start with a dash, or delete a default with `~`."""
    return "=" not in word and not word.startswith(("-", "~"))
