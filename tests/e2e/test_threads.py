"""A model owns no thread: one model or 200, idle or used, the process has the same number."""
import numpy as np
import tritonclient.http as http_client

from conftest import MODELS


def use(server, count):
    client = http_client.InferenceServerClient(server.address)
    array = np.zeros((1, 150), np.float32)
    tensor = http_client.InferInput("input", [1, 150], "FP32")
    tensor.set_data_from_numpy(array)
    for i in range(count):
        assert client.infer(f"mlp{i}", [tensor]).as_numpy("output").shape == (1, 10)


def test_one_model_or_two_hundred(servers, tmp_path):
    threads = {}
    for count in (1, 200):
        models = tmp_path / str(count)
        models.mkdir()
        for i in range(count):
            (models / f"mlp{i}.onnx").symlink_to(MODELS / "onnx/mlp.onnx")
        server = servers.start(models)
        assert len(server.report["models"]) == count
        use(server, count)
        threads[count] = server.threads()
    assert threads[1] == threads[200], threads
