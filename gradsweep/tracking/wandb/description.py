"""What names and describes a point's W&B run: id = point id, group = sweep, tags = axes
and versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gradsweep.config import Config
from gradsweep.identity import science
from gradsweep.records import Axes, axis_words
from gradsweep.store.description import stored_axes

MAX_TAG_LENGTH = 64
"""W&B refuses longer tags."""
TAGGED_VERSIONS = ("gradsweep", "torch", "transformers")
"""Packages whose versions are tags, to filter runs by; the config has all of them."""


@dataclass(frozen=True)
class RunDescription:
    """The same whether the point runs now or is read back from its config.yaml."""

    point_id: str
    run_id: str
    """The point id; another one where `sync --rebuild` made a run anew."""
    axes: Mapping[str, str]
    science: Mapping[str, Any]
    versions: Mapping[str, str]
    sweep: str | None
    project: str
    entity: str | None
    samples: bool = True
    """Whether each sample is a row of the history (`tracking.samples`)."""

    @classmethod
    def of_config(
        cls, config: Config, point_id: str, sweep: str | None, versions: Mapping[str, str]
    ) -> RunDescription:
        """Describe a point that is about to run."""
        names = (asdict(config.axes), science(config), dict(versions))
        tracking = config.tracking
        place = (sweep, tracking.project, tracking.entity)
        return cls(point_id, point_id, *names, *place, tracking.samples)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> RunDescription:
        """Describe a stored point, from its config.yaml."""
        point_id, config = record["point_id"], record["config"]
        names = (stored_axes(record), record["science"], record["versions"])
        tracking = config["tracking"]
        place = (config["sweep"], tracking["project"], tracking["entity"])
        return cls(point_id, point_id, *names, *place, tracking.get("samples", True))

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `wandb.init`."""
        named = {"point_id": self.point_id, "science": dict(self.science)}
        return {
            "project": self.project,
            "entity": self.entity,
            "id": self.run_id,
            "resume": "allow",
            "name": str(Axes(**self.axes)),
            "group": self.sweep,
            "job_type": "extract",
            "tags": [f"{name}={value}"[:MAX_TAG_LENGTH] for name, value in self._tags().items()],
            "config": dict(self.axes) | named | {"versions": dict(self.versions)},
            # Another run of this process is not ours to return or to finish.
            "reinit": "create_new",
        }

    def _tags(self) -> dict[str, str]:
        versions = {name: self.versions[name] for name in TAGGED_VERSIONS if name in self.versions}
        # The study's objective needs no tag: runs of before the axis have none.
        axes = {
            axis: value for axis, value in self.axes.items() if value in axis_words({axis: value})
        }
        return {**axes, **versions}
