"""Reads the text in a picture through three models served by brim: where it is, which way up, what it says.

Usage: read_text.py [--url localhost:8000] [--picture picture.png] [--protocol grpc|http] [--json]

The client is tritonclient, as published; numpy and Pillow do the rest. The steps are PP-OCR's: `det` gives a map of
text probability, connected regions of it become boxes, `cls` says which boxes are upside down, `rec` reads each.
"""
import argparse
import json
import time

import numpy as np
from PIL import Image

SIDE_MULTIPLE = 32   # det's convolutions halve the picture five times.
MAP_THRESHOLD = 0.3  # Probability above which a pixel is text.
BOX_THRESHOLD = 0.5  # Mean probability of a box worth reading.
GROW = 0.75          # det is trained on shrunk boxes: grow each side by this part of the box's height.
REC_HEIGHT = 48
REC_WIDTH_MIN = 320
CLS_SIZE = (192, 48)


class Models:
    """The served models, called by name through one of tritonclient's two transports."""

    def __init__(self, url, protocol):
        if protocol == "grpc":
            import tritonclient.grpc as client
        else:
            import tritonclient.http as client
        self.library = client
        self.client = client.InferenceServerClient(url)

    def run(self, model, array):
        tensor = self.library.InferInput("x", array.shape, "FP32")
        tensor.set_data_from_numpy(array)
        result = self.client.infer(model, [tensor])
        output = result.get_response()
        outputs = output.outputs if hasattr(output, "outputs") else output["outputs"]
        first = outputs[0].name if hasattr(outputs[0], "name") else outputs[0]["name"]
        return result.as_numpy(first)


def normalise(image):
    """An RGB picture as f32 [1, 3, H, W] in BGR order, -1 to 1, as PP-OCR was trained."""
    pixels = np.asarray(image, dtype=np.float32)[:, :, ::-1] / 127.5 - 1.0
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def regions(mask):
    """Connected regions (8 neighbours) of a boolean map, as lists of flat indexes: union-find over row runs."""
    parent, runs, previous = [], [], []

    def find(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for y, row in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], row.view(np.int8), [0]))))
        current = []
        for start, end in zip(edges[::2], edges[1::2]):
            index = len(parent)
            parent.append(index)
            runs.append((y, start, end))
            current.append(index)
            for other in previous:
                _, other_start, other_end = runs[other]
                if other_start <= end and start <= other_end:
                    parent[find(index)] = find(other)
        previous = current
    groups = {}
    for index, run in enumerate(runs):
        groups.setdefault(find(index), []).append(run)
    return groups.values()


def find_boxes(probability):
    """Upright boxes (left, top, right, bottom) of text, top to bottom."""
    height, width = probability.shape
    boxes = []
    for group in regions(probability > MAP_THRESHOLD):
        top = min(y for y, _, _ in group)
        bottom = max(y for y, _, _ in group) + 1
        left, right = min(s for _, s, _ in group), max(e for _, _, e in group)
        score = np.mean([probability[y, s:e].mean() for y, s, e in group])
        if bottom - top < 4 or right - left < 4 or score < BOX_THRESHOLD:
            continue
        grow = int((bottom - top) * GROW)
        boxes.append((max(0, left - grow), max(0, top - grow), min(width, right + grow), min(height, bottom + grow)))
    return sorted(boxes, key=lambda box: (box[1], box[0]))


def decode(scores, characters):
    """CTC: the best character of each step, repeats and blanks (index 0) dropped. Text and mean confidence."""
    best = scores.argmax(axis=1)
    keep = (best != 0) & np.concatenate(([True], best[1:] != best[:-1]))
    text = "".join(characters[i] for i in best[keep])
    return text, float(scores.max(axis=1)[keep].mean()) if keep.any() else 0.0


def load_characters(path):
    """PP-OCR's alphabet: index 0 is CTC's blank, the last is a space. It travels in rec's own metadata."""
    import onnx

    metadata = {entry.key: entry.value for entry in onnx.load(path, load_external_data=False).metadata_props}
    return [""] + metadata["character"].splitlines() + [" "]


def read_line(models, crop, characters):
    flipped = models.run("cls", normalise(crop.resize(CLS_SIZE)))[0]
    if flipped[1] > 0.9:
        crop = crop.rotate(180)
    width = max(REC_WIDTH_MIN, int(round(crop.width * REC_HEIGHT / crop.height)))
    canvas = Image.new("RGB", (width, REC_HEIGHT), (128, 128, 128))
    scaled = min(width, max(1, round(crop.width * REC_HEIGHT / crop.height)))
    canvas.paste(crop.resize((scaled, REC_HEIGHT)), (0, 0))
    return decode(models.run("rec", normalise(canvas))[0], characters)


def read_picture(models, picture, characters):
    """[(box, text, confidence)] from top to bottom."""
    width = max(SIDE_MULTIPLE, picture.width // SIDE_MULTIPLE * SIDE_MULTIPLE)
    height = max(SIDE_MULTIPLE, picture.height // SIDE_MULTIPLE * SIDE_MULTIPLE)
    resized = picture.resize((width, height))
    probability = models.run("det", normalise(resized))[0, 0]
    lines = []
    for box in find_boxes(probability):
        text, confidence = read_line(models, resized.crop(box), characters)
        if text.strip():
            lines.append((box, text, confidence))
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="localhost:8000")
    parser.add_argument("--picture", required=True)
    parser.add_argument("--characters", required=True, help="rec.onnx, whose metadata holds its alphabet")
    parser.add_argument("--protocol", choices=("grpc", "http"), default="grpc")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    models = Models(arguments.url, arguments.protocol)
    picture = Image.open(arguments.picture).convert("RGB")
    characters = load_characters(arguments.characters)
    start = time.perf_counter()
    lines = read_picture(models, picture, characters)
    milliseconds = (time.perf_counter() - start) * 1000
    if arguments.json:
        print(json.dumps({"lines": [text for _, text, _ in lines], "milliseconds": milliseconds}, ensure_ascii=False))
        return
    for box, text, confidence in lines:
        print(f"  {confidence:4.0%}  {text}")
    print(f"  {len(lines)} lines in {milliseconds:.0f} ms: 1 det, {len(lines)} cls and {len(lines)} rec requests "
          f"over {arguments.protocol}")


if __name__ == "__main__":
    main()
