"""KServe v2 through tritonclient, both transports: metadata, every dtype, strings, state, async, exact outputs."""
import threading

import numpy as np
import openvino
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from conftest import MODELS, copy_models

LIBRARIES = {"grpc": grpc_client, "http": http_client}
DTYPES = {
    "bool": np.bool_, "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64,
    "int8": np.int8, "int16": np.int16, "int32": np.int32, "fp16": np.float16, "fp32": np.float32, "fp64": np.float64,
}


@pytest.fixture(scope="module")
def server(module_servers, tmp_path_factory):
    sources = {f"identity_{name}": f"onnx/identity_{name}.onnx" for name in DTYPES}
    sources.update(mlp="onnx/mlp.onnx", simple="onnx/simple.onnx", dynamic="onnx/dynamic_rank3.onnx",
                   cnn="onnx/cnn.onnx", mixed="onnx/mixed.onnx", scalar="onnx/scalar.onnx",
                   nonzero="onnx/nonzero.onnx", fixed="onnx/fixed_batch.onnx",
                   vad="silero/silero_vad_openvino_16k.onnx", rec="ocr/rec.onnx", cls="ocr/cls.onnx",
                   text="saved/string_upper", echo="saved/string_identity", deepfm="deepfm", ranker="ranker")
    return module_servers.start(copy_models(tmp_path_factory.mktemp("models"), **sources))


@pytest.fixture(params=["grpc", "http"])
def library(request):
    return LIBRARIES[request.param]


@pytest.fixture
def client(server, library):
    made = library.InferenceServerClient(server.address)
    yield made
    made.close()


def tensor(library, name, array, datatype=None, binary=True):
    made = library.InferInput(name, list(array.shape), datatype or np_to_triton_dtype(array.dtype))
    if library is http_client:
        made.set_data_from_numpy(array, binary_data=binary)
    else:
        made.set_data_from_numpy(array)
    return made


def infer(library, client, model, arrays, **options):
    return client.infer(model, [tensor(library, name, array) for name, array in arrays.items()], **options)


def reference(path, arrays):
    """OpenVINO's own answer at the same precision, batch and threading."""
    core = openvino.Core()
    compiled = core.compile_model(str(MODELS / path), "CPU",
                                  {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "0"})
    return {key.get_any_name(): value.copy() for key, value in compiled(arrays).items()}


def same_bits(got, want):
    assert got.dtype == want.dtype and got.shape == want.shape
    assert got.tobytes() == want.tobytes(), f"largest difference {np.abs(got - want).max()}"


