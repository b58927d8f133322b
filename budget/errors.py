"""The errors a user can meet, each with what happened, where, and what to do about it."""

from __future__ import annotations


def shorten(name: str, most: int = 60) -> str:
    """A name that gives up its middle where it is longer: converters join many with semicolons."""
    if len(name) <= most:
        return name
    end = max(0, (most - 1) // 2)
    return f"{name[: max(0, most - 1 - end)]}…{name[len(name) - end :]}"


class BudgetError(Exception):
    """A problem with the user's input or machine, told in one sentence with a hint.

    Args:
        what: one sentence that says what is wrong.
        where: the file, node and operator concerned, such as ``kws.tflite: node 12 'gru' (WHILE)``.
        hint: what to do about it.
    """

    exit_code: int = 3

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class UsageError(BudgetError):
    """The command line or an argument makes no sense."""

    exit_code = 2


class ModelError(BudgetError):
    """The model cannot be used."""

    exit_code = 3


class CorruptModelError(ModelError):
    """The file is not what its format promises: truncated, out of bounds, inconsistent."""


class UnsupportedModelError(ModelError):
    """The model is sound but holds something this program does not handle; all of it is listed."""


class ProfileError(BudgetError):
    """A hardware profile is missing, malformed or inconsistent."""

    exit_code = 4


class MissingToolError(BudgetError):
    """A program or an optional extra is not installed."""

    exit_code = 5


class InvalidGraphError(AssertionError):
    """A graph breaks its own invariants: a defect in this program, not in the user's input."""
