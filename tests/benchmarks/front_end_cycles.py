"""Measures emitted front ends on the virtual Cortex-M4 and writes budget/features/cycles.json.

python tests/benchmarks/front_end_cycles.py          fits the table and writes it
python tests/benchmarks/front_end_cycles.py --check  says how far it is from other front ends
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "codegen")]

from listening import VirtualListening, any_model  # noqa: E402

from budget.features import FeatureSpec, predict_front_end  # noqa: E402
from budget.features.cycles import terms  # noqa: E402
from budget.plan import plan  # noqa: E402
from budget.zoo import MODELS  # noqa: E402

SHIPPED = FeatureSpec.load(MODELS / "hotword.features.toml")
TABLE = ROOT / "budget" / "features" / "cycles.json"


def variant(
    points: int, length: int, step: int, bands: int, count: int, **more: str
) -> FeatureSpec:
    spec = replace(
        SHIPPED,
        clip_samples=length + 2 * step,
        length_samples=length,
        step_samples=step,
        fft_points=points,
        mel_bands=bands,
        coefficients=count,
        offset=(1000,) * count,
        multiplier=(3,) * count,
        **more,
    )
    return spec


def drawn(seed: int, count: int) -> list[FeatureSpec]:
    """Front ends of many sizes."""
    random = np.random.default_rng(seed)
    found = []
    for index in range(count):
        points = int(2 ** random.integers(6, 11))
        length = int(random.integers(points // 2 + 1, points + 1))
        bands = int(random.integers(8, 48))
        transform = ("orthonormal", "uniform", "none")[index % 3]
        kept = bands if transform == "none" else int(random.integers(4, bands + 1))
        step = int(random.integers(length // 3, length + 1))
        values = ("power", "magnitude")[index % 2]
        found.append(variant(points, length, step, bands, kept, transform=transform, values=values))
    return found


def measure(spec: FeatureSpec) -> tuple[dict[str, float], int, int]:
    """Cycles of a frame by stage, code bytes of the front end, stack bytes."""
    core = VirtualListening(plan(any_model(spec)), spec)
    random = np.random.default_rng(1)
    levels = np.repeat(np.exp(random.uniform(2, 9, spec.frames + 2)), spec.step_samples)
    audio = np.zeros(spec.clip_samples)
    noise = random.standard_normal(spec.clip_samples)
    audio[:] = noise * np.resize(levels, spec.clip_samples)
    profile = core.listen(np.clip(audio, -32768, 32767).astype(np.int16))
    stages: dict[str, float] = defaultdict(float)
    for name, count in profile.scopes:
        stage = name.removeprefix("front_end_").partition(".")[0]
        stages[spec.values if stage == "power" else stage] += count.cycles / spec.frames
    known = set(terms(spec)) - {"move"}
    stages["move"] = profile.total.cycles / spec.frames - sum(stages[name] for name in known)
    symbols = core.elf.symbols.values()
    ours = ("front_end_", "heard_listen", "heard_answer", "heard_features")
    code = sum(symbol.size_bytes for symbol in symbols if symbol.name.startswith(ours))
    return {name: stages[name] for name in (*known, "move")}, code, core.stack_bytes


def fit() -> dict[str, object]:
    """The table."""
    rows: dict[str, list[tuple[tuple[float, ...], float]]] = defaultdict(list)
    codes, stack = [], 0
    for spec in [SHIPPED, *drawn(1, 36)]:
        found, code, deepest = measure(spec)
        codes.append((spec.transform != "none", spec.values == "magnitude", code))
        stack = max(stack, deepest)
        for stage, amounts in terms(spec).items():
            rows[stage].append((amounts, found[stage]))
    cycles = {}
    for stage, measured in sorted(rows.items()):
        amounts = np.array([a for a, _ in measured])
        target = np.array([t for _, t in measured])
        weights = 1 / np.maximum(target, 1)
        solved = np.linalg.lstsq(amounts * weights[:, None], target * weights, rcond=None)[0]
        cycles[stage] = [float(f"{v:.5g}") for v in solved]
    matrix = np.array([(1, a, b) for a, b, _ in codes], float)
    base, cosine, magnitude = np.linalg.lstsq(matrix, np.array([c for *_, c in codes]), rcond=None)[
        0
    ]
    return {
        "cycles": cycles,
        "code_bytes": round(base),
        "cosine_bytes": round(cosine),
        "magnitude_bytes": round(magnitude),
        "stack_bytes": stack,
    }


def check() -> float:
    """Prints and returns the worst error over front ends that the table has not seen."""
    worst = 0.0
    for spec in drawn(2, 12):
        found, code, _ = measure(spec)
        predicted = predict_front_end(spec)
        ratio = predicted.cycles / spec.frames / sum(found.values())
        worst = max(worst, abs(ratio - 1))
        print(
            f"{spec.fft_points:5} points {spec.mel_bands:3} bands {spec.transform:12}"
            f" {spec.values:10} {sum(found.values()):9.0f} cycles a frame, predicted"
            f" {ratio - 1:+.1%}; code {code} B, predicted {predicted.code_bytes} B"
        )
    print(f"worst {worst:.1%}")
    return worst


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        TABLE.write_text(json.dumps(fit(), indent=1) + "\n")
    check()
