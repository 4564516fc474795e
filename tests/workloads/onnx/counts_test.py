#!/usr/bin/env python3
"""Compares `mlsim counts` of the ONNX models beside this file with counts made from the publications alone.

counts_test.py MLSIM: exits with 1 and says what differs. Nothing here reads a model: every count follows from the
structure of the network, written down a second time, layer by layer. Networks that ship as JSON, too, count the same.
"""

import json
import pathlib
import subprocess
import sys

FOLDER = pathlib.Path(__file__).parent
BATCH = 2


class Counts:
    """Of one image: multiply-adds, elements and parameters."""

    def __init__(self):
        self.convolution = self.in_range = self.first = self.linear = self.product = 0
        self.batch_norm = self.activation = self.smooth = self.softmax = self.add = self.multiply = 0
        self.pool_forward = self.pool_backward = self.gradients = 0
        self.convolution_weights = self.linear_weights = self.parameters = 0

    # The parameters of PyTorch's layer.
    def conv(self, inputs, outputs, size, kernel, stride=1, padding=None, groups=1, bias=False):
        padding = kernel // 2 if padding is None else padding
        out = (size + 2 * padding - kernel) // stride + 1
        # Of each axis, the pairs of output and tap that are inside.
        pairs = sum(0 <= o * stride + k - padding < size for o in range(out) for k in range(kernel))
        channels = outputs * inputs // groups
        if not self.convolution:
            self.first = channels * pairs * pairs
        self.convolution += channels * (out * kernel) ** 2
        self.in_range += channels * pairs * pairs
        self.convolution_weights += channels * kernel * kernel
        self.parameters += channels * kernel * kernel + (outputs if bias else 0)
        return out

    def norm(self, channels, size):
        self.batch_norm += channels * size * size
        self.parameters += 2 * channels

    def dense(self, inputs, outputs, rows=1):
        self.linear += rows * inputs * outputs
        self.linear_weights += inputs * outputs
        self.parameters += inputs * outputs + outputs

    def pool(self, channels, out, window, is_maximum):
        self.pool_forward += channels * out * out * window
        self.pool_backward += channels * out * out * (1 if is_maximum else window)

    def mean(self, elements):
        self.pool_forward += elements
        self.pool_backward += elements

    def document(self):
        def both(forward, backward):
            return {"forward": BATCH * forward, "backward": BATCH * backward}

        return {
            "convolution": both(self.convolution, 2 * self.convolution),
            # The images need no gradient.
            "convolution_in_range": both(self.in_range, 2 * self.in_range - self.first),
            "batch_norm": both(self.batch_norm, self.batch_norm),
            "element_add": both(self.add, self.add),
            "gradient_add": both(0, self.gradients),
            "element_multiply": both(self.multiply, 2 * self.multiply),
            "activation": both(self.activation, self.activation),
            "smooth": both(self.smooth, self.smooth),
            "softmax": both(self.softmax, self.softmax),
            "pooling": both(self.pool_forward, self.pool_backward),
            "linear": both(self.linear, 2 * self.linear),
            "product": both(self.product, 2 * self.product),
            "weight_update": {"convolution_weights": self.convolution_weights, "linear_weights": self.linear_weights,
                              "parameters": self.parameters},
        }


def resnet(blocks, expansion):
    c = Counts()
    size = c.conv(3, 64, 224, 7, 2)
    c.norm(64, size)
    c.activation += 64 * size * size
    size = 56
    c.pool(64, size, 9, True)
    inputs = 64
    for stage, count in enumerate(blocks):
        width = 64 << stage
        for index in range(count):
            stride = 2 if stage and not index else 1
            out = size // stride
            if expansion == 1:
                c.conv(inputs, width, size, 3, stride)
                c.conv(width, width, out, 3)
                c.norm(width, out)
                c.norm(width, out)
                c.activation += width * out * out
            else:
                c.conv(inputs, width, size, 1)
                c.norm(width, size)
                c.conv(width, width, size, 3, stride)
                c.norm(width, out)
                c.conv(width, 4 * width, out, 1)
                c.norm(4 * width, out)
                c.activation += width * (size * size + out * out)
            outputs = width * expansion
            if stride != 1 or inputs != outputs:
                c.conv(inputs, outputs, size, 1, stride, 0)
                c.norm(outputs, out)
            c.gradients += inputs * size * size  # each block reads its input twice
            c.add += outputs * out * out
            c.activation += outputs * out * out
            inputs, size = outputs, out
    c.pool(inputs, 1, size * size, False)
    c.dense(inputs, 1000)
    return c


