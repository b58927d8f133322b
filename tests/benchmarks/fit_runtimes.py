"""Fits runtimes' cycles to the published measurements in measurements.csv.

    cycles = ratio[core] · (Σ MACs · cycle[kind] + outputs · cycle[output] + steps · cycle[layer])

The unknowns are logarithms, found by Gauss-Newton on the logarithm of the error with weak
priors, so that what the data cannot tell apart (a network's depthwise from its pointwise part)
stays near what is plausible. One core is the reference; another with data of its own gets one
ratio, or, where `ALONE` says so, coefficients of its own.

The residuals' spread is the larger of what remains in the fit, corrected for the degrees of
freedom, and what a submission is missed by when the fit has not seen it. A coefficient's bounds
hold with the others fixed: they move against each other, and that much cancels in a network.

    python tests/benchmarks/fit_runtimes.py [RUNTIME…]

prints the tables for budget/hardware_profiles/runtimes/*.toml.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

KINDS = ("conv", "pointwise", "depthwise", "fully_connected")
COLUMNS = (*(f"{kind}_macs" for kind in KINDS), "outputs", "steps")
NAMES = (*(f"{kind}_mac" for kind in KINDS), "output", "layer")

# cycles on a Cortex-M4 with good kernels, and how sure one may be (a factor, one sigma)
PRIOR = {
    "tflm-cmsis-nn": ((2.8, 2.5, 8.0, 3.2, 20.0, 1500.0), (2, 2, 1.5, 2, 2, 2)),
    "x-cube-ai": ((1.5, 1.5, 4.0, 2.0, 10.0, 1500.0), (2, 2, 1.5, 2, 2, 2)),
    "x-cube-ai-8": ((1.5, 1.5, 4.0, 2.0, 10.0, 1500.0), (2, 2, 1.5, 2, 2, 2)),
    "plumerai": ((1.5, 1.5, 4.0, 2.0, 10.0, 1500.0), (2, 2, 1.5, 2, 2, 2)),
    "tinyengine": ((2.6, 2.5, 9.0, 4.0, 15.0, 500.0), (2, 2, 1.5, 2, 2, 2)),
    "tflm-reference": ((12.0, 12.0, 30.0, 10.0, 30.0, 1500.0), (2, 2, 1.5, 2, 2, 2)),
}
# without multiply-accumulate instructions, or with vectors, the mix of costs is another
ALONE = {
    "cortex-m0plus": ((9.0, 8.5, 33.0, 9.0, 90.0, 3000.0), (2, 2, 1.5, 2, 2, 2)),
    "cortex-m85": ((0.4, 0.4, 2.0, 0.8, 4.0, 1500.0), (2, 2, 1.5, 2, 2, 2)),
}


@dataclass(frozen=True)
class Row:
    """One measurement: cycles of a network (or a layer) and what it computes."""

    core: str
    network: str
    cycles: float
    features: tuple[float, ...]
    source: str


@dataclass(frozen=True)
class Fit:
    """Coefficients with their 5th and 95th percentiles, core ratios, and spread of residuals."""

    coefficients: dict[str, tuple[float, float, float]]
    ratios: dict[str, tuple[float, float, float]]
    residual_low: float
    residual_high: float
    rows: int


def read_rows(path: Path, runtime: str) -> list[Row]:
    """The measurements of one runtime."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(
                row["core"],
                row["network"],
                float(row["cycles"]),
                tuple(float(row[column]) for column in COLUMNS),
                row["source"],
            )
            for row in csv.DictReader(file)
            if row["runtime"] == runtime
        ]


