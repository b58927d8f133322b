"""What the emitted front end takes on a Cortex-M4 at zero wait states, by a measured table.

The table (cycles.json, made by tests/benchmarks/front_end_cycles.py on the virtual core) holds for
each stage the cycles of one frame as a sum over the terms below, and bytes of code and stack.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from budget.features.spec import FeatureSpec

CLOCKED_CORE = "cortex-m4"


@dataclass(frozen=True, slots=True)
class FrontEndPrediction:
    """Of one clip, all frames.

    Attributes:
        cycles: on a Cortex-M4 at zero wait states.
        stages: of them, by stage; ``move`` is what keeps sound and features in order.
        code_bytes: machine code.
        stack_bytes: deepest stack below the caller.
    """

    cycles: int
    stages: Mapping[str, int]
    code_bytes: int
    stack_bytes: int


def terms(spec: FeatureSpec) -> dict[str, tuple[float, ...]]:
    """What the cycles of a frame are proportional to, by stage."""
    half, bands, count = spec.fft_points // 2, spec.mel_bands, spec.coefficients
    weights = float(np.count_nonzero(spec.mel_weights))
    levels = half.bit_length() - 1
    found: dict[str, tuple[float, ...]] = {
        "window": (1, spec.length_samples, spec.fft_points),
        "fft": (1, half // 2 * levels, half, levels),
        "split": (1, half),
        spec.values: (1, half + 1),
        "mel": (1, bands, weights),
        "log": (1, bands),
        "output": (1, count),
        "move": (1, spec.step_samples, spec.length_samples, spec.frames * count),
    }
    if spec.transform != "none":
        found["cosine"] = (1, count, bands * count)
    return found


def predict_front_end(
    spec: FeatureSpec, table: Mapping[str, Any] | None = None
) -> FrontEndPrediction:
    """Cycles, code and stack of the emitted C.

    Args:
        spec: the front end.
        table: measured; the one that ships if not given.
    """
    known = _table() if table is None else table
    stages = dict.fromkeys(
        ("window", "fft", "split", "power", "mel", "log", "cosine", "output", "move"), 0
    )
    for stage, amounts in terms(spec).items():
        each = sum(a * b for a, b in zip(known["cycles"][stage], amounts))
        stages["power" if stage in ("power", "magnitude") else stage] = round(each * spec.frames)
    code = known["code_bytes"] + (known["cosine_bytes"] if spec.transform != "none" else 0)
    code += known["magnitude_bytes"] if spec.values == "magnitude" else 0
    return FrontEndPrediction(sum(stages.values()), stages, code, known["stack_bytes"])


@cache
def _table() -> dict[str, Any]:
    return dict(json.loads((Path(__file__).parent / "cycles.json").read_text(encoding="utf-8")))
