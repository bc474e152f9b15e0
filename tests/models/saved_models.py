"""Makes the small TensorFlow SavedModels of the tests.

usage: saved_models.py OUTPUT_DIRECTORY

Each is OUTPUT_DIRECTORY/NAME/ with saved_model.pb and variables/ in it. Of a small dense network
there is also a frozen graph (dense.pb) and a TensorFlow Lite file (dense.tflite).
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy  # noqa: E402
import tensorflow as tf  # noqa: E402  (its log level is read at import)
from tensorflow.python.framework.convert_to_constants import (  # noqa: E402
    convert_variables_to_constants_v2,
)

v1 = tf.compat.v1


def spec(dtype, shape, name):
    return tf.TensorSpec(shape, dtype, name=name)


def save(out, name, function, *inputs):
    """Saves `function`, a dictionary-valued function of the inputs, as serving_default."""
    module = tf.Module()
    module.run = tf.function(function, input_signature=inputs)
    tf.saved_model.save(module, os.path.join(out, name), signatures=module.run)


def string_identity(text):
    return {"text": tf.identity(text)}


def string_upper(text):
    return {
        "upper": tf.strings.upper(text, encoding="utf-8"),
        "length": tf.strings.length(text, unit="BYTE"),
    }


def simple_string(INPUT0, INPUT1):  # noqa: N803  (the names are the public clients')
    first = tf.strings.to_number(INPUT0, tf.int32)
    second = tf.strings.to_number(INPUT1, tf.int32)
    return {"OUTPUT0": tf.strings.as_string(first + second),
            "OUTPUT1": tf.strings.as_string(first - second)}


def simple_identity(INPUT0):  # noqa: N803
    return {"OUTPUT0": tf.identity(INPUT0)}


def simple(INPUT0, INPUT1):  # noqa: N803
    return {"OUTPUT0": INPUT0 + INPUT1, "OUTPUT1": INPUT0 - INPUT1}


def dynamic_rank3(x):
    return {"doubled": x + x, "sum": tf.reduce_sum(x, axis=2)}


def half_plus_two(out):
    """y = x / 2 + 2 by weights in variables, with a signature of each method that can be called:
    predict takes plain numbers, classify and regress serialized tf.Example with a feature x."""
    with v1.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        a = v1.get_variable("a", initializer=0.5)
        b = v1.get_variable("b", initializer=2.0)
        x = v1.placeholder(tf.float32, [None], name="x")
        y = tf.add(tf.multiply(a, x), b, name="y")
        examples = v1.placeholder(tf.string, [None], name="examples")
        features = {"x": tf.io.FixedLenFeature([1], tf.float32)}
        parsed = tf.io.parse_example(examples, features)["x"]
        result = tf.add(tf.multiply(a, parsed), b, name="result")
        session.run(v1.global_variables_initializer())

        info = v1.saved_model.utils.build_tensor_info
        definition = v1.saved_model.signature_def_utils.build_signature_def
        signatures = {
            "serving_default": definition(
                {"x": info(x)}, {"y": info(y)}, "tensorflow/serving/predict"),
            "regress_x_to_y": definition(
                {"inputs": info(examples)}, {"outputs": info(result)},
                "tensorflow/serving/regress"),
            "classify_x_to_y": definition(
                {"inputs": info(examples)}, {"scores": info(result)},
                "tensorflow/serving/classify"),
        }
        builder = v1.saved_model.Builder(os.path.join(out, "half_plus_two"))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
        builder.save()


def dense(out):
    """x[N,8] -> relu(x W + b)[N,4] in the two single-file formats."""
    random = numpy.random.default_rng(3)
    w = tf.constant(random.standard_normal((8, 4)), tf.float32)
    b = tf.constant(random.standard_normal(4), tf.float32)

    @tf.function(input_signature=[spec(tf.float32, [None, 8], "x")])
    def run(x):
        return tf.nn.relu(tf.matmul(x, w) + b, name="y")

    concrete = run.get_concrete_function()
    frozen = convert_variables_to_constants_v2(concrete)
    tf.io.write_graph(frozen.graph, out, "dense.pb", as_text=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], run)
    with open(os.path.join(out, "dense.tflite"), "wb") as file:
        file.write(converter.convert())


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    dense(out)
    half_plus_two(out)
    text = spec(tf.string, [None], "text")
    save(out, "string_identity", string_identity, text)
    save(out, "string_upper", string_upper, text)
    for function, dtype in ((simple_string, tf.string), (simple, tf.int32)):
        inputs = [spec(dtype, [None, 16], name) for name in ("INPUT0", "INPUT1")]
        save(out, function.__name__, function, *inputs)
    save(out, "simple_identity", simple_identity, spec(tf.string, [None, None], "INPUT0"))
    save(out, "dynamic_rank3", dynamic_rank3, spec(tf.float32, [None, None, None], "x"))


if __name__ == "__main__":
    main()
