"""Protocol Buffers' text format for TensorFlow's messages (``.pbtxt``).

Source: https://protobuf.dev/reference/protobuf/textformat-spec/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from budget.errors import CorruptModelError
from budget.formats.protobuf import MAX_DEPTH, Field, Message, Schema
from budget.formats.tensorflow_schema import SCHEMAS, DataType

_TOKEN = re.compile(
    r"""\s*+(?:\#[^\n]*+\s*+)*+
    (?:(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<word>[-+]?[\w.][\w.+-]*|\[[\w./-]+\])
    |(?P<sign>[{}<>\[\]:,;]))""",
    re.VERBOSE,
)
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|[xX][0-9a-fA-F]{1,2}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f",
            b"v": b"\v"}  # fmt: skip
_STORED_AS_BYTES = {
    # fields that the wire schemas leave undecoded
    "GraphDef.node": "NodeDef", "GraphDef.versions": "VersionDef",
    "FunctionDefLibrary.function": "FunctionDef", "FunctionDef.node_def": "NodeDef",
    "FunctionDef.ret": "StringEntry", "FunctionDef.control_ret": "StringEntry",
    "FunctionDef.arg_attr": "ArgAttrEntry", "FunctionDef.resource_arg_unique_id": "IdEntry",
    "NodeDef.experimental_debug_info": "DebugInfo",
}  # fmt: skip


def parse_text(schema: Schema, data: bytes, where: str = "") -> Message:
    """Reads one message; fields that the schema does not name are left out.

    Args:
        schema: of the message.
        data: UTF-8 text.
        where: file to name in errors.

    Raises:
        CorruptModelError: the text is not such a message.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise CorruptModelError("the text is not UTF-8", where=where) from None
    return _Parser(text, where).message(schema, "", 0)


class _Parser:
    def __init__(self, text: str, where: str) -> None:
        self.where = where
        self.text = text
        self.position = 0
        self.tokens = self._tokens()
        self.next: tuple[str, str] = next(self.tokens)

    def _tokens(self) -> Iterator[tuple[str, str]]:
        end = len(self.text.rstrip())
        while self.position < end:
            match = _TOKEN.match(self.text, self.position)
            if match is None:
                rest = self.text[self.position :].lstrip()
                if rest.startswith("#") and "\n" not in rest:
                    break
                raise self.error(f"cannot read {rest[:20]!r}")
            self.position = match.end()
            yield str(match.lastgroup), match[match.lastgroup or 0]
        while True:
            yield "end", ""

    def error(self, what: str) -> CorruptModelError:
        line = self.text.count("\n", 0, self.position) + 1
        return CorruptModelError(f"line {line}: {what}", where=self.where)

    def take(self) -> tuple[str, str]:
        token, self.next = self.next, next(self.tokens)
        return token

    def skip(self, sign: str) -> bool:
        if self.next == ("sign", sign):
            self.take()
            return True
        return False

    def message(self, schema: Schema | None, end: str, depth: int) -> Message:
        """Fields up to a closing sign; without a schema they are passed over."""
        if depth > MAX_DEPTH:
            raise self.error(f"messages are nested more than {MAX_DEPTH} deep")
        message = Message(schema or SCHEMAS["Opaque"])
        while not self.skip(end):
            kind, name = self.take()
            if kind == "end" and not end:
                break
            if kind != "word":
                raise self.error(f"a field name is missing before {name!r}")
            field = schema.by_name.get(name) if schema else None
            self.skip(":")
            if self.skip("["):
                while not self.skip("]"):
                    self._value(message, field, depth)
                    self.skip(",")
            else:
                self._value(message, field, depth)
            if not self.skip(","):
                self.skip(";")
        return message

    def _value(self, message: Message, field: Field | None, depth: int) -> None:
        if self.next[1] in ("{", "<") and self.next[0] == "sign":
            close = "}" if self.take()[1] == "{" else ">"
            self._store_message(message, field, close, depth)
            return
        kind, text = self.take()
        value: Any = text
        if kind == "string":
            content = _unescape(text)
            while self.next[0] == "string":
                content += _unescape(self.take()[1])
            value = content
        elif kind != "word":
            raise self.error(f"a value is missing before {text!r}")
        if field is not None:
            self._store(message, field, self._scalar(field, kind, value))

    def _store_message(self, message: Message, field: Field | None, close: str, depth: int) -> None:
        if field is None:
            self.message(None, close, depth + 1)
        elif field.is_map:
            key, content = self._entry(SCHEMAS[field.kind], close, depth)
            message.values.setdefault(field.name, {})[key] = content
        elif field.is_message:
            self._store(message, field, self.message(SCHEMAS[field.kind], close, depth + 1))
        else:
            stored = _STORED_AS_BYTES.get(f"{message.schema.name}.{field.name}")
            item = self.message(SCHEMAS[stored] if stored else None, close, depth + 1)
            if stored:
                self._store(message, field, item.encode())

    def _entry(self, schema: Schema, close: str, depth: int) -> tuple[str, Message]:
        key, content = "", Message(schema)
        while not self.skip(close):
            kind, name = self.take()
            if kind != "word" or name not in ("key", "value"):
                raise self.error(f"a map entry has a key and a value, not {name!r}")
            self.skip(":")
            if name == "key":
                key = _unescape(self.take()[1]).decode("utf-8", "replace")
            elif self.next[1] in ("{", "<"):
                inner = "}" if self.take()[1] == "{" else ">"
                content = self.message(schema, inner, depth + 1)
            if not self.skip(","):
                self.skip(";")
        return key, content

    def _store(self, message: Message, field: Field, value: Any) -> None:
        if field.repeated:
            message.values.setdefault(field.name, []).append(value)
        else:
            message.values[field.name] = value

    def _scalar(self, field: Field, kind: str, value: Any) -> Any:
        if kind == "string":
            if field.kind not in ("string", "bytes"):
                raise self.error(f"{field.name} is not text")
            return value if field.kind == "bytes" else value.decode("utf-8", "replace")
        try:
            if field.kind == "bool":
                return {"true": True, "True": True, "t": True, "1": True,
                        "false": False, "False": False, "f": False, "0": False}[value]  # fmt: skip
            if field.kind in ("float", "double"):
                return float(value.rstrip("fF") if value.lower()[-3:] != "inf" else value)
            if field.kind == "enum":
                return _enumeration(value)
            if field.kind not in ("string", "bytes") and not field.is_message:
                return int(value, 0) if not value.lstrip("-").startswith("0") or "x" in (
                    value.lower()
                ) else int(value, 8)  # fmt: skip
        except (ValueError, KeyError):
            pass
        raise self.error(f"{value!r} is not a value for {field.name}")


def _enumeration(value: str) -> int:
    if value.startswith("DT_"):
        name = value[3:]
        return DataType[name[:-4]] + 100 if name.endswith("_REF") else int(DataType[name])
    return {"LEGACY": 0, "V1": 1, "V2": 2}.get(value) or int(value)


def _unescape(token: str) -> bytes:
    def letter(match: re.Match[bytes]) -> bytes:
        code = match[1]
        if code[:1] in b"01234567":
            return bytes([int(code, 8) & 0xFF])
        if code[:1] in b"xX" and len(code) > 1:
            return bytes([int(code[1:], 16)])
        return _LETTERS.get(code, code)

    return _ESCAPE.sub(letter, token[1:-1].encode("utf-8"))


def format_text(message: Message) -> str:
    """A message as text, fields by number; undecoded parts are written out too."""
    return "".join(_format(message, ""))


def _format(message: Message, indent: str) -> Iterator[str]:
    for _, field in sorted(message.schema.by_number.items()):
        if field.name not in message.values:
            continue
        value = message.values[field.name]
        if field.is_map:
            for key in sorted(value):
                yield f"{indent}{field.name} {{\n{indent}  key: {_quote(key.encode())}\n"
                yield f"{indent}  value {{\n"
                yield from _format(value[key], indent + "    ")
                yield f"{indent}  }}\n{indent}}}\n"
            continue
        stored = _STORED_AS_BYTES.get(f"{message.schema.name}.{field.name}")
        for item in value if field.repeated else [value]:
            part = SCHEMAS[stored].decode(item) if stored else item
            if isinstance(part, Message):
                yield f"{indent}{field.name} {{\n"
                yield from _format(part, indent + "  ")
                yield f"{indent}}}\n"
            elif stored or field.kind != "bytes" or _is_text(message.schema, field):
                yield f"{indent}{field.name}: {_format_scalar(message.schema, field, part)}\n"


def _is_text(schema: Schema, field: Field) -> bool:
    """Whether a bytes field is bytes in the text form too, not a message left undecoded."""
    return (schema.name, field.name) in (
        ("AttrValue", "s"), ("ListValue", "s"), ("TensorProto", "tensor_content"),
        ("TensorProto", "string_val"),
    )  # fmt: skip


def _format_scalar(schema: Schema, field: Field, value: Any) -> str:
    if isinstance(value, (bytes, str)):
        return _quote(value.encode() if isinstance(value, str) else value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if field.kind == "enum" and field.name in ("type", "dtype"):
        number = int(value)
        suffix, number = ("_REF", number - 100) if number > 100 else ("", number)
        return f"DT_{DataType(number).name}{suffix}"
    if field.kind == "float":
        return f"{value:.9g}"
    return repr(value)


def _quote(data: bytes) -> str:
    letters = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}
    return '"' + "".join(
        letters.get(b) or (chr(b) if 0x20 <= b < 0x7F else f"\\{b:03o}") for b in data
    ) + '"'  # fmt: skip