def vgg16():
    c = Counts()
    size, inputs = 224, 3
    for width, count in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        for _ in range(count):
            c.conv(inputs, width, size, 3, bias=True)
            c.activation += width * size * size
            inputs = width
        size //= 2
        c.pool(inputs, size, 4, True)
    c.dense(512 * 49, 4096)
    c.dense(4096, 4096)
    c.dense(4096, 1000)
    c.activation += 2 * 4096
    return c


def mobilenetv2():
    c = Counts()
    size = c.conv(3, 32, 224, 3, 2)
    c.norm(32, size)
    c.activation += 32 * size * size
    inputs = 32
    for expansion, width, count, first in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                           (6, 160, 3, 2), (6, 320, 1, 1)]:
        for index in range(count):
            stride = 1 if index else first
            hidden = expansion * inputs
            if expansion > 1:
                c.conv(inputs, hidden, size, 1)
                c.norm(hidden, size)
                c.activation += hidden * size * size
            out = c.conv(hidden, hidden, size, 3, stride, groups=hidden)
            c.norm(hidden, out)
            c.activation += hidden * out * out
            c.conv(hidden, width, out, 1)
            c.norm(width, out)
            if stride == 1 and inputs == width:
                c.add += width * out * out
                c.gradients += width * out * out
            inputs, size = width, out
    c.conv(320, 1280, size, 1)
    c.norm(1280, size)
    c.activation += 1280 * size * size
    c.mean(1280 * size * size)
    c.dense(1280, 1000)
    return c


