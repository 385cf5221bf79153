"""The generated questions as a dataset."""

from __future__ import annotations

from functools import lru_cache

from gradsweep.config import Config, CotLevel
from gradsweep.data.arithmetic.generate import problem, response
from gradsweep.data.questions import Dataset, Question, question_ids
from gradsweep.errors import ConfigError

VERSION = 1
"""Version of templates, phrases and layouts: raised whenever the text of a question changes."""


def read_arithmetic(config: Config) -> Dataset:
    """`dataset.size` questions of `seed` at `cot.level`, or more if more samples are asked for.

    Raises:
        ConfigError: `dataset.version` is not the version of the templates installed here.
    """
    require_version(config)
    count = max(config.dataset.size, config.requested_samples)
    questions = generated_questions(config.seed, config.cot.level, count)
    return Dataset(questions, pool=questions[: config.dataset.size])


@lru_cache(maxsize=8)
def generated_questions(seed: int, level: CotLevel, count: int) -> tuple[Question, ...]:
    """The first `count` questions of `seed`; the points of a grid share them."""
    solved = [problem(seed, index) for index in range(count)]
    ids = question_ids(problem.prompt for problem in solved)
    return tuple(
        Question(
            question_id=question_id,
            prompt=problem.prompt,
            response=response(problem, level, seed, index),
            answer=str(problem.answer),
        )
        for index, (problem, question_id) in enumerate(zip(solved, ids, strict=True))
    )


def require_version(config: Config) -> None:
    if config.dataset.version != VERSION:
        raise ConfigError(
            f"dataset.version={config.dataset.version} of the arithmetic questions is not "
            f"installed; this gradsweep has version {VERSION}"
        )
