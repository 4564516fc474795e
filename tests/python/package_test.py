"""The package as such: what it exports, its types, its docs, what it needs."""

import ast
import importlib.util
import inspect
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import pytest
from conftest import SOURCE

import mlsim
from mlsim import _native

PACKAGE = pathlib.Path(mlsim.__file__).parent


def test_everything_that_is_exported_says_what_it_is():
    assert sorted(mlsim.__all__) == mlsim.__all__
    for name in mlsim.__all__:
        assert inspect.getdoc(getattr(mlsim, name)), name
    for kind in (mlsim.Quantized, mlsim.PassResult):
        for name, member in vars(kind).items():
            if not name.startswith("_"):
                assert inspect.getdoc(member), name


def test_freed_memory_is_kept_where_it_is_asked_for():
    program = """
import resource, sys
import numpy as np
import mlsim
if sys.argv[1] == "keep":
    mlsim.keep_freed_memory()
for _ in range(2):  # blocks of 64 MiB, above what the C library keeps by itself
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.full(1 << 23, 1.5)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""
    kept, mapped = (int(subprocess.run([sys.executable, "-c", program, how], capture_output=True, text=True, check=True,
                                       env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)}).stdout)
                    for how in ("keep", "leave"))
    if mapped < 1000:
        pytest.skip("pages are large, or the C library keeps such blocks")
    assert kept < mapped / 10


def test_the_version_is_that_of_the_project():
    version = re.search(r"project\(mlsim VERSION ([0-9.]+)", (SOURCE / "CMakeLists.txt").read_text()).group(1)
    assert mlsim.__version__ == version


def stub():
    return ast.parse((PACKAGE / "_native.pyi").read_text())


def test_stubs_have_what_the_compiled_part_has():
    assert (PACKAGE / "py.typed").exists()
    public = {name for name in vars(_native) if not name.startswith("_")} | {"__version__"}
    found = {}
    for node in stub().body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            found[node.target.id] = node
    assert {name for name in found if not name.startswith("_") or name == "__version__"} == public
    for kind in ("Quantized", "PassResult"):
        members = {node.name for node in found[kind].body if isinstance(node, ast.FunctionDef)}
        real = {name for name in vars(getattr(_native, kind)) if not name.startswith("_")} | {"__array__"}
        assert members == real
    for name in ("forward", "backward_data", "backward_weight"):
        names = [argument.arg for argument in found[name].args.args]
        said = re.findall(r"(\w+): ", getattr(_native, name).__doc__.splitlines()[0])
        assert names == said


def test_nothing_else_is_loaded():
    """Neither PyTorch nor pandas, which need not be there, and take seconds."""
    code = "import sys, mlsim; print(sorted({'torch', 'pandas', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_sentences_without_pandas():
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "import mlsim\n"
        f"r = mlsim.simulate({str(SOURCE / 'workloads' / 'examples' / 'small.json')!r})\n"
        "try: r.to_frame()\n"
        "except mlsim.Error as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "to_frame: pandas is not installed, which it needs\n"


def test_unknown_names_are_unknown():
    with pytest.raises(AttributeError, match="module 'mlsim' has no attribute 'nothing'"):
        mlsim.nothing  # noqa: B018


def blocks(page):
    """The Python of a page, each block with its line."""
    text = (SOURCE / page).read_text()
    for match in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield text[: match.start()].count("\n") + 2, match.group(1)


@pytest.mark.parametrize(("page", "values"), [("docs/python.md", 11), ("README.md", 0)])
def test_pages_are_true(page, values, tmp_path, monkeypatch):
    """Their Python from top to bottom, as a reader types it; what stands behind `# ->` is what is there."""
    monkeypatch.chdir(tmp_path)
    os.symlink(SOURCE / "workloads", tmp_path / "workloads")
    os.symlink(SOURCE / "sim", tmp_path / "sim")
    names = {}
    checked = 0
    statements = 0
    for line, block in blocks(page):
        for node in ast.parse(block).body:
            node_line = block.splitlines()[node.end_lineno - 1]
            ast.increment_lineno(node, line - 1)
            statements += 1
            expected = node_line.partition("# -> ")[2]
            if expected and isinstance(node, ast.Expr):
                value = eval(compile(ast.Expression(node.value), page, "eval"), names)
                assert repr(value) == expected, f"{page}: line {node.lineno}"
                checked += 1
            else:
                exec(compile(ast.Module([node], []), page, "exec"), names)
    assert checked == values and statements > 4


def backend():
    spec = importlib.util.spec_from_file_location("build_backend", SOURCE / "python" / "build_backend.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_wheel_has_the_package_and_its_record(tmp_path, monkeypatch):
    """All but the compilation, which pip would begin with."""
    module = backend()

    def stage(settings, staging):
        folder = pathlib.Path(staging) / "mlsim"
        folder.mkdir()
        (folder / "__init__.py").write_text("x = 1\n")
        assert settings == {"build-dir": "b"}

    monkeypatch.setattr(module, "_build", stage)
    name = module.build_wheel(str(tmp_path), {"build-dir": "b"})
    assert re.fullmatch(rf"mlsim-{mlsim.__version__}-cp3\d+-cp3\d+-\w+\.whl", name)
    first = (tmp_path / name).read_bytes()
    with zipfile.ZipFile(tmp_path / name) as wheel:
        info = f"mlsim-{mlsim.__version__}.dist-info"
        assert wheel.namelist() == ["mlsim/__init__.py", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]
        record = wheel.read(f"{info}/RECORD").decode().splitlines()
        assert [line.split(",")[0] for line in record] == wheel.namelist()
        assert f"Version: {mlsim.__version__}\n" in wheel.read(f"{info}/METADATA").decode()
    assert module.prepare_metadata_for_build_wheel(str(tmp_path)) == info
    assert (tmp_path / info / "METADATA").exists()
    module.build_wheel(str(tmp_path), {"build-dir": "b"})
    assert (tmp_path / name).read_bytes() == first
