#!/usr/bin/env python3
"""Checks the house rules that a compiler does not: sizes, names, layers, header comments.

Usage: tidy.py [--root DIR]. Prints `path:line: rule: what to do` per finding; exits 1 if there is any.
The module table is read from the DEPS of each src/*/CMakeLists.txt, the same that the linker enforces.
"""
import argparse
import pathlib
import re
import subprocess
import sys

LINES_MAX = 600
COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
README_LINES_MAX = 40

FORBIDDEN = [
    (re.compile(r"\bstd::(format|expected|source_location)\b"), "Clang 14 cannot parse it; use fmt or Result"),
    (re.compile(r"#include <(format|expected|source_location|ranges|coroutine)>"), "not available to every compiler used"),
    (re.compile(r"\bco_(await|return|yield)\b"), "coroutines are miscompiled by GCC 12.2"),
    (re.compile(r"\b(class|struct) \w*(Utils?|Helpers?|Common|Manager)\b"), "name what it is"),
    (re.compile(r"\b(TODO|FIXME|XXX)\b"), "do it now or leave it out"),
    (re.compile(r"^\s*using namespace (?!.*literals)"), "name what you use"),
]
TEST_FORBIDDEN = [
    (re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\b"), "a test never sleeps"),
]


def tracked(root):
    try:
        out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=root,
                             check=True, capture_output=True, text=True).stdout.split("\n")
        return [root / line for line in out if line and (root / line).is_file()]
    except (subprocess.CalledProcessError, FileNotFoundError):
        skip = {"build", ".deps", ".git"}
        return [p for p in root.rglob("*") if p.is_file() and not skip & set(p.relative_to(root).parts)]


def module_table(root):
    """{module: set of modules it may include}, itself included."""
    table = {}
    for file in sorted(root.glob("src/**/CMakeLists.txt")):
        text = re.sub(r"#.*", "", file.read_text())
        for name, body in re.findall(r"brim_module\(([\w/]+)(.*?)\)", text, re.S):
            deps = re.search(r"\bDEPS\b([\w/\s]*?)(?=\b(?:LIBS|TESTS|TEST_LIBS|FUZZERS|SOURCES|HEADERS)\b|$)", body)
            table[name] = set(deps.group(1).split() if deps else []) | {name}
    return table


def module_of(parts, table):
    """The module whose folder these path parts lie in, the innermost; None if there is none."""
    for length in range(len(parts) - 1, 0, -1):
        if "/".join(parts[:length]) in table:
            return "/".join(parts[:length])
    return None


def strip(line):
    """Without string literals and comments, so that braces can be counted."""
    line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
    line = re.sub(r"'(\\.|[^'\\])'", "''", line)
    return re.sub(r"//.*", "", line)


def function_lengths(lines):
    """(first line, length) of each brace block that follows a parameter list at namespace or class level."""
    depth_open = []
    raw = False
    for number, original in enumerate(lines, 1):
        if 'R"' in original and ')"' not in original.split('R"', 1)[1]:
            raw = True
        if raw:
            raw = not re.search(r'\)\w*"', original) or 'R"' in original
            continue
        line = strip(original)
        before = " ".join(strip(text) for text in lines[max(0, number - 4):number - 1]) + line
        for at, char in enumerate(line):
            if char == "{":
                head = before[:len(before) - len(line) + at].rstrip()
                is_scope = re.search(r"\b(namespace|class|struct|enum|union|extern)\b[^;{})]*$", head) is not None
                is_function = not is_scope and re.search(
                    r"\)\s*(const|noexcept|override|final|BRIM_\w+\([^)]*\)|->\s*[\w:<>*&\s]+|\s)*$|\)\s*:\s*.*$", head)
                inside = any(kind == "function" for kind, _ in depth_open)
                depth_open.append(("function" if is_function and not inside else "scope" if is_scope else "block", number))
            elif char == "}" and depth_open:
                kind, start = depth_open.pop()
                if kind == "function":
                    yield start, number - start + 1


def check_source(path, relative, table, findings):
    text = path.read_text()
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    test = bool(re.search(r"(_test|_fuzz|_bench)\.cc$", path.name))
    if len(lines) > LINES_MAX and not test:
        findings.append(f"{relative}:1: file-size: {len(lines)} lines, at most {LINES_MAX}: split it")
    is_header = path.suffix == ".h"
    if is_header and not (lines and lines[0].startswith(("//", "/*"))):
        findings.append(f"{relative}:1: header-comment: say in the first lines what this is and its thread rule")
    if is_header and "#pragma once" not in text:
        findings.append(f"{relative}:1: pragma-once: missing")
    module = module_of(relative.parts[1:], table) if relative.parts[0] == "src" else None
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX and "http" not in line and "#include" not in line:
            findings.append(f"{relative}:{number}: line-length: {len(line)} columns, at most {COLUMNS_MAX}")
        for pattern, why in FORBIDDEN + (TEST_FORBIDDEN if test else []):
            if pattern.search(line):
                findings.append(f"{relative}:{number}: forbidden: {pattern.search(line).group(0).strip()}: {why}")
        include = re.match(r'#include "([\w./]+)"', line)
        included = module_of(include.group(1).split("/"), table) if include else None
        if module and included and included not in table[module]:
            findings.append(f"{relative}:{number}: layering: {module} may not include {included}")
        if re.search(r"catch \(\.\.\.\)", line) and "runtimes" not in relative.parts:
            findings.append(f"{relative}:{number}: catch-all: name the exception; only runtime plugins may catch all")
    if not test:
        for start, length in function_lengths(lines):
            if length > FUNCTION_LINES_MAX:
                findings.append(f"{relative}:{start}: function-size: {length} lines, at most {FUNCTION_LINES_MAX}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=str(pathlib.Path(__file__).resolve().parents[2]))
    root = pathlib.Path(parser.parse_args().root)
    table = module_table(root)
    findings = []
    checked = 0
    for path in tracked(root):
        relative = path.relative_to(root)
        if path.suffix in {".cc", ".h"} and relative.parts[0] in {"src", "bench", "tests", "cmake"}:
            checked += 1
            check_source(path, relative, table, findings)
        if relative.parts[0] == "src" and path.name == "README.md":
            count = len(path.read_text().splitlines())
            if count > README_LINES_MAX:
                findings.append(f"{relative}:1: readme-size: {count} lines, at most {README_LINES_MAX}")
    for module in table:
        if not (root / "src" / module / "README.md").exists():
            findings.append(f"src/{module}:1: readme: every module has a README.md")
    for finding in findings:
        print(finding)
    print(f"tidy: {checked} files, {len(table)} modules, {len(findings)} findings")
    return 1 if findings or checked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