def fit(rows: Sequence[Row], prior: tuple[Sequence[float], Sequence[float]], reference: str) -> Fit:
    """Fit coefficients on the reference core and a ratio for each other core."""
    others = sorted({row.core for row in rows} - {reference})
    centre = np.log([*prior[0], *(1.0 for _ in others)])
    sigma = np.log([*prior[1], *(2.0 for _ in others)])
    theta, spread, covariance = _solve(rows, others, centre, sigma)
    errors = []
    for source in sorted({row.source for row in rows}):
        kept = [row for row in rows if row.source != source]
        if len(kept) <= len(NAMES):
            continue
        without, _, _ = _solve(kept, others, centre, sigma)
        errors += [
            float(np.log(row.cycles) - _predict(row, others, without)[0])
            for row in rows
            if row.source == source
        ]
    free = max(1.0, len(rows) - _effective_parameters(covariance, sigma))
    unseen = float(np.sqrt(np.mean(np.square(errors)))) if errors else 0.0
    reach = 1.645 * max(unseen, spread * float(np.sqrt(len(rows) / free)))
    deviation = 1 / np.sqrt(np.diag(np.linalg.inv(covariance)))

    def bounds(index: int) -> tuple[float, float, float]:
        value, wide = theta[index], 1.645 * deviation[index]
        return tuple(float(np.exp(x)) for x in (value, value - wide, value + wide))  # type: ignore[return-value]

    return Fit(
        {name: bounds(i) for i, name in enumerate(NAMES)},
        {core: bounds(len(NAMES) + i) for i, core in enumerate(others)},
        float(np.exp(-reach)),
        float(np.exp(reach)),
        len(rows),
    )


def _effective_parameters(covariance: np.ndarray, sigma: np.ndarray) -> float:
    """How many parameters the data, rather than the priors, decided."""
    return float(len(sigma) - np.trace(covariance @ np.diag(1 / sigma**2)))


def _predict(row: Row, others: list[str], theta: np.ndarray) -> tuple[float, np.ndarray]:
    parts = np.asarray(row.features) * np.exp(theta[: len(NAMES)])
    slope = np.zeros(len(theta))
    slope[: len(NAMES)] = parts / parts.sum()
    value = float(np.log(parts.sum()))
    if row.core in others:
        index = len(NAMES) + others.index(row.core)
        slope[index] = 1.0
        value += float(theta[index])
    return value, slope


def _solve(
    rows: Sequence[Row], others: list[str], centre: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray]:
    theta, spread = centre.copy(), 0.15
    covariance = np.eye(len(theta))
    for _ in range(60):
        pairs = [_predict(row, others, theta) for row in rows]
        slopes = np.array([slope for _, slope in pairs]) / spread
        wrong = np.array([np.log(r.cycles) - v for r, (v, _) in zip(rows, pairs)]) / spread
        normal = slopes.T @ slopes + np.diag(1 / sigma**2)
        covariance = np.linalg.inv(normal)
        step = covariance @ (slopes.T @ wrong - (theta - centre) / sigma**2)
        theta = theta + np.clip(step, -0.5, 0.5)
        # no fit of a handful of networks deserves to be believed to better than 5 %
        spread = max(0.05, float(np.sqrt(np.mean((wrong * spread) ** 2))))
    return theta, spread, covariance


def main(names: Sequence[str]) -> None:
    """Print the fits."""
    path = Path(__file__).with_name("measurements.csv")
    for runtime in names or PRIOR:
        rows = read_rows(path, runtime)
        groups = {"cortex-m4": [row for row in rows if row.core not in ALONE]}
        for core in sorted({row.core for row in rows} & ALONE.keys()):
            groups[core] = [row for row in rows if row.core == core]
        for core, group in groups.items():
            result = fit(group, ALONE.get(core, PRIOR[runtime]), core)
            print(f"# {runtime}: {result.rows} rows")
            print(f"# residual_ratio low {result.residual_low:.2f} high {result.residual_high:.2f}")
            print(f"[cycles.{core}]")
            for name, (value, low, high) in result.coefficients.items():
                print(f"{name} = {{ value = {value:.3g}, low = {low:.3g}, high = {high:.3g} }}")
            for other, (value, low, high) in result.ratios.items():
                print(f"[cycles.{other}]  ratio {value:.3f} low {low:.3f} high {high:.3f}")
            print()


if __name__ == "__main__":
    main(sys.argv[1:])