def test_health_and_metadata(library, client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("mlp")
    metadata = client.get_model_metadata("simple")
    if library is http_client:
        assert metadata["name"] == "simple" and {t["name"] for t in metadata["inputs"]} == {"INPUT0", "INPUT1"}
        assert "model_repository" in client.get_server_metadata()["extensions"]
    else:
        assert metadata.name == "simple" and {t.name for t in metadata.inputs} == {"INPUT0", "INPUT1"}
        assert "model_repository" in client.get_server_metadata().extensions
    assert client.get_model_config("simple") and client.get_inference_statistics("simple")


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_every_dtype_comes_back_exactly(library, client, name):
    random = np.random.default_rng(7)
    if name == "bool":
        array = random.integers(0, 2, (3, 5)).astype(np.bool_)
    elif name.startswith("fp"):
        array = random.standard_normal((3, 5)).astype(DTYPES[name])
    else:
        limits = np.iinfo(DTYPES[name])
        array = random.integers(limits.min, limits.max, (3, 5), dtype=DTYPES[name], endpoint=True)
    same_bits(infer(library, client, f"identity_{name}", {"INPUT0": array}).as_numpy("OUTPUT0"), array)


@pytest.mark.parametrize("model,path,shapes", [
    ("mlp", "onnx/mlp.onnx", {"input": (1, 150)}),
    ("mlp", "onnx/mlp.onnx", {"input": (5, 150)}),
    ("cnn", "onnx/cnn.onnx", {"input": (1, 3, 224, 224)}),
    ("rec", "ocr/rec.onnx", {"x": (1, 3, 48, 320)}),
    ("rec", "ocr/rec.onnx", {"x": (2, 3, 48, 160)}),
    ("cls", "ocr/cls.onnx", {"x": (3, 3, 48, 192)}),
    ("dynamic", "onnx/dynamic_rank3.onnx", {"x": (2, 3, 4)}),
])
def test_outputs_equal_the_runtimes_own(library, client, model, path, shapes):
    random = np.random.default_rng(11)
    arrays = {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    result = infer(library, client, model, arrays)
    for name, want in reference(path, arrays).items():
        same_bits(result.as_numpy(name), want)


def test_json_and_binary_agree(server):
    client = http_client.InferenceServerClient(server.address)
    array = np.random.default_rng(3).standard_normal((2, 150)).astype(np.float32)
    answers = []
    for binary in (True, False):
        outputs = [http_client.InferRequestedOutput("output", binary_data=binary)]
        result = client.infer("mlp", [tensor(http_client, "input", array, binary=binary)], outputs=outputs)
        answers.append(result.as_numpy("output"))
    same_bits(answers[0], answers[1].astype(np.float32))


def test_strings(library, client):
    words = np.array([b"fill", "把每台机器装满".encode(), b"", b"a" * 5000], dtype=np.object_)
    result = infer(library, client, "echo", {"text": words})
    assert list(result.as_numpy("text")) == list(words)
    upper = infer(library, client, "text", {"text": np.array([b"brim", b"x"], dtype=np.object_)})
    assert list(upper.as_numpy("upper")) == [b"BRIM", b"X"]
    assert list(upper.as_numpy("length")) == [4, 1]


def test_state_goes_in_and_out(library, client):
    """silero-vad: the state of one call is the input of the next; the outcome equals the runtime's own."""
    random = np.random.default_rng(5)
    core = openvino.Core()
    own = core.compile_model(str(MODELS / "silero/silero_vad_openvino_16k.onnx"), "CPU",
                             {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "0"})
    state = own_state = np.zeros((2, 1, 128), np.float32)
    for _ in range(5):
        frame = random.standard_normal((1, 576)).astype(np.float32) * 0.1
        result = infer(library, client, "vad", {"input": frame, "state": state})
        want = own({"input": frame, "state": own_state})
        state, own_state = result.as_numpy("stateN"), want[own.output("stateN")].copy()
        same_bits(result.as_numpy("output"), want[own.output("output")])
        same_bits(state, own_state)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 0, 0)])
def test_zero_sized_dimensions(library, client, shape):
    result = infer(library, client, "dynamic", {"x": np.zeros(shape, np.float32)})
    assert result.as_numpy("doubled").shape == shape
    assert result.as_numpy("sum").shape == shape[:2]


def test_scalar_mixed_and_data_dependent_shapes(library, client):
    assert infer(library, client, "scalar", {"x": np.array(2.5, np.float32)}).as_numpy("y") == 3.5
    found = infer(library, client, "nonzero", {"x": np.array([0, 1, 0, 2], np.float32)}).as_numpy("indices")
    assert found.tolist() == [[1, 3]]
    mixed = infer(library, client, "mixed", {"ids": np.array([4, 5], np.int64), "flag": np.ones((2, 1), np.bool_),
                                             "features": np.ones((2, 3), np.float32)})
    assert mixed.as_numpy("next_ids").shape == (2,)


def test_recommenders(library, client):
    rows = 3
    ids = {name: np.arange(rows, dtype=np.int32) for name in ("user", "item", "city", "device", "hour")}
    result = infer(library, client, "ranker", {**ids, "features": np.full((rows, 4), 0.5, np.float32)})
    click = result.as_numpy("click")
    assert click.shape == (rows, 1) and np.all((click > 0) & (click < 1))


