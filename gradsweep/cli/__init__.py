"""The command line: a first word without `=` is a verb; anything else is a run for Hydra."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gradsweep.cli.help import help_text

HELP_FLAGS = {"-h", "--help", "help"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `argv` (the process's own arguments when None) and return the exit status.

    0: everything asked for is done. 1: something failed, and the last lines say what.
    2: the command line itself is wrong. 130: interrupted; stored samples are kept.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    if args and args[0] in HELP_FLAGS:
        print(help_text())
        return 0
    # Hydra and Polars take half a second to import: --help answers without them.
    from gradsweep.cli.run import run
    from gradsweep.cli.verbs import VERBS, run_verb
    from gradsweep.errors import GradsweepError
    from gradsweep.progress import console, show_error

    try:
        if args and (args[0] in VERBS or _looks_like_a_verb(args[0])):
            return run_verb(args[0], args[1:])
        return run(args)
    except GradsweepError as error:
        show_error(str(error))
        return 1
    except KeyboardInterrupt:
        console.print("stopped; what is stored is kept: the same command goes on from there")
        return 130


def _looks_like_a_verb(word: str) -> bool:
    """Hydra's arguments have a `=`, start with a dash, or delete a default with `~`."""
    return "=" not in word and not word.startswith(("-", "~"))
