"""Sources side by side: each row is the check of its source."""

from __future__ import annotations

from functools import cache

import pytest

from budget.api.check import check
from budget.api.harvest import RULES_OF_THUMB, Harvest, harvest
from budget.errors import UsageError
from budget.hardware import library
from budget.scenario.schema import Scenario, Source
from budget.verdict import Verdict


@cache
def hotword() -> Harvest:
    return harvest("zoo:hotword", device="efm32pg12", rate_hz=1.0, area_m2=1e-3)


def test_the_eight_come_first_and_nothing_is_left_out() -> None:
    names = [row.source.id for row in hotword().rows]
    assert tuple(names[:8]) == RULES_OF_THUMB
    assert sorted(names) == library.harvesters()


@pytest.mark.parametrize(
    ("name", "watts"),
    list(zip(RULES_OF_THUMB, [40e-6, 1e-3, 250e-6, 32e-3, 100e-6, 0.1, 1e-6, 10e-9])),
)
def test_the_article_s_table_at_ten_square_centimetres(name: str, watts: float) -> None:
    row = next(row for row in hotword().rows if row.source.id == name)
    assert float(row.harvested.value) == pytest.approx(watts, rel=0.1)


def test_a_row_is_the_check_of_its_source() -> None:
    for row in hotword().rows:
        area = 1e-3
        alone = check(
            "zoo:hotword", device="efm32pg12", rate_hz=1.0, source=row.source.id, area_m2=area
        )
        assert alone.verdict is row.verdict
        assert [c.to_json() for c in alone.constraints] == [
            c.to_json() for c in row.check.constraints
        ]


def test_what_a_row_promises_holds() -> None:
    for row in hotword().rows:
        rate = float(row.rate.value)
        if rate and rate < 9:
            found = check(
                "zoo:hotword", device="efm32pg12", rate_hz=rate, source=row.source.id, area_m2=1e-3
            )
            power = next(c for c in found.constraints if c.name == "power")
            assert power.margin_ratio == pytest.approx(1.0, rel=1e-9)


def test_inception_once_a_second_is_too_much_for_indoor_light() -> None:
    found = harvest("zoo:inception_v1", device="dsp-20pj", rate_hz=1.0, area_m2=1e-3)
    rows = {row.source.id: row for row in found.rows}
    assert float(found.ledger.energy.value) == pytest.approx(30e-3, rel=0.1)  # 30 mJ
    assert rows["indoor-light"].verdict is Verdict.DOES_NOT_FIT
    assert rows["outdoor-light"].verdict is not Verdict.DOES_NOT_FIT
    remedies = {r.what: r for r in rows["indoor-light"].check.remedies}
    assert float(remedies["energy"].need.value) == pytest.approx(320, rel=0.1)
    assert float(remedies["rate"].need.value) == pytest.approx(1 / 320, rel=0.1)
    assert float(remedies["area"].need.value) == pytest.approx(0.32, rel=0.1)
    assert found.exit_code in {0, 6}


def test_exit_codes() -> None:
    rows = hotword().rows
    named = {
        verdict: row.source.id for verdict in Verdict for row in rows if row.verdict is verdict
    }
    assert set(named) == set(Verdict)
    chosen: list[str] = []
    for verdict in (Verdict.DOES_NOT_FIT, Verdict.TOO_CLOSE, Verdict.FITS):
        chosen.append(named[verdict])
        found = harvest(
            "zoo:hotword", device="efm32pg12", rate_hz=1.0, area_m2=1e-3, sources=chosen
        )
        assert found.exit_code == verdict.exit_code


def test_gap_and_converter_are_everyone_s() -> None:
    life = Scenario(source=Source(converter="bq25570", gap_s=3600.0), storage="supercap-7.5f")
    found = harvest("zoo:hotword", device="efm32pg12", rate_hz=0.01, area_m2=1e-3, scenario=life)
    for row in found.rows:
        assert row.gap is not None and float(row.gap.value) == 3600
        assert {"storage", "cold-start-power"} <= {c.name for c in row.check.constraints}
        assert float(row.charging.value) < float(row.harvested.value)


def test_what_must_be_named() -> None:
    with pytest.raises(UsageError, match="no area"):
        harvest("zoo:hotword", device="efm32pg12", rate_hz=1.0)
    with pytest.raises(UsageError, match="no rate"):
        harvest("zoo:hotword", device="efm32pg12", area_m2=1.0)
    fixed = harvest("zoo:hotword", device="efm32pg12", rate_hz=1.0, sources=["beeby-vibration"])
    assert fixed.rows[0].area is None
