from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget.errors import CorruptModelError
from budget.formats.protobuf import MAX_DEPTH, Message, Schemas, write_varint

struct_pb2 = pytest.importorskip("google.protobuf.struct_pb2")
descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")

SCHEMAS = Schemas(
    {
        # google/protobuf/struct.proto and descriptor.proto, the witnesses below
        "Struct": "1 fields {Value}",
        "Value": "1 null_value enum; 2 number_value double; 3 string_value string; "
        "4 bool_value bool; 5 struct_value Struct; 6 list_value ListValue",
        "ListValue": "1 values Value*",
        "EnumValue": "1 name string; 2 number int32",
        "Location": "1 path int32*; 2 span int32*; 3 leading_comments string",
        "Option": "4 positive_int_value uint64; 5 negative_int_value int64; 7 string_value bytes",
        "Numbers": "1 f float*; 2 d double*; 3 u uint32*; 4 x fixed32; 5 y fixed64; 6 b bool*; "
        "7 i int64*; 8 one float",
    }
)


def to_python(value: Message):
    ((kind, content),) = value.values.items()
    if kind == "struct_value":
        return {key: to_python(item) for key, item in content.fields.items()}
    if kind == "list_value":
        return [to_python(item) for item in content.values.get("values", [])]
    return None if kind == "null_value" else content


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=4), JSON))
def test_nested_messages_and_maps_read_as_google_wrote_them(content) -> None:
    theirs = struct_pb2.Struct()
    theirs.update(content)
    ours = SCHEMAS["Struct"].decode(theirs.SerializeToString())
    assert {key: to_python(value) for key, value in ours.fields.items()} == content
    assert struct_pb2.Struct.FromString(ours.encode()) == theirs


@given(st.text(), st.integers(-(2**31), 2**31 - 1))
def test_scalars_agree(name: str, number: int) -> None:
    theirs = descriptor_pb2.EnumValueDescriptorProto(name=name, number=number)
    ours = SCHEMAS["EnumValue"].decode(theirs.SerializeToString())
    assert (ours.name, ours.number) == (name, number)
    assert SCHEMAS["EnumValue"].new(name=name, number=number).encode() == theirs.SerializeToString()


@given(st.lists(st.integers(-(2**31), 2**31 - 1)), st.lists(st.integers(0, 99)))
def test_packed_lists_agree(path: list[int], span: list[int]) -> None:
    theirs = descriptor_pb2.SourceCodeInfo.Location(path=path, span=span)
    ours = SCHEMAS["Location"].decode(theirs.SerializeToString())
    assert list(ours.path) == path and list(ours.span) == span
    assert descriptor_pb2.SourceCodeInfo.Location.FromString(ours.encode()) == theirs


@given(st.integers(0, 2**64 - 1), st.integers(-(2**63), -1), st.binary())
def test_wide_integers_agree(positive: int, negative: int, data: bytes) -> None:
    theirs = descriptor_pb2.UninterpretedOption(
        positive_int_value=positive, negative_int_value=negative, string_value=data
    )
    ours = SCHEMAS["Option"].decode(theirs.SerializeToString())
    values = (ours.positive_int_value, ours.negative_int_value, ours.string_value)
    assert values == (positive, negative, data)


def test_fields_a_schema_does_not_name_are_kept() -> None:
    theirs = descriptor_pb2.FieldDescriptorProto(name="n", number=3, json_name="j", type_name="t")
    data = theirs.SerializeToString()
    ours = SCHEMAS["EnumValue"].decode(data)
    assert ours.unknown
    assert descriptor_pb2.FieldDescriptorProto.FromString(ours.encode()).json_name == "j"


def test_lists_come_packed_or_one_by_one() -> None:
    numbers = SCHEMAS["Numbers"].new(
        f=[1.5, -2.0], d=[0.25], u=[2**32 - 1], x=7, y=2**63, b=[True, False], i=[-5]
    )
    again = SCHEMAS["Numbers"].decode(numbers.encode())
    assert again == numbers and "Numbers(" in repr(again)
    assert SCHEMAS["Numbers"].decode(b"\x18\x05\x18\x06").u == [5, 6]
    assert again.has("x") and not again.has("one") and again.one == 0.0
    assert SCHEMAS["Value"].new().struct_value.fields == {}


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"\xff", "cut off"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "longer than 64 bits"),
        (b"\x00", "field number 0"),
        (b"\x0b", "wire type 3"),
        (b"\x0a\x7f", "past the end"),
        (b"\x08\x01", "has wire type 0"),
        (b"\x0a\x02\xff\xfe", "not UTF-8"),
    ],
)
def test_damaged_messages_are_refused(data: bytes, match: str) -> None:
    with pytest.raises(CorruptModelError, match=match) as caught:
        SCHEMAS["EnumValue"].decode(data, "file.pb")
    assert caught.value.where == "file.pb" and caught.value.hint


def test_damaged_lists_and_maps_are_refused() -> None:
    with pytest.raises(CorruptModelError, match="inside an element"):
        SCHEMAS["Numbers"].decode(b"\x0a\x03abc")
    with pytest.raises(CorruptModelError, match="map entry"):
        SCHEMAS["Struct"].decode(b"\x08\x01")


def test_depth_is_bounded() -> None:
    data = b""
    for _ in range(MAX_DEPTH * 2):
        inner = b"\x0a" + write_varint(len(data)) + data
        data = b"\x32" + write_varint(len(inner)) + inner
    with pytest.raises(CorruptModelError, match="nested more than"):
        SCHEMAS["Value"].decode(data)


def test_a_field_that_does_not_exist_is_a_mistake() -> None:
    message = SCHEMAS["EnumValue"].new()
    with pytest.raises(AttributeError, match="no field 'absent'"):
        _ = message.absent
    with pytest.raises(AttributeError, match="no field 'absent'"):
        message.absent = 1
