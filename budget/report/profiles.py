"""How profiles look: a list of each kind, and a page for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from budget import units
from budget.hardware.device_profiles import Device
from budget.hardware.energy_profiles import (
    Checkpoint,
    Converter,
    Harvester,
    Radio,
    Sensor,
    Storage,
)
from budget.hardware.figure import Figure, Kind
from budget.hardware.profiles import Profile
from budget.hardware.runtime_profiles import Runtime
from budget.report import text
from budget.report.console import out_console, print_json


def report_list(profiles: Sequence[Profile], *, title: str, json: bool = False) -> None:
    """Prints one row for each profile."""
    if json:
        print_json(
            {"schema": 1, "command": "profiles", "profiles": [_document(p) for p in profiles]}
        )
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    columns = _columns(profiles[0]) if profiles else {}
    table.add_column("id", no_wrap=True)
    # a device's id tells it; its name is shown where there is room beside six figures
    with_name = not any(isinstance(p, Device) for p in profiles) or out_console().width >= 100
    if not with_name:
        table.box, table.padding, table.pad_edge = SIMPLE_HEAD, (0, 1, 0, 0), False
    else:
        table.add_column("name", ratio=2)
    for heading in columns:
        left = heading in {"core", "kind", "protocol", "cores"}
        # words may take several lines, numbers may not
        wraps = left and heading != "core"
        table.add_column(heading, justify="left" if left else "right", no_wrap=not wraps)
    for profile in profiles:
        names = [profile.id, escape(profile.name)] if with_name else [profile.id]
        table.add_row(*names, *_columns(profile).values())
    out_console().print(table)


def report_page(profile: Profile, *, json: bool = False) -> None:
    """Prints everything one profile says, with sources."""
    if json:
        print_json({"schema": 1, "command": "profile", "profile": _document(profile)})
        return
    out_console().print(render_page(profile))


def render_page(profile: Profile) -> Group:
    """Name, note, figures with interval, kind and place, and the references."""
    table = Table(header_style="bold")
    table.add_column("figure", no_wrap=True)
    table.add_column("value (90 % interval)", no_wrap=True)
    table.add_column("kind, source", overflow="fold")
    references: dict[str, str] = {}
    for label, figure in profile.figures():
        table.add_row(*_figure_row(label, figure))
        if figure.reference is not None:
            references[figure.reference.id] = text.cited(figure.reference)
    sources = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    sources.add_column(style="dim", no_wrap=True)
    sources.add_column()
    for id, title in sorted(references.items()):
        sources.add_row(id, escape(title))
    parts: list[Any] = [Text.assemble((profile.name, "bold"), f"  ({profile.id})")]
    if profile.note:
        parts.append(Text(profile.note))
    parts += [table, sources]
    if profile.disagreements:
        parts.append(Text("what disagrees", "bold"))
        parts += [Text(f"• {sentence}") for sentence in profile.disagreements]
    for kind, meaning in (
        (Kind.RECALLED, "recalled: from memory of the source named, check them there first"),
        (Kind.ASSUMED, "assumed: nobody's figure, give your own where you can"),
    ):
        labels = [label for label, figure in profile.figures() if figure.kind is kind]
        if labels:
            parts.append(Text(f"{len(labels)} figures are {meaning}", "yellow"))
            parts.append(Text(", ".join(labels), "dim"))
    return Group(*parts)


def _figure_row(label: str, figure: Figure) -> list[str]:
    style = "yellow" if figure.kind >= Kind.RECALLED else ""
    kind = f"[{style}]{figure.kind}[/]" if style else str(figure.kind)
    reference = figure.reference.id if figure.reference else ""
    place = ", ".join(part for part in (reference, figure.where) if part)
    source = place + (f"; at {figure.at}" if figure.at else "")
    value = text.interval(figure.quantity.as_unit(figure.unit))
    return [escape(label), value, f"{kind}: {escape(source)}"]


def _columns(profile: Profile) -> dict[str, str]:
    match profile:
        case Device():
            return {
                "core": profile.core,
                "clock": _plain(profile.max_hz, "Hz"),
                "flash": _plain(profile.flash_bytes, "bytes"),
                "RAM": _plain(profile.ram_bytes, "bytes"),
                "running": _device_power(profile),
            }
        case Harvester():
            density = profile.power_density_w_per_m2
            return {"power": _figure(density or profile.power_w)}
        case Converter():
            return {
                "cold start": _figure(profile.cold_start_v),
                "quiescent": _figure(profile.quiescent_a),
            }
        case Storage():
            return {"kind": profile.category, "energy": text.middle(profile.energy_j)}
        case Radio():
            return {"protocol": profile.protocol, "20 bytes": text.middle(profile.message_j(20))}
        case Sensor():
            return {"kind": profile.category, "active": text.middle(profile.active_w)}
        case Checkpoint():
            return {"16 KiB": text.middle(profile.save_j(16384))}
        case Runtime():
            return {"cores": ", ".join(sorted(profile.cycles))}
    return {}


def _device_power(device: Device) -> str:
    if device.engine is not None:
        return text.middle(device.mac_energy_j())
    if device.power is None:
        return "–"
    return text.middle(device.power_w())


def _figure(figure: Figure | None) -> str:
    return "–" if figure is None else units.format(figure.value, figure.unit)


def _plain(value: float | None, unit: str) -> str:
    return "–" if value is None else units.format(value, unit)


def _document(profile: Profile) -> dict[str, Any]:
    from budget.api.documents import figure_document

    return {
        "id": profile.id,
        "name": profile.name,
        "note": profile.note,
        "disagreements": list(profile.disagreements),
        "figures": [{"label": label, **figure_document(f)} for label, f in profile.figures()],
    }
