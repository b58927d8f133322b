"""Makes the table of default attributes anew from the TensorFlow that is installed.

python tests/transforms/default_attributes.py
"""

from __future__ import annotations

import json
from typing import Any


def table() -> dict[str, Any]:
    """Operators with the attributes that have a default, by index into the distinct values."""
    from tensorflow.core.framework.op_def_pb2 import OpList
    from tensorflow.python.client import pywrap_tf_session as session

    values: dict[str, int] = {}
    operators: dict[str, dict[str, int]] = {}
    known = OpList.FromString(session.TF_GetBuffer(session.TF_GetAllOpList()))
    for op in sorted(known.op, key=lambda item: item.name):
        found = {
            attribute.name: values.setdefault(
                attribute.default_value.SerializeToString(deterministic=True).hex(), len(values)
            )
            for attribute in op.attr
            if attribute.HasField("default_value")
        }
        if found:
            operators[op.name] = found
    return {"values": list(values), "operators": operators}


if __name__ == "__main__":
    from budget.transforms.tool.add_default_attributes import DEFAULTS

    DEFAULTS.write_text(json.dumps(table(), separators=(",", ":")) + "\n")