def densenet121():
    c = Counts()
    size = c.conv(3, 64, 224, 7, 2)
    c.norm(64, size)
    c.activation += 64 * size * size
    size, channels = 56, 64
    c.pool(64, size, 9, True)
    for block, count in enumerate((6, 12, 24, 16)):
        for index in range(count):
            inputs = channels + 32 * index
            c.norm(inputs, size)
            c.conv(inputs, 128, size, 1)
            c.norm(128, size)
            c.conv(128, 32, size, 3)
            c.activation += (inputs + 128) * size * size
            # What the block begins with is read by each layer and by the end; a layer's output by those behind it.
            c.gradients += 32 * (count - index - 1) * size * size
        c.gradients += channels * count * size * size
        channels += 32 * count
        c.norm(channels, size)
        c.activation += channels * size * size
        if block < 3:
            c.conv(channels, channels // 2, size, 1)
            channels //= 2
            size //= 2
            c.pool(channels, size, 4, False)
    c.mean(channels * size * size)
    c.dense(channels, 1000)
    return c


def efficientnet_b0():
    c = Counts()

    def silu(elements):
        c.smooth += elements
        c.multiply += elements
        c.gradients += elements  # sigmoid and product read the same

    size = c.conv(3, 32, 224, 3, 2)
    c.norm(32, size)
    silu(32 * size * size)
    inputs = 32
    for expansion, width, count, first, kernel in [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5),
                                                   (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
                                                   (6, 320, 1, 1, 3)]:
        for index in range(count):
            stride = 1 if index else first
            hidden = expansion * inputs
            if expansion > 1:
                c.conv(inputs, hidden, size, 1)
                c.norm(hidden, size)
                silu(hidden * size * size)
            out = c.conv(hidden, hidden, size, kernel, stride, groups=hidden)
            c.norm(hidden, out)
            silu(hidden * out * out)
            squeezed = inputs // 4
            c.mean(hidden * out * out)
            c.conv(hidden, squeezed, 1, 1, bias=True)
            silu(squeezed)
            c.conv(squeezed, hidden, 1, 1, bias=True)
            c.smooth += hidden
            c.multiply += hidden * out * out
            c.gradients += hidden * out * out  # the map is averaged and scaled
            c.conv(hidden, width, out, 1)
            c.norm(width, out)
            if stride == 1 and inputs == width:
                c.add += width * out * out
                c.gradients += width * out * out
            inputs, size = width, out
    c.conv(320, 1280, size, 1)
    c.norm(1280, size)
    silu(1280 * size * size)
    c.mean(1280 * size * size)
    c.dense(1280, 1000)
    return c


def layer_norm(c, width, rows):
    """As exporters write it before opset 17: mean, difference, square, mean, epsilon, root, quotient, scale, shift."""
    elements = width * rows
    c.mean(elements)
    c.add += elements  # x - mean
    c.gradients += 2 * elements  # x is averaged and reduced; the difference is squared and divided
    c.multiply += elements  # squares
    c.mean(elements)
    c.add += rows  # epsilon
    c.smooth += rows  # root
    c.multiply += 2 * elements  # quotient, scale
    c.add += elements  # shift
    c.parameters += 2 * width


def attention(c, width, heads, rows):
    depth = width // heads
    for _ in range(4):
        c.dense(width, width, rows)
    c.gradients += 2 * width * rows  # read by query, key and value
    c.product += 2 * heads * rows * rows * depth
    c.linear += 2 * heads * rows * rows * depth
    c.multiply += heads * rows * rows  # the scale
    c.softmax += heads * rows * rows


def mlp(c, width, rows):
    c.dense(width, 4 * width, rows)
    c.dense(4 * width, width, rows)
    hidden = 4 * width * rows
    # GELU: x / sqrt 2, erf, + 1, x ·, · 0.5
    c.multiply += 3 * hidden
    c.smooth += hidden
    c.add += hidden
    c.gradients += hidden


def vit():
    c = Counts()
    width, heads, rows = 192, 3, 197
    c.conv(3, width, 224, 16, 16, 0, bias=True)
    c.parameters += width + rows * width
    c.add += width * rows  # positions
    for _ in range(2):
        for part in (lambda: attention(c, width, heads, rows), lambda: mlp(c, width, rows)):
            layer_norm(c, width, rows)
            part()
            c.add += width * rows
            c.gradients += width * rows  # the part and what goes around it
    layer_norm(c, width, rows)
    c.dense(width, 1000)
    return c


def bert_block():
    c = Counts()
    width, heads, rows = 768, 12, 128
    c.parameters += (30522 + 512 + 2) * width
    c.add += 2 * width * rows
    layer_norm(c, width, rows)
    for part in (lambda: attention(c, width, heads, rows), lambda: mlp(c, width, rows)):
        part()
        c.add += width * rows
        c.gradients += width * rows  # the part and what goes around it
        layer_norm(c, width, rows)
    c.dense(width, width)
    c.smooth += width
    return c


NETWORKS = {
    "resnet18": lambda: resnet([2, 2, 2, 2], 1),
    "resnet50": lambda: resnet([3, 4, 6, 3], 4),
    "vgg16": vgg16,
    "mobilenetv2": mobilenetv2,
    "densenet121": densenet121,
    "efficientnet_b0": efficientnet_b0,
    "vit": vit,
    "bert_block": bert_block,
}
SHIPPED = ["resnet18", "resnet50", "vgg16", "mobilenetv2"]


def counted(mlsim, network):
    """What `mlsim counts` says of it, and on standard error."""
    run = subprocess.run([mlsim, "counts", network, "--batch", str(BATCH), "--format", "json"],
                         capture_output=True, text=True, check=False)
    return json.loads(run.stdout) if run.returncode == 0 else {}, run.stderr


def differences(what, document, expected):
    for key, value in expected.items():
        if document.get(key) != value:
            yield f"{what}: {key} is {document.get(key, 'missing')}, expected {value}"


def main():
    mlsim = sys.argv[1]
    wrong = []
    for name, make in NETWORKS.items():
        document, errors = counted(mlsim, FOLDER / f"{name}.onnx")
        if errors:
            wrong.append(f"{name}: {errors}")
        wrong += differences(f"{name}.onnx", document, make().document())
        if name in SHIPPED:
            shipped, errors = counted(mlsim, name)
            shipped.pop("network", None)
            if errors:
                wrong.append(f"{name}: {errors}")
            wrong += differences(f"{name}, shipped and ONNX", document, shipped)
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
