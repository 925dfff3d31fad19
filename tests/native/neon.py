"""The aarch64 build, tested on any machine: cross-compiled, run under qemu, and its inner loops counted.

    python tests/native/neon.py        about a minute on two cores; every program is stopped after LIMIT seconds

1. runtime_test and pool_test: detection of the CPU, threads, the floating-point mode (FPCR).
2. grid_test: a third of the grid on neon, less on odd; all algorithms, layouts, dtypes, directions, padding modes.
3. The loop over k of every tile of multiply-adds: its sums stay in registers, so it touches no stack, and apart from
   the multiply-adds it only loads each row's scalar and each vector, and steps on.

Forks of a process with threads crash qemu, so what starts processes is left out. For Debian: g++-aarch64-linux-gnu,
qemu-user. Where Clang is installed, it reads the sources too.
"""

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]

import grid  # noqa: E402  (grid.py beside this file)

TARGET = "aarch64"
LIMIT = 300
STEPPING = 5  # the taps' two offsets, an address, the comparison, the jump
MULTIPLY_ADD = ("fmla", "vfma")


def functions(disassembly):
    """(name, [(address, mnemonic, arguments)]) of every function that objdump wrote."""
    for head, body in re.findall(r"^[0-9a-f]+ <(.*)>:\n((?:.+\n)+)", disassembly, re.M):
        found = re.findall(r"^ *([0-9a-f]+):\t(\S+)(?:[ \t]+(.*))?$", body, re.M)
        yield head, [(int(address, 16), mnemonic, arguments) for address, mnemonic, arguments in found]


def loops(code):
    """The instructions from every backward jump's target to the jump."""
    place = {address: index for index, (address, _, _) in enumerate(code)}
    for index, (address, _, arguments) in enumerate(code):
        jump = re.match(r"(?:\w+, )*([0-9a-f]+) <", arguments)
        target = int(jump[1], 16) if jump else address
        if target < address and target in place:
            yield code[place[target] : index + 1]


def multiply_adds(loop):
    return sum(mnemonic.startswith(MULTIPLY_ADD) for _, mnemonic, _ in loop)


def tile_loops(path):
    """(name, rows, vectors, loop over k) of each tile in an object file; the loop is empty where none was found."""
    command = [f"{grid.TRIPLE}-objdump", "-d", "-C", "--no-show-raw-insn", str(path)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name, code in functions(listing):
        shape = re.search(r"tile<(\w+), (\d+), (\d+)>\(", name)
        if shape:
            rows, vectors = int(shape[2]), int(shape[3])
            innermost = [loop for loop in loops(code) if multiply_adds(loop) == rows * vectors]
            yield shape[0][:-1], rows, vectors, min(innermost, key=len, default=[])


def check_tiles(path):
    """Print what the widest tiles take for a multiply-add; return what is wrong with any of them."""
    wrong, found = [], {}
    for name, rows, vectors, loop in tile_loops(path):
        found[name] = len(loop) / (rows * vectors)
        stack = sum("[sp" in arguments for _, _, arguments in loop)
        most = rows * vectors + rows + vectors + STEPPING
        if not loop or stack or len(loop) > most:
            wrong.append(f"{name}: {len(loop)} instructions, {stack} to or from the stack; at most {most}, 0")
    shapes = re.findall(r"tile_shape<T, (\d+), (\d+)>", (grid.ROOT / "csrc/isa/neon.cpp").read_text())
    for rows, vectors in shapes:
        for dtype in ("float", "double"):
            name = f"tile<{dtype}, {rows}, {vectors}>"
            if name in found:
                print(f"{name}: {found[name]:.2f} instructions a multiply-add")
            else:
                wrong.append(f"{name}: not in {path}")
    return wrong


def check_syntax():
    """Let Clang read csrc as it would for aarch64; the sources it finds fault with. None where there is no Clang."""
    clang = next((name for name in ("clang++", "clang++-14") if shutil.which(name)), None)
    if clang is None:
        return []
    rules, usr = grid.setup_rules(), Path(f"/usr/{grid.TRIPLE}/include")
    standard = max(usr.glob("c++/*"), key=lambda path: int(path.name))
    include = [f"-isystem{path}" for path in (standard, standard / grid.TRIPLE, usr)]
    command = [clang, f"--target={grid.TRIPLE}", "-nostdinc++", *include, *rules.FLAGS, *rules.WARNINGS]
    return [
        f"{path} with {clang}"
        for path in rules.sources(rules.ISA_FLAGS_OF[TARGET])
        if subprocess.run([*command, "-Werror", "-fsyntax-only", str(path)], check=False).returncode != 0
    ]


def main():
    failed = []

    def run(program, *arguments, isa=None):
        status, output = grid.run(program, *arguments, isa=isa, target=TARGET, limit=LIMIT)
        print(f"== {program.name} {isa or ''}\n{output}", end="", flush=True)
        if status != 0:
            failed.append(program.name)
        return output

    run(grid.build("runtime_test", TARGET))
    run(grid.build("pool_test", TARGET), "--one-process")
    program = grid.build("grid_test", TARGET)

    def run_grid(isa, step):
        file = program.with_name(f"problems_{isa}.txt")
        file.write_text(grid.text(grid.share(grid.specs(), step)))
        if not re.search(rf"^{isa}: ", run(program, file, isa=isa), re.M):
            failed.append(f"{isa} did not run")

    with ThreadPoolExecutor() as pool:  # an emulator each
        list(pool.map(run_grid, ("neon", "odd"), (3, 11)))
    print("== tiles", flush=True)
    failed += check_tiles(program.with_name("isa_neon.o"))
    failed += check_syntax()
    print("\n".join(["failed:", *failed] if failed else ["all passed"]))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
