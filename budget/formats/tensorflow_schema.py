"""The parts of TensorFlow's message types that describe a model.

Source: https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core, graph.proto,
node_def.proto, attr_value.proto, tensor.proto, function.proto, op_def.proto, saved_model.proto,
meta_graph.proto, saver.proto, versions.proto, tensor_slice.proto and tensor_bundle.proto.
"""

from __future__ import annotations

from enum import IntEnum

from budget.formats.protobuf import Schemas

SCHEMAS = Schemas(
    {
        # nodes stay bytes: they are given back as they were, and decoded one at a time
        "GraphDef": "1 node bytes*; 2 library FunctionDefLibrary; 3 version int32; "
        "4 versions bytes; 5 debug_info bytes",
        "NodeDef": "1 name string; 2 op string; 3 input string*; 4 device string; "
        "5 attr {AttrValue}; 6 experimental_debug_info bytes; 7 experimental_type bytes",
        "AttrValue": "1 list ListValue; 2 s bytes; 3 i int64; 4 f float; 5 b bool; 6 type enum; "
        "7 shape TensorShapeProto; 8 tensor TensorProto; 9 placeholder string; "
        "10 func NameAttrList",
        "ListValue": "2 s bytes*; 3 i int64*; 4 f float*; 5 b bool*; 6 type enum*; "
        "7 shape TensorShapeProto*; 8 tensor TensorProto*; 9 func NameAttrList*",
        "NameAttrList": "1 name string; 2 attr {AttrValue}",
        "TensorProto": "1 dtype enum; 2 tensor_shape TensorShapeProto; 3 version_number int32; "
        "4 tensor_content bytes; 5 float_val float*; 6 double_val double*; 7 int_val int32*; "
        "8 string_val bytes*; 9 scomplex_val float*; 10 int64_val int64*; 11 bool_val bool*; "
        "12 dcomplex_val double*; 13 half_val int32*; 16 uint32_val uint32*; "
        "17 uint64_val uint64*",
        "TensorShapeProto": "2 dim Dim*; 3 unknown_rank bool",
        "Dim": "1 size int64; 2 name string",
        "FunctionDefLibrary": "1 function bytes*; 2 gradient bytes*; 3 registered_gradients bytes*",
        "FunctionDef": "1 signature OpDef; 3 node_def bytes*; 4 ret bytes*; 5 attr {AttrValue}; "
        "6 control_ret bytes*; 7 arg_attr bytes*; 8 resource_arg_unique_id bytes*",
        "ArgAttrEntry": "1 key uint32; 2 value ArgAttrs",
        "ArgAttrs": "1 attr {AttrValue}",
        "IdEntry": "1 key uint32; 2 value uint32",
        "StringEntry": "1 key string; 2 value string",
        "OpDef": "1 name string; 2 input_arg ArgDef*; 3 output_arg ArgDef*; "
        "20 control_output string*; 17 is_stateful bool",
        "ArgDef": "1 name string; 2 description string; 3 type enum; 4 type_attr string; "
        "5 number_attr string; 6 type_list_attr string; 16 is_ref bool",
        "SavedModel": "1 saved_model_schema_version int64; 2 meta_graphs MetaGraphDef*",
        "MetaGraphDef": "1 meta_info_def MetaInfoDef; 2 graph_def GraphDef; 3 saver_def SaverDef; "
        "4 collection_def {Opaque}; 5 signature_def {SignatureDef}; 6 asset_file_def bytes*; "
        "7 object_graph_def bytes",
        "MetaInfoDef": "1 meta_graph_version string; 4 tags string*; 5 tensorflow_version string",
        "SaverDef": "1 filename_tensor_name string; 2 save_tensor_name string; "
        "3 restore_op_name string; 7 version enum",
        "SignatureDef": "1 inputs {TensorInfo}; 2 outputs {TensorInfo}; 3 method_name string",
        "TensorInfo": "1 name string; 2 dtype enum; 3 tensor_shape TensorShapeProto; "
        "4 coo_sparse bytes; 5 composite_tensor bytes",
        "Opaque": "1 first bytes",
        "BundleHeaderProto": "1 num_shards int32; 2 endianness enum; 3 version bytes",
        "BundleEntryProto": "1 dtype enum; 2 shape TensorShapeProto; 3 shard_id int32; "
        "4 offset int64; 5 size int64; 6 crc32c fixed32; 7 slices TensorSliceProto*",
        "TensorSliceProto": "1 extent Extent*",
        "Extent": "1 start int64; 2 length int64",
        "DebugInfo": "1 original_node_names string*; 2 original_func_names string*",
        "VersionDef": "1 producer int32; 2 min_consumer int32; 3 bad_consumers int32*",
    }
)
GRAPH_DEF = SCHEMAS["GraphDef"]
NODE_DEF = SCHEMAS["NodeDef"]
ATTR_VALUE = SCHEMAS["AttrValue"]
TENSOR_PROTO = SCHEMAS["TensorProto"]
FUNCTION_DEF = SCHEMAS["FunctionDef"]
SAVED_MODEL = SCHEMAS["SavedModel"]
BUNDLE_HEADER = SCHEMAS["BundleHeaderProto"]
BUNDLE_ENTRY = SCHEMAS["BundleEntryProto"]


class DataType(IntEnum):
    """TensorFlow's element types by number (types.proto); 100 more means a reference to one."""

    INVALID = 0
    FLOAT = 1
    DOUBLE = 2
    INT32 = 3
    UINT8 = 4
    INT16 = 5
    INT8 = 6
    STRING = 7
    COMPLEX64 = 8
    INT64 = 9
    BOOL = 10
    QINT8 = 11
    QUINT8 = 12
    QINT32 = 13
    BFLOAT16 = 14
    QINT16 = 15
    QUINT16 = 16
    UINT16 = 17
    COMPLEX128 = 18
    HALF = 19
    RESOURCE = 20
    VARIANT = 21
    UINT32 = 22
    UINT64 = 23
    FLOAT8_E5M2 = 24
    FLOAT8_E4M3FN = 25
    FLOAT8_E4M3FNUZ = 26
    FLOAT8_E4M3B11FNUZ = 27
    FLOAT8_E5M2FNUZ = 28
    INT4 = 29
    UINT4 = 30
    INT2 = 31
    UINT2 = 32
    FLOAT4_E2M1FN = 33
