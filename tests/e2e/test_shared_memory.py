"""Tensors in system shared memory, through tritonclient on both transports."""
import os

import numpy as np
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from conftest import copy_models

LIBRARIES = {"grpc": grpc_client, "http": http_client}


@pytest.fixture(scope="module")
def server(module_servers, tmp_path_factory):
    models = copy_models(tmp_path_factory.mktemp("models"), simple="onnx/simple.onnx", mlp="onnx/mlp.onnx",
                         echo="saved/string_identity", rec="ocr/rec.onnx")
    return module_servers.start(models, "--shared-memory", f"/brim_e2e_{os.getpid()}")


@pytest.fixture(params=["grpc", "http"])
def library(request):
    return LIBRARIES[request.param]


@pytest.fixture
def client(server, library):
    made = library.InferenceServerClient(server.address)
    made.unregister_system_shared_memory()
    yield made
    made.unregister_system_shared_memory()
    made.close()


@pytest.fixture
def region():
    made = []

    def make(name, size, key=None):
        made.append(shm.create_shared_memory_region(name, key or f"/brim_e2e_{os.getpid()}_{name}", size))
        return made[-1]
    yield make
    for handle in made:
        shm.destroy_shared_memory_region(handle)


def key_of(name):
    return f"/brim_e2e_{os.getpid()}_{name}"


def status(client, library):
    answer = client.get_system_shared_memory_status()
    if library is http_client:
        return {row["name"]: (row["key"], row["offset"], row["byte_size"]) for row in answer}
    return {name: (row.key, row.offset, row.byte_size) for name, row in answer.regions.items()}


def placed(library, kind, name, where, size, offset=0, shape=None, datatype=None):
    made = (library.InferInput(name, shape, datatype) if kind == "input" else library.InferRequestedOutput(name))
    made.set_shared_memory(where, size, offset=offset)
    return made


def test_tensors_go_through_shared_memory_and_equal_those_of_the_wire(client, library, region):
    image = np.random.default_rng(3).random((1, 3, 48, 320), dtype=np.float32)
    metadata = client.get_model_metadata("rec")
    output = metadata["outputs"][0]["name"] if library is http_client else metadata.outputs[0].name
    plain = library.InferInput("x", image.shape, "FP32")
    plain.set_data_from_numpy(image)
    expected = client.infer("rec", [plain]).as_numpy(output)

    both = region("both", 64 + image.nbytes + expected.nbytes)
    shm.set_shared_memory_region(both, [image], offset=64)
    client.register_system_shared_memory("both", key_of("both"), image.nbytes + expected.nbytes, offset=64)
    assert status(client, library) == {"both": (key_of("both"), 64, image.nbytes + expected.nbytes)}
    answer = client.infer(
        "rec", [placed(library, "input", "x", "both", image.nbytes, shape=image.shape, datatype="FP32")],
        outputs=[placed(library, "output", output, "both", expected.nbytes, offset=image.nbytes)])
    found = shm.get_contents_as_numpy(both, np.float32, expected.shape, offset=64 + image.nbytes)
    assert np.array_equal(found, expected)
    described = answer.get_output(output)
    shape = described["shape"] if library is http_client else list(described.shape)
    assert shape == list(expected.shape)

    # An input there and the output on the wire.
    answer = client.infer("rec", [placed(library, "input", "x", "both", image.nbytes, shape=image.shape,
                                         datatype="FP32")])
    assert np.array_equal(answer.as_numpy(output), expected)
    client.unregister_system_shared_memory("both")
    assert status(client, library) == {}


def test_one_output_there_and_one_on_the_wire(client, library, region):
    a, b = (np.full((1, 16), value, np.int32) for value in (5, 2))
    put = region("put", 2 * a.nbytes)
    shm.set_shared_memory_region(put, [a, b])
    got = region("got", a.nbytes)
    for name, size in (("put", 2 * a.nbytes), ("got", a.nbytes)):
        client.register_system_shared_memory(name, key_of(name), size)
    inputs = [placed(library, "input", "INPUT0", "put", a.nbytes, shape=[1, 16], datatype="INT32"),
              placed(library, "input", "INPUT1", "put", b.nbytes, a.nbytes, [1, 16], "INT32")]
    answer = client.infer("simple", inputs, outputs=[placed(library, "output", "OUTPUT0", "got", a.nbytes),
                                                     library.InferRequestedOutput("OUTPUT1")])
    assert np.array_equal(shm.get_contents_as_numpy(got, np.int32, [1, 16]), a + b)
    assert np.array_equal(answer.as_numpy("OUTPUT1"), a - b)


def test_strings(client, library, region):
    texts = np.array([["one", "", "三"]], dtype=object)
    encoded = serialize_byte_tensor(texts).item()
    handle = region("text", 256)
    metadata = client.get_model_metadata("echo")
    names = [(metadata[side][0]["name"] if library is http_client else getattr(metadata, side)[0].name)
             for side in ("inputs", "outputs")]
    rank = len(metadata["inputs"][0]["shape"] if library is http_client else metadata.inputs[0].shape)
    shape = [1] * (rank - 1) + [3]
    shm.set_shared_memory_region(handle, [np.frombuffer(encoded, np.uint8)])
    client.register_system_shared_memory("text", key_of("text"), 256)
    client.infer("echo", [placed(library, "input", names[0], "text", len(encoded), shape=shape, datatype="BYTES")],
                 outputs=[placed(library, "output", names[1], "text", 128, offset=128)])
    assert bytes(shm.get_contents_as_numpy(handle, np.uint8, [len(encoded)], offset=128)) == encoded


def test_wrong_regions_are_refused_and_the_server_goes_on(client, library, region):
    handle = region("small", 128)
    key = key_of("small")

    def refused(text, call, *arguments, **options):
        with pytest.raises(InferenceServerException, match=text):
            call(*arguments, **options)

    register = client.register_system_shared_memory
    refused("create it first", register, "absent", key + "x", 16)
    refused("must begin with", register, "other", "/not_ours", 16)
    refused("fewer than offset", register, "large", key, 4096 * 1024)
    refused("larger than 0", register, "empty", key, 0)
    register("small", key, 128)
    refused("already in manager", register, "small", key, 128)

    def infer(where, size, offset, out_size):
        return client.infer("simple", [placed(library, "input", name, where, size, offset, [1, 16], "INT32")
                                       for name in ("INPUT0", "INPUT1")],
                            outputs=[placed(library, "output", "OUTPUT0", "small", out_size, 64)])
    refused("Unable to find shared memory region", infer, "absent", 64, 0, 64)
    refused("Invalid offset", infer, "small", 64, 80, 64)
    refused("Expected 64, got 60", infer, "small", 60, 0, 64)
    refused("should be at least 64 bytes", infer, "small", 64, 0, 32)
    os.truncate(f"/dev/shm{key}", 10)
    refused("smaller than it was", infer, "small", 64, 0, 64)
    os.truncate(f"/dev/shm{key}", 128)
    infer("small", 64, 0, 64)
    assert handle is not None
    assert client.is_server_ready()


def test_off_by_default(module_servers, tmp_path_factory, library, region):
    plain = module_servers.start(copy_models(tmp_path_factory.mktemp("off"), simple="onnx/simple.onnx"))
    client = library.InferenceServerClient(plain.address)
    region("off", 64)
    with pytest.raises(InferenceServerException, match="--shared-memory"):
        client.register_system_shared_memory("off", key_of("off"), 64)
    assert status(client, library) == {}
    client.unregister_system_shared_memory()
    client.close()
