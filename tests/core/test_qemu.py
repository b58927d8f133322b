"""Instruction counts against QEMU's, on the very same programs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("unicorn")
pytest.importorskip("capstone")

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import qemu
from core_against_qemu import counts, sources_of

pytestmark = pytest.mark.tool("qemu-system-arm")

BRANCHES = b"""
#include <stdint.h>
static int8_t a[1000];
static float f[100];
void prepare(void)
{
    for (int i = 0; i < 1000; i++) { a[i] = (int8_t)(i * 37); }
    for (int i = 0; i < 100; i++) { f[i] = (float)i; }
}
int work(void)
{
    int s = 0;
    for (int i = 0; i < 1000; i++) {
        int v = a[i];
        if (v > 20) { s += v; } else if (v < -50) { s -= 2 * v; }
        if (v & 1) { s ^= i; }
        s += v ? 1000 / v : 0;
    }
    float x = 0;
    for (int i = 0; i < 100; i++) { x += f[i] * f[99 - i]; }
    return s + (int)x;
}
"""


@pytest.mark.parametrize("flags", ["-O0", "-Os", "-O2", "-O3"])
def test_branches_divides_and_floats(flags: str, tmp_path: Path) -> None:
    qemu.require_tools()
    theirs, ours, *_ = counts(qemu.link(tmp_path, {"work.c": BRANCHES}, [flags]))
    assert abs(ours - theirs) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("flags", ["-Os", "-O2", "-O3"])
@pytest.mark.parametrize("model", ["zoo:hotword", "zoo:digits"])
def test_emitted_models(model: str, flags: str, tmp_path: Path) -> None:
    qemu.require_tools()
    theirs, ours, *_ = counts(qemu.link(tmp_path, sources_of(model), [flags]))
    assert abs(ours - theirs) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("model", ["kws", "vww", "ic", "ad"])
def test_emitted_real_models(models: Path, model: str, tmp_path: Path) -> None:
    qemu.require_tools()
    sources = sources_of(str(models / f"{model}_int8.tflite"))
    theirs, ours, *_ = counts(qemu.link(tmp_path, sources, ["-O2"]))
    assert abs(ours - theirs) <= 2
