"""The command line: python -m convkern info | explain DESCRIPTOR | tune [SPEC|FILE ...] | demo [PHOTO].

Wrong input ends with one line on standard error and exit code 2. It knows the arguments; the work is elsewhere.
"""

from __future__ import annotations

import argparse
import os
import sys

EXAMPLE = "1,64,56x56->64 3x3 p1"


def parser() -> argparse.ArgumentParser:
    """Describe the arguments."""
    tool = argparse.ArgumentParser(prog="python -m convkern", description="Convolution for NumPy at hardware speed.")
    commands = tool.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("info", help="print the version, the CPU, the instruction sets and the number of threads")

    explain = commands.add_parser(
        "explain",
        help="print what the dispatcher sees for a layer",
        description="Print every algorithm for a layer: supported or why not, predicted time, workspace, error, the "
        "choice. The layer is one line: batch,channels,size->channels kernel, then s stride, p padding, d dilation, "
        "g groups and words such as f64, nhwc, grad_input, reflect, bias, relu.",
        epilog=f'example: python -m convkern explain "{EXAMPLE}"',
    )
    explain.add_argument("descriptor", nargs="+", help=f'for example "{EXAMPLE}"; quote it, because of the >')
    explain.add_argument("--planned", action="store_true", help="leave packing the weights out, as in a prepared plan")

    from convkern import tune_command

    tune_command.add_arguments(commands)

    demo = commands.add_parser(
        "demo",
        help="filter a photograph, time every step against SciPy and check that it equals SciPy's result",
        description="Run edge and blur filters and a small stack of CNN layers over a photograph, print each step's "
        "explain table and its time against SciPy's, check that it equals SciPy's result, and write a contact sheet. "
        "Exit code 1: a step differs. Exit code 2: the photograph or the output cannot be used.",
    )
    demo.add_argument("photo", nargs="?", help="an image file; without one, the photograph of scikit-learn's package")
    demo.add_argument("--output", default="convkern-demo.png", metavar="PNG", help="the contact sheet (%(default)s)")
    scale = "scale a larger photograph down to so many pixels (%(default)s); 0: do not"
    demo.add_argument("--max-side", type=int, default=640, metavar="PIXELS", help=scale)
    return tool


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    tool = parser()
    options = tool.parse_args(arguments)
    if options.command == "demo":
        if options.max_side < 0:
            tool.error(f"--max-side: got {options.max_side}, needs a number of pixels, or 0")
        from convkern.demo import main as demo

        return demo(options.photo, options.output, options.max_side)
    if options.command == "tune":
        from convkern import tune_command

        return tune_command.main(options)
    if options.command == "info":
        import convkern

        convkern.show_config()
        return 0
    from convkern.dispatch import explain_spec
    from convkern.spec import Spec

    try:
        spec = Spec.parse(" ".join(options.descriptor))
    except ValueError as error:
        print(f"convkern explain: {error}", file=sys.stderr)
        return 2
    print(explain_spec(spec, planned=options.planned))
    return 0


if __name__ == "__main__":
    try:
        code = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    sys.exit(code)
