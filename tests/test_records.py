"""Records behave as frozen dataclasses do."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass, replace

import pytest

from budget.records import record


@record
class Point:
    x: float
    y: float = 2.0
    tags: tuple[str, ...] = field(default_factory=tuple)


@record
class Named(Point):
    name: str = "?"

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a name is needed")


@dataclass(frozen=True)
class Witness:
    x: float
    y: float = 2.0
    tags: tuple[str, ...] = field(default_factory=tuple)


@pytest.mark.parametrize(
    ("args", "kwargs"), [((1.0,), {}), ((1.0, 3.0), {"tags": ("a",)}), ((), {"x": 5.0, "y": 1.0})]
)
def test_like_a_frozen_dataclass(args: tuple[float, ...], kwargs: dict[str, object]) -> None:
    ours, witness = Point(*args, **kwargs), Witness(*args, **kwargs)  # type: ignore[arg-type]
    assert [getattr(ours, f.name) for f in fields(ours)] == [
        getattr(witness, f.name) for f in fields(witness)
    ]
    assert is_dataclass(ours)
    assert repr(ours) == repr(witness).replace("Witness", "Point")
    assert hash(ours) == hash(witness)
    assert ours == Point(*args, **kwargs)  # type: ignore[arg-type]
    assert ours != replace(ours, x=99.0)
    assert ours != witness


BAD = [lambda: Point(), lambda: Point(1, 2, (), 4), lambda: Point(1, z=2)]


@pytest.mark.parametrize("bad", BAD)
def test_wrong_values_are_refused(bad: object) -> None:
    with pytest.raises(TypeError, match="Point"):
        bad()  # type: ignore[operator]


def test_it_is_frozen() -> None:
    point = Point(1.0)
    with pytest.raises(FrozenInstanceError, match="x"):
        point.x = 2.0  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="x"):
        del point.x


def test_inheritance_and_checks() -> None:
    assert Named(1.0, name="a").name == "a"
    assert [f.name for f in fields(Named(1.0))] == ["x", "y", "tags", "name"]
    with pytest.raises(ValueError, match="name"):
        Named(1.0, name="")
