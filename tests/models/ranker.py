"""Trains a factorization machine on made-up clicks with numpy and writes it as a SavedModel.

usage: ranker.py OUTPUT_DIRECTORY

The small sister of deepfm.py for where TensorFlow is not installed: the SavedModel's messages are
filled in directly, with the weights as constants. Five categorical fields and four numbers give
the probability of a click. The script fails if the model has not learned anything.
"""

import os
import sys

import numpy
from ovmsclient.tfs_compat.protos.tensorflow.core.framework import types_pb2
from ovmsclient.tfs_compat.protos.tensorflow.core.protobuf import saved_model_pb2

FIELDS = {"user": 800, "item": 400, "city": 50, "device": 8, "hour": 24}
NUMBERS = 4
WIDTH = 8
ROWS = 40_000
BATCH = 500
EPOCHS = 6

FLOAT, INT32 = types_pb2.DT_FLOAT, types_pb2.DT_INT32


def clicks(random):
    ids = {name: random.integers(0, size, ROWS) for name, size in FIELDS.items()}
    numbers = random.standard_normal((ROWS, NUMBERS)).astype(numpy.float32)
    logit = numbers @ random.standard_normal(NUMBERS) * 0.5 - 1.0
    for name, size in FIELDS.items():
        logit += 0.6 * random.standard_normal(size)[ids[name]]
    taste = {name: random.standard_normal((FIELDS[name], 3)) for name in ("user", "item")}
    logit += 0.5 * (taste["user"][ids["user"]] * taste["item"][ids["item"]]).sum(axis=1)
    return ids, numbers, (random.random(ROWS) < 1 / (1 + numpy.exp(-logit))).astype(numpy.float32)


def initial(random):
    shapes = {"bias": (1,), "numbers": (NUMBERS, 1)}
    shapes |= {f"{name}_linear": (size, 1) for name, size in FIELDS.items()}
    weights = {name: numpy.zeros(shape, numpy.float32) for name, shape in shapes.items()}
    for name, size in FIELDS.items():
        embedding = 0.05 * random.standard_normal((size, WIDTH))
        weights[f"{name}_embedding"] = embedding.astype(numpy.float32)
    return weights


def predict(weights, ids, numbers):
    """Probabilities, and the sum of the embeddings that the gradient needs."""
    embedded = {name: weights[f"{name}_embedding"][ids[name]] for name in FIELDS}
    total = sum(embedded.values())
    squares = sum(v * v for v in embedded.values())
    logit = weights["bias"] + (numbers @ weights["numbers"])[:, 0]
    logit = logit + sum(weights[f"{name}_linear"][ids[name], 0] for name in FIELDS)
    logit = logit + 0.5 * (total * total - squares).sum(axis=1)
    return 1 / (1 + numpy.exp(-logit)), total, embedded


def train(weights, ids, numbers, label, random):
    """Adagrad on the logistic loss."""
    seen = {name: numpy.full_like(w, 1e-2) for name, w in weights.items()}

    def step(name, gradient):
        seen[name] += gradient * gradient
        weights[name] -= 0.05 * gradient / numpy.sqrt(seen[name])

    for _ in range(EPOCHS):
        order = random.permutation(len(label))
        for start in range(0, len(label), BATCH):
            rows = order[start : start + BATCH]
            batch = {name: column[rows] for name, column in ids.items()}
            probability, total, embedded = predict(weights, batch, numbers[rows])
            error = ((probability - label[rows]) / len(rows)).astype(numpy.float32)[:, None]
            step("bias", error.sum(axis=0))
            step("numbers", numbers[rows].T @ error)
            for name in FIELDS:
                for part, gradient in (
                    ("linear", error), ("embedding", error * (total - embedded[name]))
                ):
                    sum_by_id = numpy.zeros_like(weights[f"{name}_{part}"])
                    numpy.add.at(sum_by_id, batch[name], gradient)
                    step(f"{name}_{part}", sum_by_id)


def auc(label, score):
    rank = numpy.empty(len(score))
    rank[numpy.argsort(score)] = numpy.arange(1, len(score) + 1)
    positive = label > 0.5
    count = positive.sum()
    return (rank[positive].sum() - count * (count + 1) / 2) / (count * (len(score) - count))


