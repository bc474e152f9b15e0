"""proto/kserve says the same as the descriptors inside tritonclient, wherever it says anything."""
import pathlib

import pytest

import proto_source

ROOT = pathlib.Path(__file__).resolve().parents[2]
VENV = ROOT / ".deps/venv"


@pytest.fixture(scope="module")
def ours():
    return proto_source.read_sources(ROOT / "proto", ["kserve"])


def test_the_reader_sees_what_there_is(ours):
    assert ours.messages["inference.ModelInferRequest"]["raw_input_contents"] == (7, "bytes", True, "")
    assert ours.messages["inference.InferParameter"]["uint64_param"] == (5, "uint64", False, "parameter_choice")
    assert ours.enums["inference.DataType"]["TYPE_BF16"] == 14
    assert ours.methods["inference.GRPCInferenceService/ModelStreamInfer"][2] == (True, True)
    assert len(ours.methods) == 20


def test_against_tritonclient(ours):
    folder = "clients/lib/python3*/site-packages/tritonclient/grpc"
    files = [*VENV.glob(f"{folder}/service_pb2.py"), *VENV.glob(f"{folder}/model_config_pb2.py")]
    assert len(files) == 2, "tritonclient is missing: run deps/fetch venv/clients"
    theirs = proto_source.read_packages(files)
    assert "inference.ModelConfig" in theirs.messages
    assert proto_source.differences(ours, theirs) == []


def test_every_method_of_tritonclient_is_known(ours):
    files = VENV.glob("clients/lib/python3*/site-packages/tritonclient/grpc/service_pb2.py")
    theirs = proto_source.read_packages(files)
    assert sorted(ours.methods) == sorted(theirs.methods)


def test_against_kserve(ours):
    """KServe's own file has the core of the protocol; its repository dialect differs, as the file says."""
    files = list(VENV.glob("kserve/lib/python3*/site-packages/kserve/protocol/grpc/grpc_predict_v2_pb2.py"))
    if not files:
        pytest.skip("the KServe SDK is not here: deps/fetch venv/kserve brings it")
    theirs = proto_source.read_packages(files)
    for name in ("ModelInferRequest", "ModelInferRequest.InferInputTensor", "ModelInferResponse",
                 "ModelMetadataResponse", "InferTensorContents"):
        mine, other = ours.messages[f"inference.{name}"], theirs.messages[f"inference.{name}"]
        for field in mine.keys() & other.keys():
            assert mine[field] == other[field], f"{name}.{field}"
