#!/usr/bin/env python3
"""Writes the ONNX models beside it: python3 tests/workloads/onnx/export_models.py [NAME...]

Needs PyTorch with ONNX (Debian: python3-torch, python3-onnx). The networks are built layer by layer from their
publications, exported as torch.onnx.export does it, and stripped of their weights, which become inputs of the graph with
their sizes, so that files stay small. Sources of the structures:
  resnet18, resnet50, vgg16, mobilenetv2: as workloads/networks/generate.py, whose files are their twins.
  densenet121: Huang et al., "Densely connected convolutional networks", CVPR 2017, table 1.
  efficientnet_b0: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019,
      table 1; squeeze-and-excitation of a quarter of a block's input channels.
  vit: Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021: Ti/16 (width 192, 3 heads) with 2 of its 12 blocks.
  bert_block: Devlin et al., "BERT", NAACL 2019: embeddings, one encoder block of the base model, pooler; 128 tokens.
"""

import io
import pathlib
import sys

import onnx
import torch
from torch import nn

FOLDER = pathlib.Path(__file__).parent


def conv_bn(inputs, outputs, kernel, stride=1, groups=1, activation=None):
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([activation] if activation else []))


class Basic(nn.Module):
    expansion = 1

    def __init__(self, inputs, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or inputs != channels:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample = None
        if stride != 1 or inputs != 4 * channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, 4 * channels, 1, stride, bias=False), nn.BatchNorm2d(4 * channels))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet(nn.Module):
    def __init__(self, block, counts):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for stage, count in enumerate(counts):
            blocks = []
            for index in range(count):
                blocks.append(block(inputs, 64 << stage, 2 if stage > 0 and index == 0 else 1))
                inputs = (64 << stage) * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, 1000)

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


class Vgg(nn.Module):
    def __init__(self):
        super().__init__()
        layers, inputs = [], 3
        for channels, count in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
            for _ in range(count):
                layers += [nn.Conv2d(inputs, channels, 3, 1, 1), nn.ReLU()]
                inputs = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(512 * 49, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096),
                                        nn.ReLU(), nn.Dropout(), nn.Linear(4096, 1000))

    def forward(self, x):
        x = self.features(x)
        return self.classifier(x.view(x.size(0), -1))  # sizes are computed from Shape in the graph


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        hidden = inputs * expansion
        layers = [conv_bn(inputs, hidden, 1, activation=nn.ReLU6())] if expansion != 1 else []
        layers += [conv_bn(hidden, hidden, 3, stride, hidden, nn.ReLU6()), conv_bn(hidden, outputs, 1)]
        self.conv = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        layers, inputs = [conv_bn(3, 32, 3, 2, activation=nn.ReLU6())], 32
        for expansion, channels, count, stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
                                                   (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
            for repeat in range(count):
                layers.append(Inverted(inputs, channels, stride if repeat == 0 else 1, expansion))
                inputs = channels
        layers.append(conv_bn(320, 1280, 1, activation=nn.ReLU6()))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))

    def forward(self, x):
        return self.classifier(self.features(x).mean([2, 3]))


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth), nn.ReLU(), nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False))

    def forward(self, maps):
        return self.layers(torch.cat(maps, 1))


class DenseNet(nn.Module):
    def __init__(self, growth=32, counts=(6, 12, 24, 16)):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
                                  nn.MaxPool2d(3, 2, 1))
        self.blocks, self.transitions = nn.ModuleList(), nn.ModuleList()
        channels = 64
        for index, count in enumerate(counts):
            self.blocks.append(nn.ModuleList(DenseLayer(channels + i * growth, growth) for i in range(count)))
            channels += count * growth
            if index + 1 < len(counts):
                self.transitions.append(nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(),
                                                      nn.Conv2d(channels, channels // 2, 1, bias=False),
                                                      nn.AvgPool2d(2)))
                channels //= 2
        self.norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, 1000)

    def forward(self, x):
        x = self.stem(x)
        for index, block in enumerate(self.blocks):
            maps = [x]
            for layer in block:
                maps.append(layer(maps))
            x = torch.cat(maps, 1)
            if index < len(self.transitions):
                x = self.transitions[index](x)
        x = torch.relu(self.norm(x))
        return self.classifier(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


class Squeeze(nn.Module):
    def __init__(self, channels, squeezed):
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        scale = nn.functional.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.expand(nn.functional.silu(self.reduce(scale))))


