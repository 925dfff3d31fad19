"""Against PyTorch, where it is installed: the same state dict, outputs, gradients, losses and optimizer steps."""

import numpy as np
import pytest
from gradients import draw

from convkern import nn

torch = pytest.importorskip("torch")
T, F = torch.nn, torch.nn.functional

A, B, C = (2, 4, 9), (2, 4, 7, 6), (2, 4, 5, 4, 6)
PAIRS = {
    "conv1": (lambda: nn.Conv1d(4, 6, 3, 2, 1), lambda: T.Conv1d(4, 6, 3, 2, 1), A),
    "conv2": (lambda: nn.Conv2d(4, 6, 3, 1, 2, 2, 2), lambda: T.Conv2d(4, 6, 3, 1, 2, 2, 2), B),
    "conv2 reflect": (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
                      lambda: T.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), B),
    "conv3": (lambda: nn.Conv3d(4, 2, 2, bias=False), lambda: T.Conv3d(4, 2, 2, bias=False), C),
    "transpose1": (lambda: nn.ConvTranspose1d(4, 3, 3, 2), lambda: T.ConvTranspose1d(4, 3, 3, 2), A),
    "transpose2": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2), lambda: T.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2), B),
    "transpose2 dilated": (lambda: nn.ConvTranspose2d(4, 2, 2, 2, 0, 2, dilation=3),
                           lambda: T.ConvTranspose2d(4, 2, 2, 2, 0, 2, dilation=3), B),
    "transpose3": (lambda: nn.ConvTranspose3d(4, 2, 2), lambda: T.ConvTranspose3d(4, 2, 2), C),
    "dense": (lambda: nn.Dense(12, 5), lambda: T.Linear(12, 5), (3, 12)),
    "max": (lambda: nn.MaxPool2d(3, 2, 1, 1, True), lambda: T.MaxPool2d(3, 2, 1, 1, ceil_mode=True), B),
    "avg": (lambda: nn.AvgPool2d(3, 2, 1, True, False), lambda: T.AvgPool2d(3, 2, 1, True, False), B),
    "lp": (lambda: nn.LpPool2d(3, 2), lambda: T.LPPool2d(3, 2), B),
    "adaptive avg": (lambda: nn.AdaptiveAvgPool2d((3, 4)), lambda: T.AdaptiveAvgPool2d((3, 4)), B),
    "adaptive max": (lambda: nn.AdaptiveMaxPool3d(2), lambda: T.AdaptiveMaxPool3d(2), C),
    "nearest": (lambda: nn.Upsample(scale_factor=2), lambda: T.Upsample(scale_factor=2), B),
    "nearest down": (lambda: nn.Upsample(size=(3, 10)), lambda: T.Upsample(size=(3, 10)), B),
    "nearest fraction": (lambda: nn.Upsample(scale_factor=1.7), lambda: T.Upsample(scale_factor=1.7), B),
    "linear": (lambda: nn.Upsample(scale_factor=3, mode="linear"),
               lambda: T.Upsample(scale_factor=3, mode="linear"), A),
    "bilinear": (lambda: nn.Upsample(size=(10, 4), mode="bilinear"),
                 lambda: T.Upsample(size=(10, 4), mode="bilinear"), B),
    "bilinear fraction": (lambda: nn.Upsample(scale_factor=1.7, mode="bilinear"),
                          lambda: T.Upsample(scale_factor=1.7, mode="bilinear"), B),
    "corners": (lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
                lambda: T.Upsample(scale_factor=2, mode="bilinear", align_corners=True), B),
    "trilinear": (lambda: nn.Upsample(scale_factor=2, mode="trilinear"),
                  lambda: T.Upsample(scale_factor=2, mode="trilinear"), C),
    "shuffle": (lambda: nn.PixelShuffle(2), lambda: T.PixelShuffle(2), B),
    "pad": (lambda: nn.Pad((1, 2, 0, 3)), lambda: T.ZeroPad2d((1, 2, 0, 3)), B),
    "pad circular": (lambda: nn.Pad(2, "circular"), lambda: T.CircularPad2d(2), B),
    "batch norm1": (lambda: nn.BatchNorm1d(12), lambda: T.BatchNorm1d(12), (5, 12)),
    "batch norm2": (lambda: nn.BatchNorm2d(4, 1e-3, 0.3), lambda: T.BatchNorm2d(4, 1e-3, 0.3), B),
    "batch norm3": (lambda: nn.BatchNorm3d(4, affine=False), lambda: T.BatchNorm3d(4, affine=False), C),
    "layer norm": (lambda: nn.LayerNorm((7, 6)), lambda: T.LayerNorm((7, 6)), B),
    "group norm": (lambda: nn.GroupNorm(2, 4), lambda: T.GroupNorm(2, 4), B),
    "local response": (lambda: nn.LocalResponseNorm(3, 0.1), lambda: T.LocalResponseNorm(3, 0.1), B),
    "relu": (nn.ReLU, T.ReLU, B),
    "relu6": (nn.ReLU6, T.ReLU6, B),
    "leaky relu": (nn.LeakyReLU, T.LeakyReLU, B),
    "prelu": (lambda: nn.PReLU(4), lambda: T.PReLU(4), B),
    "elu": (nn.ELU, T.ELU, B),
    "selu": (nn.SELU, T.SELU, B),
    "gelu": (nn.GELU, T.GELU, B),
    "gelu tanh": (lambda: nn.GELU("tanh"), lambda: T.GELU("tanh"), B),
    "silu": (nn.SiLU, T.SiLU, B),
    "hardswish": (nn.HardSwish, T.Hardswish, B),
    "sigmoid": (nn.Sigmoid, T.Sigmoid, B),
    "tanh": (nn.Tanh, T.Tanh, B),
    "softplus": (nn.Softplus, T.Softplus, B),
    "softmax": (nn.Softmax, lambda: T.Softmax(1), B),
    "lenet": (
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
                              nn.Dense(24, 3)),
        lambda: T.Sequential(T.Conv2d(4, 6, 3), T.BatchNorm2d(6), T.ReLU(), T.AvgPool2d(2), T.Flatten(),
                             T.Linear(24, 3)),
        B,
    ),
}  # fmt: skip


def tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", PAIRS)
def test_layer(name, training):
    make, peer, shape = PAIRS[name]
    ours, theirs = make().astype("float64"), peer().double().train(training)
    own = ours.train(training).state_dict()
    with torch.no_grad():
        for value in theirs.state_dict().values():
            if value.is_floating_point():
                value += 0.3 * torch.rand(value.shape, generator=torch.Generator().manual_seed(1), dtype=value.dtype)
    assert list(own) == list(theirs.state_dict())
    ours.load_state_dict({key: value.numpy().copy() for key, value in theirs.state_dict().items()})
    x = draw(shape)
    leaf = tensor(x).requires_grad_()
    y, z = ours(x), theirs(leaf)
    np.testing.assert_allclose(y, z.detach().numpy(), rtol=1e-11, atol=1e-12)
    grad = draw(y.shape, 1)
    dx = ours.backward(grad)
    z.backward(tensor(grad))
    np.testing.assert_allclose(dx, leaf.grad.numpy(), rtol=1e-10, atol=1e-11)
    for key, parameter in theirs.named_parameters():
        np.testing.assert_allclose(ours.gradients()[key], parameter.grad.numpy(), rtol=1e-10, atol=1e-11)
    for key, value in theirs.state_dict().items():  # running statistics, after the call
        np.testing.assert_allclose(ours.state_dict()[key], value.numpy(), rtol=1e-12)


SCORES, LABELS = draw((6, 5)), np.array([0, 4, 2, 2, 1, 3])
MAP, MAP_LABELS = draw((2, 3, 4, 5)), np.random.default_rng(0).integers(0, 3, (2, 4, 5))
WEIGHT = np.array([0.5, 2.0, 1.0, 0.1, 3.0])
P, Q = draw((4, 3)), draw((4, 3), 1)
ONES = (Q > 0).astype(float)
LOSSES = {
    "cross entropy": (nn.CrossEntropy(), lambda p, t: F.cross_entropy(p, t), SCORES, LABELS),
    "sum": (nn.CrossEntropy(reduction="sum"), lambda p, t: F.cross_entropy(p, t, reduction="sum"), SCORES, LABELS),
    "weighted": (nn.CrossEntropy(WEIGHT), lambda p, t: F.cross_entropy(p, t, tensor(WEIGHT)), SCORES, LABELS),
    "smoothed": (nn.CrossEntropy(label_smoothing=0.1), lambda p, t: F.cross_entropy(p, t, label_smoothing=0.1), SCORES,
                 LABELS),
    "all": (nn.CrossEntropy(WEIGHT, 2, 0.1),
            lambda p, t: F.cross_entropy(p, t, tensor(WEIGHT), ignore_index=2, label_smoothing=0.1), SCORES, LABELS),
    "probabilities": (nn.CrossEntropy(WEIGHT, label_smoothing=0.2),
                      lambda p, t: F.cross_entropy(p, t, tensor(WEIGHT), label_smoothing=0.2), SCORES,
                      np.abs(draw((6, 5), 2))),
    "segmentation": (nn.CrossEntropy(ignore_index=1), lambda p, t: F.cross_entropy(p, t, ignore_index=1), MAP,
                     MAP_LABELS),
    "bce": (nn.BCEWithLogits(), F.binary_cross_entropy_with_logits, P, ONES),
    "bce weighted": (nn.BCEWithLogits("sum", 3.0), lambda p, t: F.binary_cross_entropy_with_logits(
        p, t, reduction="sum", pos_weight=torch.tensor(3.0)), P, ONES),
    "mse": (nn.MSE(), F.mse_loss, P, Q),
    "l1": (nn.L1("sum"), lambda p, t: F.l1_loss(p, t, reduction="sum"), P, Q),
    "smooth l1": (nn.SmoothL1(0.5), lambda p, t: F.smooth_l1_loss(p, t, beta=0.5), P, Q),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    loss, theirs, prediction, target = LOSSES[name]
    leaf = tensor(prediction).requires_grad_()
    wanted = theirs(leaf, tensor(target))
    wanted.backward()
    assert loss(prediction, target) == pytest.approx(wanted.item(), rel=1e-12)
    np.testing.assert_allclose(loss.backward(), leaf.grad.numpy(), rtol=1e-10, atol=1e-13)


def test_triplet():
    a, p, n = (draw((5, 3), seed) for seed in range(3))
    loss = nn.Triplet(2.0)
    leaves = [tensor(part).requires_grad_() for part in (a, p, n)]
    wanted = F.triplet_margin_loss(*leaves, margin=2.0)
    wanted.backward()
    assert loss((a, p, n)) == pytest.approx(wanted.item(), rel=1e-12)
    for gradient, leaf in zip(loss.backward(), leaves, strict=True):
        np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-10, atol=1e-13)


