"""One implementation for each layer: least cycles within a limit of flash, exactly.

A multiple-choice knapsack in which some options need code that is paid for once, however many
layers use it. Layers are added one by one; of all partial choices that have opened the same shared
code, only those are kept that none beats in both cost and flash (the code that no later layer can
use is forgotten). Bounds from Lagrange multipliers drop what cannot become the best.

Among very many layers those with the same options are chosen for together, in a few lots: twice
the layers are then one lot more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import inf
from operator import itemgetter
from typing import Any

from budget.records import record

_DUST = 1e-6  # of a cycle for a byte: of equally fast choices the smaller one
_HALVINGS = 40


@record
class Option:
    """An implementation of one layer.

    Attributes:
        cycles: of the layer.
        flash_bytes: of its own.
        shared: names of code that it needs.
    """

    cycles: float
    flash_bytes: int
    shared: tuple[str, ...] = ()


@record
class Selection:
    """One option for each layer.

    Attributes:
        picks: index of each layer's option.
        cycles: sum.
        flash_bytes: sum, shared code counted once.
    """

    picks: tuple[int, ...]
    cycles: float
    flash_bytes: int


_Partial = tuple[float, int, Any]
"""Cost, flash, and the last pick with all before it: (pick, (pick, ...))."""


def choose(
    layers: Sequence[Sequence[Option]],
    shared_bytes: Mapping[str, int],
    limit_bytes: int | None = None,
    cycles_per_byte: float = 0.0,
) -> Selection | None:
    """The options whose cycles, and price of flash, are least in all.

    Args:
        layers: options of each layer, one or more.
        shared_bytes: of the code that options name.
        limit_bytes: flash for everything; None: as much as it takes.
        cycles_per_byte: price of flash.

    Returns:
        None if nothing fits.
    """
    price = max(cycles_per_byte, _DUST)
    limit = inf if limit_bytes is None else float(limit_bytes)
    if len(layers) > MANY_LAYERS:
        return _choose_for_many(layers, shared_bytes, limit, price)
    return _choose_for_each(layers, shared_bytes, limit, price)


def _choose_for_each(
    layers: Sequence[Sequence[Option]],
    shared_bytes: Mapping[str, int],
    limit: float,
    price: float,
    *,
    narrowly: bool = False,
) -> Selection | None:
    guess, multiplier = _first_guess(layers, shared_bytes, limit, price)
    search = _Search(layers, shared_bytes, limit, price, multiplier)
    # a narrow search finds what is nearly best, which lets the whole one drop nearly everything
    ends = search.ends(guess, _NARROW)
    if ends and narrowly:
        return _selection(min(ends, key=itemgetter(0, 1)), layers)
    if ends:
        guess = min(guess, min(end[0] for end in ends))
    loose = _LOOSE if len(layers) > EXACT_LAYERS else 0.0
    ends = search.ends(guess * (1 - loose), None) or (ends if loose else [])
    if not ends:
        return None
    return _selection(min(ends, key=itemgetter(0, 1)), layers)


class _Search:
    """Partial choices, layer by layer."""

    def __init__(
        self,
        layers: Sequence[Sequence[Option]],
        shared_bytes: Mapping[str, int],
        limit: float,
        price: float,
        multiplier: float,
    ) -> None:
        self._layers, self._shared, self._limit = layers, shared_bytes, limit
        self._price, self._multiplier = price, multiplier
        self._least = _reversed_sums(layers, lambda option: option.flash_bytes)
        self._rest = _reversed_sums(
            layers, lambda option: option.cycles + (price + multiplier) * option.flash_bytes
        )
        self._last_use = {
            name: i for i, layer in enumerate(layers) for o in layer for name in o.shared
        }

    def ends(self, known: float, most: int | None) -> list[_Partial]:
        """Whole choices that cost no more than what is known; all best ones if ``most`` is None."""
        states: dict[frozenset[str], list[_Partial]] = {frozenset(): [(0.0, 0, None)]}
        for index in range(len(self._layers)):
            grown = self._grow(states, index, known)
            states = {key: _not_beaten(found) for key, found in grown.items() if found}
            if most is not None:
                states = {key: self._promising(found, most) for key, found in states.items()}
        return [partial for partials in states.values() for partial in partials]

    def _promising(self, partials: list[_Partial], most: int) -> list[_Partial]:
        return sorted(partials, key=lambda p: p[0] + self._multiplier * p[1])[:most]

    def _grow(
        self, states: Mapping[frozenset[str], list[_Partial]], index: int, known: float
    ) -> dict[frozenset[str], list[_Partial]]:
        """Every partial choice with every option of a layer that can still be the best."""
        grown: dict[frozenset[str], list[_Partial]] = {}
        room = self._limit - self._least[index + 1]
        multiplier = self._multiplier
        slack = multiplier * self._limit if multiplier else 0.0
        most = known * _ROUNDING - self._rest[index + 1] + slack
        for opened, partials in states.items():
            for number, option in enumerate(self._layers[index]):
                new = [name for name in option.shared if name not in opened]
                more = option.flash_bytes + sum(self._shared[name] for name in new)
                cost = option.cycles + self._price * more
                key = frozenset(n for n in (*opened, *new) if self._last_use[n] > index)
                grown.setdefault(key, []).extend(
                    (spent + cost, used + more, (number, picks))
                    for spent, used, picks in partials
                    if used + more <= room and spent + cost + multiplier * (used + more) <= most
                )
        return grown


def _choose_for_many(
    layers: Sequence[Sequence[Option]], shared_bytes: Mapping[str, int], limit: float, price: float
) -> Selection | None:
    """A choice for lots of equal layers.

    Without a limit it is as good as one for each layer: whatever shared code there is, what is best
    for a layer is best for its equals. With a limit, lots are halves of halves, so that any number
    of equal layers can go one of two ways.
    """
    equals: dict[tuple[Option, ...], list[int]] = {}
    for index, layer in enumerate(layers):
        equals.setdefault(tuple(layer), []).append(index)
    lots = [
        (options, lot)
        for options, members in equals.items()
        for lot in (_halved(members) if limit < inf else [members])
    ]
    lots.sort(key=lambda lot: len(lot[1]), reverse=True)  # small ones fill what is left
    together = [[_times(o, len(lot)) for o in options] for options, lot in lots]
    if len(lots) <= MANY_LAYERS:
        # halves can be put together in very many ways that hardly differ: not all are weighed
        found = _choose_for_each(together, shared_bytes, limit, price, narrowly=limit < inf)
        chosen = found.picks if found else None
    else:
        chosen = _guess_for_many(together, shared_bytes, limit, price)
    if chosen is None:
        return None
    picks = [0] * len(layers)
    for (_, lot), pick in zip(lots, chosen, strict=True):
        for index in lot:
            picks[index] = pick
    return Selection(tuple(picks), *total_of(picks, layers, shared_bytes))


def _halved(members: Sequence[int]) -> Iterator[Sequence[int]]:
    """Half of them, half of the rest, and so on to the last."""
    while members:
        middle = len(members) // 2
        yield members[middle:]
        members = members[:middle]


def _times(option: Option, count: int) -> Option:
    return Option(count * option.cycles, count * option.flash_bytes, option.shared)


def _guess_for_many(
    layers: Sequence[Sequence[Option]], shared_bytes: Mapping[str, int], limit: float, price: float
) -> tuple[int, ...] | None:
    """Each layer's best where everyone who could use shared code pays an equal part of it."""
    users = Counter(name for layer in layers for name in {n for o in layer for n in o.shared})
    own = [
        [
            (o.cycles, o.flash_bytes + sum(shared_bytes[n] / users[n] for n in o.shared))
            for o in layer
        ]
        for layer in layers
    ]

    def at(multiplier: float) -> tuple[tuple[int, ...], bool]:
        weight = price + multiplier
        costs = ([cycles + weight * size for cycles, size in layer] for layer in own)
        picks = tuple(cost.index(min(cost)) for cost in costs)
        return picks, total_of(picks, layers, shared_bytes)[1] <= limit

    low, high = 0.0, 1.0
    picks, fits = at(low)
    if fits:
        return picks
    while not (best := at(high))[1]:
        if high > _DEAREST:
            return None
        low, high = high, 4 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tried = at(middle)
        if tried[1]:
            high, best = middle, tried
        else:
            low = middle
    return best[0]


