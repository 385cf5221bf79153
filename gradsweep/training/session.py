"""One run of somebody's own loop: what is due is measured and kept, step by step."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import nn

from gradsweep.errors import ConfigError
from gradsweep.records import UPDATE, Moment, SampleResult, Source, TrainingStep
from gradsweep.training.options import WatchOptions
from gradsweep.training.ranks import Ranks
from gradsweep.training.results import FolderResults, MemoryResults, Results
from gradsweep.training.scalars import probe_scalars, update_scalars
from gradsweep.training.update import Update, UpdateWatch

Scalars = dict[str, float]


class Session:
    """Measures a run; the loop says when a step begins, is about to be made, and is made.

    All processes of a distributed training do the same in step; the first one alone writes to the
    folder.
    """

    def __init__(
        self,
        options: WatchOptions,
        model: nn.Module,
        optimizer: Any,
        tokenizer: Any = None,
        scaler: torch.amp.GradScaler | None = None,
        loop: Mapping[str, Any] | None = None,
        first_step: int = 0,
    ) -> None:
        """Install the hooks and open the folder.

        Args:
            options: what is measured.
            model: as it is trained.
            optimizer: of its weights.
            tokenizer: for the probe.
            scaler: of float16 training.
            loop: what is known of the loop beside the options, for the record.
            first_step: optimizer steps of the checkpoint that the run goes on from; 0 without one.

        Raises:
            ConfigError: a probe without a tokenizer.
            ModelError: as `UpdateWatch`.
            StoreError: the folder cannot be written.
        """
        if options.probe is not None and tokenizer is None:
            raise ConfigError(
                "probe: its texts need the model's tokenizer: give tokenizer=… (Trainer: "
                "processing_class=…)"
            )
        self._options = options
        self._model = model
        self._optimizer = optimizer
        self._tokenizer = tokenizer
        self._watch = self._installed(scaler)
        self._began = time.monotonic()
        self._learning_rate = math.nan
        self.probed = -1
        """Optimizer steps before the last probe."""
        self.is_open = True
        """Until `close`; what was measured can be read afterwards, too."""
        try:
            self.results = self._opened(loop or {}, first_step)
        except BaseException:
            self._remove_hooks()
            raise

    def _installed(self, scaler: torch.amp.GradScaler | None) -> UpdateWatch | None:
        wanted = self._options
        if not wanted.update_every:
            return None
        every, layers = wanted.update_every, wanted.layers
        watch = UpdateWatch(
            self._model, wanted.projections, layers, wanted.options, every, scaler=scaler
        )
        watch.check_optimizer(self._optimizer)
        return watch.__enter__()

    def _opened(self, loop: Mapping[str, Any], first_step: int) -> Results:
        if self._options.folder is None or Ranks().rank:
            return MemoryResults()
        science = self._options.science()
        science["seed"] = int(loop.get("seed", 0))
        science["training"] |= {name: value for name, value in loop.items() if name != "seed"}
        axes = self._options.axes(self._model)
        results = FolderResults(Path(self._options.folder), axes, science, first_step)
        results.give_up = lambda: self.close(finished=False)
        return results

    def begin_step(self) -> None:
        """Start the clock of a step."""
        self._began = time.monotonic()

    def before_step(self, step: int) -> None:
        """Measure the gradients that the optimizer is about to take, where that is due."""
        # Of this step: some loops have their schedule set the next one's before they say it is made
        self._learning_rate = float(self._optimizer.param_groups[0]["lr"])
        if self._watch:
            self._watch.before_step(step)

    def skip_step(self) -> None:
        """Leave a step out that takes no gradient; the next one is measured as a first one is."""
        if self._watch:
            self._watch.__exit__(None, None, None)
            self._watch.__enter__()

    def after_step(self, step: int) -> Update | None:
        """Keep what was measured of a step that has just been made; None where none was due."""
        if self._watch is None or not self._watch.due(step):
            return None
        update = self._watch.after_step()
        seconds = time.monotonic() - self._began
        result = SampleResult(UPDATE, UPDATE, index=0, seconds=seconds, rows=update.rows)
        self.results.add(Moment(step, Source.update), [result])
        return update

    def update_scalars(self, update: Update) -> Scalars:
        """Return what a logger is told of an update."""
        return update_scalars(update, self._options.metrics)

    def probe_due(self, made: int) -> bool:
        """Whether the probe is due after so many optimizer steps."""
        return self._options.probe is not None and made % self._options.probe_every == 0

    def probe(self, made: int) -> Scalars:
        """Measure the probe's samples after so many optimizer steps, unless they have been."""
        wanted, scalars = self._options, Scalars()
        if wanted.probe is None:
            return scalars
        found = wanted.probe.measure(
            self._model, self._tokenizer, made, wanted.projections, wanted.options
        )
        for moment, results in found:
            self.results.add(moment, results)
            scalars |= probe_scalars(moment, results, wanted.metrics)
        self.probed = made
        return scalars

    def keep_step(
        self, step: int, update: Update | None, epoch: float = 0.0, loss: float = math.nan
    ) -> TrainingStep:
        """Keep what is known of an optimizer step after `after_step`, and return it."""
        made = TrainingStep(
            step,
            loss=loss,
            learning_rate=self._learning_rate,
            seconds=time.monotonic() - self._began,
            epoch=epoch,
            **(update.norms() if update else {}),
        )
        self.results.add_step(made)
        return made

    def close(self, finished: bool) -> None:
        """Take the hooks away and give up the folder; a run that has finished is marked DONE."""
        self.is_open = False
        self._remove_hooks()
        if finished:
            self.results.finish()
        self.results.close()

    def _remove_hooks(self) -> None:
        if self._watch:
            self._watch.__exit__(None, None, None)
            self._watch = None


class Measured:
    """What has been measured of a run, whatever loop it has."""

    _session: Session | None = None
    _begins: str
    """What begins a run."""

    @property
    def rows(self) -> pl.DataFrame:
        """What has been measured so far: a line per step, source, sample, layer and projection."""
        return self._measured.results.rows

    @property
    def samples(self) -> pl.DataFrame:
        """A line per step, source and sample."""
        return self._measured.results.samples

    @property
    def steps(self) -> pl.DataFrame:
        """A line per optimizer step; `loss` is known where a trainer tells it at every step."""
        return self._measured.results.steps

    @property
    def _measured(self) -> Session:
        if self._session is None:
            raise RuntimeError(f"{type(self).__name__} has nothing {self._absent()}")
        return self._session

    def _absent(self) -> str:
        """Say when or where nothing has been measured."""
        return f"before {self._begins} begins"

    def _close(self, finished: bool) -> None:
        session = self._session
        if session is not None and session.is_open:
            session.close(finished and not session.results.rows.is_empty())
