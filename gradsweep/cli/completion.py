"""Tab completion in bash: verbs, axes with their options, fields with their values.

Hydra's own composes the config for every press of the key, knows no verbs, and completes neither
`python -m` nor the second value of a grid. This one reads names of files and types.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import get_args

from gradsweep.cli.verbs import VERBS
from gradsweep.config.files import AXIS_GROUPS, config_groups, options

INSTALL, QUERY = "install=bash", "query=bash"
OF_A_RUN = ("plan", "verify", "doctor")
"""Verbs that take the overrides of a run."""
FILTERED = ("report", "compare", "sync", "dashboard", "status", "logs", "retry", "cancel")
"""Verbs that take axis=value of stored points."""
FLAGS = ("--cfg", "--config-dir", "--config-name", "--help", "--hydra-help", "--multirun")
LAUNCHER = "hydra/launcher"

SCRIPT = r"""_gradsweep_query() {
    local line="${COMP_LINE:0:COMP_POINT}" IFS=$'\n'
    local word="${line##* }" before=""
    COMPREPLY=($(COMP_LINE="$line" "$@" --shell-completion query=bash 2>/dev/null))
    # What bash replaces begins after the last =, where that breaks words.
    [[ $COMP_WORDBREAKS == *=* && $word == *=* ]] && before="${word%"${word##*=}"}"
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=.] ]] && compopt -o nospace
    return 0
}
_gradsweep() { _gradsweep_query "${COMP_WORDS[0]}"; }
_gradsweep_python() {
    if [[ ${COMP_WORDS[1]} == -m && ${COMP_WORDS[2]} == gradsweep && $COMP_CWORD -gt 2 ]]; then
        _gradsweep_query "${COMP_WORDS[0]}" -m gradsweep
    elif [[ -n $_gradsweep_python_before ]]; then
        "$_gradsweep_python_before" "$@"
    fi
}
complete -o default -F _gradsweep gradsweep
_gradsweep_python_before=$(complete -p python 2>/dev/null | sed -n 's/.*-F \([^ ]*\) .*/\1/p')
[[ $_gradsweep_python_before == _gradsweep_python ]] && _gradsweep_python_before=""
complete -o default -F _gradsweep_python python python3
"""
"""What `eval "$(gradsweep --shell-completion install=bash)"` reads."""


def complete(line: str) -> list[str]:
    """The words that the last word of a command line may become, each once, in reading order.

    Args:
        line: up to the cursor, with the name of the program.
    """
    words = line.split(" ")
    program = next((i for i, word in enumerate(words) if Path(word).name == "gradsweep"), 0)
    *before, word = words[program + 1 :] or [""]
    return [found for found in dict.fromkeys(_candidates(before, word)) if found.startswith(word)]


def _candidates(before: Sequence[str], word: str) -> Iterator[str]:
    given = [text for text in before if text]
    verb = next((text for text in given[:2] if text in VERBS), None)
    if word.startswith("-"):
        yield from FLAGS if verb is None or verb in OF_A_RUN else ("--help",)
    elif "=" in word:
        yield from _values(word, _own_folders(given))
    elif verb is None or verb in OF_A_RUN:
        if verb is None and not any("=" in text for text in given):
            yield from VERBS
        yield from _names(word)
    elif verb in FILTERED:
        yield from (f"{axis}=" for axis in AXIS_GROUPS)


def _names(word: str) -> Iterator[str]:
    """Axes and other groups, then fields, one level of them at a time."""
    from gradsweep.config.fields import point_fields

    yield from (f"{axis}=" for axis in AXIS_GROUPS)
    yield from ("+experiment=", f"{LAUNCHER}=")
    yield from (f"{group}=" for group in sorted(config_groups() - {"experiment"}))
    known = point_fields()
    depth = word.count(".")
    for name in known:
        if name.count(".") == depth:
            inner = any(other.startswith(f"{name}.") for other in known)
            yield f"{name}." if inner else f"{name}="


def _values(word: str, own: Sequence[Path]) -> Iterator[str]:
    """Each value that may stand last: after the `=`, or after the last comma of a grid."""
    name, _, value = word.partition("=")
    begun = f"{name}={value[: value.rfind(',') + 1]}"
    taken = value.split(",")[:-1]
    for option in _options(name.lstrip("+"), own):
        if option not in taken:
            yield f"{begun}{option}"


def _options(name: str, own: Sequence[Path]) -> Iterator[str]:
    if name in config_groups() or name == LAUNCHER:
        yield from options(name)
        for folder in own:
            yield from sorted(path.stem for path in (folder / name).glob("*.yaml"))
        return
    from gradsweep.config.fields import point_fields

    kind = point_fields().get(name)
    for part in (kind, *get_args(kind)):
        if part is bool:
            yield from ("true", "false")
        elif isinstance(part, type) and issubclass(part, Enum):
            yield from part.__members__


def _own_folders(words: Sequence[str]) -> list[Path]:
    """Folders of --config-dir on the line."""
    folders = [word.partition("=")[2] for word in words if word.startswith("--config-dir=")]
    folders += [value for flag, value in pairwise(words) if flag in ("--config-dir", "-cd")]
    return [Path(folder).expanduser() for folder in folders]
