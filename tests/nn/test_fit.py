"""Training: it learns, resumes to the same bits, ends on Ctrl-C, stops at NaN, and says what it did."""

import json
import os
import signal
import threading

import numpy as np
import pytest

from convkern import nn


def data(n=96, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 1, 6, 6), dtype=np.float32)
    return x, (x[:, 0, :3].sum((1, 2)) > x[:, 0, 3:].sum((1, 2))).astype(np.int64)


def net(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, rng=rng),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2, rng=rng),
        nn.Dense(64, 2, rng=rng),
    )


def settings(model, **more):
    return {
        "loss": nn.CrossEntropy(),
        "optimizer": nn.Adam(model, 0.01),
        "batch_size": 16,
        "seed": 3,
        "progress": False,
    } | more


def test_it_learns_and_keeps_a_history():
    model = net()
    history = nn.fit(model, data(400), **settings(model, epochs=20, validation=data(200, 1), schedule=nn.CosineLR(20)))
    assert len(history.epochs) == 20
    assert history.stopped == "finished"
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["val_accuracy"][-1] > 0.85
    assert history["lr"][0] > history["lr"][-1] > 0
    assert set(history.epochs[0]) == {"epoch", "loss", "accuracy", "lr", "seconds", "val_loss", "val_accuracy"}
    assert history.best == 1 + int(np.argmin(history["val_loss"]))
    assert not model.training
    assert nn.evaluate(model, data(200, 1), nn.CrossEntropy())["loss"] == pytest.approx(history["val_loss"][-1])
    assert "finished" in repr(history)


def same(a, b):
    return all(np.array_equal(array, b.state_dict()[name]) for name, array in a.state_dict().items())


@pytest.mark.parametrize("make", [
    lambda m: nn.Adam(m, 0.01), lambda m: nn.SGD(m, 0.05, 0.9, True, 1e-3), lambda m: nn.RMSprop(m, momentum=0.5),
])  # fmt: skip
def test_a_resumed_training_has_the_same_bits(tmp_path, make):
    pytest.importorskip("safetensors")
    jitter = lambda x, rng: x + 0.1 * rng.standard_normal(x.shape, dtype=np.float32)  # noqa: E731
    more = {"transform": jitter, "schedule": nn.WarmUp(1, nn.CosineLR(4)), "clip_norm": 1.0, "validation": data(40, 1)}
    whole = net()
    one = nn.fit(whole, data(), **settings(whole, epochs=5, **more, optimizer=make(whole)))
    parts = net()
    nn.fit(parts, data(), **settings(parts, epochs=2, **more, optimizer=make(parts), checkpoint=tmp_path))
    other = net(seed=9)  # another process would make its own
    two = nn.fit(
        other, data(), **settings(other, epochs=5, **more, optimizer=make(other), checkpoint=tmp_path, resume=True)
    )
    assert same(whole, other)
    for name in ("loss", "val_loss", "accuracy", "lr"):
        assert one[name] == two[name]
    assert one.best == two.best


def test_resuming_a_finished_training_changes_nothing(tmp_path):
    pytest.importorskip("safetensors")
    model = net()
    nn.fit(model, data(), **settings(model, epochs=2, checkpoint=tmp_path, resume=True))
    before = (tmp_path / "last.safetensors").read_bytes()
    other = net(seed=1)
    history = nn.fit(other, data(), **settings(other, epochs=2, checkpoint=tmp_path, resume=True))
    assert same(model, other)
    assert len(history.epochs) == 2
    assert (tmp_path / "last.safetensors").read_bytes() == before


class Interrupting:
    """Batches during which Ctrl-C is pressed."""

    def __init__(self, at):
        self.at, self.seen = at, 0

    def __len__(self):
        return 6

    def __iter__(self):
        x, y = data()
        for i in range(6):
            self.seen += 1
            if self.seen == self.at:
                os.kill(os.getpid(), signal.SIGINT)
            yield x[16 * i : 16 * i + 16], y[16 * i : 16 * i + 16]


def test_ctrl_c_leaves_a_model_and_the_last_checkpoint(tmp_path):
    pytest.importorskip("safetensors")
    before = signal.getsignal(signal.SIGINT)
    model = net()
    history = nn.fit(model, Interrupting(at=15), **settings(model, epochs=5, checkpoint=tmp_path))
    assert signal.getsignal(signal.SIGINT) is before
    assert history.stopped == "interrupted"
    assert len(history.epochs) == 2
    assert not model.training
    assert np.isfinite(model(data()[0])).all()
    # Going on from the checkpoint ends where an uninterrupted training does.
    whole, other = net(), net(seed=5)
    nn.fit(whole, Interrupting(at=-1), **settings(whole, epochs=5))
    resumed = nn.fit(other, Interrupting(at=-1), **settings(other, epochs=5, checkpoint=tmp_path, resume=True))
    assert len(resumed.epochs) == 5
    assert same(whole, other)


def test_a_second_ctrl_c_is_an_exception():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores Ctrl-C

    class Twice:
        def __iter__(self):
            signal.raise_signal(signal.SIGINT)  # in this thread, so that neither is lost in the other
            signal.raise_signal(signal.SIGINT)
            yield data()

    model = net()
    try:
        with pytest.raises(KeyboardInterrupt):
            nn.fit(model, Twice(), **settings(model))
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_runs_outside_the_main_thread():
    model, found = net(), []
    thread = threading.Thread(target=lambda: found.append(nn.fit(model, data(), **settings(model))))
    thread.start()
    thread.join(60)
    assert found[0].stopped == "finished"


