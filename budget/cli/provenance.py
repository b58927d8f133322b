"""`budget provenance`: where the figures of the profiles are from."""

from __future__ import annotations

from typing import Annotated

import typer

from budget.cli import options


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(epilog="Examples:  budget provenance  ·  budget provenance device storage --each")(
        provenance
    )


def provenance(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KIND]…",
            help="device, harvester, converter, storage, radio, sensor, checkpoint, runtime.",
        ),
    ] = None,
    each: Annotated[
        bool, typer.Option("--each", help="Every figure that is recalled or assumed.")
    ] = False,
    references: Annotated[
        bool, typer.Option("--references", help="Every reference, and where it was seen.")
    ] = False,
    json: options.JsonOption = False,
) -> None:
    """Count how the profiles' figures came to be, and list those recalled or assumed, by part.

    An address may have been written down from memory: what a reference says it was seen in is
    where public material names that document or links to that address.
    """
    from budget.api.profiles import provenance as run
    from budget.report.provenance import report_provenance

    report_provenance(run(kinds or ()), each=each, references=references, json=json)
