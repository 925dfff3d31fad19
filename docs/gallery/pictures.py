"""Draws the gallery's pictures into docs/gallery/pictures; docs/conf.py runs it before the pages are built.

By hand: python docs/gallery/pictures.py. Needs matplotlib and scikit-image, whose photographs it uses.
"""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from skimage import data

from convkern import ndimage
from convkern.vision import filters

FOLDER = Path(__file__).parent / "pictures"


def sheet(name, columns, panels, width=11.0):
    """Save a sheet of titled images; a panel is (title, image) or (title, image, limits)."""
    rows = -(-len(panels) // columns)
    height, length = panels[0][1].shape[:2]
    figure, axes = plt.subplots(rows, columns, figsize=(width, rows * (width / columns * height / length + 0.3)))
    for axis, (title, image, *limits) in zip(axes.flat, panels, strict=True):
        low, high = limits[0] if limits else (None, None)
        axis.imshow(image, cmap="gray", vmin=low, vmax=high)
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    figure.tight_layout(pad=0.4)
    figure.savefig(FOLDER / f"{name}.png", dpi=90)
    plt.close(figure)


def edges():
    """Every edge filter on one photograph."""
    grey = data.camera()
    sheet("edges", 4, [
        ("photograph, bytes", grey),
        ("sobel", filters.sobel(grey), (0, 0.5)),
        ("scharr", filters.scharr(grey), (0, 0.5)),
        ("prewitt", filters.prewitt(grey), (0, 0.5)),
        ("roberts", filters.roberts(grey), (0, 0.35)),
        ("laplacian", filters.laplacian(grey), (-0.4, 0.4)),
        ("sobel, axis=0", filters.sobel(grey, axis=0), (-0.5, 0.5)),
        ("canny, sigma=2", filters.canny(grey, 2.0)),
    ])  # fmt: skip


def smoothing():
    """Smoothing and sharpening in colour."""
    photo = data.astronaut()
    colour = {"channel_axis": -1}
    band = filters.difference_of_gaussians(photo, 2.0, **colour)
    sheet("smoothing", 3, [
        ("photograph, bytes", photo),
        ("gaussian, sigma=5", filters.gaussian(photo, 5.0, **colour)),
        ("box, size=21", np.clip(filters.box(photo, 21, **colour), 0, 1)),
        ("unsharp_mask, radius=3, amount=2", filters.unsharp_mask(photo, 3.0, 2.0, **colour)),
        ("difference_of_gaussians, low_sigma=2", np.clip(0.5 + 2 * band, 0, 1)),
        ("gaussian, sigma=(12, 0)", filters.gaussian(photo, (12.0, 0.0), **colour)),
    ])  # fmt: skip


def morphology():
    """Grey morphology on uneven light."""
    coins = data.coins()
    disc = np.hypot(*np.ogrid[-9:10, -9:10]) <= 9
    sheet("morphology", 4, [
        ("photograph, bytes", coins),
        ("grey_erosion, disc of radius 9", ndimage.grey_erosion(coins, footprint=disc)),
        ("grey_dilation", ndimage.grey_dilation(coins, footprint=disc)),
        ("grey_opening", ndimage.grey_opening(coins, footprint=disc)),
        ("grey_closing", ndimage.grey_closing(coins, footprint=disc)),
        ("morphological_gradient, size=5", ndimage.morphological_gradient(coins, size=5)),
        ("white_tophat, size=61", ndimage.white_tophat(coins, size=61)),
        ("black_tophat, size=61", ndimage.black_tophat(coins, size=61)),
    ])  # fmt: skip


def gabor():
    """A bank of Gabor kernels."""
    grey = data.camera().astype(np.float32) / 255
    thetas = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    bank = filters.gabor_bank(grey, (0.1, 0.25), thetas)
    sheet("gabor", 4, [
        (f"frequency {frequency}, direction {np.degrees(theta):.0f}°", response)
        for frequency, row in zip((0.1, 0.25), bank, strict=True)
        for theta, response in zip(thetas, row, strict=True)
    ])  # fmt: skip


def main():
    """Draw all."""
    FOLDER.mkdir(exist_ok=True)
    for draw in (edges, smoothing, morphology, gabor):
        draw()


if __name__ == "__main__":
    main()
