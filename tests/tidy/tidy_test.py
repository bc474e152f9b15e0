#!/usr/bin/env python3
"""Proves that tidy.py can fail: each rule finds the one violation that is planted for it."""
import pathlib
import subprocess
import sys
import tempfile

TIDY = pathlib.Path(__file__).with_name("tidy.py")
CMAKE = "brim_module(low SOURCES a.cc HEADERS a.h)\n"
CMAKE_HIGH = "brim_module(high SOURCES b.cc DEPS low)\n"
GOOD = {
    "src/low/CMakeLists.txt": CMAKE,
    "src/low/README.md": "low\n",
    "src/low/a.h": "// A thing.\n#pragma once\n",
    "src/high/CMakeLists.txt": CMAKE_HIGH,
    "src/high/README.md": "high\n",
    "src/high/b.cc": '#include "low/a.h"\n',
    "src/high/inner/CMakeLists.txt": "brim_module(high/inner SOURCES c.cc DEPS low)\n",
    "src/high/inner/README.md": "inner\n",
    "src/high/inner/c.cc": '#include "low/a.h"\n',
}
BAD = {
    "layering": {"src/low/a.cc": '#include "high/b.h"\n'},
    "layering: high/inner may not include high": {"src/high/inner/d.cc": '#include "high/b.h"\n'},
    "layering: low may not include high/inner": {"src/low/a.cc": '#include "high/inner/c.h"\n'},
    "line-length": {"src/low/a.cc": "int " + "x" * 100 + ";\n"},
    "file-size": {"src/low/a.cc": "int x;\n" * 601},
    "function-size": {"src/low/a.cc": "void F(int a) {\n" + "  G();\n" * 80 + "}\n"},
    "header-comment": {"src/low/c.h": "#pragma once\n"},
    "pragma-once": {"src/low/c.h": "// C.\n"},
    "forbidden": {"src/low/a.cc": "class StringUtils {};\n"},
    "readme-size": {"src/low/README.md": "x\n" * 41},
    "readme:": {"src/third/CMakeLists.txt": "brim_module(third SOURCES a.cc)\n"},
    "catch-all": {"src/low/a.cc": "void F() { try { G(); } catch (...) { } }\n"},
}


def run(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([sys.executable, str(TIDY), "--root", folder], capture_output=True, text=True)
        return done.returncode, done.stdout


def main():
    failed = 0
    code, out = run(GOOD)
    if code != 0:
        failed += 1
        print("a clean tree is not clean:\n" + out)
    for rule, extra in BAD.items():
        code, out = run({**GOOD, **extra})
        if code == 0 or rule not in out:
            failed += 1
            print(f"{rule}: not found in:\n{out}")
    print(f"{len(BAD) + 1 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
