"""mlsim.simulate, report, sweep and counts: requests to the compiled part, and its documents as dicts."""

from __future__ import annotations

import json
import os
import warnings
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from mlsim import _child, _native
from mlsim._checks import whole_number
from mlsim._native import Error
from mlsim._results import Path, Report, Results, Sweep, to_text

Document = Mapping[str, Any]


def _path(value: Path, name: str) -> str:
    try:
        text = os.fsdecode(value)
    except TypeError:
        raise Error(f"{name}: is a {type(value).__name__}, expected a path") from None
    if "\0" in text:
        raise Error(f"{name}: is {text!r}, which is no path")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Error(f"{name}: is {text!r}, expected a path in UTF-8") from None
    return text


def _optional_path(value: Optional[Path], name: str) -> Optional[str]:
    return None if value is None else _path(value, name)


def _name(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise Error(f"{name}: is {value!r}, expected a text")
    return value


def _source(value: Union[Path, Document], name: str, folder: Optional[Path] = None) -> Dict[str, Any]:
    """A document, as its text, or the path of one."""
    if isinstance(value, Mapping):
        place = os.getcwd() if folder is None else _path(folder, "folder")
        return {"file": name, "text": to_text(value, name), "folder": place}
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise Error(f"{name}: is a {type(value).__name__}, expected a path or a dict")
    return {"file": _path(value, name)}


def _threads(value: Any) -> Optional[int]:
    return None if value is None else whole_number("threads", value, 1, 1024)


def _document(answer: str) -> Dict[str, Any]:
    """The document of an answer, and its remark as a warning."""
    parts = json.loads(answer)
    if parts["remark"]:
        warnings.warn(parts["remark"], RuntimeWarning, stacklevel=3)
    document: Dict[str, Any] = parts["document"]
    return document


def simulate(
    workload: Union[Path, Document],
    engine: str = "functional",
    array: Union[Path, Document, None] = None,
    tensors: Optional[Path] = None,
    *,
    format: Optional[str] = None,
    trace: Optional[Path] = None,
    baselines: bool = True,
    threads: Optional[int] = None,
    folder: Optional[Path] = None,
) -> Results:
    """Runs a workload's training convolutions and counts every operation, cycle and bit moved, as `mlsim simulate` does.

    workload: a file (docs/workload-format.md), or a dict with what such a file holds; paths in a dict are relative to
        `folder`, by default the current one.
    engine: "functional", "analytic" (the closed form: no values), "cycle" or "structural" (SystemC, which knows one
        design in a process and runs in a process of its own).
    array: a file or a dict of docs/dataflow.md; None: the default one.
    tensors: a folder for every computed tensor, LAYER.PASS.npy, float32.
    format: of every operand, in place of the workload's.
    trace: a VCD file, of the structural engine.
    baselines: whether to measure the errors of the float baselines, too.
    threads: the most that compute, 1 to 1024; None: all cores.

    Returns the results as a dict, the schema mlsim.results/1 (docs/simulate.md). A warning tells of results that are
    infinite or NaN. Raises mlsim.Error with the command's sentences; KeyboardInterrupt ends it between two passes.
    """
    request = {
        "workload": _source(workload, "workload", folder),
        "engine": _name(engine, "engine"),
        "array": None if array is None else _source(array, "array"),
        "tensors": _optional_path(tensors, "tensors"),
        "format": None if format is None else _name(format, "format"),
        "trace": _optional_path(trace, "trace"),
        "baselines": bool(baselines),
        "threads": _threads(threads),
    }
    text = to_text(request, "simulate")
    answer = _child.simulate(text) if engine in ("cycle", "structural") else _native.simulate(text)
    return Results(_document(answer))


def _results_source(value: Union[Path, Document], index: int) -> Dict[str, Any]:
    source = _source(value, "results" if index == 0 else f"results {index + 1}")
    source.pop("folder", None)
    return source


def _accuracies(accuracy: Optional[Mapping[str, Any]]) -> Optional[List[Dict[str, str]]]:
    if accuracy is None:
        return None
    if not isinstance(accuracy, Mapping):
        raise Error(f"accuracy: is {type(accuracy).__name__}, expected a dict of files of metrics")
    return [
        {"name": str(name), "file": _path(file, f"accuracy['{name}']")}
        for name, files in accuracy.items()
        for file in (files if isinstance(files, (list, tuple)) else [files])
    ]


def report(
    results: Union[Path, Document, Sequence[Union[Path, Document]]],
    table: Path = "horowitz-45nm",
    activity: str = "dense",
    *,
    step: Union[Path, Document, None] = None,
    sweep: Optional[Document] = None,
    accuracy: Optional[Mapping[str, Union[Path, Sequence[Path]]]] = None,
) -> Report:
    """Prices results: energy, area and error, each against the float baselines, as `mlsim report` does.

    results: of mlsim.simulate, or a file of them, or a list.
    table: a shipped cost table ("horowitz-45nm", "aladdin-40nm", "tpuv4i-7nm") or a file (docs/energy.md).
    activity: operands that are priced: "dense", "zeros" or "gated" (docs/report.md).
    step: a network, a file, a shipped one by name or a dict, whose convolutions the results are, to price the rest of a
        training step.
    sweep: of mlsim.sweep, for the plots of Report.text("html").
    accuracy: metrics files of mlsim-train, one or several runs, by the format or the baseline that was trained, for the
        plots of Report.text("html").

    Returns the report as a dict, the schema mlsim.report/1; energies in pJ with error bars, areas in µm². Raises
    mlsim.Error with the command's sentences.
    """
    several = isinstance(results, Sequence) and not isinstance(results, (str, bytes))
    every: List[Any] = list(results) if several else [results]  # type: ignore[arg-type]
    if not every:
        raise Error("results: there are none, expected one or more")
    request: Dict[str, Any] = {
        "results": [_results_source(one, index) for index, one in enumerate(every)],
        "table": _path(table, "table"),
        "activity": _name(activity, "activity"),
        "step": None if step is None else _source(step, "step"),
        "sweep": None if sweep is None else to_text(sweep, "sweep"),
        "accuracy": _accuracies(accuracy),
    }
    document = json.loads(_native.report(to_text({**request, "format": "json", "detail": False}, "report")))
    return Report(document, request)


def _list(value: Any) -> Optional[List[Any]]:
    if value is None:
        return None
    if isinstance(value, (str, bytes, os.PathLike, Mapping)) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)


