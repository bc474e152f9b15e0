#!/usr/bin/env python3
"""Makes the shim's forwarding table from a preprocessed vendor header.

    symbols.py PREFIX RESULT_TYPES PREPROCESSED OUT_DIR [TYPEDEFS]

PREFIX is cu or nvml. Writes OUT_DIR/PREFIX_symbols.inc, one X(name) line each in order, and
OUT_DIR/PREFIX_entries.S: an exported function of each name that jumps through the table
brim_PREFIX_table, whose slots first lead to brim_PREFIX_lazy (vendor.h says the rest). A call that
comes from the vendor's own library or, by a jump of the vendor's, from a hook goes to
brim_PREFIX_real; brim_PREFIX_inner has address and bytes of both libraries.
With TYPEDEFS (cudaTypedefs.h) also OUT_DIR/PREFIX_versions.inc: for each name that a program may
ask cuGetProcAddress for, the CUDA versions at which its signature changed and the exported name
of each. The headers are read at build time and nothing of them is kept but names and versions.
"""
import pathlib
import re
import sys

SYMBOLS_MAX = 4096


def names_in(text, prefix, types):
    pattern = r"\b(?:%s)\s+(?:CUDAAPI\s+|DECLDIR\s+)?(%s[A-Za-z0-9_]+)\s*\(" % (types, prefix)
    return sorted(set(re.findall(pattern, " ".join(text.split()))))


def entries(names, prefix):
    lines = ["# Made by symbols.py. x86-64, System V.", "\t.text"]
    for index, name in enumerate(names):
        lines += [f"\t.globl {name}", f"\t.type {name}, @function", "\t.p2align 4", f"{name}:",
                  "\tendbr64"]
        for library in (0, 16):
            lines += ["\tmovq (%rsp), %r11", f"\tsubq brim_{prefix}_inner+{library}(%rip), %r11",
                      f"\tcmpq brim_{prefix}_inner+{library + 8}(%rip), %r11", "\tjb 1f"]
        lines += [f"\tjmp *brim_{prefix}_table+{8 * index}(%rip)",
                  f"1:\tjmp *brim_{prefix}_real+{8 * index}(%rip)", f"\t.size {name}, .-{name}"]
    for index in range(len(names)):
        lines += [f".Llazy{index}:", "\tendbr64", f"\tpushq ${index}", f"\tjmp brim_{prefix}_lazy"]
    # All argument registers are kept: the first call goes on as if nothing had happened.
    lines += [f"brim_{prefix}_lazy:"]
    registers = ["rdi", "rsi", "rdx", "rcx", "r8", "r9", "rax"]
    lines += [f"\tpushq %{register}" for register in registers]
    lines += ["\tsubq $136, %rsp"] + [f"\tmovups %xmm{i}, {16 * i}(%rsp)" for i in range(8)]
    # Return address, index, seven registers and 136 bytes: 208, so the stack is aligned here.
    lines += [f"\tcall brim_{prefix}_resolve"]
    lines += [f"\tmovups {16 * i}(%rsp), %xmm{i}" for i in range(8)] + ["\taddq $136, %rsp"]
    lines += [f"\tpopq %{register}" for register in reversed(registers)]
    lines += ["\tpopq %r11", f"\tleaq brim_{prefix}_table(%rip), %r10", "\tjmp *(%r10,%r11,8)"]
    lines += ["\t.data", "\t.p2align 6", f"\t.globl brim_{prefix}_table", f"\t.hidden brim_{prefix}_table",
              f"brim_{prefix}_table:"]
    lines += [f"\t.quad .Llazy{index}" for index in range(len(names))]
    lines += [f"\t.globl brim_{prefix}_inner", f"\t.hidden brim_{prefix}_inner", f"brim_{prefix}_inner:",
              "\t.quad 0, 0, 0, 0"]
    lines += ["\t.section .note.GNU-stack,\"\",@progbits"]
    return "\n".join(lines) + "\n"


def versions(typedefs, names):
    """Rows (asked name, per-thread suffix, first CUDA version, exported name)."""
    known = {}
    for base, version, suffix in re.findall(r"\(CUDAAPI \*PFN_(cu[A-Za-z0-9]+)_v(\d+)(_pt[sd][sz])?\)", typedefs):
        known.setdefault((base, suffix), set()).add(int(version))
    rows = []
    for (base, suffix), since in sorted(known.items()):
        forms = [name for name in [base + suffix] + [f"{base}_v{k}{suffix}" for k in range(2, 10)] if name in names]
        if len(forms) != len(since):
            sys.exit(f"symbols.py: {base}{suffix}: versions {sorted(since)} but forms {forms}")
        rows += [(base, suffix, version, form) for version, form in zip(sorted(since), forms)]
    return rows


def main():
    prefix, types, source, out = sys.argv[1:5]
    names = names_in(pathlib.Path(source).read_text(), prefix, types)
    if not 300 <= len(names) <= SYMBOLS_MAX:
        sys.exit(f"symbols.py: {len(names)} names of {prefix} in {source}: expected 300 to {SYMBOLS_MAX}; "
                 "is it the preprocessed header?")
    folder = pathlib.Path(out)
    (folder / f"{prefix}_symbols.inc").write_text("".join(f"X({name})\n" for name in names))
    (folder / f"{prefix}_entries.S").write_text(entries(names, prefix))
    if len(sys.argv) > 5:
        rows = versions(pathlib.Path(sys.argv[5]).read_text(), set(names))
        (folder / f"{prefix}_versions.inc").write_text("".join(
            f'V("{base}", {"true" if suffix else "false"}, {version}, {form})\n' for base, suffix, version, form in rows))


if __name__ == "__main__":
    main()
