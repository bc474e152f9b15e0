"""`brim plan` as a new user types it: the examples of each --help run as printed, in text, JSON and pictures; wrong
input is named with its file and line, on standard error alone."""
import gzip
import json
import re
import shlex
import subprocess
import xml.etree.ElementTree

import pytest

from conftest import BRIM, ROOT

EXAMPLES = ROOT / "examples/plan"


def brim(*arguments, cwd=ROOT):
    return subprocess.run([str(BRIM), "plan", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120,
                          check=False)


def subcommands():
    section = brim("--help").stdout.split("Subcommands:\n", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^  (\w+)", section, re.M)


def examples(text):
    """The indented `brim plan ...` lines of a help text as lists of words, without "brim plan"; what stands three spaces
    behind one is a remark."""
    lines = re.findall(r"^ +brim plan (.*)$", re.sub(r"\\\n *", "", text), re.M)
    return [shlex.split(line.split("   ")[0]) for line in lines]


def without_repeats(pairs):
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), f"a name is there twice: {names}"
    return dict(pairs)


SUBCOMMANDS = subcommands()


@pytest.fixture
def folder(tmp_path):
    """A place to run in that has the examples and may be written to."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def test_help_teaches():
    shown = brim("--help")
    assert shown.returncode == 0 and shown.stderr == ""
    assert SUBCOMMANDS == ["pack", "bound", "rightsize", "mix", "replay", "consolidate", "fleet"]
    assert examples(shown.stdout), "the help has no example"
    nothing = brim()
    assert nothing.returncode == 2 and nothing.stdout == "" and "Subcommands" in nothing.stderr


def test_the_helps_examples_run(folder):
    for words in examples(brim("--help").stdout):
        done = brim(*words, cwd=folder)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_examples_of_a_subcommand_run_as_printed(name, folder):
    shown = brim(name, "--help")
    assert shown.returncode == 0 and shown.stderr == ""
    commands = [words for words in examples(shown.stdout) if words[0] == name]
    assert commands, f"`brim plan {name} --help` has no example"
    for words in commands:
        done = brim(*words, cwd=folder)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        assert done.stdout.startswith(("brim plan " + name, "{"))


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_json_and_picture(name, folder):
    words = next(words for words in examples(brim(name, "--help").stdout) if words[0] == name)
    words = [word for word in words if word != "--json"]
    if "--svg" in words:
        at = words.index("--svg")
        del words[at:at + 2]
    runs = [brim(*words, "--json", "--svg", "picture.svg", "--seed", "7", cwd=folder) for _ in range(2)]
    assert runs[0].returncode == 0, runs[0].stderr
    result = json.loads(runs[0].stdout, object_pairs_hook=without_repeats, parse_constant=pytest.fail)
    assert result["command"] == f"brim plan {name}" and isinstance(result["units"], dict)
    assert runs[0].stdout == runs[1].stdout, "the same seed printed something else"
    picture = xml.etree.ElementTree.parse(folder / "picture.svg").getroot()
    assert picture.tag == "{http://www.w3.org/2000/svg}svg" and len(picture) > 3
    assert [path.name for path in folder.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_wrong_flags(name):
    done = brim(name, "--jsno")
    assert done.returncode == 2 and done.stdout == ""
    assert f"brim plan {name}: " in done.stderr and "did you mean '--json'?" in done.stderr
    assert f"Type `brim plan {name} --help`" in done.stderr


def test_unknown_subcommand():
    done = brim("pakc")
    assert done.returncode == 2 and done.stdout == "" and "did you mean 'pack'?" in done.stderr


HEAD = "name,cpu_milli,memory_mib,cards,card_milli\n"
WRONG_PODS = {
    "unknown column": ("name,cpu_mili,memory_mib,cards\na,1,1,0\n", ":1: unknown column 'cpu_mili': did you mean"),
    "missing column": ("name,memory_mib,cards\na,1,0\n", ":1: there is no column 'cpu_milli', expected at least"),
    "negative": (HEAD + "a,1,1,0,\nb,-1,1,0,\n", ":3: cpu_milli is '-1', expected a whole number from 0"),
    "no number": (HEAD + "a,4 cores,1,0,\n", ":2: cpu_milli is '4 cores', expected a whole number"),
    "share of several": (HEAD + "a,1,1,2,460\n", ":2: cards is 2 and card_milli 460, expected card_milli 1000"),
    "share above one": (HEAD + "a,1,1,1,1460\n", ":2: card_milli is '1460', expected a whole number from 0 to 1000"),
    "twice": (HEAD + "a,1,1,0,\na,1,1,0,\n", ":3: the pod 'a' is in line 2 already, expected every name once"),
    "empty": ("", ":1: the file is empty, expected a first line that names the columns"),
    "no rows": (HEAD, ":2: there are no pods, expected at least one row"),
    "open quote": (HEAD + 'a,1,1,0,\n"b,1,1,0,\n', ":3: a quote is not closed before the end of the file"),
    "json": ('{"pods": [\n{"name": "a", "cpu_milli": 1}]}', ":2: memory_mib is missing, expected a whole number"),
    "broken json": ('{"pods": [{"name": ', "is no valid JSON"),
}


@pytest.mark.parametrize("what", WRONG_PODS)
def test_wrong_pods_are_named(what, tmp_path):
    text, message = WRONG_PODS[what]
    pods = tmp_path / "pods.csv"
    pods.write_text(text)
    done = brim("pack", "--nodes", EXAMPLES / "nodes.csv", "--pods", pods)
    assert done.returncode == 1 and done.stdout == ""
    assert str(pods) in done.stderr and message in done.stderr


def test_truncated_gzip_and_missing_file(tmp_path):
    packed = tmp_path / "pods.csv.gz"
    packed.write_bytes(gzip.compress((EXAMPLES / "pods.csv").read_bytes())[:-9])
    done = brim("pack", "--nodes", EXAMPLES / "nodes.csv", "--pods", packed)
    assert done.returncode == 1 and done.stdout == "" and "truncated" in done.stderr
    done = brim("pack", "--nodes", EXAMPLES / "nodes.csv", "--pods", tmp_path / "none.csv")
    assert done.returncode == 1 and done.stdout == "" and "none.csv: there is no such file" in done.stderr


def test_forms_of_one_file_give_one_plan(tmp_path):
    plain = (EXAMPLES / "pods.csv").read_text()
    (tmp_path / "plain").write_text(plain)
    (tmp_path / "crlf").write_bytes(b"\xef\xbb\xbf" + plain.replace("\n", "\r\n").encode())
    (tmp_path / "gzip").write_bytes(gzip.compress(plain.encode()))
    plans = [brim("pack", "--nodes", EXAMPLES / "nodes.csv", "--pods", tmp_path / form, "--json")
             for form in ("plain", "crlf", "gzip")]
    assert plans[0].returncode == 0, plans[0].stderr
    assert json.loads(plans[0].stdout) == json.loads(plans[1].stdout) == json.loads(plans[2].stdout)


def test_a_pod_larger_than_every_node_is_refused_and_listed():
    done = brim("pack", "--nodes", EXAMPLES / "nodes.csv", "--pods", EXAMPLES / "pods.csv")
    assert done.returncode == 0 and "lab-giant-1" in done.stdout


def test_a_picture_that_cannot_be_written_prints_nothing(tmp_path):
    done = brim("pack", "--nodes", EXAMPLES / "nodes.csv", "--pods", EXAMPLES / "pods.csv", "--svg", tmp_path / "no/a.svg")
    assert done.returncode == 1 and done.stdout == "" and "no/a.svg" in done.stderr
