"""Which groups of channels bear most: how far each is pruned follows what that does to outputs."""

from __future__ import annotations

from collections.abc import Mapping

from budget.graph import Graph
from budget.records import record
from budget.shrinking.early_exit import macs_of
from budget.shrinking.post_training import noise_ratio
from budget.shrinking.way import Calibration
from budget.transforms.channels import ChannelGroup, Channels, remove_channels

_MOST_SAMPLES = 12
_TRIED = 0.5
_LEAST_OF_KEEP = 0.5
_HALVINGS = 60


@record
class Damage:
    """What removing a half of one group's channels alone does.

    Attributes:
        group: its name.
        noise_ratio: energy of the change of the outputs over that of the outputs.
        macs: saved.
    """

    group: str
    noise_ratio: float
    macs: int


def least(
    group: ChannelGroup, scores: Mapping[int, float], keep: float, multiple: int = 1
) -> list[int]:
    """Classes of a group to remove, the least important first.

    Args:
        group: that loses channels; one stays at least.
        scores: by class.
        keep: share of the channels that stays.
        multiple: channels that stay are rounded up to a multiple of this.
    """
    size = len(group.classes)
    stay = max(1, round(size * keep))
    stay = min(size, -(-stay // multiple) * multiple)
    return sorted(group.classes, key=lambda root: scores[root])[: size - stay]


def damages(
    graph: Graph, channels: Channels, scores: Mapping[int, float], calibration: Calibration
) -> tuple[Damage, ...]:
    """What each group's pruning costs and saves, group by group, nothing made good.

    Args:
        graph: in float.
        channels: its ties.
        scores: of channels, by class.
        calibration: at most 12 of its examples are used.
    """
    values = calibration.activations(graph)
    few = values[:: -(-len(values) // _MOST_SAMPLES)]
    total = macs_of(graph.nodes, graph)
    found = []
    for group in channels.groups():
        gone = channels.removable(least(group, scores, _TRIED))
        smaller = remove_channels(graph, channels, gone)[0]
        saved = total - macs_of(smaller.nodes, smaller)
        found.append(Damage(group.name, noise_ratio(graph, smaller, few), saved))
    return tuple(found)


def shares(found: tuple[Damage, ...], keep: float) -> dict[str, float]:
    """The share of the channels that stays in each group, by its name.

    Damage is taken to grow with the square of what is removed and to add up, savings to be
    proportional to it; the least damage for the savings of the same share everywhere then has
    removals in proportion to savings over damage. No group keeps less than half of the mean share.

    Args:
        found: of every group.
        keep: the mean share, weighted by savings.
    """
    most = 1 - _LEAST_OF_KEEP * keep
    slopes = {d.group: d.macs / max(d.noise_ratio, 1e-12) for d in found}
    wanted = (1 - keep) * sum(d.macs for d in found)
    low, high = 0.0, most / max(min((s for s in slopes.values() if s > 0), default=1.0), 1e-30)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        saved = sum(d.macs * min(most, middle * slopes[d.group]) for d in found)
        low, high = (middle, high) if saved < wanted else (low, middle)
    return {name: 1 - min(most, high * slope) for name, slope in slopes.items()}
