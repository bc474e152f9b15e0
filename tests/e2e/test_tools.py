"""Public command-line tools: curl, h2load, perf_analyzer."""
import re
import shutil
import subprocess

import numpy as np
import pytest

from conftest import DEPS, MODELS, needs


@pytest.fixture(scope="module")
def server(module_servers, tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    for name in ("mlp", "simple"):
        shutil.copytree(MODELS / "layouts/triton" / name, models / name)
    return module_servers.start(models, "--shared-memory", "/")


def run(*command, timeout=120):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def test_curl_http1_and_http2(server):
    body = '{"inputs":[{"name":"INPUT0","shape":[1,16],"datatype":"INT32","data":[%s]},' \
           '{"name":"INPUT1","shape":[1,16],"datatype":"INT32","data":[%s]}]}' % (",".join(["1"] * 16), ",".join(["2"] * 16))
    for version in ("--http1.1", "--http2-prior-knowledge", "--http1.0"):
        out = run("curl", "-sS", "--fail", version, "-d", body, server.url + "/v2/models/simple/infer")
        assert '"data":[3,3,' in out.replace(" ", "")
    assert run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", server.url + "/v2/health/ready") == "200"
    assert "nv_inference_request_success" in run("curl", "-sS", "--compressed", server.url + "/metrics")
    assert "<html" in run("curl", "-sS", server.url + "/").lower()


@pytest.mark.parametrize("flags", [["-c1"], ["-c8"], ["-c4", "-m16"], ["-c4", "--h1"]])
def test_h2load(server, flags, tmp_path):
    body = tmp_path / "body"
    head = b'{"inputs":[{"name":"input","shape":[1,150],"datatype":"FP32","parameters":{"binary_data_size":600}}],' \
           b'"outputs":[{"name":"output","parameters":{"binary_data":true}}]}'
    body.write_bytes(head + np.zeros(150, np.float32).tobytes())
    out = run("h2load", "-n2000", "-t1", *flags, "-d", body, "-H", f"Inference-Header-Content-Length: {len(head)}",
              "-H", "content-type: application/octet-stream", server.url + "/v2/models/mlp/infer")
    assert re.search(r"2000 succeeded, 0 failed, 0 errored", out), out
    assert re.search(r"2000 2xx, 0 3xx, 0 4xx, 0 5xx", out), out


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_perf_analyzer(server, protocol):
    tool = needs(DEPS / "perf_analyzer/perf_analyzer", "type deps/fetch perf")
    out = run(tool, "-m", "mlp", "-i", protocol, "-u", server.address, "-b", "2", "--concurrency-range", "4",
              "--request-count", "400", timeout=300)
    assert "Throughput" in out and "infer/sec" in out, out


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_perf_analyzer_with_shared_memory(server, protocol):
    tool = needs(DEPS / "perf_analyzer/perf_analyzer", "type deps/fetch perf")
    out = run(tool, "-m", "mlp", "-i", protocol, "-u", server.address, "--concurrency-range", "4",
              "--request-count", "400", "--shared-memory", "system", "--output-shared-memory-size", "65536", timeout=300)
    assert "Throughput" in out and "infer/sec" in out, out
