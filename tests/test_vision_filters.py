"""convkern.vision.filters against scikit-image, on planes, channels and batches of bytes and floats."""

import doctest

import numpy as np
import pytest

import convkern
from convkern import _core, ndimage
from convkern.vision import filters

skimage = pytest.importorskip("skimage")
from skimage import feature  # noqa: E402
from skimage import filters as theirs  # noqa: E402

DTYPES = [np.float32, np.float64, np.uint8, np.uint16, np.int16, bool]
TOLERANCE = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-13}


@pytest.fixture(scope="module")
def photo():
    """The camera man's middle: 200 x 230 bytes."""
    from skimage import data

    return data.camera()[100:300, 150:380]


def typed(photo, dtype):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return (photo / 255).astype(dtype)
    if dtype.kind == "b":
        return photo > 128
    return photo.astype(dtype) * (1 if dtype.itemsize == 1 else 100)


def close(got, expected):
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[expected.dtype])


CALLS = [
    ("sobel", {}), ("sobel", {"axis": 0}), ("sobel", {"axis": 1, "mode": "wrap"}), ("sobel", {"mode": "nearest"}),
    ("sobel", {"mode": "constant", "cval": 0.7}), ("sobel", {"axis": 1, "mode": "constant", "cval": 0.7}),
    ("scharr", {}), ("scharr", {"axis": 1}), ("prewitt", {}), ("prewitt", {"axis": 0}), ("roberts", {}),
    ("laplacian", {}), ("gaussian", {}), ("gaussian", {"sigma": (2.0, 0.7), "mode": "mirror"}),
    ("gaussian", {"sigma": 3, "mode": "constant", "cval": 0.5, "truncate": 2.0}),
    ("gaussian", {"preserve_range": True}), ("difference_of_gaussians", {"low_sigma": 1.0}),
    ("difference_of_gaussians", {"low_sigma": 2, "high_sigma": (3, 4), "mode": "reflect"}),
    ("unsharp_mask", {}), ("unsharp_mask", {"radius": 3.0, "amount": 1.5}),
    ("unsharp_mask", {"amount": -0.5, "preserve_range": True}),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "kwargs"), CALLS, ids=str)
def test_equals_scikit_image(photo, name, kwargs, dtype):
    if dtype is bool and name == "unsharp_mask":
        pytest.skip("scikit-image refuses booleans there")
    image = typed(photo, dtype)
    got = getattr(filters, name)(image, **kwargs)
    expected = getattr(theirs, {"laplacian": "laplace"}.get(name, name))(image, **kwargs)
    scale = max(1.0, float(np.abs(expected).max())) if "preserve_range" in kwargs else 1.0
    close(got / scale, expected / scale)


def test_axes_count_from_the_end_too(photo):
    for axis in (0, 1):
        np.testing.assert_array_equal(filters.scharr(photo, axis=axis - 2), filters.scharr(photo, axis=axis))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.uint16])
@pytest.mark.parametrize("kwargs", [
    {}, {"sigma": 2.0}, {"sigma": 0.5, "mode": "nearest"}, {"low_threshold": 0.05, "high_threshold": 0.3},
    {"low_threshold": 0.8, "high_threshold": 0.95, "use_quantiles": True}, {"low_threshold": 0.0}, {"mask": True},
])  # fmt: skip
def test_canny_equals_scikit_image(photo, kwargs, dtype):
    image = typed(photo, dtype)
    kwargs = dict(kwargs)
    if "low_threshold" in kwargs and not kwargs.get("use_quantiles") and image.dtype.kind == "u":
        kwargs = {k: v * np.iinfo(dtype).max for k, v in kwargs.items()}
    if kwargs.get("mask"):
        y, x = np.ogrid[: image.shape[0], : image.shape[1]]
        kwargs["mask"] = (y - 100) ** 2 + (x - 110) ** 2 < 80**2
    got, expected = filters.canny(image, **kwargs), feature.canny(image, **kwargs)
    assert got.dtype == bool
    assert expected.any()
    # Where neighbours are equal but for rounding, one or the other may be the ridge: a pixel in a thousand, no more.
    assert np.count_nonzero(got != expected) <= (0 if image.dtype == np.float64 else image.size // 1000)


def test_canny_on_unreal_images():
    assert not filters.canny(np.zeros((20, 20))).any()
    assert filters.canny(np.zeros((0, 5))).shape == (0, 5)
    assert not filters.canny(np.ones((2, 7))).any()
    rng = np.random.default_rng(0)
    for shape in ((3, 3), (4, 61), (61, 3), (97, 101)):
        image = rng.random(shape)
        np.testing.assert_array_equal(filters.canny(image), feature.canny(image))
        whole = np.round(image * 4)  # many ties
        np.testing.assert_array_equal(filters.canny(whole), feature.canny(whole))


FUNCTIONS = {
    "sobel": filters.sobel,
    "scharr axis": lambda x, **k: filters.scharr(x, axis=0, **k),
    "prewitt": filters.prewitt,
    "roberts": filters.roberts,
    "laplacian": filters.laplacian,
    "gaussian": filters.gaussian,
    "box": lambda x, **k: filters.box(x, (3, 4), **k),
    "unsharp": filters.unsharp_mask,
    "difference": lambda x, **k: filters.difference_of_gaussians(x, 1.0, **k),
    "gabor": lambda x, **k: filters.gabor(x, 0.2, 0.4, **k)[0],
    "bank": lambda x, **k: filters.gabor_bank(x, (0.3, 0.2), (0.0, 1.0, 2.0), **k),
    "canny": filters.canny,
}


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_channels_and_batches_are_filtered_each_for_itself(photo, name, dtype):
    function = FUNCTIONS[name]
    planes = np.stack([typed(photo, dtype), typed(photo[::-1], dtype), typed(photo[:, ::-1], dtype)])
    single = [function(plane) for plane in planes]
    axis = single[0].ndim - 2  # results of a bank have axes in front

    def same(got, expected):
        if got.dtype == bool:
            assert np.mean(got != expected) < 1e-3
        else:
            np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6)

    same(function(planes), np.stack(single, axis))
    same(function(np.stack(planes, -1), channel_axis=-1), np.stack(single, -1))
    same(function(np.stack([planes, planes]), channel_axis=1), np.stack([np.stack(single, axis)] * 2, axis))
    same(function(np.stack([planes, planes]).transpose(0, 2, 3, 1), channel_axis=3),
         np.stack([np.stack(single, -1)] * 2, axis))  # fmt: skip


