"""Trains a small DeepFM recommender on made-up clicks and exports it as a SavedModel.

usage: deepfm.py OUTPUT_DIRECTORY

Five categorical fields and six numbers predict a click. The model is the usual sum of a linear
part, pairwise products of the fields' embeddings (the factorization machine) and a small network
over the same embeddings. The clicks are drawn from a hidden model of the same family, so there is
something to learn; the script fails if the model has not learned it.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras  # noqa: E402
import numpy  # noqa: E402
import tensorflow as tf  # noqa: E402

FIELDS = {"user": 4000, "item": 2500, "city": 300, "device": 20, "hour": 24}
NUMBERS = 6
WIDTH = 16
ROWS = 60_000


def clicks(random):
    """Inputs, labels and the true probabilities."""
    ids = {
        name: random.integers(0, size, ROWS).astype(numpy.int32) for name, size in FIELDS.items()
    }
    numbers = random.standard_normal((ROWS, NUMBERS)).astype(numpy.float32)
    logit = numbers @ random.standard_normal(NUMBERS) * 0.4 - 1.0
    taste = {name: random.standard_normal((size, 3)) for name, size in FIELDS.items()}
    for name, size in FIELDS.items():
        logit += 0.5 * random.standard_normal(size)[ids[name]]
    logit += 0.5 * (taste["user"][ids["user"]] * taste["item"][ids["item"]]).sum(axis=1)
    probability = 1 / (1 + numpy.exp(-logit))
    label = (random.random(ROWS) < probability).astype(numpy.float32)
    return {**ids, "features": numbers}, label, probability


def auc(label, score):
    """Area under the ROC curve by ranks (scores are continuous: ties do not matter)."""
    rank = numpy.empty(len(score))
    rank[numpy.argsort(score)] = numpy.arange(1, len(score) + 1)
    positive = label > 0.5
    count = positive.sum()
    return (rank[positive].sum() - count * (count + 1) / 2) / (count * (len(score) - count))


def network():
    inputs, linear, embedded = {}, [], []
    for name, size in FIELDS.items():
        inputs[name] = keras.Input((), dtype="int32", name=name)
        linear.append(keras.layers.Embedding(size, 1, name=f"{name}_linear")(inputs[name]))
        embedded.append(keras.layers.Embedding(size, WIDTH, name=f"{name}_embedding")(inputs[name]))
    inputs["features"] = keras.Input((NUMBERS,), dtype="float32", name="features")
    linear.append(keras.layers.Dense(1, name="features_linear")(inputs["features"]))

    # Sum over pairs of <v_i, v_j> = ((sum v)^2 - sum v^2) / 2, summed over the width.
    total = keras.layers.Add()(embedded)
    squares = keras.layers.Add()([keras.layers.Multiply()([v, v]) for v in embedded])
    pairs = keras.layers.Subtract()([keras.layers.Multiply()([total, total]), squares])
    pairs = keras.layers.Dense(1, use_bias=False, trainable=False, name="pairs_half_sum",
                               kernel_initializer=keras.initializers.Constant(0.5))(pairs)

    deep = keras.layers.Concatenate()([*embedded, inputs["features"]])
    for units in (64, 32):
        deep = keras.layers.Dense(units, activation="relu")(deep)
    deep = keras.layers.Dense(1)(deep)
    click = keras.layers.Activation("sigmoid", name="click")(
        keras.layers.Add()([*linear, pairs, deep]))
    return keras.Model(inputs, click, name="deepfm")


def main():
    keras.utils.set_random_seed(7)
    tf.config.experimental.enable_op_determinism()
    inputs, label, probability = clicks(numpy.random.default_rng(7))
    held_out = ROWS // 10

    model = network()
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy")
    train = {name: column[held_out:] for name, column in inputs.items()}
    model.fit(train, label[held_out:], batch_size=2048, epochs=3, verbose=0)

    test = {name: column[:held_out] for name, column in inputs.items()}
    score = model.predict(test, batch_size=2048, verbose=0)[:, 0]
    learned, ceiling = auc(label[:held_out], score), auc(label[:held_out], probability[:held_out])
    print(f"deepfm: AUC {learned:.3f} on held-out rows (knowing the truth: {ceiling:.3f})")
    if learned < 0.62:
        sys.exit("deepfm: has not learned anything")
    model.export(os.path.join(sys.argv[1], "deepfm"), verbose=False)


if __name__ == "__main__":
    main()
