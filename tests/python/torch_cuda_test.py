"""Traces and converted models whose tensors are on a GPU. Skips itself where PyTorch has none."""

from __future__ import annotations

import copy
import io
from typing import Any, Dict

import numpy as np
import torch
import torch.nn.functional as functional
from torch import nn

import mlsim
import torch_support
from torch_support import Case, resnet, same_bits

GPU = torch.cuda.is_available()


def on_cpu(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().float().contiguous().numpy()


def cnn() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.ReLU(),
                         nn.Conv2d(4, 6, 3, stride=2, bias=False), nn.Flatten(), nn.Linear(96, 3))


class OnGpu(Case):
    def setUp(self) -> None:
        if not GPU:
            self.skipTest("PyTorch finds no GPU")
        super().setUp()
        for backend in (torch.backends.cudnn, torch.backends.cuda.matmul):
            self.addCleanup(setattr, backend, "allow_tf32", backend.allow_tf32)
            backend.allow_tf32 = False


class Arrays(OnGpu):
    def test_quantize_takes_tensors_of_a_gpu(self) -> None:
        for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
            with self.subTest(dtype):
                x = torch.randn(3, 4, 5, 6).to(dtype)
                expected, found = (mlsim.quantize(t, "e2m4").dequantize() for t in (x, x.cuda()))
                self.assertTrue(same_bits(expected, found))
        x = torch.randn(2, 2, 8, 8, requires_grad=True)
        expected, found = (mlsim.quantize(t, "mxfp4").dequantize() for t in (x, x.cuda()))
        self.assertTrue(same_bits(expected, found))


class Traces(OnGpu):
    def trace_of(self, model: nn.Module, x: torch.Tensor, context: Any = None, **options: Any) -> Any:
        def step() -> None:
            if context is None:
                model(x).float().square().mean().backward()
            else:
                with context:
                    loss = model(x).float().square().mean()
                loss.backward()

        return self.traced(model, step, format="fp32", **options)

    def test_operands_are_those_of_the_processor(self) -> None:
        model, x = cnn(), torch.randn(3, 2, 9, 9)
        cpu = self.trace_of(copy.deepcopy(model), x)
        gpu = self.trace_of(model.cuda(), x.cuda())
        self.assertEqual(cpu.trace.layers, gpu.trace.layers)
        for layer in cpu.trace.layers:
            self.assertTrue(same_bits(cpu.operand(layer, "weight"), gpu.operand(layer, "weight")))
            for operand in ("activation", "error"):
                one, other = cpu.operand(layer, operand), gpu.operand(layer, operand)
                self.assertLess(np.abs(one - other).max(), 1e-5 * np.abs(one).max())
        self.assertTrue(same_bits(cpu.operand("0", "activation"), gpu.operand("0", "activation")))
        self.assertLess(gpu.largest_difference(), 1e-5)

    def test_resnet20(self) -> None:
        model = resnet.resnet20().cuda()
        self.assertLess(self.trace_of(model, torch.randn(2, 3, 32, 32).cuda()).largest_difference(), 1e-5)

    def test_bfloat16_autocast_and_channels_last(self) -> None:
        x = torch.randn(3, 2, 9, 9).cuda()
        narrow = self.trace_of(cnn().cuda().bfloat16(), x.bfloat16())
        self.assertTrue(same_bits(narrow.operand("0", "activation"), on_cpu(x.bfloat16())))
        self.assertLess(narrow.largest_difference(), 3e-2)
        for dtype in (torch.bfloat16, torch.float16):
            cast = self.trace_of(cnn().cuda(), x, torch.autocast("cuda", dtype=dtype))
            self.assertTrue(same_bits(cast.operand("0", "activation"), on_cpu(x.to(dtype))))
            self.assertLess(cast.largest_difference(), 3e-2)
        last = self.trace_of(cnn().cuda().to(memory_format=torch.channels_last),
                             x.to(memory_format=torch.channels_last))
        self.assertTrue(same_bits(last.operand("0", "activation"), on_cpu(x)))
        self.assertLess(last.largest_difference(), 1e-5)


