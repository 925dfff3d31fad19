"""Build of the one extension, convkern._core: every C++ source under csrc/ and the Cython binding.

Each file of csrc/isa is compiled with the flags of its instruction set, everything else for the plain architecture, so
that one wheel serves every CPU. Sources are compiled in parallel, and only where the text, a header or the command
changed.
What the package is called and needs stands in pyproject.toml.

Environment: CXX, CXXFLAGS, CPPFLAGS, LDFLAGS as usual; CONVKERN_WERROR=1 turns warnings into errors;
CONVKERN_SANITIZE=address,undefined or thread builds with sanitizers (objects and libraries kept apart);
CONVKERN_SANITIZE_ISAS="avx2 odd" those instruction sets alone, whose files take minutes each to compile so.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

BINDING = "convkern/_core.pyx"
SANITIZE = os.environ.get("CONVKERN_SANITIZE", "")
PLATFORM = sysconfig.get_platform()
X86 = PLATFORM.endswith(("x86_64", "amd64"))

# One row an instruction set: csrc/isa/<name>.cpp is compiled for this architecture, with these flags.
ISA_FLAGS_OF = {
    "x86_64": {
        "baseline": ["-march=x86-64-v2"],
        "avx2": ["-march=x86-64-v3"],
        "amx": ["-march=x86-64-v4", "-mprefer-vector-width=512", "-mavx512bf16", "-mamx-tile", "-mamx-bf16"],
        "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
        "odd": ["-march=x86-64-v2"],
    },
    "aarch64": {"neon": [], "odd": []},
}
ISA_FLAGS = ISA_FLAGS_OF["x86_64" if X86 else "aarch64"]

# No -ffast-math: NaN and infinity must come through.
FLAGS = ["-std=c++17", "-fPIC", "-pthread", "-fvisibility=hidden", "-ffp-contract=fast", "-fno-math-errno"]
FLAGS += ["-fno-trapping-math", "-Icsrc"]
WARNINGS = ["-Wall", "-Wextra"]
LINK = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
LINK_SANITIZER = []
if SANITIZE:
    LINK_SANITIZER += [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    FLAGS += ["-O1", "-g1", *LINK_SANITIZER]
    LINK += LINK_SANITIZER
    for isa in set(ISA_FLAGS) - set(os.environ.get("CONVKERN_SANITIZE_ISAS", " ".join(ISA_FLAGS)).split()):
        ISA_FLAGS[isa].append("-fno-sanitize=all")
else:
    FLAGS += ["-O3", "-DNDEBUG"]
if os.environ.get("CONVKERN_WERROR", "0") not in ("", "0"):
    WARNINGS += ["-Werror"]


def from_environment(name):
    return shlex.split(os.environ.get(name, ""))


def cxx():
    """The C++ compiler: CXX, else the one Python was built with if it is there, else a usual name."""
    named = from_environment("CXX")
    if named:
        return named
    built_with = shlex.split(sysconfig.get_config_var("CXX") or "")[:1]
    for name in [*built_with, "g++", "c++", "clang++"]:
        if shutil.which(name):
            return [name]
    raise SystemExit("convkern needs a C++17 compiler: install g++ or clang++, or name one in CXX")


def sources(isa_flags):
    """C++ sources for an architecture, those that take longest to compile first."""
    isa = [path for path in Path("csrc/isa").glob("*.cpp") if path.stem in isa_flags]
    rest = [path for path in Path("csrc").rglob("*.cpp") if path.parent.name != "isa"]
    return sorted(isa, key=lambda path: -path.stat().st_size) + sorted(rest)


def binding_flags():
    """Flags of the C++ file that Cython writes."""
    import numpy

    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        raise SystemExit("convkern needs Python.h: install python3-dev (Debian) or python3-devel (Fedora)")
    numpy_2 = "-DNPY_TARGET_VERSION=NPY_2_0_API_VERSION"  # allocators of one's own are newer than what is the default
    return ["-w", numpy_2, "-I" + sysconfig.get_path("include"), "-I" + numpy.get_include()]


def is_current(target, command):
    """Whether `target` was made by this very command and no file it was made from is newer."""
    record, rules = Path(f"{target}.command"), Path(f"{target}.d")
    if not (target.exists() and record.exists() and rules.exists()):
        return False
    if record.read_text() != shlex.join(command):
        return False
    prerequisites = rules.read_text().replace("\\\n", " ").split(":", 1)[1].split()
    made = target.stat().st_mtime
    return all(os.path.exists(path) and os.path.getmtime(path) <= made for path in prerequisites)


def make(target, command):
    """Run a compiler command that writes `target`, and remember it; quietly, unless there is something to say."""
    Path(f"{target}.command").unlink(missing_ok=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(command)}\n{done.stdout}\ncompiling failed: {target}")
    sys.stderr.write(done.stdout)
    Path(f"{target}.command").write_text(shlex.join(command))


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compile_all(objects, compiler, isa_flags, extra=()):
    """Compile csrc for an architecture, and `extra` (source, flags) pairs; the object files, those of `extra` first.

    tests/native/grid.py builds its programs with it, for this machine and for others.
    """
    rows = [(path, isa_flags[path.stem] if path.parent.name == "isa" else []) for path in sources(isa_flags)]
    rows = [*extra, *((path, [*WARNINGS, *flags]) for path, flags in rows)]
    objects.mkdir(parents=True, exist_ok=True)

    def compile_one(row):
        source, flags = row
        target = objects / ("_".join(source.with_suffix("").parts[-2:]) + ".o")
        command = [*compiler, *FLAGS, *flags, *from_environment("CPPFLAGS"), *from_environment("CXXFLAGS")]
        command += ["-MMD", "-MF", f"{target}.d", "-c", str(source), "-o", str(target)]
        if not is_current(target, command):
            print("compiling", source, flush=True)
            make(target, command)
        return target

    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(compile_one, rows))


def build_folder():
    """Where object files lie: the same for every kind of install, so that each finds the others'."""
    kind = [PLATFORM, sys.implementation.cache_tag, *SANITIZE.split(",")]
    return os.path.join("build", "-".join(["objects", *filter(None, kind)]))


class BuildExt(build_ext):
    """Compiles by the rules above; setuptools keeps the choice of file names and places."""

    def finalize_options(self):
        if self.build_temp is None:
            self.build_temp = build_folder()
        super().finalize_options()

    def build_extension(self, ext):
        from Cython.Build import cythonize

        objects = Path(self.build_temp)
        objects.mkdir(parents=True, exist_ok=True)
        (translated,) = cythonize(Extension(ext.name, [BINDING], language="c++"), build_dir=str(objects), quiet=True)
        binding = Path(translated.sources[0])
        compiled = compile_all(objects, cxx(), ISA_FLAGS, [(binding, binding_flags())])
        library = self.get_ext_fullpath(ext.name)
        os.makedirs(os.path.dirname(library), exist_ok=True)
        command = [*cxx(), *LINK, "-pthread", *map(str, compiled), *from_environment("LDFLAGS"), "-o", library]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    setup(
        ext_modules=[Extension("convkern._core", [BINDING, *map(str, sources(ISA_FLAGS))], language="c++")],
        cmdclass={"build_ext": BuildExt},
    )
