"""Feature front ends: what turns sound into the int8 image that a network reads.

One specification file beside the model says everything (docs/front_ends.md). `extract` runs it
with numpy; `budget.codegen.front_end` writes the same arithmetic as C; `front_end_stages` counts
it like layers.
"""

from budget.features.beside import Named, find_specification, require_match
from budget.features.counts import front_end_cost, front_end_stages
from budget.features.cycles import FrontEndPrediction, predict_front_end
from budget.features.document import front_end_document
from budget.features.extract import extract, extract_cepstrum, scale_cepstrum
from budget.features.sound import read_sound
from budget.features.spec import FeatureSpec

__all__ = [
    "FeatureSpec",
    "FrontEndPrediction",
    "Named",
    "extract",
    "extract_cepstrum",
    "find_specification",
    "front_end_cost",
    "front_end_document",
    "front_end_stages",
    "predict_front_end",
    "read_sound",
    "require_match",
    "scale_cepstrum",
]
