"""TensorFlow Serving's protocols: REST by requests, gRPC by ovmsclient and by tensorflow-serving-api itself."""
import base64
import json
import shutil
import subprocess

import numpy as np
import ovmsclient
import pytest
import requests

from conftest import DEPS, MODELS, needs

OFFICIAL = r"""
import json, sys
import grpc, numpy, tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

channel = grpc.insecure_channel(sys.argv[1])
predict = prediction_service_pb2_grpc.PredictionServiceStub(channel)
out = {}

request = predict_pb2.PredictRequest()
request.model_spec.name = "half_plus_two"
request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.0, 2.0, 5.0], dtype=tf.float32))
response = predict.Predict(request, 30)
out["y"] = tf.make_ndarray(response.outputs["y"]).tolist()
out["version"] = response.model_spec.version.value
out["signature"] = response.model_spec.signature_name

request.model_spec.version.value = 1
out["pinned"] = predict.Predict(request, 30).model_spec.version.value

text = predict_pb2.PredictRequest()
text.model_spec.name = "string_upper"
text.inputs["text"].CopyFrom(tf.make_tensor_proto(["brim", "x"]))
answer = predict.Predict(text, 30)
out["upper"] = [word.decode() for word in tf.make_ndarray(answer.outputs["upper"]).ravel().tolist()]

status = get_model_status_pb2.GetModelStatusRequest()
status.model_spec.name = "half_plus_two"
answer = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status, 30)
out["states"] = {v.version: v.state for v in answer.model_version_status}

metadata = get_model_metadata_pb2.GetModelMetadataRequest()
metadata.model_spec.name = "half_plus_two"
metadata.metadata_field.append("signature_def")
answer = predict.GetModelMetadata(metadata, 30)
signatures = get_model_metadata_pb2.SignatureDefMap()
answer.metadata["signature_def"].Unpack(signatures)
out["signatures"] = sorted(signatures.signature_def)
out["input"] = list(signatures.signature_def["serving_default"].inputs)

def error(model, inputs, version=None):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    if version:
        request.model_spec.version.value = version
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    try:
        predict.Predict(request, 30)
        return "no error"
    except grpc.RpcError as e:
        return [e.code().name, e.details()]

x = numpy.float32([1])
out["unknown_model"] = error("nobody", {"x": x})
out["unknown_version"] = error("half_plus_two", {"x": x}, 77)
out["wrong_name"] = error("half_plus_two", {"z": x})
out["wrong_dtype"] = error("half_plus_two", {"x": numpy.int32([1])})
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def server(module_servers, tmp_path_factory):
    models = tmp_path_factory.mktemp("models") / "tfs"
    shutil.copytree(MODELS / "layouts/tfs", models)
    return module_servers.start(models, "--version-policy", "all")


def post(server, path, body):
    return requests.post(server.url + path, data=body if isinstance(body, (str, bytes)) else json.dumps(body), timeout=60)


def test_official_grpc_client(server):
    python = needs(DEPS / "venv/tf/bin/python", "type deps/fetch venv/tf")
    done = subprocess.run([python, "-c", OFFICIAL, server.address], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    out = json.loads(done.stdout)
    assert out["y"] == [2.5, 3.0, 4.5]
    assert (out["version"], out["pinned"], out["signature"]) == (2, 1, "serving_default")
    assert out["upper"] == ["BRIM", "X"]
    assert out["states"] == {"1": 30, "2": 30}
    assert "serving_default" in out["signatures"] and out["input"] == ["x"]
    assert out["unknown_model"][0] == "NOT_FOUND"
    assert "Servable not found for request: Latest(nobody)" in out["unknown_model"][1]
    assert out["unknown_version"][0] == "NOT_FOUND"
    assert "Servable not found for request: Specific(half_plus_two, 77)" in out["unknown_version"][1]
    assert out["wrong_name"][0] == "INVALID_ARGUMENT" and out["wrong_dtype"][0] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("make", [ovmsclient.make_grpc_client, ovmsclient.make_http_client])
def test_ovmsclient(server, make):
    client = make(server.address)
    x = np.array([1, 2, 5], np.float32)
    y = client.predict({"x": x}, "half_plus_two")
    assert np.asarray(y["y"] if isinstance(y, dict) else y).tolist() == [2.5, 3.0, 4.5]
    status = client.get_model_status("half_plus_two")
    assert {int(version): entry["state"] for version, entry in status.items()} == {1: "AVAILABLE", 2: "AVAILABLE"}
    metadata = client.get_model_metadata("half_plus_two")
    if "metadata" in metadata:  # Over REST this client hands on what TensorFlow Serving writes as it is.
        metadata = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert metadata["inputs"]["x"]["dtype"] == "DT_FLOAT"


def test_row_and_column_form(server):
    path = "/v1/models/half_plus_two:predict"
    assert post(server, path, {"instances": [1.0, 2.0, 5.0]}).json() == {"predictions": [2.5, 3.0, 4.5]}
    assert post(server, path, {"instances": [{"x": 1.0}]}).json() == {"predictions": [2.5]}
    assert post(server, path, {"inputs": [1.0, 5.0]}).json() == {"outputs": [2.5, 4.5]}
    assert post(server, path, {"inputs": {"x": [1.0]}}).json() == {"outputs": [2.5]}
    assert post(server, "/v1/models/half_plus_two/versions/1:predict", {"instances": [1.0]}).status_code == 200


def test_several_inputs_by_row(server):
    row = {"user": 1, "item": 2, "city": 3, "device": 0, "hour": 5, "features": [0.1, 0.2, 0.3, 0.4]}
    answer = post(server, "/v1/models/ranker:predict", {"instances": [row, row]}).json()
    assert len(answer["predictions"]) == 2 and answer["predictions"][0] == answer["predictions"][1]
    column = {name: [value] for name, value in row.items()}
    assert post(server, "/v1/models/ranker:predict", {"inputs": column}).json()["outputs"] == [answer["predictions"][0]]


def test_strings_and_base64(server):
    body = {"instances": [{"b64": base64.b64encode(b"brim").decode()}, "x"]}
    answer = post(server, "/v1/models/string_upper:predict", body).json()
    assert [row["upper"] for row in answer["predictions"]] == ["BRIM", "X"]


def test_status_and_metadata(server):
    status = requests.get(server.url + "/v1/models/half_plus_two", timeout=60).json()["model_version_status"]
    assert [(entry["version"], entry["state"]) for entry in status] == [("2", "AVAILABLE"), ("1", "AVAILABLE")]
    metadata = requests.get(server.url + "/v1/models/half_plus_two/metadata", timeout=60).json()
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"


@pytest.mark.parametrize("path,body,status,words", [
    ("/v1/models/nobody:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(nobody)"),
    ("/v1/models/half_plus_two/versions/9:predict", {"instances": [1]}, 404, "Specific(half_plus_two, 9)"),
    ("/v1/models/half_plus_two/labels/gold:predict", {"instances": [1]}, 400, "gold"),
    ("/v1/models/half_plus_two:predict", {}, 400, "instances"),
    ("/v1/models/half_plus_two:predict", {"instances": [1], "inputs": [1]}, 400, "instances"),
    ("/v1/models/half_plus_two:predict", {"instances": []}, 400, "instances"),
    ("/v1/models/half_plus_two:predict", {"instances": [[1], [1, 2]]}, 400, ""),
    ("/v1/models/half_plus_two:predict", {"instances": ["word"]}, 400, ""),
    ("/v1/models/half_plus_two:predict", {"instances": [1], "signature_name": "no_such"}, 400, "no_such"),
    ("/v1/models/half_plus_two:predict", "{not json", 400, ""),
    ("/v1/models/half_plus_two:predict", "", 400, ""),
    ("/v1/models/half_plus_two:explain", {"instances": [1]}, 400, "Malformed request"),
])
def test_errors(server, path, body, status, words):
    answer = post(server, path, body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]


def test_deepfm_equals_tensorflow(server):
    """The recommender trained by Keras answers as TensorFlow itself does."""
    python = needs(DEPS / "venv/tf/bin/python", "type deps/fetch venv/tf")
    rows = [{"user": i, "item": 2 * i, "city": i % 3, "device": i % 2, "hour": i, "features": [0.1 * i] * 6}
            for i in range(4)]
    program = f"""
import json, numpy, tensorflow as tf
model = tf.saved_model.load({str(MODELS / 'deepfm')!r})
rows = json.loads({json.dumps(json.dumps(rows))})
feed = {{k: tf.constant([r[k] for r in rows], tf.float32 if k == "features" else tf.int32) for k in rows[0]}}
print(json.dumps(next(iter(model.signatures["serving_default"](**feed).values())).numpy().tolist()))
"""
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    got = post(server, "/v1/models/deepfm:predict", {"instances": rows})
    assert got.status_code == 200, got.text
    np.testing.assert_allclose(got.json()["predictions"], json.loads(done.stdout.splitlines()[-1]), atol=1e-6)
