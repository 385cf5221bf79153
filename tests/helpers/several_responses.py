"""Pairs and groups as data give them, and records that hold them."""

from __future__ import annotations

from itertools import groupby

from gradsweep.config import Config
from gradsweep.data import LoadedSamples, load_samples
from gradsweep.records import Sample

Member = tuple[str, float]
"""Response and reward."""
PAIR: list[Member] = [("blue", 1.0), ("green", 0.0)]
SKY = ("Which colour?", PAIR)


def units(loaded: LoadedSamples) -> list[list[Sample]]:
    return [list(members) for _, members in groupby(loaded.samples, lambda sample: sample.index)]


def members(config: Config) -> list[tuple[str, list[Member]]]:
    """Prompt, and responses with rewards, of each question."""
    found = units(load_samples(config))
    return [(one[0].prompt, [(s.response, s.reward) for s in one]) for one in found]


def turns(*texts: str) -> list[dict[str, str]]:
    roles = ("user", "assistant") * len(texts)
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]


def says(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]
