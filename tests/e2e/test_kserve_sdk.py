"""KServe's own SDK, REST and gRPC, in its own virtual environment."""
import json
import subprocess

import pytest

from conftest import DEPS, copy_models, needs

PROGRAM = r"""
import asyncio, json, sys
import numpy as np
from kserve import InferInput, InferRequest, InferenceGRPCClient, InferenceRESTClient, RESTConfig

async def main(address):
    out = {}
    a = np.arange(16, dtype=np.int32).reshape(1, 16)
    b = np.ones((1, 16), dtype=np.int32)

    def request():
        inputs = [InferInput("INPUT0", [1, 16], "INT32"), InferInput("INPUT1", [1, 16], "INT32")]
        inputs[0].set_data_from_numpy(a, binary_data=False)
        inputs[1].set_data_from_numpy(b, binary_data=False)
        return InferRequest(model_name="simple", infer_inputs=inputs)

    rest = InferenceRESTClient(RESTConfig(protocol="v2", retries=1, timeout=60))
    url = "http://" + address
    out["rest_ready"] = [await rest.is_server_ready(url), await rest.is_server_live(url),
                         await rest.is_model_ready(url, "simple")]
    answer = await rest.infer(url, request(), model_name="simple")
    out["rest"] = np.array(answer.outputs[0].data).ravel().tolist()

    grpc = InferenceGRPCClient(address)
    out["grpc_ready"] = [await grpc.is_server_ready(), await grpc.is_server_live(), await grpc.is_model_ready("simple")]
    answer = await grpc.infer(request())
    out["grpc"] = answer.outputs[0].as_numpy().ravel().tolist()
    print(json.dumps(out))

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("runtime", ["openvino"])
def test_sdk(servers, tmp_path, runtime):
    python = needs(DEPS / "venv/kserve/bin/python", "type deps/fetch venv/kserve")
    server = servers.start(copy_models(tmp_path / "models", simple="onnx/simple.onnx"), "--runtime", runtime)
    done = subprocess.run([python, "-c", PROGRAM, server.address], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    out = json.loads(done.stdout.splitlines()[-1])
    assert out["rest_ready"] == [True] * 3 and out["grpc_ready"] == [True] * 3
    assert out["rest"] == out["grpc"] == list(range(1, 17))
