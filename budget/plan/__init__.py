"""Canonical graph → Program: what runs when, and where every byte lies."""

from budget.plan.planner import plan
from budget.plan.precision import Precision
from budget.plan.program import Buffer, Location, Program, Role, Step

__all__ = ["Buffer", "Location", "Precision", "Program", "Role", "Step", "plan"]