class MBConv(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride, expansion):
        super().__init__()
        hidden = inputs * expansion
        layers = [conv_bn(inputs, hidden, 1, activation=nn.SiLU())] if expansion != 1 else []
        layers += [conv_bn(hidden, hidden, kernel, stride, hidden, nn.SiLU()), Squeeze(hidden, inputs // 4),
                   conv_bn(hidden, outputs, 1)]
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.layers(x) if self.adds else self.layers(x)


class EfficientNet(nn.Module):
    def __init__(self):
        super().__init__()
        layers, inputs = [conv_bn(3, 32, 3, 2, activation=nn.SiLU())], 32
        for expansion, channels, count, stride, kernel in [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5),
                                                           (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
                                                           (6, 320, 1, 1, 3)]:
            for repeat in range(count):
                layers.append(MBConv(inputs, channels, kernel, stride if repeat == 0 else 1, expansion))
                inputs = channels
        layers.append(conv_bn(320, 1280, 1, activation=nn.SiLU()))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, x):
        return self.classifier(torch.flatten(nn.functional.adaptive_avg_pool2d(self.features(x), 1), 1))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.depth = heads, width // heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, x):
        def split(y):
            return y.view(y.size(0), y.size(1), self.heads, self.depth).transpose(1, 2)

        query, key, value = split(self.query(x)), split(self.key(x)), split(self.value(x))
        weights = torch.softmax(query @ key.transpose(2, 3) / self.depth ** 0.5, -1)
        y = (weights @ value).transpose(1, 2)
        return self.out(y.reshape(y.size(0), y.size(1), self.heads * self.depth))


class Mlp(nn.Sequential):
    def __init__(self, width, hidden):
        super().__init__(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class ViT(nn.Module):
    def __init__(self, width=192, heads=3, blocks=2):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, 197, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * blocks + 1))
        self.attentions = nn.ModuleList(Attention(width, heads) for _ in range(blocks))
        self.mlps = nn.ModuleList(Mlp(width, 4 * width) for _ in range(blocks))
        self.head = nn.Linear(width, 1000)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.size(0), -1, -1), x], 1) + self.positions
        for index, (attention, mlp) in enumerate(zip(self.attentions, self.mlps)):
            x = x + attention(self.norms[2 * index](x))
            x = x + mlp(self.norms[2 * index + 1](x))
        return self.head(self.norms[-1](x)[:, 0])


class Bert(nn.Module):
    def __init__(self, width=768, heads=12):
        super().__init__()
        self.words, self.places, self.kinds = nn.Embedding(30522, width), nn.Embedding(512, width), nn.Embedding(2, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width, 1e-12) for _ in range(3))
        self.attention = Attention(width, heads)
        self.mlp = Mlp(width, 4 * width)
        self.pooler = nn.Linear(width, width)

    def forward(self, tokens, kinds):
        places = torch.arange(tokens.size(1)).unsqueeze(0)
        x = self.norms[0](self.words(tokens) + self.places(places) + self.kinds(kinds))
        x = self.norms[1](x + self.attention(x))
        x = self.norms[2](x + self.mlp(x))
        return torch.tanh(self.pooler(x[:, 0]))


IMAGE = ((torch.zeros(2, 3, 224, 224),), ["image"])
TOKENS = ((torch.zeros(2, 128, dtype=torch.int64), torch.zeros(2, 128, dtype=torch.int64)), ["tokens", "kinds"])
# Of each opset that differs in an operator that these networks have.
MODELS = {
    "resnet18": (lambda: ResNet(Basic, [2, 2, 2, 2]), IMAGE, 9),
    "resnet50": (lambda: ResNet(Bottleneck, [3, 4, 6, 3]), IMAGE, 13),
    "vgg16": (Vgg, IMAGE, 7),
    "mobilenetv2": (MobileNet, IMAGE, 11),
    "densenet121": (DenseNet, IMAGE, 12),
    "efficientnet_b0": (EfficientNet, IMAGE, 15),
    "vit": (ViT, IMAGE, 16),
    "bert_block": (Bert, TOKENS, 14),
}


def strip(model):
    """Weights become inputs; names of what is inside say nothing and are shortened."""
    graph = model.graph
    kept, inputs = [], {value.name for value in graph.input}
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 0:
            if tensor.name not in inputs:  # models of the third version of the format have them twice
                graph.input.append(
                    onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
        else:
            kept.append(tensor)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]
    for node in graph.node:
        node.doc_string = ""
        node.name = ""
    return model


def export(name):
    make, (inputs, names), opset = MODELS[name]
    network = make()
    network.train()
    for module in network.modules():  # a mask is no part of a step that is counted
        if isinstance(module, nn.Dropout):
            module.eval()
    file = io.BytesIO()
    axes = {input_name: {0: "batch"} for input_name in names}
    torch.onnx.export(network, inputs, file, input_names=names, output_names=["output"], dynamic_axes=axes,
                      opset_version=opset, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
    onnx.save(strip(onnx.load_from_string(file.getvalue())), FOLDER / f"{name}.onnx")


if __name__ == "__main__":
    for wanted in sys.argv[1:] or MODELS:
        export(wanted)
