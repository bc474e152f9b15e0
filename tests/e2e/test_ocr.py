"""The main job: PP-OCR's three models read the demo's picture, over both transports of a public client."""
import importlib.util

import pytest
from PIL import Image

from conftest import MODELS, ROOT, copy_models

spec = importlib.util.spec_from_file_location("read_text", ROOT / "examples/demo/read_text.py")
read_text = importlib.util.module_from_spec(spec)
spec.loader.exec_module(read_text)

EXPECTED = ["把每台机器装满", "Fill every machine to the brim", "深度学习推理平台", "Hello,你好2026", "upside down is fine"]


@pytest.fixture(scope="module")
def server(module_servers, tmp_path_factory):
    models = copy_models(tmp_path_factory.mktemp("models"), det="ocr/det.onnx", cls="ocr/cls.onnx", rec="ocr/rec.onnx")
    return module_servers.start(models)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_reads_the_picture(server, protocol):
    models = read_text.Models(server.address, protocol)
    picture = Image.open(ROOT / "examples/demo/picture.png").convert("RGB")
    characters = read_text.load_characters(MODELS / "ocr/rec.onnx")
    lines = [text for _, text, _ in read_text.read_picture(models, picture, characters)]
    assert lines == EXPECTED
