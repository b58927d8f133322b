"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from budget.cli.threads import single_thread

# before anything imports numpy
single_thread()

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of real models that do not ship with the project; skips where it is absent."""
    folder = Path(os.environ.get("BUDGET_MODELS", ROOT.parent / "shared" / "models"))
    if not folder.is_dir():
        pytest.skip("real models not found: set BUDGET_MODELS to their folder")
    return folder
