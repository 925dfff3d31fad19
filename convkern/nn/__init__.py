"""Convolutional networks in NumPy: layers with forward and backward, losses, optimizers, training. No autograd engine.

A model is a tree of layers. ``y = model.forward(x, training=True)``, ``value = loss(y, target)``,
``model.backward(loss.backward())`` and ``optimizer.step()`` are one step of training; :func:`fit` does many.
"""

from . import init
from .activation import (
    ELU, GELU, SELU, Activation, HardSwish, LeakyReLU, PReLU, ReLU, ReLU6, Sigmoid, SiLU, Softmax, Softplus, Tanh,
)  # fmt: skip
from .adaptive import (
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool, AdaptiveMaxPool1d,
    AdaptiveMaxPool2d, AdaptiveMaxPool3d, FractionalMaxPool, FractionalMaxPool1d, FractionalMaxPool2d,
    FractionalMaxPool3d, GlobalAvgPool, GlobalAvgPool1d, GlobalAvgPool2d, GlobalAvgPool3d, GlobalMaxPool,
    GlobalMaxPool1d, GlobalMaxPool2d, GlobalMaxPool3d,
)  # fmt: skip
from .combine import Combinator, Concat, Residual, Scale, Sequential, Siamese, Skip
from .compile import Compiled
from .conv import (
    Conv, Conv1d, Conv2d, Conv3d, ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, DepthwiseConv,
    DepthwiseConv1d, DepthwiseConv2d, DepthwiseConv3d, SeparableConv, SeparableConv1d, SeparableConv2d, SeparableConv3d,
)  # fmt: skip
from .dense import Dense, Flatten
from .fit import History, accuracy, evaluate, fit, train_step
from .init import manual_seed
from .layer import Identity, Layer, LayerError
from .losses import L1, MSE, BCEWithLogits, Contrastive, CrossEntropy, Loss, SmoothL1, Triplet
from .norm import BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d, GroupNorm, LayerNorm, LocalResponseNorm
from .optim import SGD, Adam, AdamW, Optimizer, RMSprop, clip_gradients, clip_values
from .pooling import (
    AvgPool, AvgPool1d, AvgPool2d, AvgPool3d, LpPool, LpPool1d, LpPool2d, LpPool3d, MaxPool, MaxPool1d, MaxPool2d,
    MaxPool3d, MinPool, MinPool1d, MinPool2d, MinPool3d,
)  # fmt: skip
from .resize import Dropout, Pad, PixelShuffle, Upsample
from .schedules import CosineLR, OneCycleLR, StepLR, WarmUp
from .serialize import load, save
from .summary import Summary

__all__ = [name for name in dir() if not name.startswith("_") and (name[0].isupper() or name in (
    "accuracy", "clip_gradients", "clip_values", "evaluate", "fit", "init", "load", "manual_seed", "save", "train_step",
))]  # fmt: skip
