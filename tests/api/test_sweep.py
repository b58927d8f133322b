"""Sweeps: each row equals the single check, every place of execution gives the same table."""

from __future__ import annotations

import builtins
import csv
import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from budget.api.check import check
from budget.api.sweep import price_block, sweep
from budget.cli.app import application
from budget.errors import MissingToolError, UsageError
from budget.scenario.schema import Scenario, Source
from budget.scenario.sweep_plan import Block, Names, read_plan

PLAN = """
models = ["zoo:digits"]
devices = ["efm32pg12", "stm32l4r5"]
sources = ["indoor-light", "silicon-500lx", "beeby-vibration"]
converters = ["bq25570"]
storages = ["supercap-7.5f"]
areas = { from = "1cm2", to = "100cm2", count = 4 }
rates = ["1/h", "1/min", "1/s", "20/s"]
"""


def plan_file(folder: Path, text: str, name: str = "plan.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_every_row_is_the_single_check(tmp_path: Path) -> None:
    table = sweep(plan_file(tmp_path, PLAN), tmp_path / "table.csv")
    rows = rows_of(table.path)
    assert table.rows == len(rows) == 2 * 3 * 4 * 4
    assert [int(row["row"]) for row in rows] == list(range(len(rows)))
    for row in rows[::5]:
        scenario = Scenario(
            model=row["model"],
            device=row["device"],
            rate_hz=float(row["rate_hz"]),
            storage=row["storage"],
            source=Source(
                harvester=row["source"], area_m2=float(row["area_m2"]), converter="bq25570"
            ),
        )
        single = check(scenario=scenario)
        assert row["verdict"] == single.verdict.value
        assert single.power is not None
        average = single.power.average
        for name, value in (
            ("average_w", average.value),
            ("average_low_w", average.low),
            ("average_high_w", average.high),
            ("energy_j", single.inference.energy.value),
            ("sustainable_hz", single.power.cycle.sustainable_hz().value),
            ("charging_w", single.power.cycle.chain.charging_w.value),
        ):
            assert float(row[name]) == pytest.approx(float(value), rel=1e-12), name
        margins = {c.name: c.margin_ratio for c in single.constraints if c.margin_ratio}
        assert row["binding"] == min(margins, key=lambda name: margins[name])
        assert float(row["margin_ratio"]) == pytest.approx(min(margins.values()), rel=1e-12)


def test_rows_of_a_csv_plan_in_any_order(tmp_path: Path) -> None:
    text = "model,device,source,area,rate\n"
    text += "zoo:digits,efm32pg12,indoor-light,10cm2,1/s\n"
    text += "zoo:digits,stm32l4r5,indoor-light,10cm2,1/s\n"
    text += "zoo:digits,efm32pg12,indoor-light,20cm2,2/s\nzoo:digits,efm32pg12,,,1/s\n"
    table = sweep(plan_file(tmp_path, text, "plan.csv"), tmp_path / "table.csv")
    rows = {int(row["row"]): row for row in rows_of(table.path)}
    assert [rows[i]["device"] for i in range(4)] == ["efm32pg12", "stm32l4r5"] + ["efm32pg12"] * 2
    assert float(rows[2]["area_m2"]) == pytest.approx(20e-4)
    assert rows[3]["area_m2"] == "" and rows[3]["charging_w"] == ""


def test_a_scenario_gives_what_the_plan_leaves_out(tmp_path: Path) -> None:
    path = plan_file(tmp_path, 'scenario = "hotword"\nareas = ["1cm2"]\n')
    rows = rows_of(sweep(path, tmp_path / "table.csv").path)
    assert len(rows) == 1
    single = check(scenario="hotword")
    assert rows[0]["verdict"] in {"fits", "does-not-fit", "too-close-to-call"}
    assert rows[0]["device"] == single.device.id


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = plan_file(tmp_path, PLAN)
    sweep(path, tmp_path / "table.parquet")
    columns = parquet.read_table(tmp_path / "table.parquet").to_pydict()
    rows = rows_of(sweep(path, tmp_path / "table.csv").path)
    assert list(columns) == list(rows[0])
    assert [str(v) for v in columns["verdict"]] == [row["verdict"] for row in rows]
    assert columns["average_w"] == [float(row["average_w"]) for row in rows]


def test_what_cannot_be_judged_is_kept_with_the_reason(tmp_path: Path) -> None:
    text = 'models = ["zoo:digits"]\ndevices = ["nonesuch", "efm32pg12"]\nrates = ["1/s"]\n'
    table = sweep(plan_file(tmp_path, text), tmp_path / "table.csv")
    rows = rows_of(table.path)
    assert rows[0]["verdict"] == "not-judged" and "nonesuch" in rows[0]["error"]
    assert rows[0]["average_w"] == ""
    assert rows[1]["error"] == ""
    assert sum(table.verdicts.values()) == 2 and list(table.errors.values()) == [1]
    assert table.to_json()["verdicts"]["not-judged"] == 1


def test_progress_is_told(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    sweep(
        plan_file(tmp_path, PLAN),
        tmp_path / "t.csv",
        progress=lambda done, size: seen.append((done, size)),
    )
    assert seen[-1] == (96, 96) and len(seen) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models = [", "not a TOML file"),
        ('modles = ["zoo:digits"]', "unknown key"),
        ('models = ["zoo:digits"]', "no devices"),
        ('models = "zoo:digits"', "list of names"),
        ("scenario = 3", "a text is expected"),
        ('scenario = "hotword"\nareas = 3', "list of quantities or a range"),
        ('scenario = "hotword"\nareas = ["10cm"]', "area"),
        ('scenario = "hotword"\nareas = ["0cm2"]', "not above zero"),
        ('scenario = "hotword"\nareas = { from = "1cm2" }', "from, to and count"),
        ('scenario = "hotword"\nareas = { from = "2cm2", to = "1cm2", count = 3 }', "rises"),
    ],
)
def test_plans_that_make_no_sense(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_plan(plan_file(tmp_path, text))
    assert caught.value.hint and "plan.toml" in caught.value.where


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,device,rate,colour\n", "unknown column"),
        ("model,device\n", "no column 'rate'"),
        ("model,device,rate\n", "no rows"),
        ("model,device,rate\nzoo:digits,efm32pg12\n", "as many values"),
        ("model,device,rate\nzoo:digits,efm32pg12,10cm\n", "is a length"),
    ],
)
def test_rows_that_make_no_sense(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_plan(plan_file(tmp_path, text, "plan.csv"))
    assert "plan.csv" in caught.value.where


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    path = plan_file(tmp_path, PLAN)
    with pytest.raises(UsageError, match="cannot be read"):
        sweep(tmp_path / "none.toml", tmp_path / "t.csv")
    with pytest.raises(UsageError, match="format is not known"):
        sweep(path, tmp_path / "t.xlsx")
    with pytest.raises(UsageError, match="cannot be written"):
        sweep(path, tmp_path / "none" / "t.csv")


def test_a_failure_leaves_the_old_table(tmp_path: Path) -> None:
    old = tmp_path / "t.csv"
    old.write_text("old")

    def stop(done: int, size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(plan_file(tmp_path, PLAN), old, progress=stop)
    assert old.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plan.toml", "t.csv"]


@pytest.mark.parametrize(
    ("missing", "output", "scheduler", "extra"),
    [("pyarrow", "t.parquet", None, "sweep"), ("distributed", "t.csv", "tcp://x:1", "dask")],
)
def test_missing_extras_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    output: str,
    scheduler: str | None,
    extra: str,
) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: object, **more: object) -> object:
        if name.partition(".")[0] == missing:
            raise ImportError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingToolError) as caught:
        sweep(plan_file(tmp_path, PLAN), tmp_path / output, scheduler=scheduler)
    assert f"[{extra}]" in caught.value.hint


