"""Graphs of TensorFlow with loops in them."""

from __future__ import annotations


def _int(name: str, value: int, key: str = "node") -> str:
    kind = 'attr { key: "dtype" value { type: DT_INT32 } } attr { key: "value" value { tensor {'
    return (
        f'{key} {{ name: "{name}" op: "Const" {kind} dtype: DT_INT32 int_val: {value} }} }} }} }}'
    )


def loops(depth: int, trips: int) -> bytes:
    """Loops inside loops, in the text form."""
    int32 = 'attr { key: "T" value { type: DT_INT32 } }'
    float32 = 'attr { key: "T" value { type: DT_FLOAT } }'
    takes = 'input_arg { name: "i" type: DT_INT32 } input_arg { name: "x" type: DT_FLOAT }'

    def loop(name: str, start: str, level: int) -> str:
        functions = " ".join(
            f'attr {{ key: "{part}" value {{ func {{ name: "{part}{level}" }} }} }}'
            for part in ("cond", "body")
        )
        types = 'attr { key: "T" value { list { type: DT_INT32 type: DT_FLOAT } } }'
        return (
            f'name: "{name}" op: "StatelessWhile" input: "{start}" input: "x" {functions} {types}'
        )

    text = [
        'node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } }',
        'attr { key: "shape" value { shape { dim { size: 1 } dim { size: 4 } } } } }',
        _int("start", 0),
        f"node {{ {loop('loop', 'start', 0)} }}",
        f'node {{ name: "y" op: "Relu" input: "loop:1" {float32} }} library {{',
    ]
    for level in range(depth):
        text += [
            f'function {{ signature {{ name: "cond{level}" {takes}',
            'output_arg { name: "go" type: DT_BOOL } }',
            _int("n", trips, "node_def"),
            f'node_def {{ name: "less" op: "Less" input: "i" input: "n:output:0" {int32} }}',
            'ret { key: "go" value: "less:z:0" } }',
            f'function {{ signature {{ name: "body{level}" {takes}',
            'output_arg { name: "j" type: DT_INT32 } output_arg { name: "w" type: DT_FLOAT } }',
            _int("one", 1, "node_def"),
            f'node_def {{ name: "add" op: "AddV2" input: "i" input: "one:output:0" {int32} }}',
            'ret { key: "j" value: "add:z:0" }',
        ]
        if level + 1 < depth:
            text += [_int("zero", 0, "node_def"),
                     f'node_def {{ {loop("inner", "zero:output:0", level + 1)} }}',
                     'ret { key: "w" value: "inner:output:1" } }']  # fmt: skip
        else:
            text += [f'node_def {{ name: "act" op: "Sigmoid" input: "x" {float32} }}',
                     'ret { key: "w" value: "act:y:0" } }']  # fmt: skip
    return "\n".join([*text, "}"]).encode()
