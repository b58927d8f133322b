"""Frozen dataclasses that cost next to nothing to declare.

`dataclasses.dataclass` compiles five functions for each class that it decorates, half a
millisecond; a hundred classes cost more than the whole of a small model's verdict. `record`
declares the same fields, but all records share one set of methods. Making an instance is slower
(microseconds), so what is made by the hundred thousand stays a plain dataclass.
"""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from itertools import islice
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Makes a class a frozen dataclass; `dataclasses.fields` and `replace` work on it."""
    return _make(cls)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def keyword_record(cls: type[T]) -> type[T]:
    """The same for a class whose values are always named, so that any field may be required."""
    return _make(cls)


def _make(cls: type[T]) -> type[T]:
    made: Any = dataclass(init=False, repr=False, eq=False)(cls)
    made.__init__ = _init
    made.__setattr__ = _refuse
    made.__delattr__ = _refuse
    if made.__eq__ is object.__eq__:
        made.__eq__ = _eq
        made.__hash__ = _hash
    if made.__repr__ is object.__repr__:
        made.__repr__ = _repr
    found: type[T] = made
    return found


def _init(self: Any, *args: Any, **kwargs: Any) -> None:
    declared = self.__dataclass_fields__
    if len(args) > len(declared):
        raise TypeError(f"{type(self).__name__} takes {len(declared)} values, not {len(args)}")
    values = self.__dict__
    values.update(zip(declared, args))
    for name, spec in islice(declared.items(), len(args), None):
        if name in kwargs:
            values[name] = kwargs.pop(name)
        elif spec.default is not MISSING:
            values[name] = spec.default
        elif spec.default_factory is not MISSING:
            values[name] = spec.default_factory()
        else:
            raise TypeError(f"{type(self).__name__} needs a value for {name!r}")
    if kwargs:
        raise TypeError(f"{type(self).__name__} has no field {', '.join(kwargs)}")
    check = getattr(self, "__post_init__", None)
    if check is not None:
        check()


def _refuse(self: Any, name: str, *value: Any) -> None:
    raise FrozenInstanceError(f"{type(self).__name__}.{name} cannot be changed")


def _values(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self.__dataclass_fields__])


def _eq(self: Any, other: object) -> Any:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _repr(self: Any) -> str:
    inner = ", ".join(f"{spec.name}={getattr(self, spec.name)!r}" for spec in fields(self))
    return f"{type(self).__qualname__}({inner})"