def test_chosen_outputs_id_and_parameters(library, client):
    outputs = [library.InferRequestedOutput("sum")]
    result = infer(library, client, "dynamic", {"x": np.ones((1, 2, 3), np.float32)}, outputs=outputs,
                   request_id="query-7")
    assert result.as_numpy("doubled") is None
    assert result.as_numpy("sum").tolist() == [[3.0, 3.0]]
    response = result.get_response()
    assert (response["id"] if library is http_client else response.id) == "query-7"


def test_many_async_requests(library, server):
    array = np.ones((1, 16), np.int32)
    options = {"concurrency": 8} if library is http_client else {}
    client = library.InferenceServerClient(server.address, **options)
    inputs = [tensor(library, "INPUT0", array), tensor(library, "INPUT1", array)]
    if library is http_client:
        results = [r.get_result() for r in [client.async_infer("simple", inputs) for _ in range(100)]]
    else:
        results, errors, done = [], [], threading.Semaphore(0)

        def callback(result, error):
            (errors if error else results).append(error or result)
            done.release()
        for _ in range(100):
            client.async_infer("simple", inputs, callback)
        for _ in range(100):
            assert done.acquire(timeout=30)
        assert not errors
    assert len(results) == 100 and all((r.as_numpy("OUTPUT0") == 2).all() for r in results)
    client.close()


def test_stream_keeps_order(server):
    client = grpc_client.InferenceServerClient(server.address)
    answers, done = [], threading.Semaphore(0)

    def callback(result, error):
        answers.append(error or int(result.as_numpy("OUTPUT0")[0, 0]))
        done.release()
    client.start_stream(callback)
    for i in range(50):
        array = np.full((1, 16), i, np.int32)
        client.async_stream_infer("simple", [tensor(grpc_client, "INPUT0", array), tensor(grpc_client, "INPUT1", array)])
    for _ in range(50):
        assert done.acquire(timeout=30)
    client.stop_stream()
    assert answers == [2 * i for i in range(50)]


def test_compressed_requests_and_answers(server):
    array = np.zeros((4, 150), np.float32)
    client = http_client.InferenceServerClient(server.address)
    plain = client.infer("mlp", [tensor(http_client, "input", array)]).as_numpy("output")
    for algorithm in ("gzip", "deflate"):
        result = client.infer("mlp", [tensor(http_client, "input", array)],
                              request_compression_algorithm=algorithm, response_compression_algorithm=algorithm)
        same_bits(result.as_numpy("output"), plain)
    grpc = grpc_client.InferenceServerClient(server.address)
    for algorithm in ("gzip", "deflate"):
        result = grpc.infer("mlp", [tensor(grpc_client, "input", array)], compression_algorithm=algorithm)
        same_bits(result.as_numpy("output"), plain)


def test_wrong_inputs_say_what_is_wrong(library, client):
    good = np.zeros((1, 150), np.float32)
    cases = [
        ({"input": np.zeros((1, 151), np.float32)}, "150"),
        ({"input": np.zeros((150,), np.float32)}, "input"),
        ({"input": np.zeros((1, 150), np.float64)}, "FP64"),
        ({"inputs": good}, "inputs"),
        ({"input": good, "more": good}, "more"),
    ]
    for arrays, word in cases:
        with pytest.raises(InferenceServerException, match=word):
            infer(library, client, "mlp", arrays)
    with pytest.raises(InferenceServerException, match="nobody"):
        infer(library, client, "nobody", {"input": good})
    with pytest.raises(InferenceServerException, match="9"):
        infer(library, client, "mlp", {"input": good}, model_version="9")
    assert infer(library, client, "mlp", {"input": good}).as_numpy("output").shape == (1, 10)


def test_statistics_count_requests(library, client):
    def counts():
        stats = client.get_inference_statistics("scalar")
        if library is http_client:
            return stats["model_stats"][0]["inference_count"]
        return stats.model_stats[0].inference_count
    before = counts()
    for _ in range(3):
        infer(library, client, "scalar", {"x": np.array(1, np.float32)})
    assert counts() == before + 3
