"""A million combinations: throughput and peak memory of `budget sweep`, printed.

python tests/benchmarks/sweep.py [--rows 1000000] [--format parquet|csv]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

PLAN = """
models = ["zoo:hotword", "zoo:digits"]
devices = ["efm32pg12", "stm32l4r5", "stm32u575", "nrf52840", "rp2040"]
sources = ["indoor-light", "silicon-500lx", "outdoor-light", "industrial-thermal", "human-thermal"]
converters = ["bq25570", "aem10941"]
storages = ["supercap-7.5f"]
areas = { from = "1cm2", to = "1000cm2", count = 100 }
rates = { from = "1/d", to = "10/s", count = %d }
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--format", choices=["parquet", "csv"], default="parquet")
    arguments = parser.parse_args()
    from budget.api.sweep import sweep

    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.toml"
        plan.write_text(PLAN % (arguments.rows // (2 * 5 * 5 * 2 * 100)))
        began = time.perf_counter()
        result = sweep(plan, Path(folder) / f"table.{arguments.format}")
        taken = time.perf_counter() - began
        size = result.path.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{result.rows:,} combinations in {taken:.1f} s: {result.rows / taken:,.0f}/s, "
        f"peak {peak:.0f} MiB, {size / 2**20:.0f} MiB of {arguments.format}"
    )
    print(dict(result.verdicts), dict(result.errors))


if __name__ == "__main__":
    main()
