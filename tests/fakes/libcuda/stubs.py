#!/usr/bin/env python3
"""stubs.py PREFIX SYMBOLS_INC ANSWER OUT: weak functions for all names, each answering ANSWER.

What the fake implements itself is strong and wins at link time.
"""
import pathlib
import re
import sys

prefix, symbols, answer, out = sys.argv[1:]
names = re.findall(r"X\((\w+)\)", pathlib.Path(symbols).read_text())
pathlib.Path(out).write_text(
    "// Made by stubs.py.\n" + "".join(
        f'__attribute__((weak, visibility("default"))) int {name}(void) {{ return {answer}; }}\n' for name in names))
