"""Traces of PyTorch models: what is written, that nothing of the model changes, and what is refused."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import nn
from torch.utils.checkpoint import checkpoint

import mlsim
import torch_support
from torch_support import Case, resnet


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 25, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(functional.relu(self.conv(x)).flatten(1))


def step_of(model: nn.Module, *inputs: torch.Tensor) -> Any:
    return lambda: model(*inputs).square().mean().backward()


class Values(Case):
    def test_resnet20_has_the_gradients_of_autograd(self) -> None:
        model = resnet.resnet20()
        x, y = torch.randn(3, 3, 32, 32), torch.randint(10, (3,))
        traced = self.traced(model, lambda: functional.cross_entropy(model(x), y).backward(), format="fp32")
        self.assertEqual(len(traced.trace.layers), 20)
        self.assertLess(traced.largest_difference(), 1e-5)

    def test_geometries(self) -> None:
        layers = {
            "stride": nn.Conv2d(4, 6, 3, stride=(2, 1), padding=(0, 2)),
            "dilated groups": nn.Conv2d(4, 6, (3, 2), dilation=(2, 1), groups=2, bias=False),
            "same": nn.Conv2d(4, 6, 3, padding="same"),
            "one-sided": nn.Conv2d(4, 6, (4, 2), padding="same", dilation=(1, 3)),
            "valid": nn.Conv2d(4, 6, 3, padding="valid"),
            "depthwise": nn.Conv2d(4, 4, 3, groups=4),
        }
        for name, layer in layers.items():
            with self.subTest(name):
                x = torch.randn(2, 4, 9, 8, requires_grad=True)
                traced = self.traced(layer, step_of(layer, x), format="fp32")
                self.assertEqual(traced.trace.layers, ["conv2d"])
                traced.autograd.modules["conv2d"] = layer
                traced.autograd.inputs["conv2d"] = traced.autograd.inputs[""]
                traced.autograd.outputs["conv2d"] = traced.autograd.outputs[""]
                self.assertLess(traced.largest_difference(), 1e-5)

    def test_one_sided_padding_is_written_by_side(self) -> None:
        layer = nn.Sequential(nn.Conv2d(1, 1, (4, 2), padding="same"))
        traced = self.traced(layer, step_of(layer, torch.randn(1, 1, 6, 6)))
        document = json.loads((traced.folder / "trace/workload.json").read_text())
        self.assertEqual(document["layers"][0]["padding"], [[1, 2], [0, 1]])
        self.assertTrue(document["layers"][0]["bias"])

    def test_convolutions_along_one_axis(self) -> None:
        for arguments in ({"stride": 2, "padding": 1}, {"padding": "same", "dilation": 3}, {"groups": 2}):
            with self.subTest(arguments):
                kernel = 4 if "dilation" in arguments else 3
                model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.Conv1d(4, 6, kernel, **arguments))
                traced = self.traced(model, step_of(model, torch.randn(2, 2, 17)), format="fp32")
                self.assertLess(traced.largest_difference(), 1e-5)
                self.assertEqual(traced.operand("0", "activation").shape, (2, 2, 1, 17))

    def test_images_and_rows_without_a_batch(self) -> None:
        model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(0), nn.Linear(27, 4))
        traced = self.traced(model, step_of(model, torch.randn(2, 5, 5)), format="fp32")
        self.assertLess(traced.largest_difference(), 1e-5)
        self.assertEqual(traced.operand("2", "activation").shape, (1, 27))

    def test_leading_dimensions_are_rows(self) -> None:
        model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3, bias=False))
        x = torch.randn(4, 2, 6, 5)
        traced = self.traced(model, step_of(model, x), format="fp32")
        self.assertLess(traced.largest_difference(), 1e-5)
        self.assertEqual(traced.operand("0", "error").shape, (48, 7))
        sliced = self.traced(model, step_of(model, x), format="fp32", samples=3)
        for operand in ("activation", "error"):
            self.assertTrue(torch_support.same_bits(sliced.operand("2", operand), traced.operand("2", operand)[:36]))

    def test_layers_in_place_behind_a_layer(self) -> None:
        for shape in ((4, 5), (2, 4, 5)):
            for bias in (True, False):
                with self.subTest(shape=shape, bias=bias):
                    model = nn.Sequential(nn.Linear(5, 7, bias=bias), nn.ReLU(inplace=True), nn.Linear(7, 3))
                    traced = self.traced(model, step_of(model, torch.randn(*shape)), format="fp32")
                    self.assertLess(traced.largest_difference(), 1e-5)
        model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(inplace=True), nn.Conv1d(4, 2, 3))
        self.assertLess(self.traced(model, step_of(model, torch.randn(2, 9)), format="fp32").largest_difference(), 1e-5)

    def test_narrow_numbers_are_exact(self) -> None:
        for dtype in (torch.bfloat16, torch.float64):
            with self.subTest(dtype):
                model = Small().to(dtype)
                x = torch.randn(2, 2, 5, 5, dtype=dtype)
                traced = self.traced(model, step_of(model, x), format="fp32")
                activation = traced.operand("conv", "activation")
                self.assertTrue(torch_support.same_bits(activation, x.float().numpy()))
                self.assertLess(traced.largest_difference(), 3e-2 if dtype == torch.bfloat16 else 1e-5)

    def test_autocast_gives_the_numbers_that_were_multiplied(self) -> None:
        model = Small()
        x = torch.randn(2, 2, 5, 5)

        def step() -> None:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = model(x).float().square().mean()
            loss.backward()

        traced = self.traced(model, step, format="fp32")
        self.assertTrue(torch_support.same_bits(traced.operand("conv", "activation"), x.bfloat16().float().numpy()))
        weight = model.conv.weight.detach().bfloat16().float().numpy()
        self.assertTrue(torch_support.same_bits(traced.operand("conv", "weight"), weight))
        self.assertLess(traced.largest_difference(), 3e-2)

    def test_channels_last(self) -> None:
        model = Small().to(memory_format=torch.channels_last)
        x = torch.randn(2, 2, 5, 5).to(memory_format=torch.channels_last)
        traced = self.traced(model, step_of(model, x), format="fp32")
        self.assertLess(traced.largest_difference(), 1e-5)

    def test_evaluation_mode_and_frozen_weights(self) -> None:
        model = resnet.ResNet(1).eval()
        for parameter in model.layer1.parameters():
            parameter.requires_grad_(False)
        model.conv1.weight.requires_grad_(False)
        traced = self.traced(model, step_of(model, torch.randn(2, 3, 16, 16)), format="fp32")
        self.assertLess(traced.largest_difference(), 1e-5)
        passes = {layer["name"]: layer["passes"] for layer in
                  json.loads((traced.folder / "trace/workload.json").read_text())["layers"]}
        self.assertEqual(passes["conv1"], ["forward"])
        # Nothing before them needs a gradient, but for the norm behind the first.
        self.assertEqual(passes["layer1.0.conv1"], ["forward", "backward_data"])
        self.assertEqual(passes["layer2.0.conv1"], ["forward", "backward_data", "backward_weight"])

    def test_layers_called_several_times_are_layers_each(self) -> None:
        shared = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        model = nn.Sequential(shared, nn.ReLU(), shared, nn.ReLU(), shared)
        x = torch.randn(2, 2, 5, 5, requires_grad=True)
        traced = self.traced(model, step_of(model, x), format="fp32")
        self.assertEqual(traced.trace.layers, ["0", "0#2", "0#3"])
        total = sum(traced.simulated(layer)["backward_weight"] for layer in traced.trace.layers)
        np.testing.assert_allclose(total, shared.weight.grad.numpy(), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(traced.simulated("0")["backward_data"], x.grad.numpy(), rtol=1e-4, atol=1e-6)
        self.assertFalse((traced.folder / "trace/0#2.weight.npy").exists())

    def test_a_graph_that_is_walked_twice_adds_up(self) -> None:
        model = Small()

        def step() -> None:
            y = model(torch.ones(2, 2, 5, 5))
            y.square().mean().backward(retain_graph=True)
            y.sum().backward()

        traced = self.traced(model, step, format="fp32")
        self.assertLess(traced.largest_difference(("backward_weight",)), 1e-5)

    def test_checkpointed_segments_are_traced_once(self) -> None:
        model = resnet.ResNet(1)

        def step() -> None:
            y = model.bn1(model.conv1(torch.ones(2, 3, 16, 16))).relu()
            y = checkpoint(model.layer1, y)
            model.fc(model.layer3(model.layer2(y)).mean((2, 3))).square().sum().backward()

        traced = self.traced(model, step, format="fp32")
        self.assertEqual(sorted(traced.trace.layers), sorted(
            name for name, module in model.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))))
        self.assertLess(traced.largest_difference(("backward_weight",)), 1e-5)

    def test_weights_that_are_computed(self) -> None:
        def make() -> nn.Module:
            torch.manual_seed(3)
            return nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(6, 5)),
                                 nn.utils.weight_norm(nn.Linear(5, 4)))

        model, plain = make(), make()
        before = copy.deepcopy(model.state_dict())
        x = torch.randn(3, 6)
        step_of(plain, x)()
        traced = self.traced(model, step_of(model, x), format="fp32")
        for (name, value), other in zip(model.state_dict().items(), plain.state_dict().values()):
            self.assertTrue(torch.equal(value, other), name)
        self.assertFalse(all(torch.equal(before[key], value) for key, value in model.state_dict().items()))
        self.assertEqual(traced.trace.layers, ["0", "1"])

    def test_layers_of_ones_own(self) -> None:
        class Standardized(nn.Conv2d):
            def forward(self, input: torch.Tensor) -> torch.Tensor:
                weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
                return functional.conv2d(input, weight, self.bias, self.stride, self.padding)

        model = nn.Sequential(Standardized(2, 3, 3))
        traced = self.traced(model, step_of(model, torch.randn(1, 2, 5, 5)), format="fp32")
        self.assertLess(abs(traced.operand("0", "weight").mean(axis=(1, 2, 3))).max(), 1e-6)


class Model(Case):
    def test_nothing_changes(self) -> None:
        plain = resnet.ResNet(1)
        watched = copy.deepcopy(plain)
        x, y = torch.randn(4, 3, 16, 16), torch.randint(10, (4,))
        losses = []
        for model in (plain, watched):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            for step in range(3):
                optimizer.zero_grad()
                if model is watched and step == 1:
                    with mlsim.torch.trace(model, self.folder / "trace"):
                        loss = functional.cross_entropy(model(x), y)
                        loss.backward()
                else:
                    loss = functional.cross_entropy(model(x), y)
                    loss.backward()
                optimizer.step()
                losses.append(loss.item())
        self.assertEqual(losses[:3], losses[3:])
        self.assertEqual(torch_support.bits_of(plain), torch_support.bits_of(watched))

    def test_everything_is_let_go(self) -> None:
        model = Small()
        before = [dict(vars(module)) for module in model.modules()]
        x = torch.randn(2, 2, 5, 5)
        with mlsim.torch.trace(model, self.folder / "one"):
            model(x).sum().backward()
        with self.assertRaises(ZeroDivisionError):
            with mlsim.torch.trace(model, self.folder / "two"):
                loss = model(x).sum()
                1 / 0
        for module, attributes in zip(model.modules(), before):
            self.assertEqual(vars(module).keys(), attributes.keys())
        self.assertEqual(os.listdir(self.folder), ["one"])
        loss = model(x).sum()
        loss.backward()
        self.assertEqual(os.listdir(self.folder), ["one"])

    def test_copies_are_models_of_their_own(self) -> None:
        model = Small()
        x = torch.randn(2, 2, 5, 5)
        with mlsim.torch.trace(model, self.folder / "trace") as trace:
            copied = copy.deepcopy(model)
            copied.conv.weight.data.zero_()
            self.assertFalse(torch.equal(copied(x), model(x)))
            model(x).sum().backward()
        self.assertEqual(trace.layers, ["conv", "fc", "conv#2", "fc#2"])
        self.assertEqual(copied.conv(x).abs().max(), copied.conv.bias.abs().max())

    def test_a_graph_outlives_its_trace(self) -> None:
        model = Small()
        with mlsim.torch.trace(model, self.folder / "trace"):
            loss = model(torch.randn(2, 2, 5, 5)).sum()
            loss.backward(retain_graph=True)
        content = sorted((file.name, file.read_bytes()) for file in (self.folder / "trace").iterdir())
        loss.backward()
        self.assertEqual(content, sorted((file.name, file.read_bytes()) for file in (self.folder / "trace").iterdir()))

    def test_a_layer_that_no_loss_reaches_is_computed_forward(self) -> None:
        model = nn.ModuleDict({"used": nn.Linear(3, 2), "unused": nn.Linear(3, 2)})
        x = torch.randn(2, 3)

        def step() -> None:
            model["unused"](x)
            model["used"](x).sum().backward()

        traced = self.traced(model, step, format="fp32")
        self.assertEqual(set(traced.simulated("unused")), {"forward"})
        self.assertEqual(set(traced.simulated("used")), {"forward", "backward_weight"})


class Options(Case):
    def test_formats_and_streams(self) -> None:
        model = resnet.ResNet(1)
        with mlsim.torch.trace(model, self.folder / "trace", format={"layer1.*": "mxfp8", "fc": "bf16", "*": "nvfp4"},
                               layers=["layer1.*", "fc"], seed=3, step=5, random_bits=8, name="mine",
                               rounding={"error": "nearest"}, samples=2) as trace:
            model(torch.randn(3, 3, 16, 16)).sum().backward()
        self.assertEqual(trace.layers, ["layer1.0.conv1", "layer1.0.conv2", "fc"])
        document = json.loads((self.folder / "trace/workload.json").read_text())
        self.assertEqual({key: document[key] for key in ("name", "seed", "step", "random_bits")},
                         {"name": "mine", "seed": 3, "step": 5, "random_bits": 8})
        self.assertEqual(document["rounding"], {"activation": "nearest", "weight": "nearest", "error": "nearest"})
        formats = [layer["format"] for layer in document["layers"]]
        self.assertEqual(formats[0]["error"], "mxfp8-e5m2/k32")
        self.assertEqual(formats[0]["weight"], "mxfp8-e4m3/k32")
        self.assertEqual(formats[2], "bf16")
        # As in a trace of all layers.
        self.assertEqual([layer["index"] for layer in document["layers"]], [1, 2, 7])
        self.assertEqual([layer["batch"] for layer in document["layers"]], [2, 2, 2])
        mlsim.simulate(trace.workload, baselines=False)

    def test_an_existing_trace_is_replaced_when_asked(self) -> None:
        model = Small()
        for samples in (1, 2):
            with mlsim.torch.trace(model, self.folder / "trace", samples=samples, overwrite=True):
                model(torch.randn(2, 2, 5, 5)).sum().backward()
        self.assertEqual(np.load(self.folder / "trace/conv.activation.npy").shape[0], 2)
        self.assertEqual(os.listdir(self.folder), ["trace"])
        with self.refuses("trace: is there, expected a new folder or overwrite=True"):
            mlsim.torch.trace(model, self.folder / "trace").__enter__()
        with self.assertRaises(ZeroDivisionError):
            with mlsim.torch.trace(model, self.folder / "trace", samples=1, overwrite=True):
                1 / 0
        self.assertEqual(np.load(self.folder / "trace/conv.activation.npy").shape[0], 2)

    def test_names_that_no_file_can_have(self) -> None:
        model = nn.ModuleDict({"a/b": nn.Linear(2, 2), "a_b": nn.Linear(2, 2), "x" * 300: nn.Linear(2, 2)})
        with mlsim.torch.trace(model, self.folder / "trace") as trace:
            sum(layer(torch.ones(1, 2)).sum() for layer in model.values()).backward()
        self.assertEqual(trace.layers[:2], ["a_b", "a_b_"])
        self.assertEqual(len(mlsim.simulate(trace.workload, baselines=False)["layers"]), 3)


class Refusals(Case):
    def refused_in_the_step(self, model: nn.Module, step: Any, text: str, **options: Any) -> None:
        with self.refuses(text):
            with mlsim.torch.trace(model, self.folder / "trace", **options):
                step()
        self.assertEqual(os.listdir(self.folder), [])
        self.assertFalse(any("forward" in vars(module) for module in model.modules()))

    def test_models(self) -> None:
        with self.refuses("model: Sequential has neither convolutions nor linear layers to trace"):
            mlsim.torch.trace(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)), "folder")
        with self.refuses("model: is a str, expected a torch.nn.Module"):
            mlsim.torch.trace("resnet", "folder")  # type: ignore[arg-type]
        with self.refuses("model: is a DataParallel, whose copies compute; expected the model inside"):
            mlsim.torch.trace(nn.DataParallel(Small()), "folder")
        circular = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), nn.Conv2d(1, 1, 3))
        with self.refuses("^0: has padding_mode circular, expected zeros; leave it out with layers="):
            mlsim.torch.trace(circular, "folder")
        mlsim.torch.trace(circular, "folder", layers="1")

    def test_options(self) -> None:
        for text, options in {
            "layers: 'layer1' matches no convolution or linear layer, expected some of conv, fc": {"layers": "layer1"},
            "layers: is empty": {"layers": []},
            "samples: is 0, expected a whole number from 1": {"samples": 0},
            "format: format 'e9m4' has more than 4": {"format": "e9m4"},
            "format: 'con' matches no layer, expected some of conv, fc": {"format": {"con": "e2m1"}},
            "format, fc: is 3, expected a format or formats by operand": {"format": {"fc": 3}},
            "rounding, error: is 'up', expected nearest or stochastic": {"rounding": {"error": "up"}},
            "seed: is -1, expected a whole number": {"seed": -1},
            "step: is 1.5, expected a whole number": {"step": 1.5},
        }.items():
            with self.subTest(text), self.refuses(text):
                mlsim.torch.trace(Small(), self.folder / "trace", **options)

    def test_folders(self) -> None:
        (self.folder / "full").mkdir()
        (self.folder / "full/file").write_text("text")
        (self.folder / "file").write_text("text")
        for name in ("full", "file"):
            for overwrite in (False, True):
                with self.subTest(name, overwrite=overwrite), self.refuses(f"{name}: is "):
                    mlsim.torch.trace(Small(), self.folder / name, overwrite=overwrite).__enter__()
        with self.refuses("file/trace: cannot be written: "):
            mlsim.torch.trace(Small(), self.folder / "file" / "trace").__enter__()
        (self.folder / "empty").mkdir()
        model = Small()
        with mlsim.torch.trace(model, self.folder / "empty"):
            model(torch.ones(1, 2, 5, 5)).sum().backward()
        self.assertTrue((self.folder / "empty/workload.json").exists())

    def test_steps_without_a_backward_pass(self) -> None:
        model = Small()
        x = torch.randn(1, 2, 5, 5)
        self.refused_in_the_step(model, lambda: model(x), "trace: the trace saw no backward pass through its 2 layers")
        self.refused_in_the_step(model, lambda: None, "trace: nothing was traced, expected a call of the model")

        def evaluate() -> None:
            with torch.no_grad():
                model(x)

        self.refused_in_the_step(model, evaluate, "trace: nothing was traced")

    def test_numbers_that_are_none(self) -> None:
        model = Small()
        x = torch.randn(3, 2, 5, 5)

        def gradient() -> None:
            y = model(x)
            weight = torch.ones_like(y)
            weight[2, 1] = float("nan")
            (y * weight).sum().backward()

        self.refused_in_the_step(model, gradient, r"^fc error: the element at \[2, 1\] is NaN in float32, expected")
        self.refused_in_the_step(model, lambda: model(x * float("inf")),
                                 r"^conv activation: the element at \[0, 0, 0, 0\] is infinite")
        model.fc.weight.data[1, 3] = float("inf")
        self.refused_in_the_step(model, step_of(model, x), r"^fc weight: the element at \[1, 3\] is infinite")
        double = Small().double()
        self.refused_in_the_step(double, lambda: double(x.double() * 1e200), "^conv activation: the element at")

    def test_a_full_disk(self) -> None:
        script = (
            "import resource, signal, sys, torch, mlsim\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4000))\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
            "with mlsim.torch.trace(model, sys.argv[1] + '/trace', samples=None):\n"
            "    model(torch.ones(2, 4)).sum().backward()\n")
        done = subprocess.run([sys.executable, "-c", script, str(self.folder)], capture_output=True, text=True)
        self.assertRegex(done.stderr, r"mlsim.Error: .*/trace/1.weight.npy: cannot be written: File too large")
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_trace_is_made_once(self) -> None:
        model = Small()
        trace = mlsim.torch.trace(model, self.folder / "trace")
        with trace:
            model(torch.ones(1, 2, 5, 5)).sum().backward()
        with self.refuses("this trace has been made"):
            trace.__enter__()

    def test_what_is_left_out_is_said(self) -> None:
        model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2), "c": nn.ConvTranspose2d(1, 1, 1)})
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with mlsim.torch.trace(model, self.folder / "trace"):
                model["a"](torch.ones(1, 2)).sum().backward()
        texts = [str(warning.message) for warning in said]
        self.assertTrue(any("products of ConvTranspose2d are not traced" in text for text in texts), texts)
        self.assertTrue(any(text.endswith("trace: b") for text in texts), texts)
        self.assertTrue(all(warning.filename == __file__ for warning in said), said)

    def test_the_package_alone_loads_no_torch(self) -> None:
        script = ("import sys, mlsim; assert 'torch' not in sys.modules; mlsim.torch.trace; "
                  "assert 'torch' in sys.modules")
        subprocess.run([sys.executable, "-c", script], check=True)


if __name__ == "__main__":
    torch_support.main()