def test_box_is_a_mean(photo):
    from scipy.ndimage import uniform_filter

    expected = uniform_filter(photo / 255, (5, 2), mode="mirror")
    close(filters.box(photo, (5, 2), mode="mirror"), expected)


@pytest.mark.parametrize("kwargs", [{}, {"theta": 0.7, "bandwidth": 0.5}, {"sigma_x": 2.0, "sigma_y": 5.0, "theta": 2}])
def test_gabor_equals_scikit_image(photo, kwargs):
    np.testing.assert_allclose(filters.gabor_kernel(0.15, **kwargs), theirs.gabor_kernel(0.15, **kwargs), atol=1e-15)
    image = photo / 255
    for got, expected in zip(filters.gabor(image, 0.15, **kwargs), theirs.gabor(image, 0.15, **kwargs), strict=True):
        close(got, expected)
    small = image[:9, :7]  # the kernel is larger
    for got, expected in zip(filters.gabor(small, 0.1), theirs.gabor(small, 0.1), strict=True):
        close(got, expected)


@pytest.mark.parametrize("shape", [(60, 70), (9, 7)])
def test_the_bank_holds_the_magnitudes_of_each_kernel(photo, shape):
    image = (photo / 255)[: shape[0], : shape[1]]
    thetas = (0.0, 0.9, 2.2)
    bank = filters.gabor_bank(image, (0.1, 0.25), thetas, mode="mirror")
    for i, frequency in enumerate((0.1, 0.25)):
        for j, theta in enumerate(thetas):
            real, imaginary = theirs.gabor(image, frequency, theta, mode="mirror")
            np.testing.assert_allclose(bank[i, j], np.hypot(real, imaginary), rtol=0, atol=1e-12)


@pytest.mark.grid
@pytest.mark.parametrize("isa", _core.supported_isas())
def test_every_isa(photo, isa):
    with convkern.config(isa=isa):
        close(filters.sobel(photo), theirs.sobel(photo))
        np.testing.assert_array_equal(filters.canny(photo / 255), feature.canny(photo / 255))


@pytest.mark.parametrize(("call", "words"), [
    (lambda x: filters.sobel(x[0]), "image: got shape"),
    (lambda x: filters.sobel(x.astype(complex)), "image: got dtype complex128"),
    (lambda x: filters.sobel(x, axis=2), "axis: got 2"),
    (lambda x: filters.sobel(x, mode="edge"), "mode: got 'edge'"),
    (lambda x: filters.sobel(x, channel_axis=2), "channel_axis: got 2"),
    (lambda x: filters.sobel(x, channel_axis=0), "image: got shape"),
    (lambda x: filters.gaussian(x, -1), "sigma: got -1"),
    (lambda x: filters.gaussian(x, (1, 2, 3)), "sigma: got"),
    (lambda x: filters.box(x, 0), "size: got 0"),
    (lambda x: filters.box(x, (1, 2, 3)), "size: got"),
    (lambda x: filters.difference_of_gaussians(x, 2, 1), "high_sigma: got 1"),
    (lambda x: filters.gabor_kernel(0), "frequency, bandwidth"),
    (lambda x: filters.canny(x, low_threshold=3, high_threshold=2), "low_threshold: got 3"),
    (lambda x: filters.canny(x, low_threshold=2, use_quantiles=True), "low_threshold: got 2"),
    (lambda x: filters.canny(x, mask=np.ones((3, 3))), "mask: got shape"),
])  # fmt: skip
def test_bad_input_names_the_argument(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call(np.ones((8, 9)))


@pytest.mark.parametrize("module", [filters, ndimage], ids=lambda m: m.__name__)
def test_the_examples_in_the_documentation(module):
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    for name in module.__all__:
        text = getattr(module, name).__doc__
        assert text.startswith(tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")), name
        assert "{" not in text.split("Examples")[0].replace("{None, 0, 1}", "").replace('{"reflect"', ""), name
        runner.run(parser.get_doctest(text, {}, name, None, None))
    assert runner.failures == 0
    assert runner.tries > 20
