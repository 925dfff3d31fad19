"""The demo's contact sheet: the photograph, what each step made of it, and the times, on one PNG.

Knows Matplotlib and how to show a map; knows nothing of convolution. Drawn without pyplot, so no display is needed
and no state is left behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

if TYPE_CHECKING:
    from convkern.demo_steps import Step

Array = NDArray[Any]
COLUMNS = 3
INK, MUTED, ACCENT, PLAIN = "#1c2430", "#66707d", "#d1495b", "#9aa5b1"


def picture(planes: Array) -> Array:
    """(3, H, W) with any values to an (H, W, 3) picture in 0..1."""
    return np.clip(planes.transpose(1, 2, 0), 0, 1)


def bright(planes: Array, quantile: float = 0.995, gamma: float = 0.6) -> Array:
    """Scale so that the given quantile of |values| is 1, then lift the shadows; keeps the sign."""
    top = float(np.quantile(np.abs(planes), quantile)) or 1.0
    scaled = np.clip(planes / top, -1, 1)
    return np.sign(scaled) * np.abs(scaled) ** gamma


def mosaic(maps: Array, columns: int) -> Array:
    """(n, H, W) feature maps side by side in one plane, separated by thin lines of NaN."""
    n, height, width = maps.shape
    rows = -(-n // columns)
    gap = max(1, round(0.012 * columns * width / 4))
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan, np.float32)
    for k in range(n):
        y, x = k // columns * (height + gap), k % columns * (width + gap)
        sheet[y : y + height, x : x + width] = maps[k]
    return sheet


def show(axes: Any, step: Step) -> None:
    """One step's result, by what it is: magnitude, signed map, colours or feature maps."""
    y = step.result
    if step.name == "Sobel":
        axes.imshow(bright(np.hypot(y[0], y[1])), cmap="gray_r", vmin=0, vmax=1)
    elif step.name == "Laplacian":
        axes.imshow(bright(y[0], 0.98, 0.8), cmap="gray", vmin=-1, vmax=1)
    elif step.name.startswith("Layer") and len(y) > 3:
        chosen = y if len(y) <= 16 else np.concatenate([y[:8], y[16:24]])
        axes.imshow(mosaic(bright(np.maximum(chosen, 0), 0.985, 0.55), 4), cmap="magma", vmin=0, vmax=1)
    elif step.name.startswith("Layer"):
        axes.imshow(picture(bright(np.maximum(y, 0))))
    else:
        axes.imshow(picture(y))


def bars(axes: Any, steps: Sequence[Step]) -> None:
    """SciPy's time over ours, a bar a step, on a logarithmic axis."""
    ratios = [step.speedup for step in steps]
    places = np.arange(len(steps))
    colours = [ACCENT if r >= 1 else PLAIN for r in ratios]
    axes.barh(places, np.array(ratios) - 1, left=1, color=colours, height=0.68)
    axes.set_xscale("log")
    axes.set_xlim(0.7 * min(1, *ratios), 4 * max(2, *ratios))
    for place, ratio in zip(places, ratios, strict=True):
        axes.annotate(
            f"{ratio:.1f}x" if ratio < 20 else f"{ratio:.0f}x",
            (max(ratio, 1), place),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
        )
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.set_yticks(places, [step.name for step in steps], fontsize=9, color=INK)
    axes.tick_params(axis="both", length=0, labelcolor=INK)
    axes.set_xticks([])
    axes.minorticks_off()
    axes.invert_yaxis()
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)


def caption(axes: Any, title: str, note: str, times: str = "", left: float = 0) -> None:
    """Write a bold title and a muted line over a tile; `left` moves both, in widths of the tile."""

    def text(words: str, x: float, y: float, **style: Any) -> None:
        axes.annotate(words, (x, 1), (0, y), xycoords="axes fraction", textcoords="offset points", va="bottom", **style)

    text(title, left, 19, fontsize=12, weight="bold", color=INK)
    text(note, left, 5, fontsize=9, color=MUTED)
    text(times, 1, 5, fontsize=9, color=MUTED, ha="right")


def draw(photo: Array, steps: Sequence[Step], name: str, target: Path) -> None:
    """Write the sheet: the photograph first, a tile per step, the bars last."""
    aspect = float(np.clip(photo.shape[1] / photo.shape[2], 0.4, 1.6))
    rows = -(-(len(steps) + 2) // COLUMNS)
    width, side, top, gap, label = 15.0, 0.45, 1.15, 0.3, 0.62
    tile = (width - 2 * side - (COLUMNS - 1) * gap) / COLUMNS
    height = top + rows * (tile * aspect + label) + side
    figure = Figure(figsize=(width, height), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)

    def axes(index: int) -> Any:
        x = side + index % COLUMNS * (tile + gap)
        y = height - top - index // COLUMNS * (tile * aspect + label) - label - tile * aspect
        return figure.add_axes((x / width, y / height, tile / width, tile * aspect / height))

    def heading(words: str, below: float, **style: Any) -> None:
        figure.text(side / width, 1 - below / height, words, va="center", **style)

    heading("convkern: one photograph, ten convolutions", 0.42, fontsize=21, weight="bold", color=INK)
    heading(
        "Every result equals SciPy's within the stated error. Times in milliseconds: convkern | the fastest of "
        "SciPy's ways, same run.",
        0.85,
        fontsize=11,
        color=MUTED,
    )
    first = axes(0)
    first.imshow(picture(photo))
    caption(first, "Photograph", f"{name}, {photo.shape[2]} x {photo.shape[1]}")
    for index, step in enumerate(steps, 1):
        place = axes(index)
        show(place, step)
        caption(place, step.name, step.note, f"{step.seconds * 1e3:.2f} | {step.rival_seconds * 1e3:.1f} ms")
    for place in figure.axes:
        place.set_aspect("equal" if photo.shape[1] / photo.shape[2] == aspect else "auto")
        place.set_axis_off()
    chart = axes(len(steps) + 1)
    box = chart.get_position()
    chart.set_position((box.x0 + 0.28 * box.width, box.y0, 0.72 * box.width, box.height))
    bars(chart, steps)
    caption(chart, "SciPy's time over convkern's", "longer is better; logarithmic", left=-0.28 / 0.72)
    figure.savefig(target)
