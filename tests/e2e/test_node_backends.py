"""Backends of slices on a fake card whose driver limits memory by control group: what is offered and why not, the choice,
the border that holds a program that goes round the shim, and everything that happens to a slice in between.

Each test of the native limit runs on a real tree of cgroup v2, where one can be written, and on a folder that stands in for
it (tests/fakes/libcuda/README.md)."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

from conftest import wait_until
from slice_node import FAKE, GIB, MIB, Node, wait_held

HERE = pathlib.Path(__file__).resolve().parent
MPS = HERE.parent / "fakes/mps"
CONTEXT = 256 * MIB  # The fake card's.

# A tenant that asks the vendor's library itself, by its path: no shim is between it and the card.
BYPASS = f"""
import os, sys
sys.path.insert(0, {str(HERE)!r})
import slice_tenant
slice_tenant.Driver.__init__.__defaults__ = (os.environ["BRIM_REAL_LIBCUDA"],)
slice_tenant.main()
"""


def cgroup_mount():
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        if kind == "cgroup2":
            return point
    return None


def remove_tree(root):
    """Groups go from the leaves up, once their processes have ended."""
    for folder, _, _ in os.walk(root, topdown=False):
        for _ in range(100):
            try:
                os.rmdir(folder)
                break
            except OSError:
                time.sleep(0.05)


class Host(Node):
    def __init__(self, kind, **settings):
        super().__init__(**settings)
        self.kind = kind
        if kind == "cgroup":
            mount = cgroup_mount()
            try:
                self.root = tempfile.mkdtemp(prefix="brim-e2e-", dir=mount) if mount else None
            except OSError:
                self.root = None
            if self.root is None:
                shutil.rmtree(self.folder)
                pytest.skip("this host's control groups cannot be written")
        else:
            self.root = str(self.folder / "groups")
            os.mkdir(self.root)
        self.environment |= {"BRIM_CGROUP_ROOT": self.root, "FAKE_CUDA_MEMORY_LIMITS": "on"}
        self.bypass = self.folder / "bypass.py"
        self.bypass.write_text(BYPASS)

    def groups(self):
        """Names of slices that have a control group."""
        return sorted(path.name.removeprefix("slice-") for path in pathlib.Path(self.root).glob("brim-node-*/slice-*"))

    def folders(self):
        return [path.name for path in pathlib.Path(self.root).iterdir() if path.is_dir()]

    def group(self, name):
        return next(pathlib.Path(self.root).glob(f"brim-node-*/slice-{name}"))

    def lose(self, name):
        """As a restart of the host does."""
        folder = self.group(name).parent
        if self.kind == "cgroup":
            remove_tree(folder)
        else:
            shutil.rmtree(folder)

    def show(self, name):
        return json.loads(self.brim("slices", "show", name, "--json"))

    def bypasser(self, name):
        return self.tenant(name, script=self.bypass)

    def finish(self):
        super().finish()
        if self.kind == "cgroup":
            remove_tree(self.root)


@pytest.fixture(params=["cgroup", "folder"])
def host(request):
    made = Host(request.param)
    yield made
    made.finish()


@pytest.fixture
def plain():
    """Without a word of native limits."""
    made = Node()
    yield made
    made.finish()


def backends(node, **more):
    report = json.loads(node.brim("doctor", "--json", environment=more))
    return {row["backend"]: row for row in report["backends"]}


def test_doctor_tells_each_backend_with_its_reason(host):
    found = backends(host)
    assert [found[name]["works"] for name in ("shim", "native")] == [True, True]
    assert found["native"]["holds"] == "memory" and "trial" in found["native"]["reason"]
    assert not found["mps"]["works"] and "nvidia-cuda-mps-control" in found["mps"]["reason"]
    text = host.brim("doctor")
    assert "native" in text and "trial control group" in text
    assert host.folders() == []  # Nothing is left of the trial.
    for mode, says in (("denied", "run as root"), ("off", "does not support")):
        native = backends(host, FAKE_CUDA_MEMORY_LIMITS=mode)["native"]
        assert not native["works"] and says in native["reason"]
    native = backends(host, BRIM_CGROUP_ROOT="/nowhere")["native"]
    assert not native["works"] and "/nowhere" in native["reason"] and "BRIM_CGROUP_ROOT" in native["reason"]


def test_the_choice(host):
    assert "memory by native" in host.create("a", 10, "1GiB")
    assert "memory by shim" in host.create("b", 10, "1GiB", "--memory-backend", "shim")
    assert "memory by native" in host.create("c", 10, "1GiB", "--memory-backend", "native")
    off = {"FAKE_CUDA_MEMORY_LIMITS": "off"}
    said = host.brim("slices", "create", "d", "--cores", 10, "--memory", "1GiB", environment=off)
    assert "memory by shim" in said
    assert host.groups() == ["a", "c"]
    assert [host.show(name)["memory_backend"] for name in "abcd"] == ["native", "shim", "native", "shim"]
    for mode, says in (("off", "does not support"), ("denied", "run as root")):
        said = host.brim("slices", "create", "e", "--cores", 10, "--memory", "1GiB", "--memory-backend", "native", code=1,
                         environment={"FAKE_CUDA_MEMORY_LIMITS": mode})
        assert says in said and "--memory-backend shim" in said and "brim node doctor" in said
    said = host.brim("slices", "create", "e", "--cores", 10, "--memory", "1GiB", "--cores-backend", "mps", code=1)
    assert "nvidia-cuda-mps-control" in said and "--cores-backend shim" in said
    for option in ("--memory-backend mps", "--cores-backend native"):
        said = host.brim("slices", "create", "e", "--cores", 10, "--memory", "1GiB", *option.split(), code=2)
        assert option.split()[0] in said and "slices create --help" in said
    # A backend is for good: programs that run are in no group.
    host.brim("slices", "resize", "a", "--memory-backend", "shim", code=2)
    assert sorted(host.slices()) == ["a", "b", "c", "d"]


def test_the_border_holds_who_goes_round_the_shim(host):
    host.create("a", 30, "2GiB")
    rogue = host.bypasser("a")
    assert rogue.ask("context") == "0"
    assert rogue.ask("total") == str(16 * GIB)  # It sees the whole card,
    first = rogue.alloc(2 * GIB - CONTEXT)
    assert first is not None
    assert rogue.alloc(512) is None  # and not a byte more than the slice's memory is given to it,
    other = host.bypasser("a")
    assert other.ask("context") == "2"  # nor to another process of the slice.
    assert rogue.ask("free", first) == "0"
    assert other.ask("context") == "0"
    assert other.alloc(2 * GIB - 2 * CONTEXT) is not None and rogue.alloc(512) is None
    assert sum(host.truth().values()) == 2 * GIB
    # A neighbour beside it has all that it was promised.
    host.create("b", 30, "14GiB")
    good = host.tenant("b")
    assert good.ask("context") == "0" and good.alloc(14 * GIB - CONTEXT) is not None and good.alloc(1) is None


def test_without_the_native_limit_it_is_not_held(host):
    """What the border is for: the same program in a slice of the shim takes the card."""
    host.create("a", 30, "2GiB", "--memory-backend", "shim")
    rogue = host.bypasser("a")
    assert rogue.ask("context") == "0" and rogue.alloc(10 * GIB) is not None


def test_the_shim_still_gives_the_tenants_view(host):
    host.create("a", 30, "4GiB", "--soft-memory", "2GiB")
    tenant = host.tenant("a")
    assert tenant.ask("context") == "0" and tenant.ask("total") == str(4 * GIB)
    assert tenant.alloc(GIB) is not None
    assert host.held("a") == GIB + CONTEXT and host.classes("a")["buffer"] == GIB
    assert tenant.alloc(GIB) is None  # Without an agent nothing is lent.
    assert host.show("a")["driver_used"] == GIB + CONTEXT
    host.agent()
    assert wait_until(lambda: tenant.alloc(GIB), what="a loan") is not None


def test_resize_is_live_for_who_goes_round_the_shim(host):
    host.create("a", 30, "2GiB")
    rogue = host.bypasser("a")
    assert rogue.ask("context") == "0" and rogue.alloc(2 * GIB) is None
    host.brim("slices", "resize", "a", "--memory", "4GiB")
    at = rogue.alloc(3 * GIB)
    assert at is not None and rogue.alloc(GIB) is None
    host.brim("slices", "resize", "a", "--memory", "1GiB")
    assert rogue.alloc(512) is None and rogue.ask("free", at) == "0"
    assert rogue.alloc(GIB - CONTEXT) is not None and rogue.alloc(512) is None
    denied = {"FAKE_CUDA_MEMORY_LIMITS": "denied"}
    assert "run as root" in host.brim("slices", "resize", "a", "--memory", "8GiB", code=1, environment=denied)
    assert host.slices()["a"]["hard_limit"] == 1024 and rogue.alloc(512) is None


def test_remove_takes_the_limit_back_and_nobody_is_set_free(host):
    host.create("a", 30, "2GiB")
    rogue = host.bypasser("a")
    assert rogue.ask("context") == "0"
    # It is in no cell of the shim, and the slice is in use all the same.
    assert host.slices()["a"]["processes"] == 0
    assert "1 process is in slice 'a'" in host.brim("slices", "remove", "a", code=1)
    assert host.groups() == ["a"] and rogue.alloc(2 * GIB) is None
    rogue.kill()
    host.brim("slices", "remove", "a")
    assert host.groups() == [] and host.folders() == []


def backend_metric(agent, name):
    found = [(dict(labels), value) for (family, labels), value in agent.metrics().items()
             if family == "brim_slice_backend" and ("slice", name) in labels]
    assert len(found) == 1
    return found[0]


def test_the_agent_counts_with_the_driver_and_its_restart_changes_nothing(host):
    host.create("a", 30, "4GiB", "--owner", "vision")
    host.create("b", 30, "4GiB", "--memory-backend", "shim")
    agent = host.agent()
    rogue, tenant = host.bypasser("a"), host.tenant("a")
    assert rogue.ask("context") == "0" and tenant.ask("context") == "0"
    assert rogue.alloc(GIB) is not None and tenant.alloc(MIB) is not None
    for _ in range(2):
        labels, value = backend_metric(agent, "a")
        assert (labels["memory"], labels["cores"], labels["owner"], value) == ("native", "shim", "vision", 1)
        assert backend_metric(agent, "b")[0]["memory"] == "shim"
        wait_until(lambda a=agent: a.of("brim_slice_memory_driver_bytes", "a") == GIB + MIB + 2 * CONTEXT,
                   what="the driver's count")
        assert agent.of("brim_slice_memory_held_bytes", "a") == MIB + CONTEXT
        assert agent.of("brim_slice_memory_drift_bytes", "a") == GIB + CONTEXT  # Who goes round the shim shows.
        assert agent.of("brim_slice_memory_driver_bytes", "b") == 0
        agent.kill()
        agent = host.agent()
    assert rogue.alloc(3 * GIB) is None
    rogue.kill()
    tenant.kill()
    wait_until(lambda: agent.of("brim_slice_memory_driver_bytes", "a") == 0, what="nothing in use")


def test_a_limit_that_is_gone_is_put_back(host):
    """As after a restart of the host: the state is there, the groups are not."""
    host.create("a", 30, "2GiB")
    host.lose("a")
    assert "not in force" in host.brim("slices", "show", "a")
    denied = {"FAKE_CUDA_MEMORY_LIMITS": "denied"}
    said = host.brim("run", "--slice", "a", "--", "true", code=1, environment=denied)
    assert "run as root" in said and host.groups() == []  # Never outside its limit.
    rogue = host.bypasser("a")
    assert rogue.ask("context") == "0" and rogue.alloc(2 * GIB) is None
    rogue.kill()
    host.lose("a")
    agent = host.agent()
    wait_until(lambda: host.groups() == ["a"], what="the agent puts it back")
    assert backend_metric(agent, "a")[1] == 1
    assert "driver_used" in host.show("a")


def test_what_a_killed_command_left_is_swept(host):
    host.create("a", 30, "2GiB")
    state = host.folder / "node/state"
    kept = state.read_text()
    host.create("b", 30, "2GiB")
    state.write_text(kept)  # As if `create` had been killed before it wrote.
    assert host.groups() == ["a", "b"]
    host.agent()
    assert host.groups() == ["a"]


def test_states_of_older_versions_are_read(host):
    host.create("a", 30, "2GiB", "--owner", "who = me")
    state = host.folder / "node/state"
    text = re.sub(r" memory_by=\w+ cores_by=\w+", "", state.read_text())
    assert "memory_by" not in text
    state.write_text(text)
    assert host.show("a")["memory_backend"] == "shim" and host.slices()["a"]["owner"] == "who = me"


def test_children_are_in_the_limit(host):
    host.create("a", 30, "2GiB")
    script = ("import subprocess,sys;p=subprocess.run([sys.executable," + repr(str(host.bypass)) +
              "],input='context\\nalloc 2147483648\\n',text=True,capture_output=True);print(p.stdout.split())")
    said = host.brim("run", "--slice", "a", "--", sys.executable, "-c", script)
    assert said.strip() == "['0', '0', '2']"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_another_user_than_root_cannot_leave_the_group():
    host = Host("cgroup")
    try:
        host.create("a", 30, "2GiB")
        host.truth()  # Makes the fake card.
        host.folder.chmod(0o755)
        (host.folder / "fake").chmod(0o666)
        leave = ("import os,sys\ntry:\n open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
                 "except PermissionError:\n print('stays', open('/proc/self/cgroup').read().split('0::')[1].strip())")
        words = ["run", "--slice", "a", "--", "setpriv", "--reuid", "65534", "--clear-groups", sys.executable]
        said = host.brim(*words, "-c", leave, host.root).split()
        assert said[0] == "stays" and said[1].endswith("/slice-a")
        work = "context\nalloc 2147483648\nalloc 1073741824\ninfo\n"
        done = subprocess.run(host.command(*words, HERE / "slice_tenant.py"), env=host.environment, input=work, text=True,
                              capture_output=True, check=True)
        answers = done.stdout.split("\n")
        assert answers[:3] == ["0", "0", "2"] and answers[3].startswith("0 ") and answers[4].endswith(str(2 * GIB))
    finally:
        host.finish()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_who_may_not_make_groups_is_told_what_to_do():
    made = Host("folder")
    try:
        shutil.chown(made.folder, 65534)
        run = dict(env=made.environment, capture_output=True, text=True, user=65534, group=65534, extra_groups=[], check=False)
        done = subprocess.run(made.command("slices", "create", "a", "--cores", "10", "--memory", "1GiB", "--memory-backend",
                                           "native"), **run)
        assert done.returncode == 1 and "run as root" in done.stderr and "--memory-backend shim" in done.stderr
        done = subprocess.run(made.command("slices", "create", "a", "--cores", "10", "--memory", "1GiB"), **run)
        assert done.returncode == 0 and "memory by shim" in done.stdout
    finally:
        made.finish()


class Mps:
    """The fake control program, in PATH, and its daemon."""

    def __init__(self, node):
        self.node = node
        node.environment["PATH"] = f"{MPS}:{node.environment['PATH']}"
        node.environment["CUDA_MPS_PIPE_DIRECTORY"] = str(node.folder / "mps")

    def say(self, line):
        return subprocess.run(["nvidia-cuda-mps-control"], env=self.node.environment, input=line + "\n", text=True,
                              check=False, capture_output=True).returncode

    def start(self):
        subprocess.run(["nvidia-cuda-mps-control", "-d"], env=self.node.environment, check=True)

    def stop(self):
        assert self.say("quit") == 0


def test_mps_gives_a_part_of_the_card_to_each_process(plain):
    mps = Mps(plain)
    found = backends(plain)["mps"]
    assert not found["works"] and "nvidia-cuda-mps-control -d" in found["reason"]
    create = ("slices", "create", "a", "--cores", 30, "--memory", "2GiB", "--cores-backend", "mps")
    assert "nvidia-cuda-mps-control -d" in plain.brim(*create, code=1)
    mps.start()
    try:
        assert backends(plain)["mps"]["works"]
        assert "cores by mps" in plain.brim(*create)
        assert "cores by shim" in plain.create("b", 30, "1GiB")  # Never by itself.
        variables = "['CUDA_MPS_ACTIVE_THREAD_PERCENTAGE','CUDA_MPS_PINNED_DEVICE_MEM_LIMIT','CUDA_MPS_PIPE_DIRECTORY']"
        look = [sys.executable, "-c", f"import os;print([os.environ.get(v) for v in {variables}])"]
        assert plain.brim("run", "--slice", "a", "--", *look).strip() == str(["30", "0=2048M", str(plain.folder / "mps")])
        plain.brim("slices", "resize", "a", "--cores", 40, "--memory", "3GiB")
        assert "'40', '0=3072M'" in plain.brim("run", "--slice", "a", "--", *look)
        # The shim counts and does not wait: the card is another's to share out.
        agent, tenant, neighbour = plain.agent(), plain.tenant("a"), plain.tenant("b")
        assert tenant.ask("context") == "0" and neighbour.ask("context") == "0"
        neighbour.send("launch", "spin_1ms", 100)
        assert int(tenant.ask("launch", "spin_1ms", 100)) > 0 and int(neighbour.read()) > 0
        assert int(tenant.ask("launch", "spin_1ms", 1)) > 0
        wait_until(lambda: agent.of("brim_slice_launches_total", "a") == 101, what="101 launches")
        assert agent.of("brim_slice_throttled_seconds_total", "a") == 0
        wait_until(lambda: 0.05 < agent.of("brim_slice_gpu_seconds_total", "a") < 0.5, what="what the launches took")
        assert backend_metric(agent, "a")[0]["cores"] == "mps"
        tenant.kill()
        neighbour.kill()
    finally:
        mps.stop()
    # A client that finds no daemon would have the whole card.
    said = plain.brim("run", "--slice", "a", "--", "true", code=1)
    assert "no control daemon" in said and "nvidia-cuda-mps-control -d" in said
    wait_held(plain, "a", 0)
    plain.brim("slices", "remove", "a")
