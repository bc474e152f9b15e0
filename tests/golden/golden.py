#!/usr/bin/env python3
"""Compares what commands print with golden files, which hold both: input and expected in one readable file.

A file is any number of turns. Each begins with `$ brim ...`, run in the repository's root, and goes on with what that
printed. A command that fails adds its standard error in lines that begin with "! ", and "[exit 1]"; that of one that
succeeds is progress, which depends on the machine, and is left out.

Usage: golden.py --brim build/dev/bin/brim tests/golden/plan. UPDATE_GOLDEN=1 rewrites the files instead: read the diff.
"""
import argparse
import difflib
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS_MAX = 120


def run(brim, command):
    words = shlex.split(command)
    if words[:1] != ["brim"]:
        raise SystemExit(f"{command}: a turn runs brim")
    done = subprocess.run([brim, *words[1:]], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    out = done.stdout
    if done.returncode != 0:
        out += "".join(f"! {line}\n" for line in done.stderr.splitlines()) + f"[exit {done.returncode}]\n"
    return out


def without_golden(brim, files):
    """The subcommands that `brim plan --help` lists and no file runs."""
    text = subprocess.run([brim, "plan", "--help"], capture_output=True, text=True, check=True).stdout
    section = text.split("Subcommands:\n", 1)[1].split("\n\n", 1)[0]
    listed = re.findall(r"^  (\w+)", section, re.M)
    everything = "".join(file.read_text() for file in files)
    return [name for name in listed if f"$ brim plan {name} " not in everything]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brim", required=True)
    parser.add_argument("folder", type=pathlib.Path)
    arguments = parser.parse_args()
    brim = str(pathlib.Path(arguments.brim).resolve())
    files = sorted(arguments.folder.glob("*.txt"))
    failed = turns = 0
    for file in files:
        expected = file.read_text()
        actual = ""
        for command in re.findall(r"^\$ (.*)\n", expected, re.M):
            actual += f"$ {command}\n{run(brim, command)}"
            turns += 1
        if actual == expected:
            continue
        if os.environ.get("UPDATE_GOLDEN") == "1":
            file.write_text(actual)
            print(f"{file.name}: rewritten")
            continue
        failed += 1
        sys.stdout.writelines(difflib.unified_diff(expected.splitlines(True), actual.splitlines(True),
                                                   f"{file.name} (expected)", f"{file.name} (printed)"))
    for name in without_golden(brim, files):
        failed += 1
        print(f"no golden file runs `brim plan {name}`: write its command into {arguments.folder}/{name}.txt as a line "
              "`$ brim plan ...`, then UPDATE_GOLDEN=1 fills in the rest")
    print(f"{len(files)} files, {turns} commands, {failed} failed")
    return 1 if failed or not turns else 0


if __name__ == "__main__":
    sys.exit(main())
