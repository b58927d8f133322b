from __future__ import annotations

import pytest
import tensorflow_models as models


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "ResNet50V2"]
)
def test_counts_equal_tensorflows_profiler(name: str) -> None:
    models.tensorflow()
    from profiler_agreement import compare

    result = models.quietly(lambda: compare(name))
    assert result.different == ()
    assert result.macs == result.profiler_macs > 0
    assert result.parameters == result.keras_parameters
