"""The chain from a result back to its sources."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from budget import units
from budget.api.chain import Chain
from budget.api.check import Check
from budget.hardware.figure import Figure, Kind
from budget.report import text
from budget.report.names import Parts


def render_figures(figures: Sequence[Figure]) -> Group:
    """Every figure used, with value, interval, kind and place, and the references behind them."""
    table = Table(title="figures used", title_justify="left", header_style="bold")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("90 % interval", justify="right")
    table.add_column("kind")
    table.add_column("source")
    titles: dict[str, str] = {}
    for figure in sorted(figures, key=lambda f: f.key):
        source = "you"
        if figure.reference is not None:
            url = f" <{figure.reference.url}>" if figure.reference.url else ""
            titles[figure.reference.id] = f"{figure.reference.title}{url}"
            source = ", ".join(part for part in (figure.reference.id, figure.where) if part)
        style = "yellow" if figure.kind >= Kind.RECALLED else ""
        table.add_row(
            Parts(figure.key),
            units.format(figure.value, figure.unit),
            f"{units.format(figure.low, figure.unit)} – {units.format(figure.high, figure.unit)}",
            f"[{style}]{figure.kind}[/]" if style else str(figure.kind),
            Parts(source + (f"; at {figure.at}" if figure.at else "")),
        )
    references = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    references.add_column(style="dim", no_wrap=True)
    references.add_column()
    for id, title in sorted(titles.items()):
        references.add_row(id, escape(title))
    return Group(table, references)


def render_chain(check: Check, chain: Chain) -> Group:
    """The equations with their numbers, and the measurements that the prices were fitted to."""
    table = Table(title="cycles by kind of layer", title_justify="left", header_style="bold")
    for name in ("kind", "steps", "MACs", "outputs", "stalls", "cycles"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for term in chain.terms:
        table.add_row(
            term.kind,
            str(term.steps),
            text.count(term.macs),
            text.count(term.elements),
            f"×{term.stall_ratio:.3g}",
            text.interval(term.cycles),
        )
    return Group(table, *_equations(check, chain), _rows(check, chain))


def _equations(check: Check, chain: Chain) -> list[str]:
    inference = check.inference
    states = chain.stalls.states
    plural = "" if states == 1 else "s"
    hidden = " (a cache hides code's, not streamed weights')" if chain.stalls.is_cached else ""
    measured = sum(term.measured for term in chain.terms)
    of = sum(term.steps for term in chain.terms)
    lines = []
    if measured:
        lines.append(
            f"cycles of {measured} of {of} steps: those of their kernels on the virtual core, at "
            f"{states} wait state{plural}{hidden}; docs/kernel_cycles.md"
        )
    if measured < of:
        lines += [
            f"cycles of {'the others' if measured else 'a kind'} = "
            "stalls · (MACs · mac + outputs · output + steps · layer), prices below",
            f"stalls = 1 + {states} wait state{plural} · stall per wait state{hidden}",
        ]
    if chain.residual is not None:
        lines.append(
            f"cycles = their sum · residual ({chain.residual.low:.2f} to {chain.residual.high:.2f})"
            f" = {text.interval(inference.cycles)}"
        )
    clock = units.format(inference.clock_hz or 0.0, "Hz")
    lines.append(f"latency = cycles / {clock} = {text.interval(inference.latency)}")
    if inference.power is not None:
        lines.append(
            f"energy = {text.interval(inference.power)} · latency = "
            f"{text.interval(inference.energy)}, boundary {inference.boundary}"
        )
    return lines


def _rows(check: Check, chain: Chain) -> Table | str:
    name = escape(f"{check.runtime.plan_id} on {check.device.core}")
    if not chain.rows:
        borrowed = f"; prices are borrowed: {escape(chain.borrowed)}" if chain.borrowed else ""
        return f"no published latency of {name}{borrowed}"
    table = Table(
        title=f"{len(chain.rows)} distinct published latencies of {name}",
        title_justify="left",
        header_style="bold",
    )
    for column in ("network", "board", "clock", "latency", "source"):
        table.add_column(column, overflow="fold")
    for row in chain.rows:
        table.add_row(
            escape(row.network),
            escape(row.board),
            units.format(row.clock_hz, "Hz"),
            units.format(row.latency_s or 0.0, "s"),
            escape(row.source),
        )
    return table