def test_blocks_are_priced_alone() -> None:
    # a row must not depend on its neighbours: half a block gives half of its numbers
    names = Names("zoo:digits", "efm32pg12", "", "silicon-500lx", "bq25570", "supercap-7.5f")
    count = 20
    block = Block(
        names, np.arange(count), np.geomspace(1e-4, 1, count), np.geomspace(1e-3, 9, count)
    )
    whole = price_block(block)
    half = price_block(
        replace(block, row=block.row[5:9], area_m2=block.area_m2[5:9], rate_hz=block.rate_hz[5:9])
    )
    for name in ("average_high_w", "charging_w", "sustainable_hz", "margin_ratio"):
        assert np.array_equal(whole[name][5:9], half[name])


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_cluster_gives_the_same_table_though_a_worker_dies(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    text = PLAN.replace("count = 4", "count = 30").replace(
        'devices = ["efm32pg12", "stm32l4r5"]',
        'devices = ["efm32pg12", "stm32l4r5", "stm32u575", "nrf52840", "rp2040", "stm32l476"]',
    )
    path = plan_file(tmp_path, text)
    here = sweep(path, tmp_path / "here.csv")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        victim = cluster.workers[0].process.pid
        killed = threading.Event()

        def kill(done: int, size: int) -> None:
            if not killed.is_set():
                os.kill(victim, signal.SIGKILL)
                killed.set()
                time.sleep(0.1)

        there = sweep(
            path, tmp_path / "there.csv", scheduler=cluster.scheduler_address, progress=kill
        )
    assert killed.is_set()
    assert there.rows == here.rows == 6 * 3 * 30 * 4
    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()


@pytest.mark.slow
def test_a_scheduler_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(UsageError, match="no scheduler answers"):
        sweep(plan_file(tmp_path, PLAN), tmp_path / "t.csv", scheduler="tcp://127.0.0.1:1")


def test_an_address_that_is_none(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(UsageError, match="no scheduler answers") as caught:
        sweep(plan_file(tmp_path, PLAN), tmp_path / "t.csv", scheduler="nonsense://here")
    assert "dask scheduler" in caught.value.hint


def test_the_command_tells_where_the_table_is(tmp_path: Path) -> None:
    text = 'models = ["zoo:digits"]\ndevices = ["nonesuch", "efm32pg12"]\nrates = ["1/s"]\n'
    plan, table = plan_file(tmp_path, text), tmp_path / "t.csv"
    result = CliRunner().invoke(application(), ["sweep", str(plan), "-o", str(table)])
    assert result.exit_code == 0 and "2 combinations" in result.output
    assert "not-judged" in result.stdout and "nonesuch" in result.stderr
    again = CliRunner().invoke(application(), ["sweep", str(plan), "-o", str(table), "--json"])
    assert json.loads(again.stdout)["rows"] == 2
