"""Products of matrices that are both computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.errors import ModelError
from budget.graph.types import Array, TensorType
from budget.ops.operator import (
    Activation,
    Case,
    Cost,
    Operand,
    Operator,
    QuantizedCall,
    traffic_bytes,
)
from budget.ops.requantize import (
    operand,
    operand_type,
    rescale,
    scaling_of,
    shifted,
    single_multiplier,
)


@dataclass(frozen=True, slots=True)
class BatchMatmulAttributes:
    """Attributes of `BatchMatmul`.

    Attributes:
        adj_x: the last two dimensions of x are swapped before the product.
        adj_y: those of y.
    """

    adj_x: bool = False
    adj_y: bool = False


class BatchMatmul(Operator):
    """x [...][m][k] times y [...][k][n]; leading dimensions are broadcast."""

    name = "batch_matmul"
    Attributes = BatchMatmulAttributes

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """[...][m][k] × [...][k][n] → [...][m][n].

        Raises:
            ModelError: the shapes do not go together.
        """
        x, y = operand_type(inputs, 0), operand_type(inputs, 1)
        if min(len(x.shape), len(y.shape)) < 2:
            raise ModelError(f"shapes {x.shape} and {y.shape} are not those of matrices")
        m, k = _swapped(x.shape, attributes.adj_x)
        k_of_y, n = _swapped(y.shape, attributes.adj_y)
        if k != k_of_y:
            raise ModelError(f"a product sums over {k} columns but {k_of_y} rows")
        try:
            batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        except ValueError:
            raise ModelError(
                f"leading dimensions of {x.shape} and {y.shape} do not go together"
            ) from None
        return (TensorType((*batch, m, n), x.dtype),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """MACs = outputs · depth."""
        _, depth = _swapped(operand_type(inputs, 0).shape, attributes.adj_x)
        count = outputs[0].element_count
        return Cost(
            macs=count * depth,
            macs_run=count * depth,
            alu=count,
            flops=2 * count * depth,
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """A matrix product in float32."""
        product = _product(attributes, operand(inputs, 0), operand(inputs, 1))
        return (product.astype(np.float32),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Integer sums, scaled by one factor.

        Source: tensorflow/lite/kernels/internal/reference/batch_matmul.h.
        """
        x_type, y_type = operand_type(call.inputs, 0), operand_type(call.inputs, 1)
        out = call.outputs[0]
        sums = _product(
            attributes, shifted(operand(inputs, 0), x_type), shifted(operand(inputs, 1), y_type)
        )
        factor = single_multiplier(x_type, y_type, out)
        return (rescale(sums, factor, out, Activation.NONE, scaling_of(x_type, None)),)

    def cases(self) -> Iterator[Case]:
        """Both swaps, broadcast batches, two to four dimensions."""
        for adj_x in (False, True):
            for adj_y in (False, True):
                x = (2, 5, 3) if adj_x else (2, 3, 5)
                y = (2, 4, 5) if adj_y else (2, 5, 4)
                yield Case(
                    f"adj-{int(adj_x)}{int(adj_y)}",
                    BatchMatmulAttributes(adj_x, adj_y),
                    (Operand(x), Operand(y)),
                )
        plain = BatchMatmulAttributes()
        yield Case("matrices", plain, (Operand((3, 7)), Operand((7, 2))))
        yield Case("broadcast", plain, (Operand((2, 1, 3, 4)), Operand((3, 4, 2))))
        yield Case("heads", plain, (Operand((1, 2, 4, 6)), Operand((1, 2, 6, 3))))


def _swapped(shape: tuple[int, ...], is_swapped: bool) -> tuple[int, int]:
    return (shape[-1], shape[-2]) if is_swapped else (shape[-2], shape[-1])


def _product(attributes: BatchMatmulAttributes, x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    left = np.swapaxes(x, -1, -2) if attributes.adj_x else x
    right = np.swapaxes(y, -1, -2) if attributes.adj_y else y
    product: NDArray[Any] = left @ right
    return product


OPERATORS = (BatchMatmul(),)
