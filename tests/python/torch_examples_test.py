"""The examples run and show what they say; the Python of docs/torch.md is true."""

from __future__ import annotations

import ast
import os
import pathlib
import re
import subprocess
import sys
from typing import Any, Dict

import torch_support
from torch_support import Case

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def printed(script: str, *arguments: Any) -> str:
    done = subprocess.run(
        [sys.executable, SOURCE / "python/examples" / script, *arguments], capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def percent(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found, text
    return float(found.group(1))


class Examples(Case):
    def test_what_mxfp4_does_to_a_resnet(self) -> None:
        text = printed("mxfp4_resnet.py", self.folder)
        trained = percent(r"float: ([\d.]+) %", text)
        self.assertGreater(trained, 90)
        self.assertLess(percent(r"MXFP4 without training: ([\d.]+) %", text), trained)
        self.assertGreater(percent(r"trained with MXFP4: ([\d.]+) %", text), 90)
        for format in ("mxfp4/k32", "nvfp4/k16", "bf16"):
            self.assertRegex(text, rf"(?m)^{format} ")
        self.assertRegex(text, r"backward_data +1\d\.\d dB")
        self.assertTrue((self.folder / "report.html").stat().st_size > 10000)
        self.assertTrue((self.folder / "trace/workload.json").exists())

    def test_narrow_accumulators(self) -> None:
        text = printed("narrow_accumulators.py")
        self.assertIn(" 0 overflows", text)
        wide, narrow, narrower = (percent(rf"{bits} bits, saturate: .* ([\d.]+) % of the test", text)
                                  for bits in (32, 16, 12))
        self.assertGreater(wide, 90)
        self.assertGreater(narrow, 80)
        self.assertLess(narrower, 50)
        self.assertGreater(percent(r"16 bits, saturate: .* (\d+) overflows", text), 1e6)


class Page(Case):
    def test_its_python_is_true(self) -> None:
        """From top to bottom, as a reader types it; what stands behind `# ->` is what is there."""
        page = (SOURCE / "docs/torch.md").read_text()
        before = os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)
        names: Dict[str, Any] = {}
        checked = 0
        for block in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
            for node in ast.parse(block).body:
                expected = block.splitlines()[node.end_lineno - 1].partition("# -> ")[2]
                if expected and isinstance(node, ast.Expr):
                    value = eval(compile(ast.Expression(node.value), "torch.md", "eval"), names)
                    self.assertEqual(repr(value), expected)
                    checked += 1
                else:
                    exec(compile(ast.Module([node], []), "torch.md", "exec"), names)
        self.assertEqual(checked, 4)


if __name__ == "__main__":
    torch_support.main()
