"""What a change costs: two documents of `budget check`, compared layer by layer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from budget.errors import UsageError
from budget.records import record

AMOUNTS = ("macs", "weight_bytes", "live_bytes", "cycles", "energy")


@record
class Change:
    """A layer, or a whole, before and after.

    Attributes:
        name: of the layer or constraint.
        operator: of the layer.
        before: amounts by name; None for a layer that is new.
        after: the same; None for a layer that is gone.
    """

    name: str
    operator: str
    before: Mapping[str, float] | None
    after: Mapping[str, float] | None

    @property
    def is_change(self) -> bool:
        """Whether any amount differs by more than rounding."""
        if self.before is None or self.after is None:
            return True
        old, new = self.before, self.after
        return any(
            abs(old.get(key, 0) - new.get(key, 0)) > 1e-9 * abs(old.get(key, 0))
            for key in {**old, **new}
        )

    def to_json(self) -> dict[str, Any]:
        """As the document has it."""
        return {
            "name": self.name,
            "operator": self.operator,
            "before": None if self.before is None else dict(self.before),
            "after": None if self.after is None else dict(self.after),
        }


@record
class Comparison:
    """What a change did to one model on one device.

    Attributes:
        name: of the entry.
        verdicts: before and after; None where there was or is none.
        needs: of each constraint, ``need`` before and after, with its unit.
        layers: in the new order, those that are gone where they were.
    """

    name: str
    verdicts: tuple[str | None, str | None]
    needs: tuple[tuple[str, str, float | None, float | None], ...]
    layers: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """As the document has it."""
        return {
            "name": self.name,
            "verdict_before": self.verdicts[0],
            "verdict_after": self.verdicts[1],
            "needs": [
                {"name": name, "unit": unit, "before": before, "after": after}
                for name, unit, before, after in self.needs
            ],
            "layers": [layer.to_json() for layer in self.layers if layer.is_change],
            "unchanged_layers": sum(not layer.is_change for layer in self.layers),
        }


def load_document(path: Path) -> dict[str, Any]:
    """What `budget check --json` printed before.

    Raises:
        UsageError: the file is no such document.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"cannot be read: {error}", where=str(path), hint="budget check --json > old.json"
        ) from None
    if not isinstance(found, dict) or found.get("command") not in ("check", "gate"):
        raise UsageError(
            "not what budget check --json prints",
            where=str(path),
            hint="budget check --json > old.json",
        )
    return found


def entries_of(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Checks by name: of a gate, or the one that a document is."""
    if document["command"] == "check":
        return {"": document}
    entries = document.get("entries", [])
    return {e["name"]: e["check"] for e in entries if e.get("check") is not None}


def compare_documents(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[Comparison, ...]:
    """Every entry of the new document against the one of the same name in the old.

    Args:
        before: a document of `check`, or of a gate.
        after: the same kind.

    Raises:
        UsageError: one is a single check and the other a gate, or the old one lacks a part.
    """
    if before["command"] != after["command"]:
        raise UsageError(
            f"the old document is of a {before['command']}, the new one of a {after['command']}",
            where="--against",
            hint="compare documents that the same command made",
        )
    try:
        old, new = entries_of(before), entries_of(after)
        return tuple(_compare(name, old[name], check) for name, check in new.items() if name in old)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise UsageError(
            f"the old document is not as it should be: {error}",
            where="--against",
            hint="make it again with this version",
        ) from None


def _compare(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Comparison:
    needs: dict[str, list[Any]] = {}
    for side, document in enumerate((old, new)):
        parts = [(c["name"], c["need"]) for c in document["constraints"]]
        parts += [(key, document["inference"][key]) for key in ("cycles", "latency", "energy")]
        for what, need in parts:
            if need is not None:
                row = needs.setdefault(what, [what, need["unit"], None, None])
                row[2 + side] = float(need["value"])
    rows = tuple((row[0], row[1], row[2], row[3]) for row in needs.values())
    layers = tuple(_layers(old["layers"], new["layers"]))
    return Comparison(name, (old["verdict"], new["verdict"]), rows, layers)


def _layers(old: Sequence[Any], new: Sequence[Any]) -> list[Change]:
    """Layers side by side: by name, and by operator where a stretch has other names."""
    found: list[Change] = []

    def pair(a: Any, b: Any) -> None:
        shown = b or a
        before, after = (None if side is None else _amounts(side) for side in (a, b))
        found.append(Change(shown["name"], shown["operator"], before, after))

    names = SequenceMatcher(
        None, [layer["name"] for layer in old], [layer["name"] for layer in new], autojunk=False
    )
    for what, a, a_end, b, b_end in names.get_opcodes():
        if what == "equal":
            for left, right in zip(old[a:a_end], new[b:b_end]):
                pair(left, right)
            continue
        operators = SequenceMatcher(
            None,
            [layer["operator"] for layer in old[a:a_end]],
            [layer["operator"] for layer in new[b:b_end]],
            autojunk=False,
        )
        for kind, c, c_end, d, d_end in operators.get_opcodes():
            left, right = old[a + c : a + c_end], new[b + d : b + d_end]
            if kind == "equal":
                for before, after in zip(left, right):
                    pair(before, after)
            else:
                for before in left:
                    pair(before, None)
                for after in right:
                    pair(None, after)
    return found


def _amounts(layer: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for key in AMOUNTS:
        value = layer[key]
        if isinstance(value, Mapping):
            value = value["value"]
        if value is not None:
            found[key] = float(value)
    return found
