"""The main job: filters and CNN layers over a photograph, timed against SciPy and checked to equal it.

SciPy computes every step in the same run, written as its users would write it. The timings alternate between the
two, and the minimum of each counts. demo_steps.py knows the steps, demo_sheet.py the picture; this file the timing,
the check and the report.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import convkern

if TYPE_CHECKING:
    from convkern.demo_steps import Step

Array = NDArray[Any]
INSTALL = "the demo needs Matplotlib, Pillow and scikit-learn: pip install 'convkern[demo]'"


class DemoError(Exception):
    """What went wrong, in words for the command line, and the exit code that goes with it."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


def measure(step: Step, budget: float = 0.4, rounds: int = 30) -> None:
    """Alternate between ours and SciPy's, at least three rounds, until the budget in seconds is spent; keep minima."""
    started = time.perf_counter()
    step.result = step.convolve()
    for count in range(rounds):
        if count >= 3 and time.perf_counter() - started > budget:
            break
        start = time.perf_counter()
        step.convolve()
        step.seconds = min(step.seconds, time.perf_counter() - start)
        for name, rival in step.rivals.items():
            start = time.perf_counter()
            rival(step.image)
            elapsed = time.perf_counter() - start
            if elapsed < step.rival_seconds:
                step.rival, step.rival_seconds = name, elapsed


def check(step: Step) -> tuple[float, float]:
    """Return the largest difference from SciPy's results in float64 and the allowed one; DemoError beyond it.

    Allowed is the error that the chosen algorithm states, relative to max|y|, plus the float32 rounding of the sum's
    own terms (eps max|x| sum|w|), which is all there is where a filter cancels, as the Laplacian of a blank wall does.
    """
    terms = np.abs(step.weight).sum(axis=(0, 2, 3) if step.transposed else (1, 2, 3)).max()
    rounding = float(np.finfo(np.float32).eps * np.abs(step.image).max() * terms)
    worst = allowed = 0.0
    for name, rival in step.rivals.items():
        expected = rival(step.image.astype(np.float64))
        if expected.shape != step.result.shape:
            raise DemoError(f"{step.name}: shape {step.result.shape}, but {name} gives {expected.shape}", 1)
        difference = float(np.abs(step.result - expected).max())
        allowed = stated_error(step) * float(np.abs(expected).max()) + rounding
        if not difference <= allowed:
            raise DemoError(f"{step.name}: differs from {name} by {difference:.3g}; {allowed:.3g} is allowed", 1)
        worst = max(worst, difference)
    return worst, allowed


def stated_error(step: Step) -> float:
    """Return the chosen algorithm's error relative to max|y|, from its explain table."""
    return float(next(row.error for row in step.explanation.rows if row.chosen))


def load_photo(path: str | None, max_side: int) -> Array:
    """Read a photograph: (3, height, width) float32 in 0..1, scaled down to at most max_side pixels (0: not)."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError

        if path is None:
            from sklearn.datasets import load_sample_image

            image = Image.fromarray(load_sample_image("china.jpg"))
    except ImportError as error:
        raise DemoError(f"{INSTALL} ({error})") from None
    if path is not None:
        try:
            with Image.open(path) as opened:
                image = ImageOps.exif_transpose(opened)
                if image.mode.startswith("I"):  # 16 bits, which convert would clip
                    image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
                image = image.convert("RGB")
        except FileNotFoundError:
            raise DemoError(f"no such photograph: {path}") from None
        except UnidentifiedImageError:
            raise DemoError(f"{path} is not an image that Pillow can read (JPEG, PNG, TIFF, WebP, ...)") from None
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise DemoError(f"cannot read {path}: {error}") from None
    if max_side and max(image.size) > max_side:
        image.thumbnail((max_side, max_side))
    pixels = np.asarray(image, np.float32) / 255
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def report(step: Step, number: int, total: int) -> None:
    """Print one step: its explain table, the times, the check."""
    print(f"\n[{number}/{total}] {step.name}: {step.note}")
    print(step.explanation)
    difference, allowed = check(step)
    print(
        f"convkern {step.seconds * 1e3:.2f} ms, {step.rival} {step.rival_seconds * 1e3:.2f} ms: "
        f"{step.speedup:.1f}x; equal: largest difference {difference:.1e}, allowed {allowed:.1e}"
    )


def summary(steps: list[Step]) -> str:
    """All steps in one table, and the geometric mean of the ratios."""
    lines = [f"{'step':<16}{'algorithm':<12}{'convkern':>12}{'SciPy':>12}{'ratio':>8}   fastest of SciPy's ways"]
    for s in steps:
        lines.append(
            f"{s.name:<16}{s.explanation.chosen:<12}{s.seconds * 1e3:>9.2f} ms{s.rival_seconds * 1e3:>9.2f} ms"
            f"{s.speedup:>7.1f}x   {s.rival}"
        )
    mean = math.exp(sum(math.log(s.speedup) for s in steps) / len(steps))
    lines.append(f"{'geometric mean':<52}{mean:>7.1f}x")
    return "\n".join(lines)


def run(photo: str | None = None, output: str = "convkern-demo.png", max_side: int = 640) -> list[Step]:
    """Do every step over the photograph, print what was done, write the contact sheet; DemoError says what failed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise DemoError(f"{INSTALL} ({error})") from None
    from convkern.demo_sheet import draw
    from convkern.demo_steps import filter_steps, layer_steps

    target = Path(output)
    if target.suffix.lower() != ".png":
        raise DemoError(f"--output must be a .png file, got {output}")
    if not target.parent.is_dir():
        raise DemoError(f"--output: no such directory: {target.parent}")
    image = load_photo(photo, max_side)
    name = Path(photo).name if photo else "china.jpg (scikit-learn)"
    threads = convkern.get_num_threads()
    print(
        f"{name}: {image.shape[2]} x {image.shape[1]} pixels. convkern on {threads} threads; SciPy's filters use one."
    )
    print("Times are the minimum of runs that alternate between the two; each step's result must equal SciPy's.")
    steps: list[Step] = []
    total = 5 + 5
    for source in (filter_steps, layer_steps):
        for step in source(image):
            step.explanation = step.explain()
            measure(step)
            steps.append(step)
            report(step, len(steps), total)
    print("\n" + summary(steps))
    try:
        draw(image, steps, name, target)
    except OSError as error:
        raise DemoError(f"cannot write {target}: {error}") from None
    print(f"\nEvery step equals SciPy's result. Contact sheet: {target}")
    return steps


def main(photo: str | None, output: str, max_side: int) -> int:
    """Run the demo for the command line; return the exit code."""
    try:
        run(photo, output, max_side)
    except DemoError as error:
        print(f"convkern demo: {error}", file=sys.stderr)
        return error.code
    return 0
