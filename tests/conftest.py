"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from budget.cli.threads import single_thread

# before anything imports numpy
single_thread()

ROOT = Path(__file__).resolve().parents[1]

# how fast the machine happens to be must not decide whether a test passes
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of real models that do not ship with the project; skips where it is absent."""
    folder = Path(os.environ.get("BUDGET_MODELS", ROOT.parent / "shared" / "models"))
    if not folder.is_dir():
        pytest.skip("real models not found: set BUDGET_MODELS to their folder")
    return folder
