"""The chain-of-thought axis: a level of the data, or one that is made from it (paper section 3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Optional

from gradsweep.config.options import Effect, option
from gradsweep.config.typed_paths import read_typed_paths
from gradsweep.errors import ConfigError
from gradsweep.whole_numbers import check_whole


class CotLevel(Enum):
    """The levels that data have, from fast to slow thinking."""

    none = "none"
    simplified = "simplified"
    detailed = "detailed"


class CotKind(Enum):
    """What the responses are: those of a level, their first steps, or those of the user's file."""

    level = "level"
    partial = "partial"
    custom = "custom"


class Ablation(Enum):
    """What is done to the steps of a level's responses; the final answer stays as it is."""

    drop = "drop"
    """One step from the middle is left out."""
    shuffle = "shuffle"
    """The steps come in another order."""
    corrupt = "corrupt"
    """One digit of one number in one step is another one."""


_SUFFIXES = {
    Ablation.drop: "drop",
    Ablation.shuffle: "shuffled",
    Ablation.corrupt: "corrupted",
}
_PARTIAL = re.compile(r"partial_(?:([a-z]+)_)?(\d+)")
_ABLATED = re.compile(f"({'|'.join(CotLevel.__members__)})_({'|'.join(_SUFFIXES.values())})")
_AS_LONG_AS = "_as_long_as_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass
class CotConfig:
    """`kind` says which fields count, so that a grid may vary a field of one kind only."""

    level: CotLevel = CotLevel.none
    """The responses of the data that are used (kind=level) or shortened (kind=partial)."""
    kind: CotKind = CotKind.level
    steps_kept: int = 1
    """First steps of each response that stay before its final answer (kind=partial)."""
    match_length: Optional[CotLevel] = None
    """Repeat or cut each response to as many tokens as the same question's has at this level."""
    ablate: Optional[Ablation] = None
    """Take away or spoil steps of each response (cot=simplified and cot=detailed), by `seed`."""
    path: Optional[str] = option(None, Effect(is_path=True))
    """A .jsonl or .json file with {question_id or prompt, response} (kind=custom)."""
    name: str = "custom"
    """What the user's responses are called in tables (kind=custom)."""

    def __post_init__(self) -> None:
        read_typed_paths(self, "cot")
        check_whole("cot.steps_kept", self.steps_kept, least=0)
        if self.kind is CotKind.partial and self.level is CotLevel.none:
            raise ConfigError(
                "cot=partial takes steps away from cot.level=simplified or detailed; "
                "cot.level=none has none"
            )
        if self.kind is CotKind.custom:
            self._check_custom()
        own_length = self.kind is CotKind.level and self.ablation is None
        if own_length and self.match_length is self.level:
            raise ConfigError(
                f"cot.match_length={self.level.name} is the level's own length: "
                f"choose another level, or leave it out"
            )

    def _check_custom(self) -> None:
        if not self.path:
            raise ConfigError(
                "cot.path is needed with cot=custom: a .jsonl or .json file with "
                "{question_id or prompt, response}"
            )
        patterns = (_PARTIAL, _ABLATED)
        taken = self.name in CotLevel.__members__ or any(p.fullmatch(self.name) for p in patterns)
        if taken or _AS_LONG_AS in self.name or not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"cot.name={self.name!r} must be letters, digits, '_', '-' or '.', and not the "
                f"name of another level ({', '.join(CotLevel.__members__)}, partial_<k>, "
                "<level>_drop, <level>_shuffled, <level>_corrupted)"
            )

    @property
    def ablation(self) -> Ablation | None:
        """What `ablate` asks for, where there are steps: of a level with a rationale."""
        has_steps = self.kind is CotKind.level and self.level is not CotLevel.none
        return self.ablate if has_steps else None

    @property
    def label(self) -> str:
        """The value of the CoT axis: `detailed`, `partial_3`, `detailed_shuffled`,
        `none_as_long_as_detailed`."""
        done = f"_{_SUFFIXES[self.ablation]}" if self.ablation else ""
        label = {
            CotKind.level: f"{self.level.name}{done}",
            CotKind.partial: f"partial_{self._base}{self.steps_kept}",
            CotKind.custom: self.name,
        }[self.kind]
        return matched_label(label, self.match_length.name) if self.match_length else label

    @property
    def _base(self) -> str:
        return "" if self.level is CotLevel.detailed else f"{self.level.name}_"


def matched_label(level: str, length: str) -> str:
    """Name `level` with its responses as long as those of `length` (`cot.match_length`)."""
    return f"{level}{_AS_LONG_AS}{length}"


def cot_reading_key(label: str) -> tuple[int, int, int, str]:
    """Sorts labels of the CoT axis: none, partial_0, partial_1, …, simplified, detailed, others.

    A label with another level's length, or with ablated steps, comes right after the same one
    without.
    """
    base = label.partition(_AS_LONG_AS)[0]
    if ablated := _ABLATED.fullmatch(base):
        base = ablated[1]
    levels = list(CotLevel.__members__)
    partial = _PARTIAL.fullmatch(base)
    if partial:
        level, steps = partial.groups()
        rank = levels.index(level) if level in levels else len(levels)
        return 1, rank, int(steps), label
    ranks = {name: rank if rank == 0 else rank + 1 for rank, name in enumerate(levels)}
    return ranks.get(base, len(levels) + 1), 0, 0, label


def is_reasoning_level(label: str) -> bool:
    """Whether a label stands for an amount of reasoning: a level of the data or a part of one.

    Controls of length, ablated steps and the user's own levels have no place between fast and slow
    thinking.
    """
    return label in CotLevel.__members__ or _PARTIAL.fullmatch(label) is not None


def kept_steps(label: str) -> int | None:
    """Tell how many steps of the detailed rationale a label keeps; None where it keeps no number.

    3 for `partial_3`; None for `detailed`, which has all, and for `partial_simplified_3`.
    """
    partial = _PARTIAL.fullmatch(label)
    return int(partial[2]) if partial and partial[1] is None else None
