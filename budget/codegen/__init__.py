"""Programs to C."""

from budget.codegen.emit import emit
from budget.codegen.options import EmitOptions

__all__ = ["EmitOptions", "emit"]
