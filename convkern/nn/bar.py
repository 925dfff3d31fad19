"""The progress bar of fit(): rich's, drawn at most ten times a second by the training thread itself."""

from __future__ import annotations

import sys
import time
from typing import Any, Self


class Bar:
    """Shows epochs and steps, or nothing.

    Parameters
    ----------
    wanted : bool or None
        None: where rich is installed and the output is a terminal.
    epochs : int
    steps : int or None
        Per epoch, where that is known.
    """

    def __init__(self, wanted: bool | None, epochs: int, steps: int | None) -> None:
        self.epochs, self.steps = epochs, steps
        self.progress: Any = None
        self.drawn = 0.0
        if wanted is False or (wanted is None and not sys.stdout.isatty()):
            return
        try:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        except ImportError:
            if wanted:
                raise ImportError("progress bars need rich: pip install convkern[nn]") from None
            return
        # No refreshing thread: it would run beside the kernels.
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"), auto_refresh=False,
        )  # fmt: skip
        self.task = self.progress.add_task("epoch", total=steps, note="")

    def __enter__(self) -> Self:
        if self.progress is not None:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.progress is not None:
            self.progress.refresh()
            self.progress.stop()

    def step(self, epoch: int, done: int, loss: float) -> None:
        if self.progress is None or (time.monotonic() - self.drawn < 0.1 and done != self.steps):
            return
        self.drawn = time.monotonic()
        text = f"epoch {epoch + 1}/{self.epochs}"
        self.progress.update(self.task, completed=done, description=text, note=f"loss {loss:.4f}", refresh=True)

    def epoch(self, numbers: dict[str, float]) -> None:
        if self.progress is None:
            return
        shown = (f"{name} {value:.4f}" for name, value in numbers.items() if name not in ("epoch", "lr", "seconds"))
        self.progress.console.print(f"epoch {numbers['epoch']:.0f}  {numbers['seconds']:.1f} s  " + "  ".join(shown),
                                    highlight=False)  # fmt: skip