MANY_LAYERS = 300
"""Beyond so many layers equal ones are chosen for together."""
_DEAREST = 1e12
EXACT_LAYERS = 80
"""Up to so many layers the choice is proven best; beyond, to be within a thousandth of it."""
_LOOSE = 1e-3
_NARROW = 200
_ROUNDING = 1 + 1e-12


def total_of(
    picks: Sequence[int], layers: Sequence[Sequence[Option]], shared_bytes: Mapping[str, int]
) -> tuple[float, int]:
    """Cycles and flash of given picks."""
    taken = [layer[pick] for layer, pick in zip(layers, picks, strict=True)]
    opened = {name for option in taken for name in option.shared}
    flash = sum(option.flash_bytes for option in taken) + sum(shared_bytes[n] for n in opened)
    return sum(option.cycles for option in taken), flash


def _first_guess(
    layers: Sequence[Sequence[Option]], shared_bytes: Mapping[str, int], limit: float, price: float
) -> tuple[float, float]:
    """Cost of a choice that fits (infinite if none was found), and the multiplier that found it."""

    def at(multiplier: float) -> tuple[float, int]:
        weight = price + multiplier
        picks = [
            min(range(len(layer)), key=lambda i: layer[i].cycles + weight * layer[i].flash_bytes)
            for layer in layers
        ]
        cycles, flash = total_of(picks, layers, shared_bytes)
        return cycles + price * flash, flash

    cost, flash = at(0.0)
    if flash <= limit:
        # shared code may make another choice better still: this one bounds it
        return cost, 0.0
    low, high, best, kept = 0.0, 1.0, inf, 0.0
    while at(high)[1] > limit and high < _DEAREST:
        low, high = high, 4 * high
    for _ in range(_HALVINGS):
        cost, flash = at(high)
        if flash <= limit and cost < best:
            best, kept = cost, high
        middle = (low + high) / 2
        if at(middle)[1] <= limit:
            high = middle
        else:
            low = middle
    return best, kept


def _reversed_sums(
    layers: Sequence[Sequence[Option]], value: Callable[[Option], float]
) -> list[float]:
    """Sum of each layer's least value from every layer to the end; 0 behind the last."""
    least = [min(map(value, layer)) for layer in reversed(layers)]
    return [*accumulate(least, initial=0.0)][::-1]


def _not_beaten(partials: list[_Partial]) -> list[_Partial]:
    """Those that no other beats in cost and flash."""
    return list(_frontier(sorted(partials, key=itemgetter(1, 0))))


def _frontier(partials: list[_Partial]) -> Iterator[_Partial]:
    best = inf
    for partial in partials:
        if partial[0] < best:
            best = partial[0]
            yield partial


def _selection(end: _Partial, layers: Sequence[Sequence[Option]]) -> Selection:
    picks: list[int] = []
    link = end[2]
    while link is not None:
        picks.append(link[0])
        link = link[1]
    picks.reverse()
    cycles = sum(layer[pick].cycles for layer, pick in zip(layers, picks, strict=True))
    return Selection(tuple(picks), cycles, end[1])
