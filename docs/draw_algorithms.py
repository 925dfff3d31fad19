"""Which algorithm wins where: measures all of them over channels, image and kernel sizes, and draws algorithms.png.

    python docs/draw_algorithms.py                          draw again from algorithms.json
    python docs/draw_algorithms.py --measure                measure everything first, a minute on two idle cores
    python docs/draw_algorithms.py --measure --panel 3x3    measure one panel (or several), keep the others

A cell is one planned float32 layer in NHWC on two threads. All algorithms that serve it take turns, all warm, im2col
after the others, since BLAS's threads wait on a core that those would lack; a time is the lower quartile of its turns,
and ratios are between times of the same cell. What is far behind at first takes no more turns. The reference, slow on
purpose, does not take part.
"""

import argparse
import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import convkern
from convkern import _core
from convkern.algorithms import ALGORITHMS, BY_NAME
from convkern.measure import SETTLE
from convkern.spec import Spec

FOLDER = Path(__file__).parent
DATA, PICTURE = FOLDER / "algorithms.json", FOLDER / "algorithms.png"
THREADS = 2
MOST_FLOPS, MOST_BYTES = 4e9, 128 << 20  # of a cell: more would say little and take long
TURNS, SECONDS = 25, 0.1  # of an algorithm in a cell, at most
BEHIND = 3.0  # times as slow as the fastest: three turns are enough
SLOW = 0.03  # seconds: one turn is enough

# Okabe and Ito's colours, which colour-blind readers tell apart; the letters in the cells say the same.
STYLE = {
    "direct": ("D", "#0072B2"),
    "winograd4": ("W4", "#009E73"),
    "winograd2": ("W2", "#56B4E9"),
    "im2col": ("I", "#F0E442"),
    "depthwise": ("DW", "#D55E00"),
    "plane": ("P", "#CC79A7"),
    "fft": ("F", "#E69F00"),
    "bf16x3": ("B", "#000000"),
}
SPARE = ("?", "#999999")


@dataclass(frozen=True)
class Panel:
    """A table of layers: `line` becomes a descriptor with a row's and a column's value in it."""

    title: str
    line: str
    y: tuple[str, tuple[int, ...]]
    x: tuple[str, tuple[int, ...]]

    def spec(self, y, x):
        spec = Spec.parse("nhwc " * (self.line.count("x{x}") > 0) + self.line.format(y=y, x=x))
        return spec if spec.flops <= MOST_FLOPS and spec.bytes <= MOST_BYTES else None


CHANNELS = ("channels in and out", (512, 256, 128, 64, 32, 16, 8, 4))
IMAGE = ("image side", (7, 14, 28, 56, 112, 224))
PANELS = {
    **{
        f"{k}x{k}": Panel(f"{k}x{k} layer", f"1,{{y}},{{x}}x{{x}}->{{y}} {k}x{k} psame", CHANNELS, IMAGE)
        for k in (1, 3, 5, 7, 11)
    },
    **{
        f"depthwise-{k}x{k}": Panel(
            f"depthwise {k}x{k}", f"1,{{y}},{{x}}x{{x}}->{{y}} {k}x{k} psame g{{y}}", ("channels", CHANNELS[1]), IMAGE
        )
        for k in (3, 7)
    },
    "plane": Panel(
        "one plane, y x y filter",
        "1,1,{x}x{x}->1 {y}x{y} psame",
        ("filter side", (63, 31, 21, 15, 9, 5, 3)),
        ("image side", (64, 128, 256, 512, 1024, 2048)),
    ),
    "signal": Panel(
        "one signal, y taps",
        "1,1,{x}->1 {y} psame",
        ("taps", (4096, 1024, 256, 64, 16, 4)),
        ("samples", (1024, 4096, 16384, 65536, 262144)),
    ),
}


