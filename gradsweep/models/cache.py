"""Weights stay in memory from one point to the next."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from gradsweep.config import Config, ModelConfig
from gradsweep.errors import ModelError
from gradsweep.models.fingerprint import source_identity
from gradsweep.models.load import LoadedModel, load_model
from gradsweep.models.projections import check_family
from gradsweep.progress import console

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ModelCache:
    """The last model that was loaded: the points of a sweep mostly share theirs."""

    def __init__(self) -> None:
        self._key: Mapping[str, Any] | None = None
        self._model: LoadedModel | None = None
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self._commit: str | None = None

    def get(self, config: Config, show_progress: bool, commit: str | None = None) -> LoadedModel:
        """The point's model, loaded anew when its files, or how they are loaded, have changed.

        Args:
            config: the point; its prompt format and max_length are checked every time.
            show_progress: say that a model is being loaded.
            commit: of a hub model, the one that the point's stored samples were measured with.
                None takes whichever is loaded, or else what the hub has now.

        Raises:
            ConfigError, ModelError: as `load_model`; or the files of the model were written to
                while they were loaded.
        """
        source = source_identity(config.model.source)
        key = {
            "source": source,
            "dtype": config.model.dtype,
            "quantization": config.model.quantization,
            "weights": config.model.weights,
            "device_map": config.model.device_map,
            "placement": config.model.placement,
            "device": config.gradients.device,
        }
        same = key == self._key and commit in (None, self._commit)
        if self._model is None or not same:
            self.clear()  # free the old weights before the new ones come
            # A hub's commit of today is not known yet; files here are, and their tokenizer with it.
            known = self._tokenizer if same and self._commit in (None, commit) else None
            self._model = _loaded(config, show_progress, commit, known)
            _check_unchanged(config.model, source)
            self._key = key
            self._tokenizer, self._commit = self._model.tokenizer, self._model.commit
        return self._model.for_point(config.model)

    def clear(self) -> None:
        """Free the weights; the next point loads its model. The tokenizer stays."""
        self._model = None


def _loaded(
    config: Config,
    show_progress: bool,
    commit: str | None,
    tokenizer: PreTrainedTokenizerBase | None,
) -> LoadedModel:
    check_family(config.model)
    waiting = f"loading {config.model.name} …"
    try:
        with console.status(waiting) if show_progress else nullcontext():
            model = load_model(config.model, config.gradients.device, commit, tokenizer)
    except ModelError as error:
        if commit is None:
            raise
        raise ModelError(
            f"{error} (the samples that are stored of this point were measured with commit "
            f"{commit}, and the others must be, too; without the samples, in a results folder of "
            "its own, the point starts with today's)"
        ) from error
    if show_progress and not console.is_terminal:  # a job's log has no spinner
        console.print(f"loaded {config.model.name}", soft_wrap=True)
    return model


def _check_unchanged(model: ModelConfig, before: Mapping[str, Any]) -> None:
    if source_identity(model.source) != before:
        raise ModelError(
            f"model.source.path: {model.source.path} was written to while it was loaded: wait "
            "until it is complete, and run the same command again"
        )
