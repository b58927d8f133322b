"""Strict reading of a profile's TOML into dataclasses; the classes themselves are the schema."""

from __future__ import annotations

import dataclasses
import difflib
import re
import sys
import typing
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from budget import units
from budget.errors import ProfileError, UsageError
from budget.hardware.figure import Figure, Kind, Reference
from budget.records import keyword_record

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

DEFAULT_SPREAD: Mapping[Kind, tuple[float, float]] = {
    Kind.MEASURED: (1 / 1.05, 1.05),  # instrument and lot
    Kind.DATASHEET: (1 / 1.15, 1.15),  # "typical" values: part, temperature, code
    Kind.FITTED: (1 / 1.25, 1.25),  # a fit normally states its own residuals
    Kind.DERIVED: (1 / 1.25, 1.25),
    Kind.RECALLED: (1 / 1.5, 1.5),
    Kind.ASSUMED: (1 / 2.5, 2.5),
}
"""What `low` and `high` are, relative to the value, where a profile does not say."""

_CHECKED = re.compile(r"\d{4}-\d\d-\d\d: \S.*")
_FIGURE_KEYS = ("value", "low", "high", "kind", "reference", "where", "at")


def quantity(dimension: str, *, exact: bool = False, required: bool = False) -> Any:
    """Declare a field that holds a figure.

    Args:
        dimension: key of `units.DIMENSIONS`.
        exact: without an interval unless the profile gives one (memory sizes, limits).
        required: a profile must give it.
    """
    metadata = {"figure": dimension, "exact": exact}
    if required:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=None, metadata=metadata)


def quantities(dimension: str) -> Any:
    """Declare a field that holds a list of plain numbers, such as the points of a curve."""
    return dataclasses.field(default=(), metadata={"numbers": dimension})


def number(dimension: str, default: float | None = None) -> Any:
    """Declare a field that holds a plain number: a choice of the user's, not a figure."""
    return dataclasses.field(default=default, metadata={"number": dimension})


def section(cls: type[Any], *, many: bool = False, each: bool = False, empty: bool = False) -> Any:
    """Declare a nested table; with `many` a table of named ones, with `each` an array of them.

    A table that is left out is None, or, with `empty`, one in which nothing is given.
    """
    metadata = {"section": cls, "many": many, "each": each}
    if many:
        return dataclasses.field(default_factory=dict, metadata=metadata)
    if each:
        return dataclasses.field(default=(), metadata=metadata)
    if empty:
        return dataclasses.field(default_factory=cls, metadata=metadata)
    return dataclasses.field(default=None, metadata=metadata)


@dataclasses.dataclass(slots=True)
class Reader:
    """Turns one parsed file into a profile; remembers where it is for its messages."""

    file: str
    profile_id: str
    references: Mapping[str, Reference]

    def fail(self, key: str, what: str, hint: str) -> ProfileError:
        """An error that names file and key."""
        return ProfileError(what, where=f"{self.file}: {key}" if key else self.file, hint=hint)

    def build(self, cls: type[T], table: Any, path: str = "") -> T:
        """Make a dataclass of a table.

        Raises:
            ProfileError: unknown or missing key, wrong type, or a bad figure in it.
        """
        if not isinstance(table, dict):
            raise self.fail(path, "a table is expected here", f"write [{path}] and keys below it")
        fields = {f.name: f for f in dataclasses.fields(cls)}
        self.no_unknown_keys(table, fields, path)
        values = {
            name: self._value(fields[name], _hints(cls)[name], table[name], _join(path, name))
            for name in table
        }
        for name, declared in fields.items():
            if name not in table and _is_required(declared):
                raise self.fail(
                    _join(path, name), "this key is missing", f"a {cls.__name__} must give it"
                )
        return cls(**values)

    def no_unknown_keys(self, table: Mapping[str, Any], known: Iterable[str], path: str) -> None:
        """Refuse what nothing would read."""
        for key in table:
            if key not in known:
                raise self.fail(_join(path, key), "unknown key", suggest(key, known))

    def _value(self, declared: Any, hint: Any, raw: Any, path: str) -> Any:
        metadata = declared.metadata
        if "figure" in metadata:
            return self.figure(raw, path, metadata["figure"], exact=metadata["exact"])
        if "number" in metadata:
            return self._number(raw, path, metadata["number"])
        if "numbers" in metadata:
            if not isinstance(raw, list):
                raise self.fail(path, "a list is expected here", 'such as ["10uA", "20uA"]')
            return tuple(self._number(item, path, metadata["numbers"]) for item in raw)
        if "section" in metadata:
            return self._sections(metadata, raw, path)
        return self._plain(hint, raw, path)

    def _sections(self, metadata: Mapping[str, Any], raw: Any, path: str) -> Any:
        cls = metadata["section"]
        if metadata["many"]:
            if not isinstance(raw, dict):
                raise self.fail(path, "a table is expected here", f"write [{path}.NAME]")
            return {name: self.build(cls, item, _join(path, name)) for name, item in raw.items()}
        if metadata["each"]:
            if not isinstance(raw, list):
                raise self.fail(path, "an array of tables is expected here", f"write [[{path}]]")
            return tuple(self.build(cls, item, f"{path}.{i}") for i, item in enumerate(raw))
        return self.build(cls, raw, path)

    def _plain(self, hint: Any, raw: Any, path: str) -> Any:
        if typing.get_origin(hint) is tuple:
            if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
                raise self.fail(path, "a list of strings is expected here", 'such as ["dsp"]')
            return tuple(raw)
        if typing.get_origin(hint) is typing.Literal:
            choices = typing.get_args(hint)
            if raw not in choices:
                raise self.fail(path, f"'{raw}' is not one of {', '.join(choices)}", "pick one")
            return raw
        wanted = hint if isinstance(hint, type) else str
        # bool is an int to Python, not to the author of a profile
        if not isinstance(raw, wanted) or (isinstance(raw, bool) and wanted is not bool):
            raise self.fail(path, f"a {wanted.__name__} is expected here", f"found {raw!r}")
        return raw

    def figure(self, raw: Any, path: str, dimension: str, *, exact: bool = False) -> Figure:
        """Read one figure.

        Raises:
            ProfileError: not a table, unknown key, missing or unknown reference, unknown kind,
                wrong dimension, or bounds that do not enclose the value.
        """
        example = f'{{ value = "{units.DIMENSIONS[dimension][2]}", kind = …, reference = … }}'
        if not isinstance(raw, dict):
            raise self.fail(path, "a figure with its source is expected here", f"write {example}")
        self.no_unknown_keys(raw, _FIGURE_KEYS, path)
        for key in ("value", "kind", "reference"):
            if key not in raw:
                raise self.fail(path, f"the figure has no {key}", f"write {example}")
        kinds = {str(kind): kind for kind in Kind}
        if raw["kind"] not in kinds:
            raise self.fail(path, f"'{raw['kind']}' is not a kind", f"one of {', '.join(kinds)}")
        kind = kinds[raw["kind"]]
        if raw["reference"] not in self.references:
            hint = suggest(str(raw["reference"]), self.references)
            raise self.fail(path, f"there is no reference '{raw['reference']}'", hint)
        value = self._number(raw["value"], path, dimension)
        down, up = (1.0, 1.0) if exact else DEFAULT_SPREAD[kind]
        low = self._number(raw["low"], path, dimension) if "low" in raw else value * down
        high = self._number(raw["high"], path, dimension) if "high" in raw else value * up
        if value < 0 or not low <= value <= high:
            raise self.fail(path, "low ≤ value ≤ high does not hold", "none may be negative")
        for key in ("where", "at"):
            if not isinstance(raw.get(key, ""), str):
                raise self.fail(f"{path}.{key}", "a str is expected here", f"found {raw[key]!r}")
        return Figure(
            key=f"{self.profile_id}/{path}",
            value=value,
            low=low,
            high=high,
            unit=units.DIMENSIONS[dimension][1],
            kind=kind,
            reference=self.references[raw["reference"]],
            where=raw.get("where", ""),
            at=raw.get("at", ""),
        )

    def _number(self, raw: Any, path: str, dimension: str) -> float:
        if isinstance(raw, int | float) and not isinstance(raw, bool):
            if not abs(raw) <= sys.float_info.max:  # an integer may lie beyond every float
                raise self.fail(path, "the number is not finite", "give an ordinary number")
            raw = repr(raw)
        if not isinstance(raw, str):
            raise self.fail(path, f"{raw!r} is not a quantity", "write a number and its unit")
        try:
            return units.parse(raw, dimension)
        except UsageError as error:
            raise self.fail(path, error.what, error.hint) from None


