"""Models come, change, break and go while clients are served; the process drains, dies and comes back."""
import os
import shutil
import signal
import subprocess
import threading

import requests

from conftest import BRIM, MODELS, Server, wait_until

FAKE = """brim-fake 1
signature serving_default
input x FP32 -1,2
output y FP32 -1,2 fill {value}
"""


def fake(directory, value, extra=""):
    """A version directory of the fake runtime, complete before it has its name."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    hidden = directory.parent / ("." + directory.name)
    hidden.mkdir()
    (hidden / "model.fake").write_text(FAKE.format(value=value) + extra)
    hidden.rename(directory)


def predict(server, model="m", version=None, timeout=30):
    path = f"/v1/models/{model}" + (f"/versions/{version}" if version else "") + ":predict"
    return requests.post(server.url + path, json={"instances": [[0.0, 0.0]]}, timeout=timeout)


def value(server, model="m"):
    answer = predict(server, model)
    return answer.json()["predictions"][0][0] if answer.status_code == 200 else None


def states(server, model="m"):
    answer = requests.get(f"{server.url}/v1/models/{model}", timeout=30)
    if answer.status_code != 200:
        return {}
    return {int(v["version"]): (v["state"], v["status"]["error_message"]) for v in answer.json()["model_version_status"]}


class Load:
    """Clients that never stop asking; every answer is kept."""

    def __init__(self, server, threads=4):
        self.stop_now = threading.Event()
        self.answers, self.errors, self.lock = [], [], threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(server,)) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, server):
        session = requests.Session()
        while not self.stop_now.is_set():
            try:
                answer = session.post(server.url + "/v1/models/m:predict", json={"instances": [[0.0, 0.0]]}, timeout=30)
                kept = answer.json()["predictions"][0][0] if answer.status_code == 200 else answer.text
                with self.lock:
                    (self.answers if answer.status_code == 200 else self.errors).append(kept)
            except requests.RequestException as error:
                with self.lock:
                    self.errors.append(repr(error))

    def finish(self):
        self.stop_now.set()
        for thread in self.threads:
            thread.join()


def test_a_new_version_takes_over_without_a_failed_request(servers, tmp_path):
    models = tmp_path / "models"
    fake(models / "m/1", 1)
    server = servers.start(models, "--poll-interval", "50")
    load = Load(server)
    for version in range(2, 8):
        fake(models / f"m/{version}", version)
        wait_until(lambda: value(server) == version, what=f"version {version}")
    load.finish()
    assert load.errors == [] and set(load.answers) >= {1.0, 7.0}
    wait_until(lambda: [v for v, (state, _) in states(server).items() if state == "AVAILABLE"] == [7])


def test_a_broken_version_leaves_the_old_one_serving_and_says_why(servers, tmp_path):
    models = tmp_path / "models"
    fake(models / "m/1", 1)
    server = servers.start(models, "--poll-interval", "50")
    fake(models / "m/2", 2, "load_fail 13 weights are corrupt\n")
    wait_until(lambda: states(server).get(2, ("",))[0] == "END", what="the failed load")
    assert "weights are corrupt" in states(server)[2][1]
    assert value(server) == 1
    shutil.rmtree(models / "m/2")
    fake(models / "m/3", 3)
    wait_until(lambda: value(server) == 3)


def test_half_copied_truncated_and_unreadable_models(servers, tmp_path):
    models = tmp_path / "models"
    fake(models / "m/1", 1)
    (models / "empty").mkdir()
    (models / "hollow/1").mkdir(parents=True)
    (models / "cut.onnx").write_bytes((MODELS / "onnx/mlp.onnx").read_bytes()[:1000])
    (models / "noise.onnx").write_bytes(os.urandom(4096))
    (models / "zero.onnx").write_bytes(b"")
    (models / "notes.txt").write_text("not a model")
    (models / "cut_saved/1").mkdir(parents=True)
    (models / "cut_saved/1/saved_model.pb").write_bytes((MODELS / "ranker/saved_model.pb").read_bytes()[:500])
    (models / "bad_config").mkdir()
    shutil.copytree(models / "m/1", models / "bad_config/1")
    (models / "bad_config/config.pbtxt").write_text("max_batch_size: [")
    server = servers.start(models)
    assert value(server) == 1
    index = requests.post(server.url + "/v2/repository/index", json={}, timeout=30).json()
    reasons = {entry["name"]: entry for entry in index}
    for name in ("cut", "noise", "zero", "cut_saved", "bad_config"):
        assert reasons[name]["state"] == "UNAVAILABLE" and reasons[name]["reason"], reasons.get(name)
        answer = predict(server, name)
        assert answer.status_code in (404, 503) and answer.json()["error"]
    assert value(server) == 1


def test_a_model_replaced_in_place(servers, tmp_path):
    models = tmp_path / "models"
    fake(models / "m/1", 1)
    server = servers.start(models, "--poll-interval", "50")
    load = Load(server, 2)
    replacement = models / "m/1/model.fake.new"
    replacement.write_text(FAKE.format(value=5))
    replacement.rename(models / "m/1/model.fake")
    wait_until(lambda: value(server) == 5)
    load.finish()
    assert load.errors == []


def test_load_and_unload_by_request(servers, tmp_path):
    models = tmp_path / "models"
    fake(models / "m/1", 1)
    fake(models / "other/1", 9)
    server = servers.start(models, "--model-control", "explicit", "--load-model", "other")
    assert value(server) is None and value(server, "other") == 9
    load = server.url + "/v2/repository/models/{}/{}"
    assert requests.post(load.format("m", "load"), json={}, timeout=60).status_code == 200
    assert value(server) == 1
    assert requests.post(load.format("m", "unload"), json={}, timeout=60).status_code == 200
    wait_until(lambda: value(server) is None)
    assert predict(server).status_code in (404, 503)
    answer = requests.post(load.format("nobody", "load"), json={}, timeout=60)
    assert answer.status_code in (400, 404) and "nobody" in answer.json()["error"]
    assert value(server, "other") == 9


def test_sigterm_answers_what_is_in_flight(servers, tmp_path):
    models = tmp_path / "models"
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    fake(models / "m/1", 1, f"run_gate {gate}\n")
    (models / "m/brim.json").write_text('{"warm_up": false}')  # A warm-up run would wait at the gate too.
    server = Server(models, log=tmp_path / "log")
    answers = []
    with open(gate, "r+b", buffering=0) as open_gate:
        asking = threading.Thread(target=lambda: answers.append(predict(server, timeout=60)))
        asking.start()
        wait_until(lambda: 'nv_inference_pending_request_count{model="m",version="1"} 1'
                   in requests.get(server.url + "/metrics", timeout=30).text, what="the request to arrive")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "draining" in server.read_log())
        open_gate.write(b"r")
        asking.join(timeout=60)
    assert answers and answers[0].status_code == 200
    assert server.process.wait(timeout=60) == 0


def test_sigkill_and_restart_under_load(tmp_path):
    models = tmp_path / "models"
    fake(models / "m/1", 1)
    first = Server(models, log=tmp_path / "first")
    load = Load(first)
    wait_until(lambda: len(load.answers) > 50)
    first.stop(signal.SIGKILL)
    load.finish()
    second = Server(models, "--listen", first.address, log=tmp_path / "second")
    assert value(second) == 1
    assert second.report["ports"][1] == first.port
    assert second.stop() == 0


def test_unload_gives_memory_back(servers, tmp_path):
    """Twenty loads and unloads of a real model: resident memory settles."""
    models = tmp_path / "models"
    models.mkdir()
    shutil.copy(MODELS / "ocr/rec.onnx", models / "rec.onnx")
    server = servers.start(models, "--model-control", "explicit")

    def resident():
        with open(f"/proc/{server.pid}/statm") as file:
            return int(file.read().split()[1]) * 4096 / 2**20
    after = []
    for _ in range(20):
        for action in ("load", "unload"):
            answer = requests.post(f"{server.url}/v2/repository/models/rec/{action}", json={}, timeout=120)
            assert answer.status_code == 200, answer.text
        after.append(resident())
    assert max(after[10:]) - min(after[5:10]) < 40, [round(x) for x in after]


def test_a_path_with_nothing_to_serve(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    for path, word in ((tmp_path / "missing", "missing"), (tmp_path / "notes.txt", "notes.txt"), (tmp_path, "saved_model.pb")):
        done = subprocess.run([BRIM, "serve", path, "--port", "0", "--host", "127.0.0.1"], capture_output=True, text=True,
                              timeout=60)
        assert done.returncode in (1, 2) and word in done.stderr, done.stderr
    busy = Server(MODELS / "onnx/simple.onnx")
    done = subprocess.run([BRIM, "serve", MODELS / "onnx/simple.onnx", "--port", str(busy.port), "--host", "127.0.0.1"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and str(busy.port) in done.stderr, done.stderr
    assert busy.stop() == 0
