"""What, apart from the config, decides the content of a point's samples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

from gradsweep.config import Config, CotConfig, CotKind, DatasetKind
from gradsweep.data.arithmetic.dataset import VERSION, require_version
from gradsweep.data.custom import FIELD as CUSTOM_FIELD
from gradsweep.data.custom import custom_file, custom_rules, questions_config
from gradsweep.data.files import content_hash
from gradsweep.data.jsonl import jsonl_fingerprint
from gradsweep.data.paper.originals import read_hub
from gradsweep.data.paper.release import paper_files
from gradsweep.data.questions import digest
from gradsweep.data.samples import count_questions, general_rules_matter


def fingerprint(config: Config) -> str:
    """16 hex digits that change when the data of a point change, and not when they move.

    Reads the files that the point reads (each once, while it stays the same), never where they
    lie. Cheap enough to call for every point of a grid before anything is launched, and raises
    what `load_samples` would raise about files and levels. The paper's release is known by its
    checksums and not downloaded for this; the original datasets of the hub are.
    """
    level = config.cot.match_length
    if config.cot.kind is CotKind.custom:
        content = content_hash(custom_file(config), CUSTOM_FIELD)
        parts = [_own(questions_config(config)), content, *sorted(custom_rules(config))]
    else:
        parts = [_own(config)]
    if level is not None:
        parts.append(_own(replace(config, cot=CotConfig(level))))
        if not _shared_anyway(config):
            count_questions(config)
    if _general_rules_matter(_Condition(digest(*parts, *_text_choices(config)), config)):
        parts.append("general text rules")
    return parts[0] if len(parts) == 1 else digest(*parts)


@dataclass(frozen=True)
class _Condition:
    """A config that counts, for a cache, by the data and choices that decide its texts."""

    key: str
    config: Config = field(compare=False)


def _text_choices(config: Config) -> tuple[str, ...]:
    choices = (
        *(config.cot.label, config.correctness.kind.name, config.correctness.source.name),
        *(config.dataset.answer.name, config.dataset.shuffle),
        *(config.seed, config.requested_samples),
    )
    return tuple(map(str, choices))


@lru_cache(maxsize=256)
def _general_rules_matter(condition: _Condition) -> bool:
    level = condition.config.cot.match_length
    configs = [condition.config]
    if level is not None:
        configs.append(replace(condition.config, cot=CotConfig(level)))
    return any(map(general_rules_matter, configs))


def _shared_anyway(config: Config) -> bool:
    """Whether both levels have the same questions, or a download would have to tell."""
    if config.dataset.kind is DatasetKind.paper:
        return not config.dataset.from_hub
    return config.dataset.kind is DatasetKind.arithmetic and config.cot.kind is not CotKind.custom


def _own(config: Config) -> str:
    """The fingerprint of the data at `cot.level`."""
    if config.dataset.kind is DatasetKind.arithmetic:
        require_version(config)
        return digest("arithmetic", str(VERSION), str(config.dataset.size), str(config.seed))
    if config.dataset.kind is DatasetKind.jsonl:
        return jsonl_fingerprint(config)
    if config.dataset.from_hub:
        questions = read_hub(config).questions
        return digest("hub", *(text for q in questions for text in (q.prompt, q.response)))
    return digest("paper", *paper_files(config).content_hashes())
