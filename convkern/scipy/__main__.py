"""The command line: python -m convkern.scipy [--report] (SCRIPT | -m MODULE | -c CODE) [ARGUMENTS]."""

import runpy
import sys
from pathlib import Path

from .environment import patch_for_good

USAGE = """usage: python -m convkern.scipy [--report] (SCRIPT | -m MODULE | -c CODE) [ARGUMENTS]

Run a program with scipy.signal's and scipy.ndimage's convolutions replaced by convkern's.

  --report  at the end, list on standard error what convkern computed, and what it handed back to SciPy and why"""


def main(arguments: list[str]) -> int:
    """Run the program that the arguments name; the exit code 2 says that they name none."""
    if arguments in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    report = arguments[:1] == ["--report"]
    rest = arguments[report:]
    kind = rest.pop(0) if rest[:1] in (["-m"], ["-c"]) else "script"
    if not rest or (kind == "script" and rest[0].startswith("-")):
        print(USAGE, file=sys.stderr)
        return 2
    program = rest[0]
    patch_for_good(report=report)
    if kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    elif kind == "-m":
        sys.argv = rest
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        if not Path(program).exists():
            print(f"python -m convkern.scipy: there is no file {program!r}", file=sys.stderr)
            return 2
        sys.argv = rest
        sys.path[0] = str(Path(program).resolve().parent)
        runpy.run_path(program, run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
