"""Products of matrices that are both computed."""

from __future__ import annotations

from dataclasses import dataclass

from budget.ops.operator import Operator


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


OPERATORS = (BatchMatmul(),)