class Converted(OnGpu):
    def passes_of(self, layer: nn.Module, x: torch.Tensor, error: torch.Tensor) -> Dict[str, np.ndarray]:
        x = x.clone().requires_grad_()
        layer.zero_grad()
        y = layer(x)
        y.backward(error)
        self.assertEqual(y.device, x.device)
        self.assertEqual(layer.weight.grad.device, layer.weight.device)
        return {"forward": on_cpu(y), "backward_data": on_cpu(x.grad), "backward_weight": on_cpu(layer.weight.grad)}

    def compare(self, layer: nn.Module, x: torch.Tensor, error: torch.Tensor, exact: bool) -> None:
        cpu = self.passes_of(copy.deepcopy(layer), x, error)
        gpu = self.passes_of(layer.cuda(), x.cuda(), error.cuda())
        for name, expected in cpu.items():
            if exact:
                self.assertTrue(same_bits(expected, gpu[name]), name)
            else:
                self.assertLess(np.abs(expected - gpu[name]).max(), 1e-5 * np.abs(expected).max(), name)

    def test_passes_are_those_of_the_processor(self) -> None:
        for arithmetic in ("exact", "dequantized"):
            for format in ("e2m1", "e2m4/b16", "mxfp4", "nvfp4", "mxfp8-e5m2"):
                if arithmetic == "exact" and format == "mxfp8-e5m2":
                    format = "mxfp8"
                with self.subTest(arithmetic=arithmetic, format=format):
                    options = {"first": None, "quantize_linear": True, "seed": 3}
                    conv = mlsim.torch.convert(nn.Conv2d(6, 8, 3, padding=1, bias=False), format, arithmetic, **options)
                    self.compare(conv, torch.randn(2, 6, 7, 7), torch.randn(2, 8, 7, 7), arithmetic == "exact")
                    linear = mlsim.torch.convert(nn.Linear(40, 24, bias=False), format, arithmetic, **options)
                    self.compare(linear, torch.randn(5, 40), torch.randn(5, 24), arithmetic == "exact")

    def test_baselines_and_narrow_types(self) -> None:
        conv = mlsim.torch.convert(nn.Conv2d(6, 8, 3, bias=False), "fp8", first=None)
        self.compare(conv, torch.randn(2, 6, 7, 7), torch.randn(2, 8, 5, 5), False)
        for arithmetic in ("exact", "dequantized"):
            model = mlsim.torch.convert(cnn(), "e2m4", arithmetic).cuda()
            x = torch.randn(2, 2, 9, 9).cuda()
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = model(x).float().square().mean()
            loss.backward()
            self.assertTrue(all(torch.isfinite(p.grad).all() for p in model.parameters()))
            model = model.bfloat16()
            self.assertEqual(model(x.bfloat16()).dtype, torch.bfloat16)

    def test_a_model_learns_moves_and_is_saved(self) -> None:
        model = mlsim.torch.convert(cnn(), {"2": "e2m4", "4": "mxfp8"}, "exact").cuda()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        x, y = torch.randn(16, 2, 9, 9).cuda(), torch.randint(3, (16,)).cuda()
        losses = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(float(loss))
        self.assertLess(losses[-1], losses[0])
        plain = cnn()
        plain.load_state_dict(model.state_dict())
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        options = {"weights_only": False} if torch.__version__ >= "2" else {}
        loaded = torch.load(file, **options).cpu().eval()
        self.assertLess((loaded(x.cpu()) - model.eval()(x).cpu()).abs().max().item(), 1e-4)

    def test_data_parallel(self) -> None:
        if torch.cuda.device_count() < 2:
            self.skipTest("one GPU alone")
        model = mlsim.torch.convert(cnn(), "e2m4", "exact", rounding="nearest").cuda()
        x = torch.randn(8, 2, 9, 9).cuda()
        halves = torch.cat([model(half) for half in x.chunk(2)])
        self.assertLess((nn.DataParallel(model, [0, 1])(x) - halves).abs().max().item(), 1e-4)
