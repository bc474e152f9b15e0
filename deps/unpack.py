#!/usr/bin/env python3
"""Copies chosen members of a wheel or source archive into a directory.

  unpack.py ARCHIVE DEST RULE...

A RULE is FROM=TO: FROM is a shell pattern over member names (`*` also matches `/`; for a source
archive the leading `name-version/` is left out). If TO ends in `/`, the part of the member's name
after FROM's last `/` that stands before its first wildcard is kept below TO; otherwise TO is the
file's name. A rule `!FROM` drops what it matches; the first rule that matches a member decides.
A rule that matches nothing is an error: the archive is not the one the rules were written for.

`--headers=ROOT:HEADER,...` adds, below DEST/include, the headers named and whatever they include,
found below ROOT in the archive.
"""

import fnmatch
import os
import posixpath
import re
import sys
import tarfile
import zipfile


class Wheel:
    def __init__(self, path):
        self.archive = zipfile.ZipFile(path)
        self.names = [n for n in self.archive.namelist() if not n.endswith("/")]

    def open(self, name):
        return self.archive.open(name)


class SourceArchive:
    def __init__(self, path):
        self.archive = tarfile.open(path)
        self.members = {
            m.name.split("/", 1)[1]: m
            for m in self.archive.getmembers()
            if m.isfile() and "/" in m.name
        }
        self.names = list(self.members)

    def open(self, name):
        return self.archive.extractfile(self.members[name])


def target_of(name, pattern, to):
    if not to.endswith("/"):
        return to
    fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    return to + name[fixed.rfind("/") + 1 :]


def write(archive, name, dest, relative):
    relative = posixpath.normpath(relative)
    if relative.startswith(("/", "..")):
        sys.exit(f"unpack: {name} would land outside {dest}")
    path = os.path.join(dest, relative)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with archive.open(name) as source, open(path, "wb") as sink:
        while chunk := source.read(1 << 20):
            sink.write(chunk)


def header_closure(archive, root, wanted):
    include = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
    have = set(archive.names)
    found, waiting = set(), list(wanted)
    while waiting:
        header = waiting.pop()
        if header in found:
            continue
        if f"{root}/{header}" not in have:
            if header in wanted:
                sys.exit(f"unpack: no header {header} below {root}")
            continue  # A system header, or one behind an #ifdef that does not concern us.
        found.add(header)
        with archive.open(f"{root}/{header}") as file:
            waiting += [m.decode() for m in include.findall(file.read())]
    return sorted(found)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    path, dest, *rules = sys.argv[1:]
    archive = Wheel(path) if path.endswith((".whl", ".zip")) else SourceArchive(path)

    copies, headers = [], []
    for rule in rules:
        if rule.startswith("--headers="):
            root, _, wanted = rule[len("--headers=") :].partition(":")
            headers.append((root, wanted.split(",")))
        elif rule.startswith("!"):
            copies.append((rule[1:], None))
        else:
            pattern, _, to = rule.partition("=")
            copies.append((pattern, to))

    used = set()
    for name in archive.names:
        for pattern, to in copies:
            if fnmatch.fnmatchcase(name, pattern):
                used.add(pattern)
                if to is not None:
                    write(archive, name, dest, target_of(name, pattern, to))
                break
    unused = [pattern for pattern, _ in copies if pattern not in used]
    if unused:
        sys.exit(f"unpack: nothing in {os.path.basename(path)} matches {', '.join(unused)}")

    for root, wanted in headers:
        for header in header_closure(archive, root, wanted):
            write(archive, f"{root}/{header}", dest, f"include/{header}")


if __name__ == "__main__":
    main()
