#!/usr/bin/env python3
"""SPIR-V of a compute shader -> CUDA C++ (spirv-cross' GLSL, rewritten).   to_cuda.py IN.spv OUT.cu"""

import re
import subprocess
import sys


def take_buffers(text):
    """Takes the storage buffers out of a shader's text: (binding, "const " or "", type, name) in the order of bindings."""
    buffers, members = [], {}

    def take(m):
        binding, qualifiers, body, name = int(m[1]), m[2], m[3], m[4]
        type_, members[name] = re.search(r"(\w+) (\w+)\[\];", body).groups()
        buffers.append((binding, "const " if "readonly" in qualifiers else "", type_, name))
        return ""

    text = re.sub(r"layout\(binding = (\d+), std430\)([\w ]*)buffer \w+\s*\{([^}]*)\} (\w+);", take, text)
    for name, member in members.items():
        text = re.sub(rf"\b{name}\.{member}\b", f"buf{name}", text)
    return text, sorted(buffers)


def take_globals(text):
    """Takes an invocation's own variables out of a shader's text, which CUDA has none of at file scope."""
    variables = []

    def take(m):
        variables.append((m[1], m[2], m[3] or ""))
        return ""

    return re.sub(r"^(uint|int|float|bool|u?vec[234]) (\w+)( = [^;]*)?;\n", take, text, flags=re.M), variables


def struct(m):
    """A struct with the constructor of its fields that GLSL gives it."""
    fields = re.findall(r"(\w+) (\w+);", m[2])
    made = ", ".join(f"{t} {n}_" for t, n in fields)
    given = ", ".join(f"{n}({n}_)" for _, n in fields)
    return f"struct {m[1]}\n{{{m[2]}  D {m[1]}() {{}}\n  D {m[1]}({made}) : {given} {{}}\n}};"


def convert(spv):
    command = ["spirv-cross", "--version", "450", "--no-es", spv]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sx, sy = map(int, re.search(r"local_size_x = (\d+), local_size_y = (\d+)", text).groups())
    text = re.sub(r"#version.*\n|#extension.*\n(?:#e.*\n)*|layout\(local_size.*\n", "", text)
    text, buffers = take_buffers(text)
    text, variables = take_globals(text)
    text = re.sub(r"^shared ", "__shared__ ", text, flags=re.M)
    pointers = [f"{const}{type_}* __restrict__ buf{name}" for _, const, type_, name in buffers]
    # A buffer's length comes as a parameter of its own.
    lengths = [f"len{name}" for *_, name in buffers if f"buf{name}.length()" in text]
    text = re.sub(r"\bbuf(\w+)\.length\(\)", r"len\1", text)
    pointers += [f"uint {name}" for name in lengths]
    params = ", ".join(pointers + [f"{type_}& {name}" for type_, name, _ in variables])
    args = ", ".join([f"buf{name}" for *_, name in buffers] + lengths + [name for _, name, _ in variables])
    # Functions see buffers and variables through parameters; DEF keeps a definition from being rewritten as a call.
    names = [m[2] for m in re.finditer(r"^(\w+) (\w+)\(([^;]*)\)\n\{", text, flags=re.M) if m[2] != "main"]
    for name in names:
        text = re.sub(rf"^(\w+) {name}\(", rf"D \1 DEF{name}({params}, ", text, flags=re.M)
        text = re.sub(rf"(?<!\w){name}\(", f"{name}({args}, ", text)
    text = re.sub(r"\bDEF(_\w+)\(", r"\1(", text).replace(", )", ")")
    text = re.sub(r"struct (\w+)\s*\{([^}]*)\};", struct, text)
    text = re.sub(r"(?<![\w.])(\d+\.\d+(?:e[+-]?\d+)?)(?![\w.])", r"\1f", text)
    own = "".join(f"    {type_} {name}{value};\n" for type_, name, value in variables)
    main = f'extern "C" __global__ void __launch_bounds__({sx * sy}) k({", ".join(pointers)})\n{{\n{own}'
    text = text.replace("void main()\n{\n", main)
    text = re.sub(r"^(\s*\w+ \w+\[\d+\]) = \w+\[\]\((.*)\);$", r"\1 = {\2};", text, flags=re.M)
    text = re.sub(r"\bfloat\((true|false)\)", r"\1", text)
    return f'#define SX {sx}u\n#define SY {sy}u\n#include "glsl.cuh"\n' + text


if __name__ == "__main__":
    with open(sys.argv[2], "w") as file:
        file.write(convert(sys.argv[1]))
