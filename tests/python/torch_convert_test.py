"""Converted models: the bits of their passes, what stays as it was, steps and streams, and what is refused."""

from __future__ import annotations

import copy
import io
import json
import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import nn

import mlsim
import torch_support
from torch_support import Case, resnet, same_bits


def small(**options: Any) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(54, 3))
    return mlsim.torch.convert(model, **options) if options else model


def images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 2, 7, 7)


class Bits(Case):
    def same_as_simulated(self, model: nn.Module, step: Any) -> "torch_support.Traced":
        traced = self.traced(model, step)
        compared = 0
        for layer in traced.trace.layers:
            if type(traced.autograd.modules[layer]).__name__.startswith("Quantized"):
                for name, found in traced.simulated(layer).items():
                    own = traced.autograd.of(layer)[name].numpy()
                    compared += 1
                    self.assertTrue(same_bits(np.ascontiguousarray(own).reshape(found.shape), found), (layer, name))
        self.assertGreater(compared, 0)
        return traced

    def test_a_traced_step_of_resnet20_is_simulated_to_the_same_bits(self) -> None:
        model = resnet.resnet20()
        formats = {"layer1.*": {"activation": "nvfp4", "weight": "nvfp4/t16x16x1x1", "error": "mxfp8-e5m2"},
                   "layer2.0.*": "mxfp4", "layer2.*": "e2m4/fit/b16", "fc": "mxint8", "*": "e2m1"}
        mlsim.torch.convert(model, formats, "exact", accumulator_bits=10, overflow="wrap", seed=9, random_bits=8,
                            rounding={"activation": "stochastic"})
        x, y = torch.randn(2, 3, 32, 32), torch.randint(10, (2,))

        def step() -> None:
            functional.cross_entropy(model(x), y).backward()

        step()
        model.zero_grad()
        traced = self.same_as_simulated(model, step)
        document = json.loads((traced.folder / "trace/workload.json").read_text())
        keys = ("seed", "step", "random_bits", "accumulator_bits", "overflow")
        self.assertEqual({key: document[key] for key in keys},
                         {"seed": 9, "step": 1, "random_bits": 8, "accumulator_bits": 10, "overflow": "wrap"})
        # conv1 stays float, is first in the workload, and not among the quantized layers.
        self.assertEqual(document["layers"][0]["format"], "fp32")
        self.assertEqual(document["layers"][1]["index"], 0)
        overflows = mlsim.torch.overflows(model)
        self.assertEqual(list(overflows), [layer["name"] for layer in document["layers"][1:]])
        simulated = {layer["name"]: {one["pass"]: one["counts"]["overflows"] for one in layer["passes"]}
                     for layer in traced.results["layers"]}
        self.assertGreater(sum(sum(counts.values()) for counts in simulated.values()), 0)
        mlsim.torch.set_step(model, 1)
        mlsim.torch.overflows(model, reset=True)
        step()
        for name, counts in mlsim.torch.overflows(model).items():
            self.assertEqual(counts, simulated[name], name)

    def test_other_geometries(self) -> None:
        layers = {
            "one-sided": nn.Conv2d(4, 6, (4, 2), padding="same", dilation=(1, 3), bias=False),
            "groups": nn.Conv2d(4, 6, (3, 2), dilation=(2, 1), groups=2, stride=(2, 1), padding=(1, 0), bias=False),
            "rows": nn.Conv1d(4, 6, 3, padding="same", dilation=2, bias=False),
            "linear": nn.Linear(4, 6, bias=False),
        }
        shapes = {"rows": (2, 4, 9), "linear": (2, 3, 4)}
        for name, layer in layers.items():
            for format in ("e2m4", "mxfp4", "nvfp4"):
                with self.subTest(name, format=format):
                    model = nn.Sequential(copy.deepcopy(layer))
                    mlsim.torch.convert(model, format, "exact", first=None, quantize_linear=True)
                    x = torch.randn(*shapes.get(name, (2, 4, 9, 8)), requires_grad=True)
                    self.same_as_simulated(model, lambda: model(x).square().mean().backward())

    def test_arithmetics_agree(self) -> None:
        for layer, shape in ((nn.Conv2d(4, 6, (4, 2), padding="same"), (2, 4, 9, 8)),
                             (nn.Conv2d(4, 6, 3, stride=2, groups=2, padding=1), (2, 4, 9, 8)),
                             (nn.Conv1d(4, 6, 3, stride=2), (2, 4, 9)), (nn.Linear(4, 6), (5, 4)),
                             (nn.Conv2d(4, 6, 3), (4, 9, 8))):
            for format in ("e2m1", "mxfp8", "nvfp4"):
                with self.subTest(layer, format=format):
                    results = []
                    for arithmetic in ("exact", "dequantized"):
                        model = mlsim.torch.convert(copy.deepcopy(layer), format, arithmetic, first=None,
                                                    quantize_linear=True)
                        torch.manual_seed(1)
                        x = torch.randn(*shape, requires_grad=True)
                        y = model(x)
                        (y * torch.randn_like(y)).sum().backward()
                        results.append((y.detach(), x.grad, model.weight.grad, model.bias.grad))
                    for one, other in zip(*results):
                        self.assertEqual(one.shape, other.shape)
                        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)

    def test_float_formats_and_float_operands(self) -> None:
        x = images()
        model = small()
        expected = functional.conv2d(x.bfloat16().float(), model[0].weight.bfloat16().float(), model[0].bias)
        mlsim.torch.convert(model, "bf16", first=None)
        torch.testing.assert_close(model[0](x), expected)
        formats = {"activation": "fp32", "weight": "e2m4", "error": "fp32"}
        mlsim.torch.convert(model, formats, first=None)
        weight = torch.from_numpy(mlsim.fake_quantize(model[0].weight, "e2m4"))
        torch.testing.assert_close(model[0](x), functional.conv2d(x, weight, model[0].bias))

    def test_only_what_is_needed_is_computed(self) -> None:
        model = small(format="e2m1", arithmetic="exact", first=None, accumulator_bits=4)
        for index in (0, 2):
            model[index].weight.requires_grad_(False)
        model(images()).sum().backward()
        self.assertEqual(mlsim.torch.overflows(model)["0"]["backward_data"], 0)
        self.assertEqual(mlsim.torch.overflows(model)["2"]["backward_weight"], 0)
        self.assertGreater(mlsim.torch.overflows(model)["2"]["forward"], 0)
        self.assertGreater(mlsim.torch.overflows(model)["2"]["backward_data"], 0)
        self.assertIsNone(model[2].weight.grad)

    def test_narrow_numbers(self) -> None:
        x = images()
        for arithmetic in ("exact", "dequantized"):
            with self.subTest(arithmetic):
                torch.manual_seed(2)
                model = small(format="e2m1", arithmetic=arithmetic, first=None)
                plain = model(x)
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    features = model[2](model[1](model[0](x)))
                self.assertEqual(features.dtype, torch.float32)
                self.assertTrue(torch.equal(features, model[2](model[1](model[0](x)))))
                self.assertTrue(torch.equal(plain, model(x.to(memory_format=torch.channels_last))))
                model = model.bfloat16()
                y = model(x.bfloat16())
                self.assertEqual(y.dtype, torch.bfloat16)
                y.sum().backward()
                self.assertEqual(model[0].weight.grad.dtype, torch.bfloat16)