@pytest.mark.parametrize("checkpointed", [True, False])
def test_a_nan_loss_stops_and_keeps_the_last_good_checkpoint(tmp_path, checkpointed):
    pytest.importorskip("safetensors")
    x, y = data()
    count = 0

    def spoil(batch, rng):
        nonlocal count
        count += 1
        return batch * np.float32(np.nan) if count == 15 else batch

    model = net()
    more = {"checkpoint": tmp_path} if checkpointed else {}
    with np.errstate(invalid="ignore"), pytest.raises(FloatingPointError) as caught:
        nn.fit(model, (x, y), **settings(model, epochs=5, transform=spoil, **more))
    text = str(caught.value)
    assert "nan" in text
    assert "epoch 3, step 3" in text
    assert ("last.safetensors" in text) == checkpointed
    assert all(np.isfinite(array).all() for array in model.parameters().values())
    if checkpointed:
        assert "after epoch 2" in text
        other = net(seed=4)
        history = nn.fit(other, (x, y), **settings(other, epochs=2, checkpoint=tmp_path, resume=True))
        assert len(history.epochs) == 2
        assert all(np.isfinite(array).all() for array in other.state_dict().values())


def test_parameters_that_overflow_in_the_last_step_are_noticed(tmp_path):
    pytest.importorskip("safetensors")
    x, y = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)
    layer = nn.Dense(2, 1)
    layer.weight[:] = 5  # far from the target, whatever the bias
    with np.errstate(over="ignore"), pytest.raises(FloatingPointError, match="weight"):
        nn.fit(
            layer, (x, y), loss=nn.MSE(), optimizer=nn.SGD(layer, 3e38), epochs=1, checkpoint=tmp_path, progress=False
        )
    assert not list(tmp_path.iterdir())


def test_early_stopping_and_the_best_model(tmp_path):
    pytest.importorskip("safetensors")
    model = net()
    x, y = data(32)
    noise = np.random.default_rng(0).integers(0, 2, 64)
    history = nn.fit(
        model,
        (x, y),
        **settings(model, epochs=100, patience=3, validation=(data(64, 1)[0], noise), checkpoint=tmp_path),
    )
    assert history.stopped == "early"
    assert len(history.epochs) == history.best + 3 < 100
    best = nn.load(net(seed=8), tmp_path / "best.safetensors").eval()
    found = nn.evaluate(best, (data(64, 1)[0], noise), nn.CrossEntropy())
    assert found["loss"] == pytest.approx(min(history["val_loss"]))


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    pytest.importorskip("safetensors")
    model = net()
    nn.fit(model, data(), **settings(model, checkpoint=tmp_path))
    for other in (nn.Sequential(nn.Flatten(), nn.Dense(36, 2)), nn.Sequential(*net().layers.values(), nn.Dense(2, 2))):
        with pytest.raises(ValueError, match=r"random layers|does not fit"):
            nn.fit(other, data(), **settings(other, epochs=2, checkpoint=tmp_path, resume=True))
    nn.save(model, tmp_path / "last.safetensors")
    with pytest.raises(ValueError, match="checkpoint"):
        nn.fit(model, data(), **settings(model, epochs=2, checkpoint=tmp_path, resume=True))


def test_checkpoints_hold_text_and_arrays_only(tmp_path):
    pytest.importorskip("safetensors")
    model = net()
    nn.fit(model, data(), **settings(model, checkpoint=tmp_path))
    raw = (tmp_path / "last.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert json.loads(header["__metadata__"]["training"])["progress"]["best"] == 1
    assert "optimizer.mean.0.weight" in header


def test_tuples_of_inputs_and_no_target():
    rng = np.random.default_rng(0)
    base = rng.standard_normal((60, 4), dtype=np.float32)
    anchors, positives, negatives = base, base + 0.1, rng.standard_normal((60, 4), dtype=np.float32)
    model = nn.Siamese(nn.Sequential(nn.Dense(4, 8, rng=0), nn.Tanh(), nn.Dense(8, 2, rng=1)))
    history = nn.fit(
        model,
        ((anchors, positives, negatives), None),
        loss=nn.Triplet(),
        optimizer=nn.Adam(model, 0.02),
        epochs=15,
        progress=False,
    )
    assert history["loss"][-1] < 0.5 * history["loss"][0]


@pytest.mark.parametrize(
    ("given", "more", "error", "words"),
    [
        ((np.ones((3, 2)), np.ones(4)), {}, ValueError, "3 inputs and 4 targets"),
        ((np.ones((0, 2)), np.ones(0)), {}, ValueError, "no samples"),
        ((x for x in []), {}, TypeError, "every epoch"),
        ([], {}, ValueError, "no batches"),
        (data(), {"epochs": -1}, ValueError, "epochs"),
        (data(), {"batch_size": 0}, ValueError, "batch_size"),
        (data(), {"resume": True}, ValueError, "resume"),
    ],
)
def test_wrong_arguments_are_named(given, more, error, words):
    model = net()
    with pytest.raises(error, match=words):
        nn.fit(model, given, **settings(model, **more))


def test_the_bar_shows_epochs(capsys):
    pytest.importorskip("rich")
    model = net()
    nn.fit(model, data(), **settings(model, epochs=2, validation=data(20, 1), progress=True))
    out = capsys.readouterr().out
    assert "epoch 2" in out
    assert "val_loss" in out


def test_optimizers_refuse_what_makes_no_sense():
    layer = nn.Dense(1, 1)
    for make in (
        lambda: nn.SGD(layer, -1),
        lambda: nn.SGD(layer, float("nan")),
        lambda: nn.SGD(layer, 0.1, nesterov=True),
        lambda: nn.Adam(layer, betas=(1, 0)),
    ):
        with pytest.raises(ValueError, match="got"):
            make()
    with pytest.raises(ValueError, match="keeps"):
        nn.SGD(layer).load_state_dict({"mean.weight": np.zeros(1)}, 1)
