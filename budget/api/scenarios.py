"""The scenarios that ship."""

from __future__ import annotations

from pathlib import Path

from budget.scenario.schema import Scenario, load_scenario, scenario_text, scenarios


def list_scenarios() -> list[Scenario]:
    """Every scenario that ships."""
    return [load_scenario(id) for id in scenarios()]


def show_scenario(id_or_path: str | Path) -> tuple[Scenario, str]:
    """One scenario, by id or file, and the text of its file.

    Raises:
        ProfileError: no such scenario, or a file that breaks the rules.
    """
    return load_scenario(id_or_path), scenario_text(id_or_path)[0]
