"""The grid: what a command line asks for, point by point, before anything runs."""

from gradsweep.plan.manifest import freeze
from gradsweep.plan.points import Plan, PlannedPoint, checked_plan, make_plan, plan_cells

__all__ = ["Plan", "PlannedPoint", "checked_plan", "freeze", "make_plan", "plan_cells"]
