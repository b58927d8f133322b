"""Profiles by kind: the list of each kind, and one of them with all its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from budget.errors import UsageError
from budget.hardware import library
from budget.hardware.figure import Figure, Kind, Reference
from budget.hardware.profiles import Profile
from budget.records import record

_LOADERS: Mapping[str, tuple[Callable[[], list[str]], Callable[[str], Profile]]] = {
    "device": (library.devices, library.device),
    "harvester": (library.harvesters, library.harvester),
    "converter": (library.converters, library.converter),
    "storage": (library.storages, library.storage),
    "radio": (library.radios, library.radio),
    "sensor": (library.sensors, library.sensor),
    "checkpoint": (library.checkpoints, library.checkpoint),
    "runtime": (library.runtimes, library.runtime),
}


def list_profiles(kind: str) -> list[Profile]:
    """Every profile of a kind: ``device``, ``harvester``, ``converter``, ``storage`` and so on."""
    ids, load = _LOADERS[kind]
    return [load(id) for id in ids()]


def show_profile(kind: str, id: str) -> Profile:
    """One profile.

    Raises:
        ProfileError: there is none of that id.
    """
    return _LOADERS[kind][1](id)


KINDS = tuple(_LOADERS)


@record
class Provenance:
    """Where the figures of one profile are from.

    Attributes:
        kind: of profile: ``device``, ``harvester`` and so on.
        profile: the profile.
        counts: figures by how they came to be.
        weak: those that are recalled or assumed, with their place in the file.
        references: how many figures rest on each.
    """

    kind: str
    profile: Profile
    counts: Mapping[Kind, int]
    weak: tuple[tuple[str, Figure], ...]
    references: Mapping[Reference, int]


def provenance(kinds: Sequence[str] = ()) -> list[Provenance]:
    """Counts of every profile, and what in it is recalled or assumed.

    Args:
        kinds: of profiles; all if empty.

    Raises:
        UsageError: there is no such kind.
    """
    for kind in kinds:
        if kind not in _LOADERS:
            raise UsageError(
                f"there is no kind of profile '{kind}'", hint=f"one of {', '.join(_LOADERS)}"
            )
    found = []
    for kind in kinds or KINDS:
        for profile in list_profiles(kind):
            figures = profile.figures()
            counts = {
                how: count
                for how in Kind
                if (count := sum(figure.kind is how for _, figure in figures))
            }
            weak = tuple((label, f) for label, f in figures if f.kind >= Kind.RECALLED)
            references = Counter(f.reference for _, f in figures if f.reference is not None)
            found.append(Provenance(kind, profile, counts, weak, references))
    return found


def cited(parts: Sequence[Provenance]) -> list[tuple[Reference, int]]:
    """Every reference with the figures that rest on it, the most first."""
    together: Counter[Reference] = Counter()
    for part in parts:
        together.update(part.references)
    return together.most_common()
