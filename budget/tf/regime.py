"""How a network is trained; TensorFlow is not needed to say so."""

from __future__ import annotations

from budget.records import record


@record
class Regime:
    """Epochs, steps and rates.

    Attributes:
        epochs: passes over the examples.
        batch: examples of one step.
        rate: learning rate of Adam; it warms up, then decays along a cosine.
        temperature: by which outputs are softened where they are compared with the original's.
        label_share: of the loss that comes from labels, where there are labels and an original.
        seed: of the order of examples.
    """

    epochs: int = 14
    batch: int = 64
    rate: float = 3e-3
    temperature: float = 3.0
    label_share: float = 0.1
    seed: int = 0
