"""The knapsack of implementations against every combination there is."""

from __future__ import annotations

import random
import time
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budget.plan import choosing
from budget.plan.choosing import Option, Selection, choose, total_of

NAMES = ("a", "b", "c", "d")


def exhaustive(
    layers: list[list[Option]], shared: dict[str, int], limit: int | None, price: float
) -> float | None:
    """Least cycles plus price of flash of all combinations that fit."""
    best = None
    for picks in product(*(range(len(layer)) for layer in layers)):
        cycles, opened, flash = 0.0, set(), 0
        for layer, pick in zip(layers, picks):
            cycles += layer[pick].cycles
            flash += layer[pick].flash_bytes
            opened |= set(layer[pick].shared)
        flash += sum(shared[name] for name in opened)
        if limit is not None and flash > limit:
            continue
        cost = cycles + price * flash
        best = cost if best is None else min(best, cost)
    return best


options = st.builds(
    Option,
    st.integers(0, 1000).map(float),
    st.integers(0, 60),
    st.lists(st.sampled_from(NAMES), max_size=2, unique=True).map(tuple),
)
instances = st.tuples(
    st.lists(st.lists(options, min_size=1, max_size=4), min_size=1, max_size=6),
    st.fixed_dictionaries({name: st.integers(0, 40) for name in NAMES}),
    st.one_of(st.none(), st.integers(0, 250)),
    st.sampled_from([0.0, 0.5, 7.0, 1e6]),
)


@settings(max_examples=400, deadline=None)
@given(instances)
def test_no_combination_is_better(
    instance: tuple[list[list[Option]], dict[str, int], int | None, float],
) -> None:
    layers, shared, limit, price = instance
    found = choose(layers, shared, limit, price)
    best = exhaustive(layers, shared, limit, price)
    if found is None:
        assert best is None
        return
    assert best is not None
    assert (found.cycles, found.flash_bytes) == total_of(found.picks, layers, shared)
    assert limit is None or found.flash_bytes <= limit
    assert found.cycles + price * found.flash_bytes == pytest.approx(best, abs=0.01)


def drawn(count: int, seed: int) -> tuple[list[list[Option]], dict[str, int]]:
    """Layers that look like those of networks: what is faster is larger."""
    rng = random.Random(seed)
    layers = []
    for _ in range(count):
        macs = rng.randrange(10_000, 2_000_000)
        weights = rng.randrange(500, 40_000)
        layers.append([
            Option(macs * 20.0, weights, ("plain",)),
            Option(macs * 1.2, weights + rng.randrange(900), ("packed",)),
            Option(macs * 1.1, weights + rng.randrange(900, 2500), ("packed",)),
            Option(macs * 0.7, round(weights * 3.6), ("tiles",)),
            Option(macs * 0.5, weights * 8, ("tiles",)),
        ])  # fmt: skip
    return layers, {"plain": 500, "packed": 700, "tiles": 600}


def test_more_flash_never_costs_cycles() -> None:
    layers, shared = drawn(40, 3)
    smallest = choose(layers, shared, None, 1e9)
    assert smallest is not None
    assert choose(layers, shared, smallest.flash_bytes - 1) is None
    found: list[Selection] = []
    for more in range(0, 400_000, 20_000):
        selection = choose(layers, shared, smallest.flash_bytes + more)
        assert selection is not None
        found.append(selection)
    assert all(a.cycles >= b.cycles for a, b in pairwise(found))
    assert found[0].flash_bytes == smallest.flash_bytes and found[-1].cycles < found[0].cycles / 4


def test_of_equally_fast_choices_the_smaller_is_taken() -> None:
    layers = [[Option(5.0, 90), Option(5.0, 10), Option(6.0, 0)]]
    found = choose(layers, {}, None)
    assert found is not None and found.picks == (1,)


def test_code_that_is_shared_is_paid_once() -> None:
    layers = [[Option(10.0, 0, ("fast",)), Option(15.0, 20)]] * 3
    found = choose(layers, {"fast": 50}, 50)
    assert found is not None and found.picks == (0, 0, 0) and found.flash_bytes == 50
    assert choose(layers, {"fast": 61}, 60) == Selection((1, 1, 1), 45.0, 60)


MANY = 330  # beyond which equal layers are chosen for together


@pytest.mark.parametrize("room", [None, 0.02, 0.3, 0.8])
def test_equal_layers_are_chosen_for_together_as_well_as_alone(
    room: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds, shared = drawn(4, 11)
    layers = [kinds[i % 4] for i in range(60)]
    limit = None
    if room is not None:
        smallest, fastest = choose(layers, shared, None, 1e9), choose(layers, shared)
        assert smallest is not None
        assert fastest is not None
        least = smallest.flash_bytes
        limit = round(least + room * (fastest.flash_bytes - least))
    alone = choose(layers, shared, limit)
    monkeypatch.setattr(choosing, "MANY_LAYERS", 50)
    together = choose(layers, shared, limit)
    assert alone is not None
    assert together is not None
    assert limit is None or together.flash_bytes <= limit
    assert (together.cycles, together.flash_bytes) == total_of(together.picks, layers, shared)
    assert together.cycles <= 1.02 * alone.cycles  # twenty of a kind: lots are coarse


@pytest.mark.parametrize("room", [None, 0.02, 0.3, 0.8])
def test_many_unlike_layers_get_a_choice_that_fits(room: float | None) -> None:
    layers, shared = drawn(MANY, 5)
    smallest = choose(layers, shared, None, 1e9)
    fastest = choose(layers, shared)
    assert smallest is not None
    assert fastest is not None
    assert choose(layers, shared, sum(shared.values())) is None
    least = smallest.flash_bytes
    limit = None if room is None else round(least + room * (fastest.flash_bytes - least))
    found = choose(layers, shared, limit)
    assert found is not None
    assert limit is None or found.flash_bytes <= limit
    # no choice can be better than this bound, whatever a byte is worth
    bound = max(
        sum(min(o.cycles + worth * o.flash_bytes for o in layer) for layer in layers)
        - worth * (limit or fastest.flash_bytes)
        for worth in (0.0, *(2.0**power for power in range(12)))
    )
    assert found.cycles <= 1.1 * bound


def test_a_hundred_thousand_equal_layers_take_little_longer_than_a_few() -> None:
    kinds, shared = drawn(3, 2)
    layers = [kinds[i % 3] for i in range(100_000)]
    start = time.process_time()
    found = choose(layers, shared, 100_000 * 20_000)
    assert found is not None
    assert time.process_time() - start < 5
