"""Makes the small ONNX models of the tests: deterministic, random weights, no training.

usage: onnx_models.py OUTPUT_DIRECTORY

Dimensions that may vary are named after what they count; `N` is always the batch. The MLP is also
written as OpenVINO IR (mlp.xml, mlp.bin), in f32.
"""

import os
import sys

import numpy
import openvino
from onnx import TensorProto, checker, helper, numpy_helper, save

FLOAT = TensorProto.FLOAT
INT32 = TensorProto.INT32
INT64 = TensorProto.INT64

# KServe v2's name of each element type a tensor can have there.
DTYPES = {
    "bool": TensorProto.BOOL,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "fp16": TensorProto.FLOAT16,
    "fp32": TensorProto.FLOAT,
    "fp64": TensorProto.DOUBLE,
    "bf16": TensorProto.BFLOAT16,
    "bytes": TensorProto.STRING,
}

value = helper.make_tensor_value_info
node = helper.make_node


def model(inputs, outputs, nodes, weights=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(weights))
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="brim-tests"
    )
    checker.check_model(made, full_check=True)
    return made


def dense(weights, random, name, x, rows, columns):
    """x * W + b, scaled so that activations keep their size; returns the nodes and their output."""
    w = (random.standard_normal((rows, columns)) / numpy.sqrt(rows)).astype(numpy.float32)
    b = (0.1 * random.standard_normal(columns)).astype(numpy.float32)
    weights += [numpy_helper.from_array(w, f"{name}_w"), numpy_helper.from_array(b, f"{name}_b")]
    return [node("Gemm", [x, f"{name}_w", f"{name}_b"], [name])], name


def mlp():
    """150 -> 256 -> 256 -> 10, softmax: the small model that figures are given for."""
    random, weights, nodes, x = numpy.random.default_rng(1), [], [], "input"
    for layer, (rows, columns) in enumerate([(150, 256), (256, 256)]):
        made, x = dense(weights, random, f"dense{layer}", x, rows, columns)
        nodes += made + [node("Relu", [x], [f"relu{layer}"])]
        x = f"relu{layer}"
    made, x = dense(weights, random, "logits", x, 256, 10)
    nodes += made + [node("Softmax", [x], ["output"], axis=1)]
    return model(
        [value("input", FLOAT, ["N", 150])], [value("output", FLOAT, ["N", 10])], nodes, weights
    )


def cnn():
    """A small residual network over 3x224x224 pictures: 600 KB in, about 1 ms of computing."""
    random, weights, nodes = numpy.random.default_rng(2), [], []

    def convolution(x, name, channels_in, channels, size, stride):
        w = random.standard_normal((channels, channels_in, size, size))
        w = (w / numpy.sqrt(channels_in * size * size)).astype(numpy.float32)
        weights.append(numpy_helper.from_array(w, f"{name}_w"))
        pad = size // 2
        nodes.append(
            node("Conv", [x, f"{name}_w"], [name], kernel_shape=[size, size],
                 strides=[stride, stride], pads=[pad, pad, pad, pad])
        )
        return name

    x = convolution("input", "stem", 3, 16, 7, 4)
    nodes.append(node("Relu", [x], ["stem_relu"]))
    x, channels = "stem_relu", 16
    for stage, wide in enumerate([16, 32, 64]):
        stride = 1 if stage == 0 else 2
        name = f"stage{stage}"
        y = convolution(x, f"{name}_a", channels, wide, 3, stride)
        nodes.append(node("Relu", [y], [f"{name}_a_relu"]))
        y = convolution(f"{name}_a_relu", f"{name}_b", wide, wide, 3, 1)
        shortcut = convolution(x, f"{name}_skip", channels, wide, 1, stride)
        nodes.append(node("Add", [y, shortcut], [f"{name}_sum"]))
        nodes.append(node("Relu", [f"{name}_sum"], [name]))
        x, channels = name, wide
    nodes.append(node("GlobalAveragePool", [x], ["pool"]))
    nodes.append(node("Flatten", ["pool"], ["flat"]))
    made, _ = dense(weights, random, "output", "flat", 64, 1000)
    nodes += made
    return model(
        [value("input", FLOAT, ["N", 3, 224, 224])], [value("output", FLOAT, ["N", 1000])],
        nodes, weights,
    )


