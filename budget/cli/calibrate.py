"""`budget calibrate`: sharper estimates from measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from budget.cli import options
from budget.cli.threads import single_thread


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(
        epilog="Example:  budget calibrate MEASUREMENTS.csv -o my_runtime.toml --runtime x-cube-ai "
        "--device stm32l4r5"
    )(calibrate)


def calibrate(
    measurements: Annotated[
        Path,
        typer.Argument(
            help="CSV with the columns model and latency_s, latency_ms, latency_us or cycles, "
            "and, if known, clock_mhz, energy_uj, supply_v, device; or an export of a Nordic PPK2 "
            "or Joulescope, or an EnergyRunner log."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The runtime profile to write, .toml.")],
    runtime: Annotated[str, typer.Option(help="The runtime that was measured.")],
    device: Annotated[
        str | None, typer.Option(help="The device, where the file does not name it.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model, where the file does not name it.")
    ] = None,
    clock: options.ClockOption = None,
    voltage: options.VoltageOption = None,
    device_out: Annotated[
        Path | None,
        typer.Option(help="Write a device profile with the measured power, too."),
    ] = None,
    json: options.JsonOption = False,
) -> None:
    """Fit a runtime's prices to your own measurements, and show the errors before and after."""
    single_thread()
    from budget.api.calibrate import calibrate as run
    from budget.report.calibrate import report_calibration

    result = run(
        measurements,
        out,
        runtime=runtime,
        device=device,
        model=model,
        clock_hz=options.quantity("--clock", "frequency", clock),
        voltage_v=options.quantity("--voltage", "voltage", voltage),
        device_output=device_out,
    )
    report_calibration(result, json=json)