OPTIMIZERS = {
    "sgd": (lambda m: nn.SGD(m, 0.1), lambda p: torch.optim.SGD(p, 0.1)),
    "momentum": (
        lambda m: nn.SGD(m, 0.1, 0.9, weight_decay=0.01),
        lambda p: torch.optim.SGD(p, 0.1, 0.9, weight_decay=0.01),
    ),
    "nesterov": (lambda m: nn.SGD(m, 0.1, 0.9, True), lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=True)),
    "adam": (lambda m: nn.Adam(m, 0.01, weight_decay=0.1), lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.1)),
    "adamw": (lambda m: nn.AdamW(m, 0.01), lambda p: torch.optim.AdamW(p, 0.01)),
    "rmsprop": (lambda m: nn.RMSprop(m, weight_decay=0.1), lambda p: torch.optim.RMSprop(p, weight_decay=0.1)),
    "rmsprop momentum": (lambda m: nn.RMSprop(m, momentum=0.8), lambda p: torch.optim.RMSprop(p, momentum=0.8)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name):
    layer = nn.Dense(150, 120, rng=0).astype("float64")  # more than one piece
    optimizer = OPTIMIZERS[name][0](layer)
    leaves = [tensor(layer.weight.copy()).requires_grad_(), tensor(layer.bias.copy()).requires_grad_()]
    theirs = OPTIMIZERS[name][1](leaves)
    for step in range(4):
        for key, leaf in zip(("weight", "bias"), leaves, strict=True):
            gradient = draw(leaf.shape, step)
            layer.gradient(key)[...] = gradient
            leaf.grad = tensor(gradient)
        optimizer.step()
        theirs.step()
    np.testing.assert_allclose(layer.weight, leaves[0].detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(layer.bias, leaves[1].detach().numpy(), rtol=1e-10, atol=1e-12)


def test_clipping():
    layer = nn.Dense(5, 4, rng=0)
    gradients = draw((4, 5)), draw((4,))
    leaves = [torch.zeros(4, 5, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)]
    for leaf, gradient, key in zip(leaves, gradients, ("weight", "bias"), strict=True):
        leaf.requires_grad_().grad = tensor(gradient)
        layer.grad[key] = gradient.copy()
    norm = torch.nn.utils.clip_grad_norm_(leaves, 1.5)
    assert nn.clip_gradients(layer, 1.5) == pytest.approx(norm.item())
    np.testing.assert_allclose(layer.grad["weight"], leaves[0].grad.numpy(), rtol=1e-5)
    nn.clip_values(layer, 0.1)
    assert max(abs(g).max() for g in layer.grad.values()) <= 0.1


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (nn.StepLR(3, 0.5), lambda o: torch.optim.lr_scheduler.StepLR(o, 3, 0.5)),
        (nn.CosineLR(10), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10)),
        (nn.WarmUp(4, start=0.25), lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.25, 1.0, 4)),
        (nn.OneCycleLR(9, 0.4, 25, 25e4), lambda o: torch.optim.lr_scheduler.OneCycleLR(
            o, 1.0, total_steps=10, pct_start=0.46, three_phase=False)),
    ],
    ids=["step", "cosine", "warm-up", "one cycle"],
)  # fmt: skip
def test_schedule(ours, theirs):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    schedule = theirs(optimizer)
    for t in range(10):
        assert ours(t) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6, abs=1e-9)
        optimizer.step()
        if t < 9:
            schedule.step()


def test_a_pytorch_file_loads(tmp_path):
    library = pytest.importorskip("safetensors.torch")
    make, peer, shape = PAIRS["lenet"]
    theirs = peer()
    with torch.no_grad():
        theirs(torch.randn(8, *shape[1:]))  # running statistics of their own
    library.save_file(theirs.state_dict(), tmp_path / "net.safetensors")
    ours = nn.load(make(), tmp_path / "net.safetensors").eval()
    x = draw(shape).astype(np.float32)
    with torch.no_grad():
        wanted = theirs.eval()(tensor(x)).numpy()
    np.testing.assert_allclose(ours(x), wanted, rtol=1e-5, atol=1e-6)
    nn.save(ours, tmp_path / "back.safetensors")
    assert not any(theirs.load_state_dict(library.load_file(tmp_path / "back.safetensors")))
