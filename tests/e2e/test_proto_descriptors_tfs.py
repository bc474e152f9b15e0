"""proto/tensorflow* says the same as the descriptors inside the public clients, wherever it says anything."""
import pathlib

import pytest

import proto_source

ROOT = pathlib.Path(__file__).resolve().parents[2]
VENV = ROOT / ".deps/venv"


@pytest.fixture(scope="module")
def ours():
    return proto_source.read_sources(ROOT / "proto", ["tensorflow_serving", "tensorflow"])


def modules(pattern):
    return sorted(VENV.glob(pattern))


def test_the_reader_sees_what_there_is(ours):
    assert ours.messages["tensorflow.serving.PredictRequest"]["inputs"] == (2, "map<string,TensorProto>", True, "")
    assert ours.messages["tensorflow.serving.ModelSpec"]["version_label"] == (4, "string", False, "version_choice")
    assert ours.enums["tensorflow.serving.ModelVersionStatus.State"]["AVAILABLE"] == 30
    assert len(ours.methods) == 7


def test_the_comparison_finds_a_wrong_number(ours):
    wrong = proto_source.read_sources(ROOT / "proto", ["tensorflow_serving", "tensorflow"])
    wrong.messages["tensorflow.TensorProto"]["int_val"] = (8, "int32", True, "")
    assert proto_source.differences(wrong, ours) == [
        "tensorflow.TensorProto.int_val: (8, 'int32', True, '') here, (7, 'int32', True, '') there"]


def test_against_ovmsclient(ours):
    files = modules("clients/lib/python3*/site-packages/ovmsclient/tfs_compat/protos/**/*_pb2.py")
    assert files, "ovmsclient is missing: run deps/fetch venv/clients"

    def public(package):  # It keeps the messages under its own package.
        return package.replace("ovmsclient.serving", "tensorflow.serving").replace("ovmsclient", "tensorflow")

    theirs = proto_source.read_packages(files, public)
    assert "tensorflow.serving.PredictRequest" in theirs.messages
    assert proto_source.differences(ours, theirs) == []


def test_against_tensorflow_serving_api(ours):
    serving = modules("tf/lib/python3*/site-packages/tensorflow_serving/**/*_pb2.py")
    if not serving:
        pytest.skip("tensorflow-serving-api is not here: deps/fetch venv/tf brings it")
    core = modules("tf/lib/python3*/site-packages/tensorflow/core/**/*_pb2.py")
    core += modules("tf/lib/python3*/site-packages/tensorflow/tsl/**/*_pb2.py")
    core += modules("tf/lib/python3*/site-packages/tensorflow/**/error_codes_pb2.py")
    theirs = proto_source.read_packages(serving + core)
    assert "tensorflow.TensorProto" in theirs.messages
    assert proto_source.differences(ours, theirs) == []