class Graph:
    """Fills in the messages of a SavedModel, one node at a time."""

    def __init__(self):
        self.saved = saved_model_pb2.SavedModel(saved_model_schema_version=1)
        meta = self.saved.meta_graphs.add()
        meta.meta_info_def.tags.append("serve")
        self.nodes = meta.graph_def
        self.nodes.versions.producer = 1087  # Any version that knows GatherV2 and AddV2.
        self.signature = meta.signature_def["serving_default"]
        self.signature.method_name = "tensorflow/serving/predict"

    def node(self, op, name, inputs=(), **types):
        node = self.nodes.node.add(op=op, name=name, input=list(inputs))
        for attribute, dtype in types.items():
            node.attr[attribute].type = dtype
        return node

    def call(self, op, name, *inputs, **types):
        self.node(op, name, inputs, **(types or {"T": FLOAT}))
        return name

    def constant(self, name, array):
        dtype = {"float32": FLOAT, "int32": INT32}[array.dtype.name]
        tensor = self.node("Const", name, dtype=dtype).attr["value"].tensor
        tensor.dtype = dtype
        for size in array.shape:
            tensor.tensor_shape.dim.add(size=size)
        # A scalar goes into the typed field, as TensorFlow writes it: OpenVINO 2026.4 takes one
        # that is given as bytes for zero.
        if array.ndim == 0:
            (tensor.float_val if dtype == FLOAT else tensor.int_val).append(array.item())
        else:
            tensor.tensor_content = array.tobytes()
        return name

    def info(self, end, name, tensor, dtype, shape):
        info = getattr(self.signature, end)[name]
        info.name, info.dtype = f"{tensor}:0", dtype
        for size in shape:
            info.tensor_shape.dim.add(size=size)

    def input(self, name, dtype, shape):
        placeholder = self.node("Placeholder", name, dtype=dtype)
        for size in shape:
            placeholder.attr["shape"].shape.dim.add(size=size)
        self.info("inputs", name, name, dtype, shape)
        return name


def build(weights):
    graph = Graph()
    axis0 = graph.constant("axis0", numpy.array(0, numpy.int32))
    axis1 = graph.constant("axis1", numpy.array([1], numpy.int32))
    half = graph.constant("half", numpy.array(0.5, numpy.float32))
    features = graph.input("features", FLOAT, [-1, NUMBERS])
    numbers = graph.constant("numbers_w", weights["numbers"])
    logit = graph.call("MatMul", "numbers", features, numbers)
    logit = graph.call("AddV2", "biased", logit, graph.constant("bias", weights["bias"]))
    total = squares = None
    for name in FIELDS:
        ids = graph.input(name, INT32, [-1])
        gathered = {
            part: graph.call(
                "GatherV2", f"{name}_{part}",
                graph.constant(f"{name}_{part}_w", weights[f"{name}_{part}"]), ids, axis0,
                Tparams=FLOAT, Tindices=INT32, Taxis=INT32)
            for part in ("linear", "embedding")
        }
        v = gathered["embedding"]
        square = graph.call("Mul", f"{name}_square", v, v)
        logit = graph.call("AddV2", f"{name}_logit", logit, gathered["linear"])
        total = graph.call("AddV2", f"{name}_total", total, v) if total else v
        squares = graph.call("AddV2", f"{name}_squares", squares, square) if squares else square
    total_square = graph.call("Mul", "total_square", total, total)
    pairs = graph.call("Sub", "pairs_twice", total_square, squares)
    summed = graph.node("Sum", "pairs_sum", [pairs, axis1], T=FLOAT, Tidx=INT32)
    summed.attr["keep_dims"].b = True
    pairs = graph.call("Mul", "pairs", "pairs_sum", half)
    click = graph.call("Sigmoid", "click", graph.call("AddV2", "logit", logit, pairs))
    graph.info("outputs", "click", click, FLOAT, [-1, 1])
    return graph.saved


def main():
    random = numpy.random.default_rng(11)
    ids, numbers, label = clicks(random)
    weights = initial(random)
    held_out = ROWS // 8
    rest = {name: column[held_out:] for name, column in ids.items()}
    train(weights, rest, numbers[held_out:], label[held_out:], random)
    test = {name: column[:held_out] for name, column in ids.items()}
    learned = auc(label[:held_out], predict(weights, test, numbers[:held_out])[0])
    print(f"ranker: AUC {learned:.3f} on held-out rows")
    if learned < 0.65:
        sys.exit("ranker: has not learned anything")
    out = os.path.join(sys.argv[1], "ranker")
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "saved_model.pb"), "wb") as file:
        file.write(build(weights).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
