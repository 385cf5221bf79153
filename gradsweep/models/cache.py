"""Weights stay in memory from one point to the next."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from gradsweep.config import Config
from gradsweep.models.load import LoadedModel, load_model
from gradsweep.progress import console


class ModelCache:
    """The last model that was loaded: the points of a sweep mostly share theirs."""

    def __init__(self) -> None:
        self._key: Mapping[str, Any] | None = None
        self._model: LoadedModel | None = None

    def get(self, config: Config, show_progress: bool) -> LoadedModel:
        """Raises as `load_model`."""
        key = {
            "source": config.model.source.identity(),
            "dtype": config.model.dtype,
            "quantization": config.model.quantization,
            "device_map": config.model.device_map,
            "device": config.gradients.device,
        }
        if self._model is None or key != self._key:
            self._model = None  # free the old weights before the new ones come
            waiting = f"loading {config.model.name} …"
            with console.status(waiting) if show_progress else nullcontext():
                self._model = load_model(config.model, config.gradients.device)
            self._key = key
            if show_progress and not console.is_terminal:  # a job's log has no spinner
                console.print(f"loaded {config.model.name}", soft_wrap=True)
        return self._model
