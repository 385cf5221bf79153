"""The generated questions as a dataset."""

from __future__ import annotations

from gradsweep.config import Config
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
    solved = [problem(config.seed, index) for index in range(count)]
    ids = question_ids(problem.prompt for problem in solved)
    questions = tuple(
        Question(
            question_id=question_id,
            prompt=problem.prompt,
            response=response(problem, config.cot.level, config.seed, index),
            answer=str(problem.answer),
        )
        for index, (problem, question_id) in enumerate(zip(solved, ids, strict=True))
    )
    return Dataset(questions, pool=questions[: config.dataset.size])


def require_version(config: Config) -> None:
    if config.dataset.version != VERSION:
        raise ConfigError(
            f"dataset.version={config.dataset.version} of the arithmetic questions is not "
            f"installed; this gradsweep has version {VERSION}"
        )
