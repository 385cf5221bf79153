"""The grid: what a command line asks for, point by point, before anything runs."""

from gradsweep.sweep.manifest import freeze, read_manifest
from gradsweep.sweep.plan import Plan, PlannedPoint, make_plan, plan_cells

__all__ = ["Plan", "PlannedPoint", "freeze", "make_plan", "plan_cells", "read_manifest"]
