"""Profiles by kind: the list of each kind, and one of them with all its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from budget.hardware import library
from budget.hardware.profiles import Profile

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