class Models(Case):
    def test_state_and_optimizers_go_on(self) -> None:
        model = small()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        before = copy.deepcopy(model.state_dict())
        parameters = list(model.parameters())
        self.assertIs(mlsim.torch.convert(model, "e2m4", "exact"), model)
        self.assertTrue(all(one is other for one, other in zip(parameters, model.parameters())))
        after = model.state_dict()
        self.assertEqual(list(before), list(after))
        self.assertTrue(all(torch.equal(before[key], after[key]) for key in before))
        self.assertIsInstance(model[2], nn.Conv2d)
        model(images()).sum().backward()
        optimizer.step()
        plain = small()
        plain.load_state_dict(model.state_dict())
        model.load_state_dict(before)

    def test_copies_and_files(self) -> None:
        model = small(format={"2": "mxfp4"}, arithmetic="exact", accumulator_bits=6)
        model(images()).sum().backward()
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        x = images()
        loaded = torch.load(file, weights_only=False)
        for other, model in ((loaded, model), (copy.deepcopy(model), copy.deepcopy(model))):
            torch_support.zero_gradients(model, other)
            self.assertEqual(mlsim.torch.overflows(other), mlsim.torch.overflows(model))
            mlsim.torch.set_step(model, 4)
            mlsim.torch.set_step(other, 4)
            for one in (model, other):
                one(x).sum().backward()
            self.assertTrue(torch.equal(model[2].weight.grad, other[2].weight.grad))
            self.assertEqual(mlsim.torch.overflows(other), mlsim.torch.overflows(model))
            # Each has steps and counts of its own.
            other(x).sum().backward()
            self.assertNotEqual(mlsim.torch.overflows(other), mlsim.torch.overflows(model))
            mlsim.torch.overflows(other, reset=True)
            self.assertGreater(sum(mlsim.torch.overflows(model)["2"].values()), 0)

    def test_replicas(self) -> None:
        model = small(format="e2m1", arithmetic="exact", accumulator_bits=6, first=None)
        replica = model[2]._replicate_for_data_parallel()
        replica._parameters.update(model[2]._parameters)
        replica.weight, replica.bias = model[2].weight, model[2].bias
        x = torch.randn(1, 4, 5, 5)
        y = replica(x)
        self.assertTrue(torch.equal(y, model[2](x)))
        counts = mlsim.torch.overflows(model)["2"]["forward"]
        self.assertGreater(counts, 0)
        self.assertEqual(counts % 2, 0)
        self.assertEqual(list(small().state_dict()), list(model.state_dict()))
        if not torch.cuda.is_available():  # torch_cuda_test has it on GPUs
            self.assertTrue(torch.equal(nn.DataParallel(model)(images()[:1] * 0), model(images()[:1] * 0)))

    def test_converting_again(self) -> None:
        model = small()
        x = images()
        expected = model(x)
        mlsim.torch.convert(model, "e2m1", "exact", first=None)
        coarse = model(x)
        mlsim.torch.convert(model, "e2m7", "exact", first=None)
        self.assertLess((model(x) - expected).abs().max(), (coarse - expected).abs().max())
        self.assertIs(type(mlsim.torch.convert(model, "fp32")[0]), nn.Conv2d)
        self.assertNotIn("quantization", vars(model[0]))
        self.assertTrue(torch.equal(model(x), expected))
        with self.refuses("model: Sequential has no quantized layers"):
            mlsim.torch.overflows(model)

    def test_layers_are_chosen_as_in_the_trainer(self) -> None:
        def quantized(*arguments: Any, **options: Any) -> "dict[str, str]":
            model = mlsim.torch.convert(small(), *arguments, **options)
            return {name: module.quantization.formats["weight"] for name, module in model.named_modules()
                    if hasattr(module, "quantization")}

        full = "e2m1/g8m1/nc"
        self.assertEqual(quantized(), {"2": full})
        self.assertEqual(quantized(first=None), {"0": full, "2": full})
        self.assertEqual(quantized(first="bf16"), {"0": "bf16", "2": full})
        self.assertEqual(quantized(quantize_linear=True), {"2": full, "4": full})
        self.assertEqual(quantized({"2": "fp32", "*": "e2m1"}, first=None), {"0": full})
        self.assertEqual(quantized({"[02]": "e2m1"}, first=None), {"0": full, "2": full})
        # Named in full, they are what is said.
        self.assertEqual(quantized({"4": "mxint8", "0": "e2m1"}), {"0": full, "4": "mxint8/k32"})
        self.assertEqual(quantized({"activation": "fp32", "weight": "e2m1", "error": "fp32"}), {"2": full})

    def test_evaluation(self) -> None:
        x = images()
        model = small(format="e2m1", rounding="stochastic", first=None)
        trained = [model(x) for _ in range(2)]
        self.assertFalse(torch.equal(*trained))
        model.eval()
        nearest = model(x)
        self.assertTrue(torch.equal(nearest, model(x)))
        torch.manual_seed(0)
        model.train()
        mlsim.torch.convert(model, "e2m1", rounding="stochastic", first=None, evaluation_rounding="training")
        expected = model(x)
        model(x).sum().backward()
        mlsim.torch.set_step(model, 0)
        model.eval()
        self.assertTrue(torch.equal(model(x), expected))

    def test_transformers(self) -> None:
        model = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), 2)
        x = torch.randn(2, 5, 8)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            mlsim.torch.convert(model, "e2m1/b16", quantize_linear=True)
        self.assertIn("the projections of MultiheadAttention stay float, layers.0.self_attn.out_proj among them",
                      str(said[0].message))
        self.assertEqual(said[0].filename, __file__)
        trained = model(x)
        trained.sum().backward()
        self.assertIsNotNone(model.layers[0].linear1.weight.grad)
        model.eval()
        with torch.no_grad():
            torch.testing.assert_close(model(x), trained)


