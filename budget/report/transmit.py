"""How the choice between computing and transmitting looks."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from budget import units
from budget.api.transmit import Transmission
from budget.report import text
from budget.report.console import out_console, print_json, print_notes
from budget.scenario.transmit import Choice

_STYLE = {"infer": "green", "send": "yellow", "close": "dim"}


def report_transmit(transmission: Transmission, *, json: bool = False) -> None:
    """Prints one row for each radio, or one JSON document."""
    if json:
        print_json(transmission.to_json())
        return
    out_console().print(render(transmission))
    print_notes(transmission.notes)


def render(transmission: Transmission) -> Group:
    """What computing takes, what each radio takes, and where both are equal."""
    question, estimated = transmission.question, transmission.estimate
    head = Text.assemble(
        (estimated.model.name, "bold"), " on ", (estimated.device.name, "bold"), ", "
    )
    head.append(units.format_rate(question.rate_hz or 0.0))
    head.append(f"\ninferring here: {text.interval(transmission.computing)} a cycle")
    size = units.format(transmission.raw_bytes, "bytes")
    head.append(f"\nraw data: {size} a cycle ({transmission.raw_from})")
    ratio = units.format(question.around.message_ratio, "ratio")
    payload = units.format(transmission.payload_bytes, "bytes")
    head.append(f"\nresult: {payload} in {ratio} of the cycles")
    legend = Text(
        "raw: all data sent (! takes longer than a cycle) · here: inferring, and sending\n"
        "results · even at: so many results for each inference, or so few raw data, cost\n"
        "the same either way",
        style="dim",
    )
    return Group(head, _table(transmission), legend)


def _table(transmission: Transmission) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=0)
    table.add_column("radio", no_wrap=True)
    for heading in ("sends", "raw", "takes", "here", "even at", "or at"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("better", no_wrap=True)
    for choice in transmission.choices:
        table.add_row(*_row(choice))
    return table


def _row(choice: Choice) -> list[str | Text]:
    power = choice.radio.transmit_w
    even = float(choice.break_even_ratio.value)
    seconds = text.middle(choice.raw_time)
    return [
        choice.radio.id,
        units.format(power.value, "W") if power else "–",
        text.middle(choice.raw),
        f"{seconds} !" if choice.sends_in_time is False else seconds,
        text.middle(choice.local),
        f"{units.format(even, '')}×" if even >= 1 else units.format(even, "ratio"),
        units.format(choice.break_even_bytes, "bytes"),
        Text(choice.better, style=_STYLE[choice.better]),
    ]
