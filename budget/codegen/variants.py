"""Writers of the kernels that are tuned for a family of cores; `budget.plan` chooses among them."""

from __future__ import annotations

VARIANT_WRITERS: dict[tuple[str, str], tuple[str, str]] = {
    # canonical operator, kind of variant: module under budget.codegen.steps, function in it
    ("conv_2d", "armv7em-pointwise"): ("armv7em_convolution", "write_pointwise"),
    ("conv_2d", "armv7em-columns"): ("armv7em_convolution", "write_columns"),
    ("add", "armv7em-table"): ("armv7em_elementwise", "write_add"),
    ("average_pool_2d", "armv7em-sums"): ("armv7em_elementwise", "write_average_pool"),
    ("depthwise_conv_2d", "armv7em-planes"): ("armv7em_depthwise", "write_planes"),
    ("conv_2d", "armv7em-columns-down"): ("armv7em_convolution", "write_columns_down"),
    ("conv_2d", "armv7em-rows"): ("armv7em_fully_connected", "write_rows"),
    ("conv_2d", "armv7em-winograd2"): ("armv7em_winograd2", "write_winograd2"),
    ("conv_2d", "armv7em-winograd4"): ("armv7em_winograd", "write_winograd"),
    ("fully_connected", "armv7em-rows"): ("armv7em_fully_connected", "write_rows"),
    ("add", "scalar-sum"): ("scalar", "write_sum"),
    ("conv_2d", "scalar-pairs"): ("scalar", "write_pairs"),
    ("depthwise_conv_2d", "scalar-windows"): ("scalar", "write_windows"),
    ("fully_connected", "scalar-rows"): ("scalar", "write_rows"),
    ("conv_2d", "codebook"): ("codebook", "write_codebook"),
    ("fully_connected", "codebook"): ("codebook", "write_codebook"),
}