class Steps(Case):
    def errors_of(self, model: nn.Module, x: torch.Tensor) -> bytes:
        torch_support.zero_gradients(model)
        model(x).square().sum().backward()
        return model[2].weight.grad.numpy().tobytes()

    def test_every_step_has_noise_of_its_own(self) -> None:
        x = images()
        model = small(format="e2m1")
        steps = [self.errors_of(model, x) for _ in range(4)]
        self.assertEqual(len(set(steps)), 4)
        mlsim.torch.set_step(model, 2)
        self.assertEqual(self.errors_of(model, x), steps[2])
        self.assertEqual(self.errors_of(model, x), steps[3])
        self.assertEqual(small_errors(x, seed=2) == small_errors(x, seed=1), False)

    def test_evaluation_between_steps_changes_nothing(self) -> None:
        x = images()
        model = small(format="e2m1")
        first, second = self.errors_of(model, x), self.errors_of(model, x)
        mlsim.torch.set_step(model, 0)
        self.assertEqual(self.errors_of(model, x), first)
        model.eval()
        with torch.no_grad():
            model(x)
        model.train()
        with torch.no_grad():
            model(x)
        self.assertEqual(self.errors_of(model, x), second)

    def test_calls_of_a_step_have_noise_of_their_own(self) -> None:
        layer = nn.Conv2d(2, 2, 3, padding=1)
        model = mlsim.torch.convert(nn.Sequential(layer, nn.ReLU(), layer), "e2m1", first=None)
        with mlsim.torch.trace(model, self.folder / "trace") as trace:
            model(images()).sum().backward()
        entries = json.loads((self.folder / "trace/workload.json").read_text())["layers"]
        self.assertEqual(trace.layers, ["0", "0#2"])
        self.assertNotIn("index", entries[0])
        self.assertNotIn("index", entries[1])  # 1, its place
        with mlsim.torch.trace(model, self.folder / "second"):
            model(images()).sum().backward()
        self.assertEqual(json.loads((self.folder / "second/workload.json").read_text())["step"], 1)


