"""The grid of problems without Python: writes the text that grid_test.cpp reads, builds it with csrc, and runs it.

    python tests/native/grid.py                     this machine, every instruction set it has
    python tests/native/grid.py --target aarch64    cross-compiled, under qemu, neon only, small problems

Compilers and flags are those of setup.py, CONVKERN_SANITIZE included, and so are the object files of this machine:
after a build in place only the test itself is compiled. Needs the package, which says what each algorithm serves and
how exactly. For aarch64 (Debian's names): g++-aarch64-linux-gnu, qemu-user.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
sys.path[:0] = [path for path in (str(ROOT), str(TESTS)) if path not in sys.path]

import problems as grid  # noqa: E402  (tests/problems.py)

TRIPLE = "aarch64-linux-gnu"
QEMU = ["qemu-aarch64", "-L", f"/usr/{TRIPLE}"]
SANITIZER_OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
INTEGERS, UNIFORM = "integers", "uniform"
SMALL, LARGE = 1 << 20, 1 << 23  # FLOPs: small problems suit emulators, large ones are shared by threads


def three(values, lead):
    """Spatial entries as z y x."""
    values = tuple(values)
    return (lead,) * (3 - len(values)) + values


def algorithms(spec):
    """The algorithms that serve a problem."""
    return [name for name, stated in grid.STATED.items() if stated.supports(spec) is None]


def line_of(spec, data):
    """One problem as grid_test.cpp reads it."""
    low, high = spec.clamp or (0, 0)
    errors = [
        f"{name}={grid.STATED[name].error(spec) if name in grid.INEXACT or data == UNIFORM else 0:.9g}"
        for name in algorithms(spec)
    ]
    axes = ((spec.input, 1), (spec.output, 1), (spec.kernel, 1), (spec.stride, 1), (spec.dilation, 1))
    fields = [spec.direction, spec.dtype, "nhwc" if spec.channels_last else "nchw"]
    fields += [spec.n, spec.groups, spec.ci, spec.co]
    fields += [number for values, lead in axes for number in three(values, lead)]
    fields += three((low for low, _ in spec.padding), 0)
    fields += [spec.padding_mode, int(spec.clamp is not None), low, high, int(spec.bias), int(spec.residual), data]
    return " ".join(map(str, [*fields, *errors, "#", spec]))


def specs():
    """(spec, kind of data) of every problem of the grid: directions, layouts, dtypes, and what is added and limited.

    An input gradient under a padding mode stands for the gradient of the padded input: the rest is done in Python.
    """
    number = 0
    small = grid.GEOMETRY + grid.POINTWISE + grid.GROUPED + grid.OTHER_RANKS + grid.BORDERS
    for lines, data in ((grid.GRID, INTEGERS), (small, UNIFORM), (grid.BLOCKED + grid.LARGER, INTEGERS)):
        for line in lines:
            for direction in grid.DIRECTIONS:
                for spec in grid.variants(line, direction):
                    bias, residual, clamp = number & 1 == 1, number & 2 == 2, (-3.0, 20.0) if number % 3 == 0 else None
                    bias = bias and direction != "grad_weight"
                    number += 1
                    yield replace(spec.unbordered(), bias=bias, residual=residual, clamp=clamp), data


def covered(spec, data):
    """What a problem is there for: each algorithm in each direction, dtype, layout and padding mode, on such data."""
    kind = (spec.direction, spec.dtype, spec.layout, spec.padding_mode, data)
    return {(name, *kind) for name in algorithms(spec)}


def share(pairs, step=1, largest=SMALL):
    """Every step-th problem of at most so many FLOPs, and each that covers what none before it does."""
    seen = set()
    for number, (spec, data) in enumerate(pairs):
        if covered(spec, data) - seen or (number % step == 0 and spec.flops <= largest):
            seen |= covered(spec, data)
            yield spec, data


def text(pairs):
    return "".join(line_of(spec, data) + "\n" for spec, data in pairs)


def setup_rules():
    """Load setup.py as a module: its compiler, flags, sources and rules."""
    found = importlib.util.spec_from_file_location("convkern_setup", ROOT / "setup.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def build(name, target=None):
    """tests/native/<name>.cpp linked with csrc, for this machine or for a target; the program's path."""
    rules = setup_rules()
    os.chdir(ROOT)
    objects = Path(rules.build_folder() if target is None else f"build/objects-{target}")
    compiler = rules.cxx() if target is None else [f"{TRIPLE}-g++"]
    isa_flags = rules.ISA_FLAGS if target is None else rules.ISA_FLAGS_OF[target]
    test = Path("tests/native") / f"{name}.cpp"
    made = rules.compile_all(objects, compiler, isa_flags, [(test, rules.WARNINGS)])
    program = objects / name
    linked = [*compiler, "-pthread", *rules.LINK_SANITIZER, *map(str, made), "-o", str(program)]
    subprocess.run(linked, check=True)
    return program.resolve()


def run(program, *arguments, isa=None, target=None, limit=600):
    """(exit status, output) of a program built here; TimeoutExpired after `limit` seconds."""
    environment = {**os.environ, **SANITIZER_OPTIONS, "CONVKERN_ISA": isa or ""}
    command = [*(QEMU if target else []), str(program), *map(str, arguments)]
    done = subprocess.run(
        command, env=environment, timeout=limit, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=["aarch64"], help="cross-compile and run under qemu")
    parser.add_argument("--isa", help="run this instruction set only (default: neon for aarch64, else all)")
    parser.add_argument("--step", type=int, default=1, help="take every STEP-th problem, and all that cover something")
    parser.add_argument("--limit", type=int, default=600, help="seconds the program may take")
    options = parser.parse_args()
    isa = options.isa or ("neon" if options.target else None)
    program = build("grid_test", options.target)
    file = program.with_name("problems.txt")
    file.write_text(text(share(specs(), options.step, SMALL if options.target else LARGE)))
    status, output = run(program, file, isa=isa, target=options.target, limit=options.limit)
    print(output, end="")
    if status == 0 and isa is not None and f"\n{isa}:" not in "\n" + output:
        sys.exit(f"{isa} did not run")
    sys.exit(status)


if __name__ == "__main__":
    main()
