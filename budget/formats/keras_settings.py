"""Typed access to the configuration of one Keras layer; whatever is odd there is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from budget.errors import CorruptModelError

ACTIVATIONS = frozenset(
    (
        "linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish",
        "sigmoid", "hard_sigmoid", "tanh", "hard_tanh", "softmax", "log_softmax", "softplus",
        "softsign", "exponential", "hard_silu", "hard_swish", "mish", "log_sigmoid",
        "tanh_shrink", "squareplus",
    )
)  # fmt: skip
"""Activation functions by name that the lowering knows."""
ACTIVATION_LAYERS = frozenset({"ReLU", "LeakyReLU", "ELU", "Softmax", "Activation"})
"""Layers that a file may name as another layer's activation."""
_LARGEST = 1 << 31


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of one layer.

    Attributes:
        config: as in the file.
        where: file, layer and class, for messages.
    """

    config: Mapping[str, Any]
    where: str = ""

    def integer(self, key: str, default: int | None = None, minimum: int = 1) -> int:
        """A whole number of at least ``minimum``.

        Raises:
            CorruptModelError: it is something else.
        """
        return self._integer(key, self._get(key, default), minimum)

    def number(self, key: str, default: float | None = None) -> float:
        """A real number.

        Raises:
            CorruptModelError: it is something else.
        """
        value = self._get(key, default)
        if isinstance(value, dict):  # Keras 3 wraps numpy scalars
            config = value.get("config")
            value = config.get("value") if isinstance(config, dict) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._bad(key, value, "a number")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false; 0 and 1 count."""
        value = self._get(key, default)
        if value not in (True, False):
            raise self._bad(key, value, "true or false")
        return bool(value)

    def choice(self, key: str, default: str | None, allowed: Sequence[str]) -> str:
        """One of a few words, in lower case.

        Raises:
            CorruptModelError: it is none of them.
        """
        value = self._get(key, default)
        if not isinstance(value, str) or value.lower() not in allowed:
            raise self._bad(key, value, " or ".join(allowed))
        return value.lower()

    def integers(
        self, key: str, count: int | None, default: Any = None, minimum: int = 1
    ) -> tuple[int, ...]:
        """So many whole numbers; a single one stands for all of them.

        Raises:
            CorruptModelError: they are something else.
        """
        value = self._get(key, default)
        if type(value) is int:
            value = [value] * (count or 1)
        if not isinstance(value, list | tuple) or (count is not None and len(value) != count):
            raise self._bad(key, value, f"{count or 'some'} whole numbers")
        return tuple(self._integer(key, item, minimum) for item in value)

    def pairs(self, key: str, count: int, default: Any = None) -> tuple[tuple[int, int], ...]:
        """(before, behind) for so many dimensions, as padding and cropping layers have them.

        Raises:
            CorruptModelError: they are something else.
        """
        value = self._get(key, default)
        if type(value) is int:
            value = [value] * (2 if count == 1 else count)
        if count == 1 and isinstance(value, list | tuple) and value and type(value[0]) is int:
            value = [value]
        if not isinstance(value, list | tuple) or len(value) != count:
            raise self._bad(key, value, f"{count} pairs of whole numbers")
        pairs = []
        for item in value:
            pair = [item, item] if type(item) is int else item
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise self._bad(key, value, f"{count} pairs of whole numbers")
            pairs.append((self._integer(key, pair[0], 0), self._integer(key, pair[1], 0)))
        return tuple(pairs)

    def axes(self, key: str, default: Any, rank: int) -> tuple[int, ...]:
        """Dimensions counted from the front, ascending.

        Raises:
            CorruptModelError: they are out of range or not whole numbers.
        """
        value = self._get(key, default)
        items = [value] if type(value) is int else value
        if not isinstance(items, list | tuple):
            raise self._bad(key, value, "dimensions")
        axes = []
        for item in items:
            if type(item) is not int or not -rank <= item < rank:
                raise self._bad(key, value, f"dimensions of a tensor of rank {rank}")
            axes.append(item % rank)
        if len(set(axes)) != len(axes):
            raise self._bad(key, value, "dimensions, each once")
        return tuple(sorted(axes))

    def activation(self, key: str = "activation") -> tuple[str, Mapping[str, Any]]:
        """Name of the activation function or layer, and that layer's configuration.

        Raises:
            CorruptModelError: it is neither.
        """
        value = self._get(key, "linear")
        if isinstance(value, str):
            return value, {}
        if isinstance(value, dict) and isinstance(value.get("config"), str):
            if value.get("registered_name") not in (None, "function", value["config"]):
                return str(value["registered_name"]), {}
            return value["config"], {}
        if isinstance(value, dict) and isinstance(value.get("class_name"), str):
            config = value.get("config")
            return value["class_name"], config if isinstance(config, dict) else {}
        raise self._bad(key, value, "an activation")

    def has(self, key: str) -> bool:
        """Whether the file says anything but null."""
        return self.config.get(key) is not None

    def bad(self, what: str) -> CorruptModelError:
        """An error that names this layer."""
        return CorruptModelError(what, where=self.where)

    def _get(self, key: str, default: Any) -> Any:
        value = self.config.get(key)
        return default if value is None else value

    def _integer(self, key: str, value: Any, minimum: int) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int or not minimum <= value < _LARGEST:
            raise self._bad(key, value, f"a whole number from {minimum}")
        return int(value)

    def _bad(self, key: str, value: Any, wanted: str) -> CorruptModelError:
        return CorruptModelError(f"{key} is {str(value)[:60]!r}, not {wanted}", where=self.where)
