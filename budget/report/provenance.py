"""How the provenance of all profiles looks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from budget.api.profiles import Provenance, cited
from budget.hardware.figure import Kind, Reference
from budget.report import text
from budget.report.console import out_console, print_json
from budget.report.names import Parts


def report_provenance(
    parts: Sequence[Provenance],
    *,
    each: bool = False,
    references: bool = False,
    json: bool = False,
) -> None:
    """Prints counts by part.

    Args:
        parts: what to print.
        each: print every figure that is recalled or assumed instead.
        references: print every reference instead, with where it was seen.
        json: print one document with all of that.
    """
    if json:
        print_json(
            {
                "schema": 1,
                "command": "provenance",
                "totals": {str(kind): _total(parts, kind) for kind in Kind},
                "profiles": [_document(part) for part in parts],
                "references": [_reference(*found) for found in cited(parts)],
            }
        )
        return
    if references:
        out_console().print(_references(parts))
    else:
        out_console().print(_figures(parts) if each else _counts(parts))
    weak = sum(len(part.weak) for part in parts)
    whole = sum(sum(part.counts.values()) for part in parts)
    out_console().print(
        Text(f"{weak:,} of {whole:,} figures are recalled or assumed", style="yellow")
    )
    addresses = [(reference, count) for reference, count in cited(parts) if reference.url]
    unseen = [count for reference, count in addresses if not reference.checked]
    out_console().print(
        Text(
            f"{len(unseen)} of {len(addresses)} references with an address are nowhere seen, "
            f"{sum(unseen):,} figures rest on them: --references",
            style="yellow" if unseen else "green",
        )
    )


def _total(parts: Sequence[Provenance], kind: Kind) -> int:
    return sum(part.counts.get(kind, 0) for part in parts)


def _counts(parts: Sequence[Provenance]) -> Table:
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("profile", no_wrap=True)
    for kind in Kind:
        table.add_column(str(kind), justify="right")
    last = ""
    for part in parts:
        if part.kind != last:
            table.add_section()
            table.add_row(Text(part.kind, "bold"))
            last = part.kind
        cells = [str(part.counts.get(kind, "")) for kind in Kind]
        table.add_row(part.profile.id, *cells)
    table.add_section()
    table.add_row(Text("all", "bold"), *(f"{_total(parts, kind):,}" for kind in Kind))
    return table


def _figures(parts: Sequence[Provenance]) -> Table:
    table = Table(header_style="bold")
    table.add_column("part", no_wrap=True)
    table.add_column("figure")
    table.add_column("value", no_wrap=True)
    table.add_column("kind")
    table.add_column("to be checked in")
    for part in parts:
        for label, figure in part.weak:
            reference = figure.reference
            table.add_row(
                part.profile.id,
                Parts(label),
                text.middle(figure.quantity.as_unit(figure.unit)),
                str(figure.kind),
                Parts(reference.url or reference.title) if reference is not None else "",
            )
    return table


def _references(parts: Sequence[Provenance]) -> Table:
    table = Table(header_style="bold")
    table.add_column("figures", justify="right")
    table.add_column("reference")
    table.add_column("seen", overflow="fold")
    for reference, count in cited(parts):
        url = f" <{reference.url}>" if reference.url else ""
        seen = reference.checked or ("[yellow]no[/]" if url else "–")
        table.add_row(str(count), Parts(reference.title + url), seen)
    return table


def _reference(reference: Reference, count: int) -> dict[str, object]:
    return {
        "title": reference.title,
        "url": reference.url,
        "checked": reference.checked,
        "figures": count,
    }


def _document(part: Provenance) -> dict[str, object]:
    from budget.api.documents import figure_document

    return {
        "kind": part.kind,
        "id": part.profile.id,
        "counts": {str(kind): count for kind, count in part.counts.items()},
        "weak": [{"label": label, **figure_document(figure)} for label, figure in part.weak],
    }
