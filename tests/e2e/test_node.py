"""`brim node` as a user types it, on a fake card: slices made, changed, removed; every wrong input named with the next
command; the agent killed under running programs; metrics; memory lent and taken back."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

from conftest import BRIM, wait_until
from slice_node import FAKE, GIB, MIB, Node, wait_held

CONTEXT = 256 * MIB  # The fake card's.


@pytest.fixture
def node():
    made = Node()
    yield made
    made.finish()


def test_help_teaches(node):
    text = node.brim("--help")
    for word in ("slices create", "slices list", "run --slice", "doctor", "--port", "--dir"):
        assert word in text
    assert "create NAME" in node.brim("slices", "--help")
    for command in ("create", "list", "show", "resize", "remove"):
        assert "Usage" in node.brim("slices", command, "--help")


def test_doctor(node):
    assert "All is there" in node.brim("doctor")
    report = json.loads(node.brim("doctor", "--json"))
    assert report["driver_version"] == "580.00.00" and report["cards"][0]["memory"] == 16384
    assert report["preload_library"] == str(pathlib.Path(report["slice_libraries"]) / "libbrim_preload.so")
    assert "BRIM_REAL_LIBNVIDIA_ML" in subprocess.run(
        node.command("doctor"), env=node.environment | {"BRIM_REAL_LIBNVIDIA_ML": "/nowhere/libnvidia-ml.so.1"},
        capture_output=True, text=True, check=False).stdout


def test_create_list_show_resize_remove(node):
    said = node.create("a", 30, "4GiB", "--owner", "vision", "--policy", "hard", "--priority", "offline")
    assert "brim node run --slice a" in said
    assert node.slices()["a"] | {"gpu": 0} == {
        "slice": "a", "owner": "vision", "card": 0, "cores": 30, "policy": "hard", "priority": "offline", "held": 0,
        "limit": 4096, "hard_limit": 4096, "processes": 0, "gpu": 0, "throttled": 0, "launches": 0, "refusals": 0}
    assert "vision" in node.brim("slices", "list")
    assert set(node.classes("a")) == {"buffer", "pool", "vmm", "array", "graph", "context", "module", "import"}
    node.brim("slices", "resize", "a", "--cores", 60, "--memory", "8GiB", "--policy", "elastic", "--owner", "speech")
    changed = node.slices()["a"]
    assert (changed["cores"], changed["hard_limit"], changed["policy"], changed["priority"], changed["owner"]) == (
        60, 8192, "elastic", "offline", "speech")
    assert "gone" in node.brim("slices", "remove", "a")
    assert node.slices() == {}
    assert "slices create --help" in node.brim("slices", "list")


# Arguments, exit code, what the message must hold: what is wrong, and what to type next.
WRONG = [
    ("slices create b --cores 0 --memory 1GiB", 1, ["--cores 0", "1 to 100"]),
    ("slices create b --cores 101 --memory 1GiB", 1, ["--cores 101", "1 to 100"]),
    ("slices create b --cores -5 --memory 1GiB", 2, ["--cores", "slices create --help"]),
    ("slices create b --cores 71 --memory 1GiB", 1, ["70 of 100 units left", "a (30 units", "brim node slices"]),
    ("slices create b --cores 10 --memory 17GiB", 1, ["12.0 GiB of 16.0 GiB left", "17.0 GiB asked", "brim node slices"]),
    ("slices create b --cores 10 --memory 13GiB", 1, ["12.0 GiB of 16.0 GiB left", "a (30 units", "brim node slices"]),
    ("slices create b --cores 10 --memory 17GiB --soft-memory 1GiB", 1, ["16.0 GiB in all"]),
    ("slices create b --cores 10 --memory 1GiB --soft-memory 2GiB", 1, ["--soft-memory", "cannot be more"]),
    ("slices create b --cores 10 --memory 1000", 1, ["at least 1MiB"]),
    ("slices create b --cores 10 --memory 4XB", 1, ["4XB", "8GiB"]),
    ("slices create b --cores 10 --memory -4GiB", 1, ["-4GiB", "8GiB"]),
    ("slices create b --cores 10 --memory nan", 1, ["nan", "8GiB"]),
    ("slices create b --cores 10 --memory 1e300GiB", 1, ["1e300GiB"]),
    ("slices create b --cores 10 --memory 1GiB --card 7", 1, ["card 7", "brim node doctor"]),
    ("slices create b --cores 10 --memory 1GiB --policy soft", 2, ["--policy", "elastic"]),
    ("slices create a --cores 10 --memory 1GiB", 1, ["slice 'a' already", "resize a"]),
    ("slices create ../b --cores 10 --memory 1GiB", 1, ["../b", "letters, digits"]),
    ("slices create .b --cores 10 --memory 1GiB", 1, ["'.b'"]),
    ("slices create " + "b" * 64 + " --cores 10 --memory 1GiB", 1, ["1 to 63"]),
    ("slices create b --cores 10 --memory 1GiB --owner " + "o" * 64, 1, ["64 characters"]),
    ("slices create b --cores 10", 2, ["--memory is required", "slices create --help"]),
    ("slices create", 2, ["NAME", "slices create --help"]),
    ("slices resize x --cores 10", 1, ["no slice 'x'", "slices list"]),
    ("slices resize a --cores 101", 1, ["1 to 100"]),
    ("slices resize a --memory 17GiB", 1, ["16.0 GiB"]),
    ("slices resize a --memory 0", 1, ["at least 1MiB"]),
    ("slices remove x", 1, ["no slice 'x'", "slices list"]),
    ("slices show x", 1, ["no slice 'x'", "slices list"]),
    ("slices make a", 2, ["slices create NAME"]),
    ("run --slice x -- true", 1, ["no slice 'x'", "slices list"]),
    ("run --slice a", 2, ["no command", "--"]),
    ("run -- true", 2, ["--slice is required", "run --help"]),
    ("run --slice a -- /nowhere/program", 127, ["/nowhere/program"]),
    ("run --slice a -- /etc/passwd", 126, ["/etc/passwd"]),
    ("slcies list", 2, ["slcies", "slices"]),
    ("--port 70000", 2, ["--port"]),
    ("--dir /proc/nowhere", 1, ["/proc/nowhere", "--dir"]),
]


def test_wrong_input_is_named_with_what_to_do(node):
    node.create("a", 30, "4GiB")
    before = node.slices()
    for line, code, holds in WRONG:
        said = node.brim(*line.split(), code=code)
        assert all(part in said for part in holds), f"{line}\n{said}"
    assert node.slices() == before


def test_without_a_driver(node):
    gone = {"BRIM_REAL_LIBCUDA": "/nowhere/libcuda.so.1", "BRIM_REAL_LIBNVIDIA_ML": "/nowhere/libnvidia-ml.so.1"}
    said = node.brim("slices", "create", "a", "--cores", 10, "--memory", "1GiB", code=1, environment=gone)
    assert "no NVIDIA driver" in said and "BRIM_REAL_LIBNVIDIA_ML" in said
    assert "no NVIDIA driver" in node.brim("--port", "0", code=1, environment=gone)
    node.create("a", 10, "1GiB")
    # Cards and slices that are known stay known; a program runs and is told by CUDA that there is no device.
    assert "a" in node.brim("slices", "list", environment=gone)
    done = node.brim("run", "--slice", "a", "--", sys.executable, "-c",
                     "import ctypes;print(ctypes.CDLL('libcuda.so.1').cuInit(0))", environment=gone)
    assert done.strip() == "100"  # CUDA_ERROR_NO_DEVICE


def test_a_slice_in_use_is_not_removed(node):
    node.create("a", 30, "4GiB")
    tenant = node.tenant("a")
    said = node.brim("slices", "remove", "a", code=1)
    assert "1 process is in slice 'a'" in said and "slices show a" in said
    shown = json.loads(node.brim("slices", "show", "a", "--json"))
    assert [row["pid"] for row in shown["processes"]] == [tenant.pid]
    tenant.kill()
    node.brim("slices", "remove", "a")


def test_a_slice_made_again_is_looked_after(node):
    node.agent()
    for _ in range(3):
        node.create("a", 30, "4GiB")
        tenant = node.tenant("a")
        assert tenant.ask("context") == "0"
        tenant.kill()
        wait_held(node, "a", 0)
        node.brim("slices", "remove", "a")


def test_resize_below_use_and_back(node):
    node.create("a", 30, "4GiB")
    tenant = node.tenant("a")
    assert tenant.ask("context") == "0"
    at = tenant.alloc(2 * GIB)
    said = node.brim("slices", "resize", "a", "--memory", "1GiB")
    assert "nothing more is given" in said
    assert tenant.alloc(MIB) is None
    assert tenant.ask("info").split() == ["0", str(GIB)]
    assert node.held("a") == 2 * GIB + CONTEXT
    assert tenant.ask("free", at) == "0"
    assert tenant.alloc(GIB - CONTEXT) is not None and tenant.alloc(1) is None
    node.brim("slices", "resize", "a", "--memory", "2GiB")
    assert tenant.alloc(GIB) is not None and tenant.alloc(1) is None


def write(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize("file", ["limits", "segment", "table", "card"])
@pytest.mark.parametrize("damage", ["cut", "empty", "magic", "newer", "older", "newer and shorter"])
def test_a_damaged_file_is_refused_and_named(node, file, damage):
    node.create("a", 30, "4GiB")
    path = node.folder / "node/slices/a" / file
    if damage == "cut":
        os.truncate(path, 100)
    elif damage == "empty":
        path.unlink()
        path.write_bytes(b"")
    elif damage == "magic":
        write(path, 0, b"\xff" * 8)
    else:  # The library is then older or newer than the agent that wrote it.
        write(path, 8, b"\x00" if damage == "older" else b"\xff")
        if damage == "newer and shorter":
            os.truncate(path, 64)
    log = node.folder / "log"
    # The program is not ended and nothing is printed into it: CUDA says that the system is not ready.
    script = "import ctypes;print(ctypes.CDLL('libcuda.so.1').cuInit(0))"
    shim = BRIM.parent.parent / "slice"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True,
                          env=node.environment | {"BRIM_SLICE": str(path.parent), "LD_LIBRARY_PATH": str(shim),
                                                  "BRIM_SLICE_LOG": str(log)})
    assert (done.stdout.strip(), done.stderr) == ("802", "")  # CUDA_ERROR_SYSTEM_NOT_READY
    assert file in log.read_text() and ("another version" in log.read_text()) == ("er" in damage)
    if damage == "empty":
        return  # One whose making was cut short: the node makes it anew.
    # It is named with what to do, keeps no other slice from working, and can be removed and made again.
    node.brim("slices", "list")
    for command in ("slices show a", "slices resize a --cores 20", "run --slice a -- true"):
        said = node.brim(*command.split(), code=1)
        assert file in said and "slices remove" in said and ("another version" in said) == ("er" in damage)
    assert file in node.brim("slices", "list") and file in subprocess.run(
        node.command("doctor"), env=node.environment, capture_output=True, text=True, check=False).stdout
    if file in ("limits", "segment"):
        node.create("b", 10, "1GiB")
    assert node.agent().stop() == 0
    node.brim("slices", "remove", "a")
    node.create("a", 30, "4GiB")
    tenant = node.tenant("a")
    assert tenant.started == 0 and tenant.ask("context") == "0"


def test_agent_killed_while_programs_run_counts_exactly(node):
    node.create("a", 50, "4GiB")
    node.create("b", 50, "4GiB")
    agent = node.agent()
    tenants = [node.tenant("a"), node.tenant("a"), node.tenant("b")]
    for tenant in tenants:
        assert tenant.ask("context") == "0"
        assert tenant.alloc(100 * MIB + 1) is not None
    whole = 100 * MIB + 512 + CONTEXT
    agent.kill()
    # Nobody looks; programs go on, and one dies.
    tenants[0].kill()
    assert tenants[1].alloc(MIB) is not None
    assert node.held("a") == 2 * whole + MIB
    agent = node.agent()
    wait_held(node, "a", whole + MIB)
    assert node.held("b") == whole
    assert agent.of("brim_slice_reaped_total", "a") == 1
    truth = node.truth()
    assert sum(truth[tenant.pid] for tenant in tenants[1:2]) == node.held("a")
    for tenant in tenants[1:]:
        tenant.kill()
    wait_held(node, "a", 0)
    wait_held(node, "b", 0)
    assert agent.stop() == 0


def test_one_agent_per_node(node):
    node.create("a", 50, "4GiB")
    agent = node.agent()
    assert "looks after" in node.brim("--port", "0", code=1)
    agent.kill()
    assert node.agent().stop() == 0


def test_metrics_of_a_slice_without_a_process(node):
    node.create("a", 50, "4GiB", "--owner", "vision")
    agent = node.agent()
    values = {name.removeprefix("brim_slice_"): value for (name, labels), value in agent.metrics().items()
              if {("slice", "a"), ("owner", "vision"), ("card", "0")} <= labels}
    assert values.pop("idle_seconds") >= 0
    assert values.pop("backend") == 1  # The shim's limits are in force.
    limits = {"memory_soft_bytes": 4 * GIB, "memory_limit_bytes": 4 * GIB, "memory_hard_bytes": 4 * GIB, "share_asked": 0.5}
    zeros = ["memory_bytes", "memory_held_bytes", "memory_drift_bytes", "memory_driver_bytes", "share_received", "gpu_seconds_total",
             "throttled_seconds_total", "launches_total", "memory_refusals_total", "unknown_symbols_total", "processes",
             "reaped_total"]
    assert values == limits | dict.fromkeys(zeros, 0)
    page = agent.page()
    for name in {key for key, _ in agent.metrics()}:
        assert f"# HELP {name} " in page and f"# TYPE {name} " in page
    # A slice made while the agent runs appears without a restart.
    node.create("b", 10, "1GiB")
    wait_until(lambda: 'slice="b"' in agent.page(), what="slice b on the page")


def test_metrics_follow_what_programs_do(node):
    node.create("a", 100, "1GiB")
    agent = node.agent()
    tenant = node.tenant("a")
    assert tenant.ask("context") == "0"
    assert tenant.alloc(GIB) is None
    assert int(tenant.ask("launch", "spin_1ms", 99)) > 95e6
    assert int(tenant.ask("launch", "spin_1ms", 1)) > 0  # What a launch took is read at the next.
    wait_until(lambda: agent.of("brim_slice_launches_total", "a") == 100, what="100 launches")
    assert agent.of("brim_slice_memory_refusals_total", "a") == 1
    assert agent.of("brim_slice_processes", "a") == 1
    wait_until(lambda: 0.08 <= agent.of("brim_slice_gpu_seconds_total", "a") <= 0.12, what="0.1 s of GPU time")
    wait_until(lambda: agent.of("brim_slice_memory_drift_bytes", "a") == 0, what="no drift against NVML")


def test_soft_memory_is_lent_and_stays_exact(node):
    """Two slices may borrow what the card has left; what one gives back the other gets; never more than the card."""
    node.create("a", 50, "12GiB", "--soft-memory", "4GiB")
    node.create("b", 50, "12GiB", "--soft-memory", "4GiB")
    a, b = node.tenant("a"), node.tenant("b")
    for tenant in (a, b):
        assert tenant.ask("context") == "0"
    # Without an agent nothing is lent: the guaranteed part is there, and a little more is refused.
    first = a.alloc(4 * GIB - CONTEXT)
    assert first is not None and a.alloc(MIB) is None
    node.agent()
    second = wait_until(lambda: a.alloc(6 * GIB), what="a loan of 6 GiB")
    # b has its guaranteed 4 GiB although a holds 10 of 16, and can borrow the last 2.
    assert b.alloc(4 * GIB - CONTEXT) is not None
    assert wait_until(lambda: b.alloc(2 * GIB), what="a loan of the rest") is not None
    assert b.alloc(MIB) is None and a.alloc(MIB) is None
    assert node.held("a") + node.held("b") == 16 * GIB == sum(node.truth().values())
    assert a.ask("free", second) == "0"
    assert wait_until(lambda: b.alloc(5 * GIB), what="what was given back") is not None
    assert b.alloc(2 * GIB) is None  # Over its own hard limit.
    assert node.held("b") <= 12 * GIB


def test_the_folder_may_be_on_a_disk(node, tmp_path):
    """Then what is mapped is kept in memory, and the slices are there again after that was lost."""
    folder = tmp_path / "node"
    node.environment["BRIM_NODE_DIR"] = str(folder)
    node.create("a", 30, "4GiB", "--owner", "vision")
    memory = pathlib.Path(os.path.realpath(folder / "slices"))
    if memory.is_relative_to("/dev/shm"):
        for root, folders, files in os.walk(memory.parent, topdown=False):
            for name in files:
                os.unlink(os.path.join(root, name))
            for name in folders:
                os.rmdir(os.path.join(root, name))
        os.rmdir(memory.parent)
    assert node.slices()["a"]["owner"] == "vision"
    tenant = node.tenant("a")
    assert tenant.ask("context") == "0" and tenant.ask("total") == str(4 * GIB)
    tenant.kill()
    node.brim("slices", "remove", "a")
    if memory.is_relative_to("/dev/shm"):
        subprocess.run(["rm", "-r", str(memory.parent)], check=True)


def test_two_hundred_processes_of_one_slice(node):
    node.create("a", 100, "16GiB")
    before = node.held("a")
    script = "import ctypes;print(ctypes.CDLL('libcuda.so.1').cuInit(0));input()"
    command = node.command("run", "--slice", "a", "--", sys.executable, "-S", "-c", script)
    made = [subprocess.Popen(command, env=node.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(200)]
    try:
        assert {process.stdout.readline().strip() for process in made} == {"0"}
        assert node.slices()["a"]["processes"] == 200
    finally:
        for process in made:
            process.kill()
            process.wait()
    node.agent()
    wait_until(lambda: node.slices()["a"]["processes"] == 0, what="200 processes taken out")
    assert node.held("a") == before


def test_the_fake_is_what_runs(node):
    """Not a driver of this host by chance."""
    node.create("a", 30, "4GiB")
    said = node.brim("run", "--slice", "a", "--", sys.executable, "-c", "import os;print(os.environ['BRIM_REAL_LIBCUDA'])")
    assert said.strip() == str(FAKE / "libcuda.so.1")


FORKS = """
import ctypes, os, sys
said, tell = os.pipe()
end, hold = os.pipe()
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.close(hold)
        os.write(tell, b"%d " % ctypes.CDLL("libcuda.so.1").cuInit(0))
        os.read(end, 1)
        os._exit(0)
