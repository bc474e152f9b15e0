"""Models whose owners exported them with fixed shapes for which OpenVINO's fused attention is wrong: answers are those of
ONNX Runtime all the same, and log and status say what was done."""
import json

import numpy
import onnxruntime
import openvino
import pytest
import requests

from conftest import MODELS, copy_models


def reference(path, **inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def infer(server, model, x):
    tensor = {"name": "x", "shape": x.shape, "datatype": "FP32", "data": x.ravel().tolist()}
    answer = requests.post(f"{server.url}/v2/models/{model}/infer", json={"inputs": [tensor]}, timeout=60)
    assert answer.status_code == 200, answer.text
    output = answer.json()["outputs"][0]
    return numpy.array(output["data"], numpy.float32).reshape(output["shape"])


@pytest.fixture(scope="module")
def server(module_servers, tmp_path_factory):
    models = copy_models(tmp_path_factory.mktemp("models"), attention_fixed="onnx/attention_fixed.onnx",
                         attention="onnx/attention.onnx")
    for width in (64, 72):
        rec = openvino.Core().read_model(MODELS / "ocr/rec.onnx")
        rec.reshape([1, 3, 48, width])
        folder = models / f"rec{width}" / "1"
        folder.mkdir(parents=True)
        openvino.save_model(rec, folder / "model.xml", compress_to_fp16=False)
    return module_servers.start(models, "--log-format", "json")


def test_attention_of_as_many_tokens_as_heads(server):
    x = numpy.random.default_rng(1).standard_normal((1, 8, 64)).astype(numpy.float32)
    right = reference(MODELS / "onnx/attention.onnx", x=x)
    for model in ("attention_fixed", "attention"):
        numpy.testing.assert_allclose(infer(server, model, x), right, atol=1e-5)


@pytest.mark.parametrize("width", [64, 72])
def test_the_recogniser_exported_for_one_width(server, width):
    x = numpy.random.default_rng(2).standard_normal((1, 3, 48, width)).astype(numpy.float32)
    numpy.testing.assert_allclose(
        infer(server, f"rec{width}", x), reference(MODELS / "ocr/rec.onnx", x=x), atol=1e-5)


def test_the_owner_is_told(server):
    rows = requests.get(f"{server.url}/v1/brim/status", timeout=30).json()["models"]
    told = {row["model"] for row in rows if "fused attention" in row["reason"]}
    assert told == {"attention_fixed", "rec64"}
    lines = [json.loads(line) for line in server.read_log().splitlines() if '"model_note"' in line]
    assert {line["model"] for line in lines} == told
