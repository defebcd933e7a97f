"""PyTorch by `torch.compile`, Adam fused."""

import torch

from benchmarks.contestants import pytorch
from benchmarks.rates import Call
from benchmarks.settings import Setting

NAME = "PyTorch, torch.compile and fused Adam"
loss = pytorch.loss


def training(setting: Setting) -> Call:
    return pytorch.training(setting, torch.compile, fused=True)
