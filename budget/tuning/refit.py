"""Fits the shipped runtimes' prices again: python -m budget.tuning.refit

Writes the ``[cycles.*]`` tables of budget/hardware_profiles/runtimes/*.toml from the rows in
budget/tuning/data; everything else in those files is written by hand and stays.
"""

from __future__ import annotations

from pathlib import Path

from budget.tuning.cross_validation import shipped, widening
from budget.tuning.latency_model import LatencyModel
from budget.tuning.measurements import latencies, published
from budget.tuning.prices import Prices, prices_of, with_prices
from budget.tuning.samples import samples

_CORTEX = ("cortex-m0plus", "cortex-m4", "cortex-m33", "cortex-m7")
CORES: dict[str, tuple[str, ...]] = {
    "hale": _CORTEX,
    "microtvm-cmsis-nn": ("cortex-m4", "cortex-m33", "cortex-m7"),
    "plumerai": _CORTEX,
    "plumerai-2022": ("cortex-m4", "cortex-m33", "cortex-m7"),
    "tflm-cmsis-nn": (*_CORTEX, "cortex-m85"),
    "tflm-esp-nn": ("xtensa-lx7", "xtensa-lx6", "rv32imc"),
    "tflm-reference": (*_CORTEX, "xtensa-lx7", "xtensa-lx6", "rv32imc"),
    "tinyengine": ("cortex-m4", "cortex-m33", "cortex-m7"),
    "x-cube-ai": _CORTEX,
    "x-cube-ai-7": _CORTEX,
    "x-cube-ai-8": _CORTEX,
}
"""Cores that each fitted runtime has prices for; those without rows of its own are borrowed."""


def refitted() -> dict[str, list[Prices]]:
    """Prices of every fitted runtime, by core."""
    rows = latencies(published())
    model = LatencyModel(samples(rows))
    models, boards = shipped()
    measured = {(row.runtime, row.core) for row in rows}
    return {
        runtime: [
            prices_of(
                model,
                rows,
                runtime,
                core,
                widening=widening(models if (runtime, core) in measured else boards, runtime, core),
            )
            for core in cores
        ]
        for runtime, cores in CORES.items()
    }


def main(folder: Path | None = None) -> None:
    """Rewrite the shipped profiles."""
    folder = folder or Path(__file__).parents[1] / "hardware_profiles" / "runtimes"
    for runtime, tables in refitted().items():
        path = folder / f"{runtime}.toml"
        path.write_text(with_prices(path.read_text("utf-8"), tables), "utf-8")


if __name__ == "__main__":
    main()
