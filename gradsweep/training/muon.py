"""torch's Muon, which takes matrices alone, with AdamW for everything else."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for the matrices of the layers, AdamW for embeddings, head, norms and biases.

    As Muon's authors use it (Keller Jordan, https://kellerjordan.github.io/posts/muon/), with the
    learning rate adjusted to AdamW's size of update, so that one rate serves both.
    """

    def __init__(self, model: nn.Module, learning_rate: float, weight_decay: float) -> None:
        """Sort the trainable parameters of a causal LM.

        Args:
            model: whose parameters require a gradient where they are trained.
            learning_rate: of both.
            weight_decay: of both.
        """
        matrices, others = _sorted(model)
        options: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay}
        muon = torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw", **options)
        self._parts: list[torch.optim.Optimizer] = [muon]
        if others:
            self._parts.append(torch.optim.AdamW(others, **options))
        super().__init__([group for part in self._parts for group in part.param_groups], options)
        self._share()

    def _share(self) -> None:
        """Both parts read and write this optimizer's groups and state."""
        for part, group in zip(self._parts, self.param_groups, strict=True):
            part.param_groups = [group]
            part.state = self.state

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter once; `closure` is not supported."""
        assert closure is None
        for part in self._parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()


def _sorted(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    get = (getattr(model, f"get_{end}put_embeddings", lambda: None)() for end in ("in", "out"))
    tables = {id(p) for module in get if module is not None for p in module.parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.dim() == 2 and id(p) not in tables]
    chosen = {id(p) for p in matrices}
    return matrices, [p for p in trained if id(p) not in chosen]
