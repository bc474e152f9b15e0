"""Requests that lie. Each gets its protocol's own error, the process survives, and a neighbour is answered as before."""
import json
import socket
import struct
import subprocess

import numpy as np
import pytest
import requests

from conftest import copy_models


@pytest.fixture(scope="module")
def server(module_servers, tmp_path_factory):
    models = copy_models(tmp_path_factory.mktemp("models"), mlp="onnx/mlp.onnx", det="ocr/det.onnx",
                         fixed="onnx/fixed_batch.onnx", echo="saved/string_identity", wide="onnx/identity_int64.onnx")
    return module_servers.start(models, "--body-bytes-max", "8388608")


@pytest.fixture(autouse=True)
def neighbour_is_unaffected(server):
    yield
    good = {"inputs": [{"name": "input", "shape": [1, 150], "datatype": "FP32", "data": [0.5] * 150}]}
    answer = requests.post(server.url + "/v2/models/mlp/infer", json=good, timeout=30)
    assert server.alive() and answer.status_code == 200 and len(answer.json()["outputs"][0]["data"]) == 10


def infer(server, model, *inputs, **more):
    return requests.post(f"{server.url}/v2/models/{model}/infer", data=json.dumps({"inputs": list(inputs), **more}),
                         timeout=30)


def tensor(**changes):
    return {"name": "input", "shape": [1, 150], "datatype": "FP32", "data": [0.0] * 150, **changes}


WRONG_TENSORS = {
    "dtype": tensor(datatype="INT32", data=[0] * 150),
    "unknown dtype": tensor(datatype="FP7"),
    "rank": tensor(shape=[150]),
    "dimension": tensor(shape=[1, 149], data=[0.0] * 149),
    "count": tensor(data=[0.0] * 149),
    "negative": tensor(shape=[-1, 150]),
    "overflow": tensor(shape=[2**62, 150]),
    "overflowing product": tensor(shape=[2**40, 2**40], data=[]),
    "fraction in shape": tensor(shape=[1.5, 100]),
    "too many dimensions": tensor(shape=[1] * 1000, data=[0.0]),
    "name": tensor(name="nobody"),
    "no name": {"shape": [1, 150], "datatype": "FP32", "data": [0.0] * 150},
    "no data": {"name": "input", "shape": [1, 150], "datatype": "FP32"},
    "words for numbers": tensor(data=["x"] * 150),
    "null": tensor(data=[None] * 150),
    "ragged": tensor(data=[[0.0] * 149, [0.0]] * 2),
    "data is an object": tensor(data={"a": 1}),
}


@pytest.mark.parametrize("what", WRONG_TENSORS)
def test_wrong_tensor(server, what):
    answer = infer(server, "mlp", WRONG_TENSORS[what])
    assert answer.status_code == 400, answer.text
    assert len(answer.json()["error"]) > 10


def test_missing_extra_and_repeated_inputs(server):
    for inputs in ([], [tensor(), tensor(name="more")], [tensor(), tensor()]):
        assert infer(server, "mlp", *inputs).status_code == 400
    answer = infer(server, "mlp", tensor(), outputs=[{"name": "nobody"}])
    assert answer.status_code == 400 and "nobody" in answer.json()["error"]


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b'"text"', b'{"inputs":', b'{"inputs":[', b'{"inputs":{}}', b'{"inputs":[1]}',
    b"[" * 100000, b'{"inputs":' * 5000, b"\xff\xfe{}", b'{"inputs":[{"name":"input","shape":[1,150],"datatype":"FP32","data":[' + b"1," * 1000,
])
def test_broken_json(server, body):
    for path in ("/v2/models/mlp/infer", "/v1/models/mlp:predict"):
        answer = requests.post(server.url + path, data=body, timeout=30)
        assert answer.status_code == 400 and answer.json()["error"]


@pytest.mark.parametrize("length", ["999999", "-1", "x", "18446744073709551616", "1"])
def test_lying_header_length(server, length):
    head = json.dumps({"inputs": [{"name": "input", "shape": [1, 150], "datatype": "FP32",
                                   "parameters": {"binary_data_size": 600}}]}).encode()
    answer = requests.post(server.url + "/v2/models/mlp/infer", data=head + bytes(600),
                           headers={"Inference-Header-Content-Length": length}, timeout=30)
    assert answer.status_code == 400 and answer.json()["error"]


@pytest.mark.parametrize("size", [0, 599, 601, 2**31, 2**63 - 1, -1])
def test_lying_binary_size(server, size):
    head = json.dumps({"inputs": [{"name": "input", "shape": [1, 150], "datatype": "FP32",
                                   "parameters": {"binary_data_size": size}}]}).encode()
    answer = requests.post(server.url + "/v2/models/mlp/infer", data=head + bytes(600),
                           headers={"Inference-Header-Content-Length": str(len(head))}, timeout=30)
    assert answer.status_code == 400 and answer.json()["error"]


