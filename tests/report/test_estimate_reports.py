"""The tables of `scoreboard`, `calibrate` and `check --explain`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from budget.api.chain import chain_of
from budget.api.check import check
from budget.api.scoreboard import PER_MODEL, Score, Scoreboard, scoreboard
from budget.cli.calibrate import calibrate as calibrate_command
from budget.cli.scoreboard import scoreboard as scoreboard_command
from budget.report.check import report_check
from budget.report.console import out_console
from budget.report.scoreboard import render


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture(autouse=True)
def fresh_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    out_console.cache_clear()


def test_scoreboard_prints_goals_groups_and_rows(capsys: pytest.CaptureFixture[str]) -> None:
    scoreboard_command(by="board", rows=True)
    text = printed(capsys)
    for part in ("(≤ 10%)", "NUCLEO-L4R5ZI", "2 MFLOP/s", "20 pJ/MAC", "every row", "not scored"):
        assert part in text
    scoreboard_command(json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["command"] == "scoreboard"
    assert {s["by"] for s in document["scores"]} == {"all", "runtime", "core", "board", "network"}


def test_a_rejected_coverage_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    bad = Score(PER_MODEL, "all", "all", 20, 0.3, 0.9, 5, 1e-9)
    out_console().print(render(Scoreboard((), (bad,), 20, {}), by="core"))
    assert "5 of 20, rejected" in printed(capsys)
    assert scoreboard().overall(PER_MODEL).is_rejected is False


def test_calibrate_prints_before_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "m.csv"
    table.write_text(
        "model,latency_ms,energy_uj,supply_v\nzoo:ds_cnn,70,3000,1.8\nzoo:resnet8,240,,\n", "utf-8"
    )
    options = {"runtime": "x-cube-ai-7", "device": "stm32l4r5"}
    calibrate_command(table, tmp_path / "mine.toml", device_out=tmp_path / "chip.toml", **options)
    text = printed(capsys)
    for part in ("x-cube-ai-7 on your stm32l4r5", "before", "after", "power while it runs"):
        assert part in text
    calibrate_command(table, tmp_path / "mine.toml", json=True, **options)
    assert len(json.loads(capsys.readouterr().out)["measurements"]) == 2
    one = tmp_path / "one.csv"
    one.write_text("model,latency_ms\nzoo:ds_cnn,70\n", "utf-8")
    calibrate_command(one, tmp_path / "mine.toml", **options)
    assert "measured" in printed(capsys)


def test_explain_shows_the_chain(capsys: pytest.CaptureFixture[str]) -> None:
    result = check("zoo:ds_cnn", device="stm32l4r5", runtime="x-cube-ai")
    report_check(result, explain=True)
    text = printed(capsys)
    for part in (
        "pointwise", "×1.19", "5 wait states", "latency = cycles / 120 MHz", "boundary core",
        "4 distinct published latencies of x-cube-ai on cortex-m4", "MLPerf Tiny v1.2",
        "stm32l4r5/power.network_w",
    ):  # fmt: skip
        assert part in text
    chain = chain_of(result)
    assert chain is not None and result.inference.cycles is not None
    parts = sum(float(term.cycles.value) for term in chain.terms)
    assert parts == pytest.approx(float(result.inference.cycles.value))


def test_explain_says_which_steps_are_priced_by_measured_kernels(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = check("zoo:hotword", device="stm32l4r5")
    report_check(result, explain=True)
    text = " ".join(printed(capsys).split())
    assert "cycles of 12 of 12 steps: those of their kernels on the virtual core, at 5" in text
    assert "prices below" not in text and "borrowed" not in text
    chain = chain_of(result)
    slow = check("zoo:hotword", device="stm32l4r5", clock_hz=16e6)  # no wait states
    before = chain_of(slow)
    assert chain is not None and before is not None
    assert {term.stall_ratio for term in before.terms} == {1.0}
    assert all(term.stall_ratio > 1 for term in chain.terms)


def test_explain_says_what_is_borrowed_and_engines_have_no_chain(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report_check(check("zoo:ds_cnn", device="rp2040", runtime="x-cube-ai"), explain=True)
    assert "no published latency of x-cube-ai on cortex-m0plus" in printed(capsys)
    rule = check("zoo:ds_cnn", device="stm32l4r5", runtime="rule-of-thumb")
    chain = chain_of(rule)
    assert chain is not None and chain.stalls.states == 0 and chain.residual is None
    report_check(rule, explain=True)
    assert "latency = cycles" in printed(capsys)
    assert chain_of(check("zoo:ds_cnn", device="dsp-20pj")) is None


def test_the_arena_to_request_is_printed_for_tflm(capsys: pytest.CaptureFixture[str]) -> None:
    report_check(check("zoo:ds_cnn", device="stm32l4r5", runtime="tflm-cmsis-nn"))
    assert "tensor_arena_size = 22,8" in printed(capsys)
