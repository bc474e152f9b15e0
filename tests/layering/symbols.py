#!/usr/bin/env python3
"""Reads what the executable and the runtime plugins export and need.

The executable must define no dynamic symbol of a third party (a runtime's bundled OpenSSL, zlib or protobuf would
bind to it) and need only the C and C++ run-time libraries; a plugin must define brim_runtime_entry and nothing else.
Usage: symbols.py BRIM PLUGIN...
"""
import re
import subprocess
import sys

SYSTEM = re.compile(r"^(libc|libm|libstdc\+\+|libgcc_s|libpthread|libdl|librt|ld-linux-x86-64|libasan|libubsan|libtsan)\.so")
# What the C and C++ run time itself defines in any executable.
RUNTIME = re.compile(r"^(_init|_fini|_IO_stdin_used|__data_start|data_start|__bss_start|_edata|_end|_start|main|"
                     r"environ|__environ|_environ|stdin|stdout|stderr|__progname(_full)?|optarg|optind|opterr|optopt|"
                     r"_?_ZT[ISV].*|_ZSt.*|_ZNSt.*|_ZNKSt.*|_ZGVNSt.*|__cxa_.*|__gxx_.*|_Z[a-zA-Z]*Sa.*|_ZNSs.*|"
                     r"timezone|daylight|tzname|__timezone|__daylight|__tzname|program_invocation(_short)?_name|"
                     r"__(asan|ubsan|tsan|sanitizer|interceptor|lsan).*)(@.*)?$")
FORBIDDEN = re.compile(r"protobuf|grpc|absl|nghttp2|SSL_|EVP_|inflate|deflate|simdjson|llhttp", re.I)


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def needed(path):
    return re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-d", path))


def defined(path):
    symbols = []
    for line in output("nm", "-D", "--defined-only", path).splitlines():
        parts = line.split()
        if len(parts) >= 3:
            symbols.append(parts[2])
    return symbols


def main():
    brim, plugins = sys.argv[1], sys.argv[2:]
    failures = []
    for library in needed(brim):
        if not SYSTEM.match(library):
            failures.append(f"{brim} needs {library}: link it statically")
    for symbol in defined(brim):
        if FORBIDDEN.search(symbol) or not RUNTIME.match(symbol):
            failures.append(f"{brim} exports {symbol}: hide it (--exclude-libs,ALL, no -rdynamic)")
    text = output("nm", "-C", brim)
    for word in ("google::protobuf", "grpc::", "grpc_core"):
        if word in text:
            failures.append(f"{brim} contains {word}")
    for plugin in plugins:
        names = [name.split("@")[0] for name in defined(plugin)]
        if [name for name in names if name != "BRIM_RUNTIME"] != ["brim_runtime_entry"]:
            failures.append(f"{plugin} exports {names}: only brim_runtime_entry may be visible")
    for failure in failures:
        print(failure)
    print(f"symbols: 1 executable, {len(plugins)} plugins, {len(failures)} failures")
    return 1 if failures or not plugins else 0


if __name__ == "__main__":
    sys.exit(main())
