"""Instruments' files: traces made with known pulses, tables, and everything that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from budget.errors import UsageError
from budget.tuning.exports import read_export

STEP_S = 1e-4


def trace(pulses: int = 3, length: int = 120, gap: int = 80) -> list[tuple[float, float, int]]:
    """Seconds, amperes, digital line: pulses of 10 mA above 1 mA."""
    rows, time_s = [], 0.0
    for _ in range(pulses):
        for count, current_a, line in ((gap, 1e-3, 0), (length, 10e-3, 1)):
            for _ in range(count):
                rows.append((time_s, current_a, line))
                time_s += STEP_S
    rows += [(time_s + i * STEP_S, 1e-3, 0) for i in range(gap)]
    return rows


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "export.csv"
    path.write_text(text, "utf-8")
    return path


def ppk2(rows: list[tuple[float, float, int]], head: str = "D0-D7") -> str:
    lines = [f"Timestamp(ms),Current(uA),{head}"]
    tail = "0000000" if head == "D0-D7" else ""
    lines += [f"{t * 1e3:.4f},{i * 1e6:.3f},{d}{tail}" for t, i, d in rows]
    return "\n".join(lines)


@pytest.mark.parametrize("head", ["D0-D7", "D0"])
def test_ppk2(tmp_path: Path, head: str) -> None:
    export = read_export(write(tmp_path, ppk2(trace(), head)), supply_v=3.0)
    (reading,) = export.readings
    assert export.format == "ppk2"
    assert reading.latency_s == pytest.approx(120 * STEP_S, rel=0.01)
    assert reading.energy_j == pytest.approx(120 * STEP_S * 10e-3 * 3.0, rel=0.02)
    assert "3 inferences" in reading.where


@pytest.mark.parametrize("head", ["time,current,voltage,in0", "time,current,voltage"])
def test_joulescope_with_and_without_its_digital_line(tmp_path: Path, head: str) -> None:
    has_line = head.endswith("in0")
    lines = ["# exported", head]
    lines += [f"{t:.5f},{i},1.8" + (f",{d}" if has_line else "") for t, i, d in trace()]
    export = read_export(write(tmp_path, "\n".join(lines)))
    (reading,) = export.readings
    assert export.format == "joulescope"
    assert reading.latency_s == pytest.approx(120 * STEP_S, rel=0.01)
    assert reading.energy_j == pytest.approx(120 * STEP_S * 10e-3 * 1.8, rel=0.02)
    assert reading.supply_v == pytest.approx(1.8)


def test_joulescope_without_voltage_takes_the_user_s(tmp_path: Path) -> None:
    path = write(tmp_path, "time,current\n" + "\n".join(f"{t:.5f},{i}" for t, i, _ in trace()))
    with pytest.raises(UsageError, match="no voltage"):
        read_export(path)
    (reading,) = read_export(path, supply_v=2.0).readings
    assert reading.energy_j == pytest.approx(120 * STEP_S * 10e-3 * 2.0, rel=0.02)


def test_energy_runner(tmp_path: Path) -> None:
    text = "... \nMedian throughput is 12.50 inf./sec.\nMedian energy cost is 1820.5 uJ/inf.\n"
    export = read_export(write(tmp_path, text))
    (reading,) = export.readings
    assert export.format == "energyrunner"
    assert (reading.latency_s, reading.energy_j) == (
        pytest.approx(0.08), pytest.approx(1.8205e-3),
    )  # fmt: skip
    with pytest.raises(UsageError, match="no median throughput"):
        read_export(write(tmp_path, "Median energy cost is 1820.5 uJ/inf.\n"))


def test_a_table(tmp_path: Path) -> None:
    text = (
        "model,device,latency_ms,clock_mhz,energy_uj,supply_v\n"
        "a.tflite,stm32l4r5,12.5,120,400,1.8\nb.tflite,,7,,,\n"
    )
    first, second = read_export(write(tmp_path, text)).readings
    assert first.latency_s == pytest.approx(0.0125)
    assert first.clock_hz == pytest.approx(120e6)
    assert first.energy_j == pytest.approx(4e-4)
    assert (first.device, first.supply_v) == ("stm32l4r5", 1.8)
    assert (second.clock_hz, second.energy_j, second.device) == (None, None, "")
    (cycles,) = read_export(write(tmp_path, "model,cycles\na,5e6\n")).readings
    assert cycles.cycles == 5e6 and cycles.latency_s is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("what,is,this\n1,2,3\n", "format is not known"),
        ("", "format is not known"),
        ("model,latency_ms,speed\na,1,2\n", "column 'speed'"),
        ("model,latency_ms\na,\n", "neither latency nor cycles"),
        ("model,latency_ms\na,fast\n", "not a positive number"),
        ("model,latency_ms\na,-3\n", "not a positive number"),
        ("model,latency_ms\na,nan\n", "not a positive number"),
        ("time,current,voltage\n0,x,1\n", "not a number"),
        ("time,current,voltage\n0,nan,1\n", "not a number"),
        ("time,current,voltage\n", "is empty"),
        ("time,current,voltage\n1,1,1\n0,1,1\n", "runs backwards"),
        ("model,latency_s\n" + "x" * 200_000 + ",1\n", "damaged"),
        ("time,current,voltage\n0,1e-3,1\n1,1e-3,1\n", "no whole inference"),
        ("Timestamp(ms),Current(uA),D0-D7\n0,1,00000000\n", "current alone"),
    ],
)
def test_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_export(write(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_export(tmp_path / "absent.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UsageError, match="not text"):
        read_export(binary)