os.close(tell)
answers = b""
while len(answers.split()) < int(sys.argv[1]):
    answers += os.read(said, 65536)
print(*sorted(answers.split()), flush=True)
input()
"""


def test_a_program_that_forks_a_thousand_times(node):
    """Each child starts, the slice counts them, and when they end nothing of them is left."""
    node.create("a", 100, "16GiB")
    before = node.held("a")
    with subprocess.Popen(node.command("run", "--slice", "a", "--", sys.executable, "-S", "-c", FORKS, "1000"),
                          env=node.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        answers = program.stdout.readline().split()
        assert len(answers) == 1000 and set(answers) == {"b'0'"}
        assert node.slices()["a"]["processes"] == 1000
    node.agent()
    wait_until(lambda: node.slices()["a"]["processes"] == 0, what="1,000 processes taken out")
    assert node.held("a") == before


def test_shared_memory_that_is_full(node, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        node.environment["BRIM_NODE_DIR"] = str(folder)
        refused = node.brim("slices", "create", "a", "--card", "0", "--cores", "10", "--memory", "1GiB", code=1)
        assert "shared memory is full" in refused and "df /dev/shm" in refused
        assert node.slices() == {}
        subprocess.run(["mount", "-o", "remount,size=4m", str(folder)], check=True)
        node.create("a", 10, "1GiB")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
