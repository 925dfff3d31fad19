"""Includes and imports point only downward, and each layer knows only what it may (docs/design.md)."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "convkern"
MODULES = {p.stem for p in PACKAGE.glob("*.py*")} | {"algorithms"}
SOURCES = sorted(p for p in CSRC.rglob("*") if p.suffix in {".h", ".cpp", ".inc"})
C_HEADERS = {"cstdint", "cstddef", "cstring", "cmath", "stdint.h", "stddef.h", "string.h", "math.h", "immintrin.h",
             "arm_neon.h", "limits", "type_traits"}  # fmt: skip

# What a file of a folder may include, beside files of its own folder and standard headers.
MAY_INCLUDE = {
    "runtime": set(),
    "kernels": set(),
    "isa": {"kernels"},
    "core": {"runtime", "kernels", "convkern.h"},
    "algo": {"core", "runtime", "kernels", "convkern.h"},
    "convkern.h": set(),
}


# Here a name becomes an algorithm and an ISA: the one file that may know both.
WATERSHED = [CSRC / "core/plan.cpp"]
DOOR = CSRC / "kernels/table.h"  # declares the table of each ISA


def includes(path):
    """(local, system) include names of a source file."""
    text = path.read_text()
    return re.findall(r'#\s*include\s*"([^"]+)"', text), re.findall(r"#\s*include\s*<([^>]+)>", text)


def part(path):
    """Name the folder under csrc, or the file when it lies in csrc itself."""
    return path.relative_to(CSRC).parts[0]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(CSRC)))
def test_includes_point_downward(path):
    local, system = includes(path)
    allowed = MAY_INCLUDE[part(path)] | ({"algo"} if path in WATERSHED else set())
    for name in local:
        found = next((base / name for base in (path.parent, CSRC) if (base / name).exists()), None)
        assert found, f"{name} is not in csrc"
        target = part(found.resolve())
        assert target == part(path) or target in allowed, f"{part(path)} includes {target}"
    if part(path) in ("kernels", "isa"):
        assert set(system) <= C_HEADERS, "inline C++ library code compiled for one ISA could be called on another"


def test_the_sources_are_where_this_test_looks():
    assert {part(p) for p in SOURCES} >= set(MAY_INCLUDE)


def words(path):
    """Collect the identifiers of a source file, comments left out."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.S)
    return set(re.findall(r"[a-z]+", text.lower()))


def test_the_loop_nest_knows_no_convolution():
    for path in CSRC.glob("core/gemm.*"):
        assert not words(path) & {"conv", "convolution", "stride_h", "dilation", "padding", "kernel_size", "winograd"}


def test_only_the_folder_isa_names_an_isa():
    for path in SOURCES:
        if part(path) in ("core", "algo", "kernels") and path not in [*WATERSHED, DOOR]:
            assert not words(path) & {"avx", "sse", "neon", "zmm", "ymm"}, path


# Python modules from the top down; a module imports only from later lines.
RANKS = (
    {"__main__"},
    {"demo", "demo_steps", "demo_sheet"},
    {"__init__"},
    {"scipy"},
    {"signal"},
    {"tune_command"},
    {"about", "planning", "threadpool", "tune"},
    {"calibration"},
    {"api", "gradients"},
    {"pool_norms", "whole", "pooling", "averaging"},
    {"adaptive", "pool_gradients", "unpooling"},
    {"pool_call", "fractional", "scattering", "rearrange", "borders"},
    {"softmax", "norms", "activations", "activation_gradients"},
    {"elementwise", "channels"},
    {"windows"},
    {"call"},
    {"plan"},
    {"separable"},
    {"dispatch"},
    {"measure"},
    {"algorithms"},
    {"machine"},
    {"memory"},
    {"arrays"},
    {"problem"},
    {"config"},
    {"spec"},
    {"padding"},
    {"original"},
    {"store"},
    {"locks"},
    {"_core", "_version"},
)


# The same for convkern/nn, which stands above all of the package but __main__ and the demo.
NN = PACKAGE / "nn"
NN_RANKS = (
    {"__init__"},
    {"fit"},
    {"compile", "summary", "checkpoint", "bar"},
    {"lower"},
    {"program", "serialize", "optim", "schedules", "losses", "adaptive"},
    {"pooling", "dense", "resize", "transposed", "separable", "branches"},
    {"conv"},
    {"combine", "norm", "activation", "init"},
    {"layer"},
)


@pytest.mark.parametrize("path", sorted(NN.glob("*.py")), ids=lambda p: p.stem)
def test_imports_of_nn_point_downward(path):
    ranks = {name: i for i, names in enumerate(NN_RANKS) for name in names}
    assert path.stem in ranks, f"convkern/nn/{path.name} has no place in NN_RANKS: give it one"
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            for module in [node.module] if node.module else [alias.name for alias in node.names]:
                assert ranks[module] > ranks[path.stem], f"{path.stem} imports {module} from above"


# And for convkern/algorithms: files of its own from the top down; what else it imports ranks below the package.
ALGORITHM_RANKS = (
    {"__init__"}, {"bf16x3", "depthwise", "fft", "im2col", "plane", "reference", "winograd"},
    {"direct", "winograd_cost"}, {"base", "tiles"}, {"winograd_form"}, {"lowered"},
)  # fmt: skip


@pytest.mark.parametrize("path", sorted((PACKAGE / "algorithms").glob("*.py")), ids=lambda p: p.stem)
def test_imports_of_the_algorithms_point_downward(path):
    ranks = {name: i for i, names in enumerate(ALGORITHM_RANKS) for name in names}
    assert path.stem in ranks, f"convkern/algorithms/{path.name} has no place in ALGORITHM_RANKS: give it one"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            for module in [node.module] if node.module else [alias.name for alias in node.names]:
                if node.level == 1:
                    assert ranks[module] > ranks[path.stem], f"{path.stem} imports {module} from above"
                else:
                    assert rank(module) > rank("algorithms"), f"{path.stem} imports {module} from above"


def test_nothing_below_imports_nn():
    for path in PACKAGE.glob("*.py"):
        assert not re.search(r"(from|import) (\.|convkern\.)nn\b|from \. import .*\bnn\b", path.read_text()), path


def rank(module):
    found = [i for i, names in enumerate(RANKS) if module in names]
    assert found, f"convkern/{module}.py has no place in RANKS: give it one"
    return found[0]


def imported(path):
    """List the modules of the package that a module imports, at its top level and inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level == 1 or module.split(".")[0] == "convkern":
                inner = module if node.level else module.removeprefix("convkern").lstrip(".")
                modules = [alias.name for alias in node.names if alias.name in MODULES]
                yield from [inner.split(".")[0]] if inner else modules or ["__init__"]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                names = alias.name.split(".")
                if names[0] == "convkern":
                    yield names[1] if len(names) > 1 else "__init__"


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda p: p.stem)
def test_imports_point_downward(path):
    own = rank(path.stem)
    upward = [module for module in imported(path) if rank(module) < own]
    assert not upward, f"{path.stem} imports {upward} from above"