@pytest.mark.parametrize("data", [
    b"\x05\x00\x00\x00abcd", b"\xff\xff\xff\xff", b"\x01\x00\x00", b"", b"\x01\x00\x00\x00ab",
])
def test_strings_with_lying_lengths(server, data):
    head = json.dumps({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES",
                                   "parameters": {"binary_data_size": len(data)}}]}).encode()
    answer = requests.post(server.url + "/v2/models/echo/infer", data=head + data,
                           headers={"Inference-Header-Content-Length": str(len(head))}, timeout=30)
    assert answer.status_code == 400 and answer.json()["error"]


def test_a_shape_that_only_the_model_can_refuse(server):
    """det needs multiples of 32; the signature cannot say so, and the vendor's code crashes on others."""
    for height, width in ((48, 320), (1, 1), (33, 64), (0, 32)):
        answer = infer(server, "det", {"name": "x", "shape": [1, 3, height, width], "datatype": "FP32",
                                       "data": [0.0] * (3 * height * width)})
        assert answer.status_code in (200, 400), answer.text
        if (height, width) == (48, 320):
            assert answer.status_code == 400 and answer.json()["error"]
    good = infer(server, "det", {"name": "x", "shape": [1, 3, 64, 96], "datatype": "FP32", "data": [0.0] * (3 * 64 * 96)})
    assert good.status_code == 200 and good.json()["outputs"][0]["shape"] == [1, 1, 64, 96]


def test_unknown_model_version_path_and_verb(server):
    assert infer(server, "nobody", tensor()).status_code == 404
    assert requests.post(server.url + "/v2/models/mlp/versions/9/infer", json={"inputs": [tensor()]}, timeout=30).status_code == 404
    assert requests.post(server.url + "/v2/models/mlp/versions/x/infer", json={"inputs": [tensor()]}, timeout=30).status_code in (400, 404)
    assert requests.get(server.url + "/v3/nothing", timeout=30).status_code == 404
    assert requests.delete(server.url + "/v2/models/mlp/infer", timeout=30).status_code == 405
    assert requests.get(server.url + "/v2/models/..%2f..%2fetc/ready", timeout=30).status_code == 404


def test_too_large_a_body(server):
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(b"POST /v2/models/mlp/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000000\r\n\r\n")
        assert b" 413 " in s.recv(65536)


RAW = {
    "no http": b"\x16\x03\x01\x02\x00" * 20 + b"\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunked": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": b"POST /v2/models/mlp/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "huge header": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 200000 + b"\r\n\r\n",
    "negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    "bad gzip": b"POST /v2/models/mlp/infer HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
}


@pytest.mark.parametrize("what", RAW)
def test_broken_http(server, what):
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.settimeout(30)
        s.sendall(RAW[what])
        answer = s.recv(65536)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200]


def test_client_gone_mid_request(server):
    body = json.dumps({"inputs": [tensor()]}).encode()
    head = b"POST /v2/models/mlp/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    for cut in range(0, len(head) + len(body), 97):
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.sendall((head + body)[:cut] if cut else head + body)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


@pytest.mark.parametrize("frames", [
    b"\x00" * 100,
    frame(4, 0, 0, b"\x00" * 5),
    frame(4, 0, 0, b"") + frame(0, 1, 1, b"data on an idle stream"),
    frame(4, 0, 0, b"") + frame(1, 5, 1, b"\xff" * 50),
    frame(4, 0, 0, b"") + frame(1, 5, 2, b"\x82"),
    frame(4, 0, 0, b"") + frame(8, 0, 0, b"\x00\x00\x00\x00"),
    frame(4, 0, 0, b"") + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    frame(4, 0, 0, b"") + frame(6, 0, 0, b"12345678") * 2000,
    frame(4, 0, 0, b"") + b"".join(frame(3, 0, i, b"\x00\x00\x00\x08") for i in range(1, 4000, 2)),
], ids=range(9))
def test_broken_http2(server, frames):
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.settimeout(5)
        try:
            s.sendall(PREFACE + frames)
            while s.recv(65536):
                pass
        except (TimeoutError, ConnectionError):
            pass


GRPC_CASES = [
    ("lying prefix", b"\x00\xff\xff\xff\xff" + b"abc"),
    ("short prefix", b"\x00\x00"),
    ("not protobuf", b"\x00\x00\x00\x00\x05" + b"\xff\xff\xff\xff\xff"),
    ("compressed without encoding", b"\x01\x00\x00\x00\x05" + b"hello"),
    ("reserved flag", b"\x07\x00\x00\x00\x00"),
    ("two messages", b"\x00\x00\x00\x00\x00" * 2),
    ("no message", b""),
]


@pytest.mark.parametrize("what,body", GRPC_CASES, ids=[name for name, _ in GRPC_CASES])
def test_lying_grpc_frames(server, what, body, tmp_path):
    data = tmp_path / "body"
    data.write_bytes(body)
    done = subprocess.run(["curl", "-sS", "-m", "30", "--http2-prior-knowledge", "-D", "-", "-o", "/dev/null", "-H",
                           "content-type: application/grpc", "-H", "te: trailers", "--data-binary", f"@{data}",
                           server.url + "/inference.GRPCInferenceService/ModelInfer"], capture_output=True, timeout=60)
    head = done.stdout.decode(errors="replace").lower()
    status = [line.split(":")[1].strip() for line in head.splitlines() if line.startswith("grpc-status:")]
    assert status and status[0] != "0", head