def small_errors(x: torch.Tensor, seed: int) -> bytes:
    torch.manual_seed(0)
    model = small(format="e2m1", seed=seed)
    model(x).square().sum().backward()
    return model[2].weight.grad.numpy().tobytes()


class Refusals(Case):
    def test_layers_and_models(self) -> None:
        class Own(nn.Conv2d):
            pass

        cases = {
            "model: ReLU has neither convolutions nor linear layers": nn.ReLU(),
            "^1: is a Own, expected a plain Conv2d, Conv1d or Linear; expected it to stay float":
                nn.Sequential(nn.Conv2d(1, 1, 1), Own(1, 1, 1)),
            "^1: pads with reflect, expected padding_mode zeros":
                nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")),
            "^1: is a LazyConv2d without sizes, expected a model that has been called once":
                nn.Sequential(nn.Conv2d(1, 1, 1), nn.LazyConv2d(1, 1)),
            "model: none of the 2 layers of Sequential would be quantized":
                nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)),
            "^1: has complex weights": nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1, dtype=torch.complex64)),
        }
        for text, model in cases.items():
            with self.subTest(text), self.refuses(text):
                mlsim.torch.convert(model)
            self.assertFalse(any(hasattr(module, "quantization") for module in model.modules()))
        with self.refuses("model: is a list, expected a torch.nn.Module"):
            mlsim.torch.convert([])  # type: ignore[arg-type]

    def test_options(self) -> None:
        for text, options in {
            "arithmetic: is 'fast', expected dequantized or exact": {"arithmetic": "fast"},
            "overflow: is 'crash', expected saturate or wrap": {"arithmetic": "exact", "overflow": "crash"},
            "accumulator_bits: expected only beside arithmetic \"exact\"": {"accumulator_bits": 16},
            "accumulator_bits: is 65, expected a whole number from 2 to 64":
                {"arithmetic": "exact", "accumulator_bits": 65},
            "taps_per_cycle: is True, expected a whole number": {"arithmetic": "exact", "taps_per_cycle": True},
            "^2: the activation is in bf16, expected block-scaled formats alone":
                {"format": "bf16", "arithmetic": "exact"},
            "format: format 'e9m4' has more than 4": {"format": "e9m4"},
            "format: 'layer1' matches no layer, expected some of 0, 2, 4": {"format": {"layer1": "e2m1"}},
            "format: has no format of the error": {"format": {"activation": "e2m1", "weight": "e2m1"}},
            "format: is empty": {"format": {}},
            "first: format 'fp33'": {"first": "fp33"},
            "evaluation_rounding: is 'up', expected nearest or training": {"evaluation_rounding": "up"},
            "random_bits: is 25": {"random_bits": 25},
            "threads: is 0": {"threads": 0},
        }.items():
            model = small()
            with self.subTest(text), self.refuses(text):
                mlsim.torch.convert(model, **options)
            self.assertIs(type(model[2]), nn.Conv2d)

    def test_numbers_that_are_none(self) -> None:
        for arithmetic in ("exact", "dequantized"):
            model = small(format="e2m1", arithmetic=arithmetic, first=None)
            x = images()
            x[1, 0, 2, 3] = float("nan")
            with self.subTest(arithmetic):
                with self.refuses(r"^0 activation: the element at \[1, 0, 2, 3\] is NaN, expected a finite number"):
                    model(x)
                y = model(images())
                with self.refuses(r"^2 error: the element at \[0, 0, 0, 0\] is NaN, expected a finite number"):
                    (y * float("nan")).sum().backward()


if __name__ == "__main__":
    torch_support.main()
