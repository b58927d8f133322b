"""The language of transforms: grammar, parameters, names, presets."""

from __future__ import annotations

import pytest

from budget.errors import UsageError
from budget.transforms.tool.pipeline import plan_steps
from budget.transforms.tool.registry import ALIASES, PRESETS, TRANSFORMS, expand, find, names
from budget.transforms.tool.syntax import Call, parse


def test_documented_recipe() -> None:
    """The documentation's own example, with the line breaks that its tool could not read."""
    calls = parse(
        'strip_unused_nodes(type=float, shape="1,299,299,3") \\\n'
        "  remove_nodes(op=Identity, op=CheckNumerics)\\\n fold_old_batch_norms"
    )
    assert calls == [
        Call("strip_unused_nodes", {"type": ("float",), "shape": ("1,299,299,3",)}),
        Call("remove_nodes", {"op": ("Identity", "CheckNumerics")}),
        Call("fold_old_batch_norms", {}),
    ]


@pytest.mark.parametrize(
    "text",
    ["a(x=1 y=2)", "a(x=1,y=2)", "a (x=1 , y=2 )", "a( x = 1, y=2,)", 'a(x="1"y="2")',
     "a(x=1' y=2\")", "a(x=1\\\n y=2)"],
)  # fmt: skip
def test_spelling_does_not_matter(text: str) -> None:
    """Commas, spaces and stray quotes do not change what is asked for."""
    assert parse(text) == [Call("a", {"x": ("1",), "y": ("2",)})]


def test_calls_read_back() -> None:
    """A call written out is the same call."""
    call = Call("a", {"x": ('say "no", \\ here', "b.c/d-e_f"), "y": ("",)})
    assert parse(str(call)) == [call]


@pytest.mark.parametrize(
    ("text", "where"),
    [("a(", 3), ("a(x)", 4), ("a(x=)", 5), ("a(x=1", 6), ("(x=1)", 1), ("a(x=1:0)", 6), ("ä", 1),
     ('a(x="1)', 5)],
)  # fmt: skip
def test_broken_grammar_is_pointed_at(text: str, where: int) -> None:
    """Errors tell the character."""
    with pytest.raises(UsageError, match=f"at character {where}:"):
        parse(text)


def test_every_name_has_its_class() -> None:
    """What is listed is there, under its own name."""
    for name in TRANSFORMS:
        (found,) = find(name)
        assert found.called == name
        assert found.__doc__
    for name in ALIASES:
        assert all(item.called in TRANSFORMS for item in find(name))
        assert name in names()
    for name in PRESETS:
        assert plan_steps(name) == plan_steps([str(call) for call in expand(name)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fold_everything", "'fold_everything' is not recognised"),
        ("round_weights(steps=1)", "has no parameter 'steps'"),
        ("round_weights(num_steps=1, num_steps=2)", "once, not 2 times"),
        ("round_weights(num_steps=many)", "'many' is not a value"),
        ("set_device(if_default=maybe)", "'maybe' is not a value"),
        ("rename_op(old_op_name=A)", "needs the parameter 'new_op_name'"),
        ("remove_device(ignore_errors=perhaps)", "true or false"),
        ("", "no transform is given"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    """Unknown names and values are refused before anything is done."""
    with pytest.raises(UsageError, match=message):
        plan_steps(text)


def test_parameters_reach_the_transform() -> None:
    """Text becomes fields of the right type; ignore_errors belongs to every transform."""
    (step,) = plan_steps('strip_unused_nodes(name=a, name="b:0", Shape="1", ignore_errors=TRUE)'
                         .replace("Shape", "shape"))  # fmt: skip
    assert step.ignore_errors
    assert step.transform.name == ("a", "b:0")  # type: ignore[attr-defined]
    assert step.transform.shape == "1"  # type: ignore[attr-defined]


def test_the_table_of_transforms_is_current() -> None:
    """docs/transforms.md lists what is registered, with parameters and defaults."""
    import transform_table

    page = transform_table.PAGE.read_text()
    assert transform_table.with_table(page) == page


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("fold_batch_norm", "did you mean fold_batch_norms"),
        ("deploi", "did you mean deploy (a preset stands alone)?"),
        ("quite_something_else", "there are add_default_attributes, "),
    ],
)
def test_names_nearby_are_told(name: str, hint: str) -> None:
    """A slip of the finger is answered with what was meant."""
    with pytest.raises(UsageError) as caught:
        plan_steps(name)
    assert caught.value.hint.startswith(hint)
