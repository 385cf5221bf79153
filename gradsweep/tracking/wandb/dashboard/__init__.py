"""A saved W&B workspace and a W&B report, written in code from what a results folder holds.

contents ──► panels, runsets ──► workspace, report ──► spec (JSON) or save (a server)

Everything but `save` is a pure function of `Contents`: the same points give the same JSON, ids
included, so that a second save changes nothing but what is new.
"""

from gradsweep.tracking.wandb.dashboard.contents import Contents, Place, contents, place_of
from gradsweep.tracking.wandb.dashboard.report import report
from gradsweep.tracking.wandb.dashboard.workspace import workspace

__all__ = ["Contents", "Place", "contents", "place_of", "report", "workspace"]
