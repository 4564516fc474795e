"""The residual networks of He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2:
the network of mlsim-train --model resnet20, module by module."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import nn


class Block(nn.Module):
    """Two 3×3 convolutions. A shortcut that changes shape takes every second pixel, and new channels are 0."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = convolution(in_channels, out_channels, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = convolution(out_channels, out_channels, 1)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y))
        new_channels = y.shape[1] - x.shape[1]
        if new_channels > 0:
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, new_channels))
        return y.add_(x).relu_()


def convolution(in_channels: int, out_channels: int, stride: int) -> nn.Conv2d:
    layer = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


class ResNet(nn.Module):
    """blocks: of each of the three stages with 16, 32 and 64 channels; 3 make ResNet-20, 1 ResNet-8."""

    def __init__(self, blocks: int = 3, channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = convolution(channels, 16, 1)
        self.bn1 = nn.BatchNorm2d(16)
        width = 16
        for stage in range(3):
            layers = []
            for block in range(blocks):
                narrows = stage > 0 and block == 0
                layers.append(Block(width, width * 2 if narrows else width, 2 if narrows else 1))
                width *= 2 if narrows else 1
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        y = self.bn1(self.conv1(images)).relu_()
        y = self.layer3(self.layer2(self.layer1(y)))
        return self.fc(y.mean((2, 3)))


def resnet20(channels: int = 3, classes: int = 10) -> ResNet:
    return ResNet(3, channels, classes)
