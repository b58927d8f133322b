"""The way to workers on other machines."""

from __future__ import annotations

from typing import Any

from budget.errors import MissingToolError, UsageError


def connect(address: str) -> Any:
    """A client of a Dask scheduler.

    Args:
        address: such as ``tcp://10.0.0.1:8786``.

    Raises:
        MissingToolError: Dask is not installed.
        UsageError: nobody answers there.
    """
    try:
        from distributed import Client
    except ImportError:
        raise MissingToolError(
            "a scheduler needs Dask, which is not installed",
            where="--scheduler",
            hint="pip install 'mcu-budget[dask]', or leave --scheduler out",
        ) from None
    try:
        return Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no scheduler answers: {error}", where=address, hint="start one with 'dask scheduler'"
        ) from None
