"""The numbers of the 2016 notes that this program began with, as it computes them."""

from __future__ import annotations

import pytest

import budget
from budget.hardware import library
from budget.verdict import Status, Verdict


@pytest.fixture(scope="module")
def inception() -> object:
    return budget.load("zoo:inception_v1")


def test_inception_on_the_dsp(inception: object) -> None:
    check = budget.check(
        inception, device="dsp-20pj", rate_hz=1.0, source="outdoor-light", area_m2=30e-4
    )
    assert 1.4e9 <= check.program.cost.macs <= 1.6e9
    assert 28e-3 <= float(check.inference.energy.value) <= 32e-3
    assert check.power is not None
    assert 28e-3 <= float(check.power.average.value) <= 32e-3
    assert check.verdict is Verdict.FITS


def test_inception_needs_about_three_square_centimetres_outdoors(inception: object) -> None:
    check = budget.check(
        inception, device="dsp-20pj", rate_hz=1.0, source="outdoor-light", area_m2=0.1e-4
    )
    area = next(remedy for remedy in check.remedies if remedy.what == "area")
    assert 2.8e-4 <= float(area.need.value) <= 3.2e-4


def test_inception_is_hopeless_indoors(inception: object) -> None:
    check = budget.check(
        inception, device="dsp-20pj", rate_hz=1.0, source="indoor-light", area_m2=10e-4
    )
    assert check.verdict is Verdict.DOES_NOT_FIT
    area = next(remedy for remedy in check.remedies if remedy.what == "area")
    assert 0.28 <= float(area.need.value) <= 0.32, "about a third of a square metre"


def test_the_efm32_of_the_article_and_of_the_data_sheet() -> None:
    article = library.device("efm32-article").power_w()
    sheet = library.device("efm32pg12").power_w()
    assert float(article.value) == pytest.approx(2.5e-3)
    assert float(sheet.value) == pytest.approx(8.3e-3, rel=0.01)
    assert float(article.high) < float(sheet.value)


def test_the_rule_of_thumb_is_two_megaflops_at_forty_megahertz() -> None:
    check = budget.check("zoo:digits", device="efm32-article", runtime="rule-of-thumb")
    assert check.inference.latency is not None
    flops_per_s = check.program.cost.flops / float(check.inference.latency.value)
    assert flops_per_s == pytest.approx(2e6, rel=1e-6)


def test_remedies_put_back_land_on_the_line() -> None:
    asked = {"device": "efm32pg12", "rate_hz": 5.0, "source": "indoor-light"}
    check = budget.check("zoo:hotword", area_m2=1e-4, **asked)
    by_what = {remedy.what: remedy.need for remedy in check.remedies}
    area = budget.check("zoo:hotword", **{**asked, "area_m2": float(by_what["area"].value)})
    rate = budget.check(
        "zoo:hotword", area_m2=1e-4, **{**asked, "rate_hz": float(by_what["rate"].value)}
    )
    for mended in (area, rate):
        power = next(c for c in mended.constraints if c.name == "power")
        assert power.margin_ratio == pytest.approx(1.0, rel=1e-9)
        assert power.status is Status.UNSURE
