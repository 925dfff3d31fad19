"""Learn an edge filter from an example: a photograph, and the same filtered by Sobel's vertical edges.

One 3x3 convolution and gradient descent on the squared difference find the nine numbers again.

    python examples/edges.py --output edges.png
"""

import argparse

import numpy as np

import convkern
from convkern import nn

SOBEL = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], np.float32)


def photograph():
    """A grey photograph, (1, 1, 427, 640), mean 0 and deviation 1."""
    from sklearn.datasets import load_sample_image

    grey = load_sample_image("china.jpg").astype(np.float32).mean(axis=2)
    return ((grey - grey.mean()) / grey.std())[None, None]


def learn(x, target, steps, seed=0):
    """(filter, losses): a 3x3 filter that makes the target of x, found by gradient descent with momentum."""
    model = nn.Conv2d(1, 1, 3, bias=False, rng=seed)
    loss = nn.MSE()
    optimizer = nn.SGD(model, lr=0.05, momentum=0.98)
    losses = [nn.train_step(model, loss, optimizer, x, target)[0] for _ in range(steps)]
    return model.weight[0, 0], losses


def plot(x, target, found, losses, path):
    """The photograph, its edges, the loss, and both filters."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.5), layout="constrained")
    grid = figure.add_gridspec(2, 3)
    for place, image, title in ((0, x, "photograph"), (1, target, "Sobel's vertical edges"),
                                (2, convkern.conv2d(x, found[None, None]), "edges by the learned filter")):  # fmt: skip
        axes = figure.add_subplot(grid[0, place])
        limit = None if place == 0 else 3
        axes.imshow(image[0, 0], cmap="gray", vmin=None if limit is None else -limit, vmax=limit)
        axes.set_title(title)
        axes.axis("off")
    axes = figure.add_subplot(grid[1, 0])
    axes.semilogy(losses)
    axes.set(xlabel="step", ylabel="mean squared error", title="loss")
    axes.grid(alpha=0.3)
    for place, values, title in ((1, SOBEL, "Sobel"), (2, found, "learned")):
        axes = figure.add_subplot(grid[1, place])
        axes.imshow(values, cmap="RdBu_r", vmin=-2, vmax=2)
        for (row, column), value in np.ndenumerate(values):
            color = "white" if abs(value) > 1.4 else "black"
            axes.text(column, row, f"{value:.3f}", ha="center", va="center", color=color)
        axes.set_title(title)
        axes.axis("off")
    figure.savefig(path, dpi=110)


def main(arguments=None):
    """Learn, report, plot; returns the largest difference of the nine numbers from Sobel's."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--steps", type=int, default=800)
    options.add_argument("--output", default="edges.png", help="picture of edges and filters")
    chosen = options.parse_args(arguments)
    x = photograph()
    target = convkern.conv2d(x, SOBEL[None, None])
    found, losses = learn(x, target, chosen.steps)
    error = float(np.abs(found - SOBEL).max())
    print(found.round(3))
    print(f"largest difference from Sobel {error:.1e}, loss {losses[-1]:.1e} after {chosen.steps} steps")
    plot(x, target, found, losses, chosen.output)
    return error


if __name__ == "__main__":
    main()