def _range(value: Any) -> Optional[List[Any]]:
    if value is None:
        return None
    ends = _list(value)
    assert ends is not None
    return ends * 2 if len(ends) == 1 else ends


def sweep(
    workload: Union[Path, Document],
    formats: Union[str, Sequence[str], None] = None,
    *,
    exponent_bits: Any = None,
    mantissa_bits: Any = None,
    scale_exponent_bits: Any = None,
    scale_fraction_bits: Any = None,
    grouping: Union[str, Sequence[str], None] = None,
    accumulator_bits: Any = None,
    array: Any = None,
    sharing: Any = None,
    taps_per_cycle: Any = None,
    engine: str = "functional",
    activity: str = "dense",
    table: Path = "horowitz-45nm",
    pareto: Union[str, Sequence[str], None] = None,
    sample: Optional[int] = None,
    sampling: str = "random",
    seed: int = 1,
    threads: Optional[int] = None,
    folder: Optional[Path] = None,
) -> Sweep:
    """Prices and measures every combination of formats and arrays on one workload, as `mlsim sweep` does.

    workload, folder: as of simulate.
    formats: one or a list, such as ["e2m4", "nvfp4"]; "A+W+E" gives activation, weight and error their own.
    exponent_bits, mantissa_bits: instead of formats or behind them, each a width or a pair of the lowest and the
        highest, with scale_exponent_bits (8) and scale_fraction_bits (1) beside them.
    grouping: one or a list, of the widths (nc), and of each of formats that names none.
    accumulator_bits: one or a list of widths, 2 to 64, or "full"; None: the workload's.
    array: one or a list of files or dicts. sharing: one or a list of elements that share a group-scale unit.
    taps_per_cycle: one or a list of multipliers of an element; None: as the arrays have it, as for sharing.
    engine: "functional", or "analytic": no values, so no errors.
    activity, table: as of report. threads: as of simulate.
    pareto: what the front is of: one or a list of "energy" (with memory), "computing" (without), "time", "area" and
        "error"; None: computing and error, and of the analytic engine energy and time.
    sample: so many of all combinations, by seed: "random", or "latin-hypercube", which draws the values of each axis
        equally often.

    Returns the points as a dict, the schema mlsim.sweep/1 (docs/sweep.md), energies in pJ, areas in µm². Raises
    mlsim.Error with the command's sentences; KeyboardInterrupt ends it.
    """
    arrays = _list(array)
    request = {
        "workload": _source(workload, "workload", folder),
        "formats": _list(formats),
        "exponent_bits": _range(exponent_bits),
        "mantissa_bits": _range(mantissa_bits),
        "scale_exponent_bits": _range(scale_exponent_bits),
        "scale_fraction_bits": _range(scale_fraction_bits),
        "grouping": _list(grouping),
        "accumulator_bits": _list(accumulator_bits),
        "array": None if arrays is None else [_source(one, f"array {i + 1}") for i, one in enumerate(arrays)],
        "sharing": _list(sharing),
        "taps_per_cycle": _list(taps_per_cycle),
        "engine": _name(engine, "engine"),
        "activity": _name(activity, "activity"),
        "table": _path(table, "table"),
        "pareto": _list(pareto),
        "sample": sample,
        "sampling": _name(sampling, "sampling"),
        "seed": seed,
        "threads": _threads(threads),
    }
    return Sweep(_document(_native.sweep(to_text(request, "sweep"))))


def counts(network: Union[Path, Document], batch: int = 1) -> Dict[str, Any]:
    """Operations of one training step of a network by type, as `mlsim counts --format json` writes them.

    network: a file (docs/workload-format.md), a shipped one by name ("resnet18") or a dict. batch: images of the step.
    Raises mlsim.Error with the command's sentences.
    """
    request = {"network": _source(network, "network"), "batch": batch}
    document: Dict[str, Any] = json.loads(_native.counts(to_text(request, "counts")))
    return document