def runners(spec):
    """{algorithm: a function that runs its prepared plan} for the algorithms that serve a layer."""
    random = np.random.default_rng(1)
    before, after = (spec.n, spec.ci, *spec.input), (spec.n, spec.co, *spec.output)
    if spec.channels_last:
        before, after = (spec.n, *spec.input, spec.ci), (spec.n, *spec.output, spec.co)
    x = random.uniform(-1, 1, before).astype(np.float32)
    weight = random.uniform(-1, 1, (spec.co, spec.ci // spec.groups, *spec.kernel)).astype(np.float32)
    made = {}
    for algorithm in ALGORITHMS:
        if algorithm.oracle or algorithm.supports(spec) is not None:
            continue
        try:
            plan = convkern.plan(
                x.shape, weight, padding=spec.padding, groups=spec.groups, layout=spec.layout, algorithm=algorithm.name
            )
        except ValueError:  # what it needs does not fit into max_workspace
            continue
        made[algorithm.name] = partial(plan, x, np.zeros(after, np.float32))
    return made


def timed(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(spec):
    """Microseconds of each algorithm that serves a layer; last those whose threads keep cores busy for a while."""
    made = runners(spec)
    found = {}
    for foreign in (False, True):
        racing = {name: run for name, run in made.items() if BY_NAME[name].foreign_threads == foreign}
        if racing:
            found |= take_turns(racing)
    time.sleep(SETTLE)
    return found


def take_turns(made):
    """Microseconds of some algorithms that take turns."""
    times = {name: [timed(run)] for name, run in made.items()}
    for turn in range(TURNS):
        fastest = min(map(min, times.values()))
        for name, run in made.items():
            spent = sum(times[name])
            if spent < SLOW if turn < 3 else spent < SECONDS and min(times[name]) < BEHIND * fastest:
                repeats = max(1, int(50e-6 / fastest))  # the clock's own cost must not count
                times[name].append(timed(lambda run=run, n=repeats: [run() for _ in range(n)]) / repeats)
    return {name: round(float(np.percentile(taken[1:] or taken, 25)) * 1e6, 2) for name, taken in times.items()}


def measured(panels):
    """{descriptor: times} of the panels' layers."""
    convkern.set_num_threads(THREADS)
    found = {}
    for name in panels:
        begin = time.perf_counter()
        panel = PANELS[name]
        for y in panel.y[1]:
            for x in panel.x[1]:
                spec = panel.spec(y, x)
                if spec is not None:
                    found[str(spec)] = measure(spec)
        print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
    return found


def about():
    info = _core.cpu_info()
    return {
        "cpu": info["model"],
        "l2": info["l2"],
        "isa": _core.get_isa(),
        "threads": THREADS,
        "version": convkern.__version__,
        "unit": "microseconds",
    }


def save(data, path=DATA):
    """One line a layer, so that changes can be read."""
    rows = ",\n".join(f"  {json.dumps(line)}: {json.dumps(times)}" for line, times in data["times"].items())
    path.write_text(f'{{"about": {json.dumps(data["about"])},\n "times": {{\n{rows}\n}}}}\n')


def winner(times):
    """(name, by which factor the next one is slower)."""
    first, *others = sorted(times, key=times.get)
    return first, times[others[0]] / times[first] if others else None


def strength(factor):
    """How full a winner's colour is: pale where it hardly matters, full from a factor of 2 on."""
    return 1.0 if factor is None else min(1.0, 0.3 + 0.7 * (factor - 1))


def draw_panel(axes, panel, times):
    """Colour the cells of one panel and write the winner and its lead into each."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    for row, y in enumerate(panel.y[1]):
        for column, x in enumerate(panel.x[1]):
            spec = panel.spec(y, x)
            cell = times.get(str(spec)) if spec else None
            if not cell:
                axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="#f7f7f7", edgecolor="white"))
                continue
            name, factor = winner(cell)
            letter, colour = STYLE.get(name, SPARE)
            share = strength(factor)
            shade = tuple(1 - share * (1 - part) for part in to_rgb(colour))
            dark = 0.3 * shade[0] + 0.59 * shade[1] + 0.11 * shade[2] < 0.55
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=shade, edgecolor="white"))
            lead = "" if factor is None else f"{factor:.0f}" if factor >= 9.95 else f"{factor:.1f}"
            style = {"ha": "center", "color": "white" if dark else "black"}
            axes.text(column, row - 0.06, letter, va="bottom", fontsize=7, fontweight="bold", **style)
            axes.text(column, row + 0.02, lead, va="top", fontsize=8, **style)
    axes.set_xlim(-0.5, len(panel.x[1]) - 0.5)
    axes.set_ylim(len(panel.y[1]) - 0.5, -0.5)
    axes.set_xticks(range(len(panel.x[1])), [short(x) for x in panel.x[1]], fontsize=8)
    axes.set_yticks(range(len(panel.y[1])), [short(y) for y in panel.y[1]], fontsize=8)
    axes.tick_params(length=0)
    axes.set_xlabel(panel.x[0], fontsize=9)
    axes.set_ylabel(panel.y[0], fontsize=9)
    axes.set_title(panel.title, fontsize=10, fontweight="bold")
    for side in axes.spines.values():
        side.set_visible(False)


def short(number):
    return f"{number >> 10}K" if number >= 4096 else str(number)


def draw(data, path=PICTURE):
    """Write the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    figure, grid = pyplot.subplots(2, 5, figsize=(15, 8), layout="constrained")
    places = grid.flat
    for panel, axes in zip(PANELS.values(), places, strict=False):
        draw_panel(axes, panel, data["times"])
    key = next(places)
    key.axis("off")
    seen = {winner(times)[0] for times in data["times"].values()}
    shown = [name for name in STYLE if name in seen] + sorted(seen - set(STYLE))
    patches = [Patch(color=STYLE.get(name, SPARE)[1], label=f"{STYLE.get(name, SPARE)[0]}   {name}") for name in shown]
    key.legend(
        handles=patches, loc="upper left", fontsize=11, frameon=False, title="the fastest algorithm", alignment="left"
    )
    note = (
        "The number: how many times as long\nthe second fastest takes. Pale: they\nare nearly equal.\n"
        "Empty: too large to be measured.\n\n"
        f"float32, NHWC, prepared plans,\n{data['about']['threads']} threads, {data['about']['isa']}"
    )
    key.text(0.04, 0.0, note, transform=key.transAxes, fontsize=9, va="bottom")
    figure.suptitle("Where each algorithm wins, and by which factor", fontsize=13)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="measure before drawing")
    parser.add_argument("--panel", nargs="+", choices=list(PANELS), default=list(PANELS), help="measure only these")
    options = parser.parse_args()
    data = json.loads(DATA.read_text()) if DATA.exists() else {"about": {}, "times": {}}
    if options.measure:
        everything = {
            str(spec) for panel in PANELS.values() for y in panel.y[1] for x in panel.x[1] if (spec := panel.spec(y, x))
        }
        times = {**data["times"], **measured(options.panel)}
        data = {"about": about(), "times": {line: taken for line, taken in times.items() if line in everything}}
        save(data)
    draw(data)


if __name__ == "__main__":
    main()
