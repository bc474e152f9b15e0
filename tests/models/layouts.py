"""Writes three example model directories, one in each layout that a model server may be pointed at.

usage: layouts.py MODELS OUTPUT_DIRECTORY

MODELS is where the other scripts put their models. Files are copied, never linked: a test may
truncate or replace them.

  tfs/NAME/VERSION/saved_model.pb ...   TensorFlow Serving
  triton/NAME/config.pbtxt + VERSION/   Triton
  plain/NAME.onnx, NAME.xml + .bin      just files
"""

import os
import shutil
import sys

# name: (made model, versions)
TFS = {
    "half_plus_two": ("saved/half_plus_two", [1, 2]),
    "string_upper": ("saved/string_upper", [1]),
    "deepfm": ("deepfm", [1]),
    "ranker": ("ranker", [1]),
}

PLAIN = {
    "mlp.onnx": "onnx/mlp.onnx",
    "simple.onnx": "onnx/simple.onnx",
    "mlp_ir.xml": "onnx/mlp.xml",
    "mlp_ir.bin": "onnx/mlp.bin",
    "det.onnx": "ocr/det.onnx",
    "cls.onnx": "ocr/cls.onnx",
    "rec.onnx": "ocr/rec.onnx",
    "dense.pb": "saved/dense.pb",
    "dense.tflite": "saved/dense.tflite",
}


def tensors(kind, entries):
    rows = [
        f'  {{ name: "{name}" data_type: {dtype} dims: {list(dims)} }}'
        for name, dtype, dims in entries
    ]
    return f"{kind} [\n" + ",\n".join(rows) + "\n]\n"


def config(name, runs_on, batch, inputs, outputs, extra=""):
    return (
        f'name: "{name}"\n{runs_on}\nmax_batch_size: {batch}\n'
        + tensors("input", inputs) + tensors("output", outputs) + extra
    )


ONNX = 'platform: "onnxruntime_onnx"'
OPENVINO = 'backend: "openvino"'
SAVED_MODEL = 'platform: "tensorflow_savedmodel"'


def pair(dtype, dims):
    return ([("INPUT0", dtype, dims), ("INPUT1", dtype, dims)],
            [("OUTPUT0", dtype, dims), ("OUTPUT1", dtype, dims)])


BATCHING = """dynamic_batching {
  preferred_batch_size: [ 8, 16 ]
  max_queue_delay_microseconds: 500
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 2000000
    max_queue_size: 512
  }
}
parameters: { key: "owner" value: { string_value: "team-ranking" } }
"""

# name: (made model, the name it has in the version directory, config)
TRITON = {
    "simple": ("onnx/simple.onnx", "model.onnx",
               config("simple", ONNX, 8, *pair("TYPE_INT32", [16]))),
    "simple_int8": ("onnx/simple_int8.onnx", "model.onnx",
                    config("simple_int8", ONNX, 8, *pair("TYPE_INT8", [16]))),
    "simple_string": ("saved/simple_string", "model.savedmodel",
                      config("simple_string", SAVED_MODEL, 8, *pair("TYPE_STRING", [16]))),
    "simple_identity": ("saved/simple_identity", "model.savedmodel",
                        config("simple_identity", SAVED_MODEL, 8,
                               [("INPUT0", "TYPE_STRING", [-1])],
                               [("OUTPUT0", "TYPE_STRING", [-1])])),
    "mlp": ("onnx/mlp.onnx", "model.onnx",
            config("mlp", OPENVINO, 32, [("input", "TYPE_FP32", [150])],
                   [("output", "TYPE_FP32", [10])], BATCHING)),
    "identity_fp32": ("onnx/identity_fp32.onnx", "model.onnx",
                      config("identity_fp32", ONNX, 0, [("INPUT0", "TYPE_FP32", [-1, -1])],
                             [("OUTPUT0", "TYPE_FP32", [-1, -1])])),
    # Without tensors in the configuration: they are read off the model.
    "cnn": ("onnx/cnn.onnx", "model.onnx", f'name: "cnn"\n{OPENVINO}\nmax_batch_size: 4\n'),
}


def put(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    (shutil.copytree if os.path.isdir(source) else shutil.copyfile)(source, target)


def main():
    models, out = sys.argv[1:]
    for name, (source, versions) in TFS.items():
        for version in versions:
            put(os.path.join(models, source), os.path.join(out, "tfs", name, str(version)))
    for name, (source, file_name, text) in TRITON.items():
        put(os.path.join(models, source), os.path.join(out, "triton", name, "1", file_name))
        with open(os.path.join(out, "triton", name, "config.pbtxt"), "w", encoding="utf-8") as file:
            file.write(text)
    for name, source in PLAIN.items():
        put(os.path.join(models, source), os.path.join(out, "plain", name))


if __name__ == "__main__":
    main()