def read_references(file: str, raw: Any) -> dict[str, Reference]:
    """Read the `[references.ID]` tables of a file.

    Raises:
        ProfileError: a table without a title, with a key that nothing reads, or with a check
            that does not say when and where.
    """
    reader = Reader(file, "", {})
    if not isinstance(raw, dict):
        raise reader.fail("references", "a table is expected here", "write [references.ID]")
    found = {}
    for key, table in raw.items():
        path = f"references.{key}"
        if not isinstance(table, dict) or not isinstance(table.get("title"), str):
            raise reader.fail(path, "a reference needs a title", 'write title = "…" below it')
        reader.no_unknown_keys(table, ("title", "url", "note", "checked"), path)
        rest = [str(table.get(name, "")) for name in ("url", "note", "checked")]
        if rest[-1] and not _CHECKED.fullmatch(rest[-1]):
            raise reader.fail(
                f"{path}.checked", "a check has a day and a place", 'such as "2026-11-22: read"'
            )
        found[key] = Reference(key, table["title"], *rest)
    return found


def suggest(wrong: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name."""
    names = list(known)
    alike = difflib.get_close_matches(wrong, names, n=3, cutoff=0.6)
    if alike:
        return f"did you mean {' or '.join(alike)}?"
    listed = ", ".join(sorted(names)[:60])
    return f"one of {listed}" if listed else "none is defined"


def figures_in(value: Any, label: str = "") -> list[tuple[str, Figure]]:
    """Every figure in a profile with its path, in the order of the class."""
    if isinstance(value, Figure):
        return [(label, value)]
    children: Iterable[tuple[str, Any]] = ()
    if dataclasses.is_dataclass(value):
        children = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
    elif isinstance(value, Mapping):
        children = value.items()
    elif isinstance(value, tuple):
        children = ((str(i), item) for i, item in enumerate(value))
    return [found for name, item in children for found in figures_in(item, _join(label, name))]


_HINTS: dict[Any, dict[str, Any]] = {}


def _hints(cls: Any) -> dict[str, Any]:
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls]


def _is_required(declared: Any) -> bool:
    return (
        declared.default is dataclasses.MISSING and declared.default_factory is dataclasses.MISSING
    )


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


@keyword_record
class Profile:
    """What all profiles have.

    Attributes:
        id: how the command line and other profiles call it.
        name: maker and part, for people.
        note: what one should know before trusting it.
        disagreements: what sources say of it that does not agree, one sentence each.
    """

    id: str
    name: str
    note: str = ""
    disagreements: tuple[str, ...] = ()

    def figures(self) -> list[tuple[str, Figure]]:
        """All figures, each with its path in the file, such as ``power.run_a_per_hz``."""
        return figures_in(self)