def identity(dtype):
    return model(
        [value("INPUT0", dtype, ["N", "M"])], [value("OUTPUT0", dtype, ["N", "M"])],
        [node("Identity", ["INPUT0"], ["OUTPUT0"])],
    )


def add_sub(dtype, columns=16):
    """The `simple` model of the public client examples: sum and difference."""
    shape = ["N", columns]
    return model(
        [value("INPUT0", dtype, shape), value("INPUT1", dtype, shape)],
        [value("OUTPUT0", dtype, shape), value("OUTPUT1", dtype, shape)],
        [node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
         node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"])],
    )


def dynamic_rank3():
    """Every dimension is free, zero included: y = 2x, and the sum over the last dimension."""
    shape = ["A", "B", "C"]
    return model(
        [value("x", FLOAT, shape)],
        [value("doubled", FLOAT, shape), value("sum", FLOAT, ["A", "B"])],
        [node("Add", ["x", "x"], ["doubled"]),
         node("ReduceSum", ["x", "axes"], ["sum"], keepdims=0)],
        [numpy_helper.from_array(numpy.array([2], numpy.int64), "axes")],
    )


def concat_rows():
    """Two inputs whose first dimensions differ; either may have no rows."""
    return model(
        [value("first", FLOAT, ["A", 4]), value("second", FLOAT, ["B", 4])],
        [value("rows", FLOAT, ["C", 4])],
        [node("Concat", ["first", "second"], ["rows"], axis=0)],
    )


def nonzero():
    """The output's size depends on the values, and is zero when they all are."""
    return model(
        [value("x", FLOAT, ["N"])], [value("indices", INT64, [1, "K"])],
        [node("NonZero", ["x"], ["indices"])],
    )


def scalar():
    """Rank 0 in and out: y = x + 1."""
    return model(
        [value("x", FLOAT, [])], [value("y", FLOAT, [])], [node("Add", ["x", "one"], ["y"])],
        [numpy_helper.from_array(numpy.array(1, numpy.float32), "one")],
    )


def mixed():
    """Inputs of different type and rank with one batch dimension, as recommenders have."""
    return model(
        [value("ids", INT64, ["N"]), value("features", FLOAT, ["N", 3]),
         value("flag", TensorProto.BOOL, ["N", 1])],
        [value("next_ids", INT64, ["N"]), value("scaled", FLOAT, ["N", 3])],
        [node("Add", ["ids", "one"], ["next_ids"]),
         node("Cast", ["flag"], ["flag_f"], to=FLOAT),
         node("Mul", ["features", "flag_f"], ["scaled"])],
        [numpy_helper.from_array(numpy.array(1, numpy.int64), "one")],
    )


def fixed_batch():
    """No dynamic dimension at all: cannot be batched."""
    return model(
        [value("x", FLOAT, [2, 3])], [value("y", FLOAT, [2, 3])], [node("Relu", ["x"], ["y"])]
    )


def spin():
    """y = x after `steps` products with the unit matrix: takes as long as the request says."""
    size = 256
    body = helper.make_graph(
        [node("Identity", ["keep_in"], ["keep_out"]), node("MatMul", ["state", "unit"], ["next"])],
        "body",
        [value("step", INT64, []), value("keep_in", TensorProto.BOOL, []),
         value("state", FLOAT, ["N", size])],
        [value("keep_out", TensorProto.BOOL, []), value("next", FLOAT, ["N", size])],
    )
    return model(
        [value("x", FLOAT, ["N", size]), value("steps", INT64, [1])],
        [value("y", FLOAT, ["N", size])],
        [node("Squeeze", ["steps", "axis"], ["count"]),
         node("Loop", ["count", "always", "x"], ["y"], body=body)],
        [numpy_helper.from_array(numpy.eye(size, dtype=numpy.float32), "unit"),
         numpy_helper.from_array(numpy.array([0], numpy.int64), "axis"),
         numpy_helper.from_array(numpy.array(True), "always")],
    )


def attention_nodes(x, prefix, weights, seed, heads=8, columns=64):
    """Self-attention over [N, tokens, columns]; returns its nodes and their output."""
    random = numpy.random.default_rng(seed)

    def name(part):
        return prefix + part

    constants = {
        "w": random.standard_normal((columns, 3 * columns)) / numpy.sqrt(columns),
        "scale": numpy.array(1 / numpy.sqrt(columns // heads)),
        "wo": random.standard_normal((columns, columns)) / numpy.sqrt(columns),
    }
    weights += [
        numpy_helper.from_array(array.astype(numpy.float32), name(key))
        for key, array in constants.items()
    ]
    shapes = {
        "split": [0, 0, 3, heads, columns // heads], "join": [0, 0, columns], "first": [0]
    }
    weights += [
        numpy_helper.from_array(numpy.array(shape, numpy.int64), name(key))
        for key, shape in shapes.items()
    ]
    made = [
        node("MatMul", [x, name("w")], [name("qkv")]),
        node("Reshape", [name("qkv"), name("split")], [name("parts")]),
        node("Transpose", [name("parts")], [name("by_head")], perm=[2, 0, 3, 1, 4]),
    ]
    made += [node("Split", [name("by_head")], [name(part + "1") for part in "qkv"], axis=0)]
    made += [node("Squeeze", [name(part + "1"), name("first")], [name(part)]) for part in "qkv"]
    made += [
        node("Mul", [name("q"), name("scale")], [name("scaled")]),
        node("Transpose", [name("k")], [name("kt")], perm=[0, 1, 3, 2]),
        node("MatMul", [name("scaled"), name("kt")], [name("scores")]),
        node("Softmax", [name("scores")], [name("weights")], axis=-1),
        node("MatMul", [name("weights"), name("v")], [name("heads")]),
        node("Transpose", [name("heads")], [name("by_token")], perm=[0, 2, 1, 3]),
        node("Reshape", [name("by_token"), name("join")], [name("joined")]),
        node("MatMul", [name("joined"), name("wo")], [name("out")]),
    ]
    return made, name("out")


def attention(rows, tokens):
    """8 heads; OpenVINO's fused kernel was wrong for fixed shapes with as many tokens as heads."""
    weights = []
    made, out = attention_nodes("x", "a_", weights, 4)
    shape = [rows, tokens, 64]
    return model(
        [value("x", FLOAT, shape)], [value("y", FLOAT, shape)],
        made + [node("Relu", [out], ["y"])], weights,
    )


def attention_if():
    """The same in both branches of an If, the second with other weights."""
    branches, shape = [], [1, 8, 64]
    for prefix, seed in (("a_", 4), ("b_", 5)):
        weights = []
        made, out = attention_nodes("x", prefix, weights, seed)
        branches.append(helper.make_graph(made, prefix, [], [value(out, FLOAT, shape)], weights))
    return model(
        [value("x", FLOAT, shape), value("first", TensorProto.BOOL, [1])],
        [value("y", FLOAT, shape)],
        [node("If", ["first"], ["chosen"], then_branch=branches[0], else_branch=branches[1]),
         node("Relu", ["chosen"], ["y"])],
    )


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    models = {f"identity_{name}": identity(dtype) for name, dtype in DTYPES.items()}
    models |= {
        "mlp": mlp(),
        "cnn": cnn(),
        "simple": add_sub(INT32),
        "simple_int8": add_sub(TensorProto.INT8),
        "add_sub_fp32": add_sub(FLOAT),
        "dynamic_rank3": dynamic_rank3(),
        "concat_rows": concat_rows(),
        "nonzero": nonzero(),
        "scalar": scalar(),
        "mixed": mixed(),
        "fixed_batch": fixed_batch(),
        "attention": attention("N", "T"),
        "attention_fixed": attention(1, 8),
        "attention_if": attention_if(),
        "spin": spin(),
    }
    for name, made in models.items():
        save(made, os.path.join(out, f"{name}.onnx"))
    mlp_ir = openvino.Core().read_model(os.path.join(out, "mlp.onnx"))
    openvino.save_model(mlp_ir, os.path.join(out, "mlp.xml"), compress_to_fp16=False)


if __name__ == "__main__":
    main()
