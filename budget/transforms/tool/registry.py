"""Transforms by name; a class is imported when it is asked for."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points

from budget.errors import UsageError
from budget.transforms.tool.syntax import Call, parse
from budget.transforms.tool.transform import AnyTransform

ENTRY_POINTS = "budget.transforms"
"""Group in which an installed package names transforms of its own."""

_PACKAGE = "budget.transforms.tool"
TRANSFORMS: dict[str, str] = {
    "cluster": "graph_transforms:Cluster",
    "equalise": "graph_transforms:Equalise",
    "low_rank": "graph_transforms:LowRank",
    "remove_constant_channels": "graph_transforms:RemoveConstantChannels",
    "add_default_attributes": "add_default_attributes:AddDefaultAttributes",
    "backport_concatv2": "backport_concatv2:BackportConcatV2",
    "backport_tensor_array_v3": "backport_tensor_array_v3:BackportTensorArrayV3",
    "decompose_batch_norms": "decompose_batch_norms:DecomposeBatchNorms",
    "flatten_atrous_conv": "flatten_atrous_conv:FlattenAtrousConv",
    "fold_batch_norms": "fold_batch_norms:FoldBatchNorms",
    "fold_constants": "fold_constants:FoldConstants",
    "fold_control_flow": "fold_control_flow:FoldControlFlow",
    "fold_leading_batch_norms": "fold_leading_batch_norms:FoldLeadingBatchNorms",
    "fold_old_batch_norms": "fold_old_batch_norms:FoldOldBatchNorms",
    "fold_padding": "padding:FoldPadding",
    "freeze_requantization_ranges": "freeze_requantization_ranges:FreezeRequantizationRanges",
    "fuse_bias_and_activation": "fuse_bias_and_activation:FuseBiasAndActivation",
    "fuse_pad_and_conv": "fuse_convolutions:FusePadAndConv",
    "fuse_resize_and_conv": "fuse_convolutions:FuseResizeAndConv",
    "fuse_resize_pad_and_conv": "fuse_convolutions:FuseResizePadAndConv",
    "inline_partitionedcall": "inline_partitionedcall:InlinePartitionedCall",
    "insert_logging": "insert_logging:InsertLogging",
    "map_weights": "map_weights:MapWeights",
    "merge_duplicate_nodes": "merge_duplicate_nodes:MergeDuplicateNodes",
    "merge_reshapes": "merge_reshapes:MergeReshapes",
    "obfuscate_names": "obfuscate_names:ObfuscateNames",
    "quantize_nodes": "quantize_nodes:QuantizeNodes",
    "quantize_weights": "quantize_weights:QuantizeWeights",
    "remove_attribute": "remove_attribute:RemoveAttribute",
    "remove_control_dependencies": "remove_control_dependencies:RemoveControlDependencies",
    "remove_device": "remove_device:RemoveDevice",
    "remove_nodes": "remove_nodes:RemoveNodes",
    "remove_training_nodes": "remove_training_nodes:RemoveTrainingNodes",
    "rename_attribute": "rename_attribute:RenameAttribute",
    "rename_node": "rename_node:RenameNode",
    "rename_op": "rename_op:RenameOp",
    "rewrite_hard_swish": "rewrite_hard_swish:RewriteHardSwish",
    "round_weights": "round_weights:RoundWeights",
    "set_device": "set_device:SetDevice",
    "sort_by_execution_order": "sort_by_execution_order:SortByExecutionOrder",
    "sparsify_gather": "sparsify_gather:SparsifyGather",
    "split_padding": "padding:SplitPadding",
    "split_separable": "split_separable:SplitSeparable",
    "strip_unused_nodes": "strip_unused_nodes:StripUnusedNodes",
}
"""Name → module and class under this package."""

ALIASES: dict[str, tuple[str, ...]] = {
    "obsfucate_names": ("obfuscate_names",),
    "fuse_convolutions": ("fuse_resize_pad_and_conv", "fuse_resize_and_conv", "fuse_pad_and_conv"),
}
"""Other names, and the transforms each stands for."""

_FOLD = "fold_constants(ignore_errors=true) fold_batch_norms fold_old_batch_norms"
PRESETS: dict[str, str] = {
    "deploy": "strip_unused_nodes inline_partitionedcall fold_control_flow remove_training_nodes "
    "remove_nodes(op=Identity, op=CheckNumerics) "
    f"{_FOLD} fold_leading_batch_norms fold_batch_norms "
    "merge_reshapes merge_duplicate_nodes sort_by_execution_order",
    "missing-kernels": f"strip_unused_nodes {_FOLD}",
    "file-size": f"strip_unused_nodes {_FOLD} round_weights(num_steps=256)",
    "eight-bit": "add_default_attributes strip_unused_nodes "
    "remove_nodes(op=Identity, op=CheckNumerics) "
    f"{_FOLD} quantize_weights quantize_nodes strip_unused_nodes sort_by_execution_order",
}
"""The documented recipes by name; ``deploy`` does the best of them, and more, in order."""


def names() -> list[str]:
    """Every name a transform can be asked for by, those of installed packages included."""
    found = {item.name for item in entry_points(group=ENTRY_POINTS)}
    return sorted({*TRANSFORMS, *ALIASES, *found})


def find(name: str) -> tuple[type[AnyTransform], ...]:
    """The classes that a name or alias stands for.

    Raises:
        UsageError: there is none.
    """
    for item in ALIASES.get(name, (name,)):
        if item not in TRANSFORMS:
            break
    else:
        return tuple(_load(item) for item in ALIASES.get(name, (name,)))
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == name:
            found: type[AnyTransform] = entry.load()
            return (found,)
    known = names()
    alike = get_close_matches(name, [*known, *PRESETS], 3)
    alone = " (a preset stands alone)" if set(alike) & set(PRESETS) else ""
    hint = (
        f"did you mean {' or '.join(alike)}{alone}?" if alike else f"there are {', '.join(known)}"
    )
    raise UsageError(f"transform {name!r} is not recognised", where="transforms", hint=hint)


def _load(name: str) -> type[AnyTransform]:
    module, _, attribute = TRANSFORMS[name].partition(":")
    found: type[AnyTransform] = getattr(import_module(f"{_PACKAGE}.{module}"), attribute)
    return found


def expand(text: str) -> list[Call]:
    """The transforms of a text, which may be the name of a preset.

    Raises:
        UsageError: it breaks the grammar.
    """
    return parse(PRESETS.get(text.strip(), text))
