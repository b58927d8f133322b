"""Quantities, statuses and bars as text."""

from __future__ import annotations

from budget import units
from budget.api.removable import Removable
from budget.hardware.figure import Kind, Quantity, Reference
from budget.verdict import Status, Verdict

STATUS_STYLE = {
    Status.PASS: "green",
    Status.FAIL: "bold red",
    Status.UNSURE: "yellow",
    Status.NOT_JUDGED: "dim",
}
VERDICT_STYLE = {
    Verdict.FITS: "bold green",
    Verdict.DOES_NOT_FIT: "bold red",
    Verdict.TOO_CLOSE: "bold yellow",
}
VERDICT_TEXT = {
    Verdict.FITS: "fits",
    Verdict.DOES_NOT_FIT: "does not fit",
    Verdict.TOO_CLOSE: "too close to call",
}


_CONSTRAINTS = {
    "ram": "RAM",
    "power": "average power",
    "cold-start-voltage": "cold start, V",
    "cold-start-power": "cold start, W",
    "peak-current": "peak current",
}


def constraint_name(name: str) -> str:
    """As tables call a constraint, or another amount."""
    return _CONSTRAINTS.get(name, name)


def cited(reference: Reference) -> str:
    """A reference's title and address, and when and where it was seen."""
    url = f" <{reference.url}>" if reference.url else ""
    seen = f"; seen {reference.checked}" if reference.checked else ""
    return f"{reference.title}{url}{seen}"


def middle(quantity: Quantity | None) -> str:
    """``8.3 mW``; a dash where it is not known."""
    if quantity is None:
        return "–"
    return units.format(float(quantity.value), quantity.unit)


def interval(quantity: Quantity | None) -> str:
    """``8.3 mW (6.6–19)``: the middle and the 90 % interval; only the middle if exact."""
    if quantity is None:
        return "–"
    value = middle(quantity)
    low, high = float(quantity.low), float(quantity.high)
    if not low < high:
        return value
    low_text, high_text = (units.format(bound, quantity.unit) for bound in (low, high))
    if low_text == high_text:
        return value
    low_number, _, low_unit = low_text.partition(" ")
    high_number, _, high_unit = high_text.partition(" ")
    unit = value.partition(" ")[2]
    if low_unit == high_unit == unit:
        return f"{value} ({low_number}–{high_number})"
    if low_unit == high_unit:
        return f"{value} ({low_number}–{high_text})"
    return f"{value} ({low_text} – {high_text})"


def margin(ratio: float | None) -> str:
    """``3.9×``, ``0.26×``; a dash where it is not known."""
    if ratio is None:
        return "–"
    return f"{units.format(ratio, '') if ratio >= 1 else f'{ratio:.2g}'}×"


def removable(found: Removable) -> str:
    """How many channels no input can influence, and what is left without them."""
    return (
        f"{found.removable_count:,} of {found.channel_count:,} removable: "
        f"{count(found.macs_left)} of {count(found.macs)} MACs, "
        f"{units.format(found.weight_bytes_left, 'bytes')} of "
        f"{units.format(found.weight_bytes, 'bytes')} weights remain"
    )


def kind_mark(quantity: Quantity | None) -> str:
    """The weakest kind a quantity rests on, where it is weak enough to be told of."""
    if quantity is None or quantity.kind < Kind.RECALLED:
        return ""
    return f" ({quantity.kind})"


_ROOTS = ("functional", "model", "sequential")
_ACTIONS = ("conv", "dense", "depthwise", "matmul", "add", "pool", "softmax", "fc", "bn")


def layer_name(name: str) -> str:
    """A short name for a layer whose converter joined many with semicolons.

    ``model/re_lu_1/Relu;model/bn_1/add;model/conv2d_1/Conv2D;model/conv2d_1/BiasAdd`` was
    ``conv2d_1``: of the layers named, the one that works is named most often.
    """
    if "/" not in name and ";" not in name:
        return name
    votes: dict[str, int] = {}
    for part in name.split(";"):
        pieces = [p for p in part.split("/") if p]
        while len(pieces) > 1 and pieces[0].rstrip("0123456789_").lower() in _ROOTS:
            pieces = pieces[1:]
        layer = pieces[0] if pieces else part
        works = any(action in layer.lower() for action in _ACTIONS)
        votes[layer] = votes.get(layer, 0) + (100 if works else 1)
    return max(votes, key=lambda layer: votes[layer]) or name


def count(number: int) -> str:
    """``2,656,768``."""
    return f"{number:,}"


def bar(share_ratio: float, width: int = 8) -> str:
    """A share as a bar of eighths of a character."""
    eighths = round(max(0.0, min(1.0, share_ratio)) * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + ("▏▎▍▌▋▊▉"[rest - 1] if rest else "")
