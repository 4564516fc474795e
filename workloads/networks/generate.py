#!/usr/bin/env python3
"""Writes the network files beside it: python3 workloads/networks/generate.py

Sources of the structures:
  resnet18, resnet34, resnet50: He et al., "Deep residual learning for image recognition", CVPR 2016, table 1;
      in resnet50 the stride of a stage is in its 3x3 convolution, as most implementations have it ("v1.5").
  resnet18-3x3-stem: the same with a 3x3 stem of stride 1 and no pooling after it.
  resnet20: the same paper, section 4.2, with parameter-free shortcuts (option A).
  vgg16: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
      configuration D. Dropout does no arithmetic that is counted and is left out.
  mobilenetv2: Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018, table 2.
"""

import json
import pathlib

PUBLICATION = (
    'K. Zhong et al., "Exploring the potential of low-bit training of convolutional neural networks", '
    "arXiv:2006.02804, table 1"
)


class Network:
    """Layers in order of evaluation; the sizes follow from what a layer is fed with."""

    def __init__(self, name, channels, size):
        self.name = name
        self.input = {"channels": channels, "size": [size, size]}
        self.layers = []
        self.maps = {"input": (channels, [size, size])}
        self.published = None

    def append(self, layer, out_channels, out_size):
        self.layers.append(layer)
        self.maps[layer["name"]] = (out_channels, out_size)
        return layer["name"]

    # The keys of a layer.
    def convolution(self, name, source, out_channels, kernel, stride=1, padding=0, groups=1, bias=False):
        channels, size = self.maps[source]
        out_size = [(s + 2 * padding - kernel) // stride + 1 for s in size]
        layer = {"name": name, "type": "conv2d", "inputs": [source], "in_channels": channels,
                 "out_channels": out_channels, "in_size": size, "kernel": [kernel] * 2, "stride": [stride] * 2,
                 "padding": [padding] * 2, "groups": groups, "bias": bias}
        if source == "input":
            # The images need no gradient, and the trainer leaves the first and the last layer as they are, too.
            layer |= {"passes": ["forward", "backward_weight"], "format": "fp32"}
        return self.append(layer, out_channels, out_size)

    def elementwise(self, name, kind, *sources):
        channels, size = self.maps[sources[0]]
        layer = {"name": name, "type": kind, "inputs": list(sources), "channels": channels, "size": size}
        return self.append(layer, channels, size)

    def pool(self, name, kind, source, kernel, stride=1, padding=0):
        channels, size = self.maps[source]
        out_size = [(s + 2 * padding - kernel) // stride + 1 for s in size]
        layer = {"name": name, "type": kind, "inputs": [source], "channels": channels, "in_size": size,
                 "kernel": [kernel] * 2, "stride": [stride] * 2, "padding": [padding] * 2}
        return self.append(layer, channels, out_size)

    def subsample(self, name, source, out_channels, stride):
        channels, size = self.maps[source]
        layer = {"name": name, "type": "subsample", "inputs": [source], "in_channels": channels,
                 "out_channels": out_channels, "in_size": size, "stride": [stride] * 2}
        return self.append(layer, out_channels, [(s - 1) // stride + 1 for s in size])

    def linear(self, name, source, out_features):
        channels, size = self.maps[source]
        layer = {"name": name, "type": "linear", "inputs": [source], "in_features": channels * size[0] * size[1],
                 "out_features": out_features, "bias": True, "format": "fp32"}
        return self.append(layer, out_features, [1, 1])

    def write(self):
        head = {"schema": "mlsim.network/1", "name": self.name, "input": self.input}
        if self.published:
            head["published"] = self.published
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
        layers = ",\n".join("    " + json.dumps(layer) for layer in self.layers)
        lines.append(f'  "layers": [\n{layers}\n  ]')
        path = pathlib.Path(__file__).with_name(self.name + ".json")
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="ascii")


def basic_block(net, prefix, source, channels, stride):
    x = net.convolution(prefix + ".conv1", source, channels, 3, stride, 1)
    x = net.elementwise(prefix + ".bn1", "batch_norm", x)
    x = net.elementwise(prefix + ".relu1", "relu", x)
    x = net.convolution(prefix + ".conv2", x, channels, 3, 1, 1)
    return net.elementwise(prefix + ".bn2", "batch_norm", x)


def bottleneck_block(net, prefix, source, channels, stride):
    x = net.convolution(prefix + ".conv1", source, channels, 1)
    x = net.elementwise(prefix + ".bn1", "batch_norm", x)
    x = net.elementwise(prefix + ".relu1", "relu", x)
    x = net.convolution(prefix + ".conv2", x, channels, 3, stride, 1)
    x = net.elementwise(prefix + ".bn2", "batch_norm", x)
    x = net.elementwise(prefix + ".relu2", "relu", x)
    x = net.convolution(prefix + ".conv3", x, 4 * channels, 1)
    return net.elementwise(prefix + ".bn3", "batch_norm", x)


def residual_stages(net, source, block, counts, first_channels, shortcut):
    x = source
    for stage, count in enumerate(counts):
        for index in range(count):
            prefix = f"layer{stage + 1}.{index}"
            stride = 2 if stage > 0 and index == 0 else 1
            residual = block(net, prefix, x, first_channels << stage, stride)
            out_channels = net.maps[residual][0]
            if stride != 1 or net.maps[x][0] != out_channels:
                x = shortcut(net, prefix, x, out_channels, stride)
            x = net.elementwise(prefix + ".add", "add", residual, x)
            x = net.elementwise(prefix + ".relu", "relu", x)
    return x


def projection(net, prefix, source, channels, stride):
    x = net.convolution(prefix + ".downsample.0", source, channels, 1, stride)
    return net.elementwise(prefix + ".downsample.1", "batch_norm", x)


def parameter_free(net, prefix, source, channels, stride):
    return net.subsample(prefix + ".shortcut", source, channels, stride)


def imagenet_resnet(name, block, counts, small_stem=False):
    net = Network(name, 3, 224)
    x = net.convolution("conv1", "input", 64, 3, 1, 1) if small_stem else net.convolution("conv1", "input", 64, 7, 2, 3)
    x = net.elementwise("bn1", "batch_norm", x)
    x = net.elementwise("relu", "relu", x)
    if not small_stem:
        x = net.pool("maxpool", "max_pool", x, 3, 2, 1)
    x = residual_stages(net, x, block, counts, 64, projection)
    x = net.pool("avgpool", "avg_pool", x, net.maps[x][1][0])
    net.linear("fc", x, 1000)
    return net


def resnet20():
    net = Network("resnet20", 3, 32)
    x = net.convolution("conv1", "input", 16, 3, 1, 1)
    x = net.elementwise("bn1", "batch_norm", x)
    x = net.elementwise("relu", "relu", x)
    x = residual_stages(net, x, basic_block, [3, 3, 3], 16, parameter_free)
    x = net.pool("avgpool", "avg_pool", x, 8)
    net.linear("fc", x, 10)
    return net


def vgg16():
    net = Network("vgg16", 3, 224)
    x = "input"
    index = 0
    for channels, count in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        for _ in range(count):
            x = net.convolution(f"features.{index}", x, channels, 3, 1, 1, bias=True)
            x = net.elementwise(f"features.{index + 1}", "relu", x)
            index += 2
        x = net.pool(f"features.{index}", "max_pool", x, 2, 2)
        index += 1
    x = net.linear("classifier.0", x, 4096)
    x = net.elementwise("classifier.1", "relu", x)
    x = net.linear("classifier.3", x, 4096)
    x = net.elementwise("classifier.4", "relu", x)
    net.linear("classifier.6", x, 1000)
    return net


def mobilenetv2():
    net = Network("mobilenetv2", 3, 224)

    # The parameters of the publication's blocks.
    def conv_bn(prefix, source, channels, kernel, stride=1, groups=1, activation=True):
        x = net.convolution(prefix + ".conv", source, channels, kernel, stride, kernel // 2, groups)
        x = net.elementwise(prefix + ".bn", "batch_norm", x)
        return net.elementwise(prefix + ".relu6", "relu6", x) if activation else x

    x = conv_bn("features.0", "input", 32, 3, 2)
    index = 1
    for expansion, channels, count, first_stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
                                                     (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for repeat in range(count):
            prefix = f"features.{index}"
            source, stride = x, first_stride if repeat == 0 else 1
            hidden = net.maps[source][0] * expansion
            if expansion != 1:
                x = conv_bn(prefix + ".expand", x, hidden, 1)
            x = conv_bn(prefix + ".depthwise", x, hidden, 3, stride, hidden)
            x = conv_bn(prefix + ".project", x, channels, 1, activation=False)
            if stride == 1 and net.maps[source][0] == channels:
                x = net.elementwise(prefix + ".add", "add", x, source)
            index += 1
    x = conv_bn(f"features.{index}", x, 1280, 1)
    x = net.pool("avgpool", "avg_pool", x, 7)
    net.linear("classifier", x, 1000)
    return net


def main():
    published = imagenet_resnet("resnet18-3x3-stem", basic_block, [2, 2, 2, 2], small_stem=True)
    published.published = {
        "source": PUBLICATION,
        "batch": 1,
        "counts": {"convolution_forward": 2.72e10, "convolution_backward": 5.44e10, "batch_norm_forward": 3.01e7,
                   "batch_norm_backward": 3.01e7, "element_add_forward": 1.49e7, "element_add_backward": 1.20e7,
                   "weight_update": 1.12e7},
        "remark": "The published additions forward count the three down-sampling blocks twice: a residual join adds each "
                  "element of its output once, 1.20E+07 in all. (1.49E+07 is also what back-propagation adds where the "
                  "paths of a block part.)",
    }
    small = resnet20()
    small.published = {
        "source": PUBLICATION,
        "batch": 1,
        "counts": {"convolution_forward": 4.05e7, "convolution_backward": 8.11e7, "batch_norm_forward": 1.88e5,
                   "batch_norm_backward": 1.88e5, "element_add_forward": 7.37e4, "element_add_backward": 7.37e4,
                   "weight_update": 2.68e5},
        "remark": "The published additions leave out two of the nine blocks, those that change the size: all nine add "
                  "8.60E+04 elements. The 40,550,400 multiply-adds forward are printed as 4.05E+07, cut rather "
                  "than rounded.",
    }
    for net in [imagenet_resnet("resnet18", basic_block, [2, 2, 2, 2]), published,
                imagenet_resnet("resnet34", basic_block, [3, 4, 6, 3]),
                imagenet_resnet("resnet50", bottleneck_block, [3, 4, 6, 3]), small, vgg16(), mobilenetv2()]:
        net.write()


if __name__ == "__main__":
    main()
