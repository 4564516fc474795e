"""What a simulation, a report and a sweep return: the documents of the command as dicts that show themselves."""

from __future__ import annotations

import html
import json
import math
import os
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from mlsim import _native
from mlsim._native import Error

_PASSES = ("forward", "backward_data", "backward_weight")
_MOST_ROWS = 60

Path = Union[str, "os.PathLike[str]"]


def to_text(document: Any, name: str) -> str:
    """A document as JSON text, numbers of NumPy among them. Raises mlsim.Error for what JSON does not know."""

    def plain(value: Any) -> Any:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if hasattr(value, "tolist"):
            return value.tolist()
        if isinstance(value, Mapping):
            return dict(value)
        raise TypeError(f"a {type(value).__name__} is no value of JSON")

    try:
        return json.dumps(document, default=plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Error(f"{name}: {error}") from error


def _frame(rows: List[Dict[str, Any]]) -> Any:
    try:
        import pandas
    except ImportError as error:
        raise Error("to_frame: pandas is not installed, which it needs") from error
    return pandas.DataFrame(rows)


def decibels(value: Any) -> float:
    """A ratio of the documents as a number: infinite where it is "exact", NaN where it is null."""
    if value == "exact":
        return math.inf
    return math.nan if value is None else float(value)


def _shown_decibels(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "exact" if math.isinf(value) else f"{value:.1f}"


def _mean(values: Sequence[float]) -> float:
    """Of the finite ones; infinite where every one is that is a number."""
    finite = [value for value in values if math.isfinite(value)]
    if finite:
        return sum(finite) / len(finite)
    return math.inf if any(math.isinf(value) for value in values) else math.nan


def _picojoules(value: Optional[float]) -> str:
    if value is None:
        return "-"
    for unit, size in (("J", 1e12), ("mJ", 1e9), ("µJ", 1e6), ("nJ", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} pJ"


class _Table:
    """A title, a header and rows of texts, for a terminal and for a page."""

    def __init__(self, title: str, header: Sequence[str], rows: Iterable[Sequence[str]]):
        self.title = title
        self.header = list(header)
        self.rows = [list(row) for row in rows]

    def _shown(self) -> Iterator[List[str]]:
        yield from self.rows[:_MOST_ROWS]
        if len(self.rows) > _MOST_ROWS:
            yield [f"... {len(self.rows) - _MOST_ROWS} more"] + [""] * (len(self.header) - 1)

    def text(self) -> str:
        rows = [self.header] + list(self._shown())
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.header))]

        def line(row: List[str]) -> str:
            cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
            return "  " + "  ".join(cells).rstrip()

        return "\n".join([self.title] + [line(row) for row in rows])

    def html(self) -> str:
        def row(cells: List[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        body = "".join(row(cells, "td") for cells in self._shown())
        return (
            f"<table><caption>{html.escape(self.title)}</caption><thead>{row(self.header, 'th')}</thead>"
            f"<tbody>{body}</tbody></table>"
        )


class _Document(Dict[str, Any]):
    """A dict that is a document of the command."""

    def _summary(self) -> _Table:
        raise NotImplementedError

    def __repr__(self) -> str:
        try:
            return self._summary().text()
        except (KeyError, TypeError, AttributeError, ValueError):
            # Changed by its owner into something else.
            return dict.__repr__(self)

    def _repr_html_(self) -> Optional[str]:
        try:
            return self._summary().html()
        except (KeyError, TypeError, AttributeError, ValueError):
            return None


class Results(_Document):
    """What mlsim.simulate found out: the schema mlsim.results/1 (docs/simulate.md), as a dict.

    It shows a summary in a terminal and in a notebook.
    """

    def to_json(self) -> str:
        """The text of the file that `mlsim simulate --results` writes."""
        return _native.results_file(to_text({"file": "results", "text": to_text(self, "results")}, "results"))

    def save(self, path: Path) -> None:
        """Writes that file, whole or not at all. Raises mlsim.Error where it cannot be written."""
        _native.write_file(os.fspath(path), self.to_json())

    def to_frame(self) -> Any:
        """A pandas.DataFrame with a row for each layer and pass.

        Columns: layer, pass, multiply_adds, the other members of a pass, and those of its cycles, counts, traffic_bits and
        so on as NAME_MEMBER. SQNRs in dB are infinite where a result is exact. Raises mlsim.Error without pandas.
        """
        rows = []
        for layer in self["layers"]:
            for entry in layer["passes"]:
                row: Dict[str, Any] = {"layer": layer["name"]}
                for key, value in entry.items():
                    if isinstance(value, Mapping):
                        read = decibels if key.endswith("sqnr_db") else (lambda one: one)
                        row.update({f"{key}_{member}": read(one) for member, one in value.items()})
                    else:
                        row[key] = decibels(value) if key == "sqnr_db" else value
                rows.append(row)
        return _frame(rows)

    def _totals(self) -> Iterator[Tuple[str, List[Dict[str, Any]]]]:
        every = [entry for layer in self["layers"] for entry in layer["passes"]]
        for name in _PASSES:
            entries = [entry for entry in every if entry["pass"] == name]
            if entries:
                yield name, entries
        yield "all", every

    def _summary(self) -> _Table:
        formats = {name for layer in self["layers"] for name in layer["format"].values()}
        layers = len(self["layers"])
        title = (
            f"mlsim.Results '{self['workload']}': {self['engine']} engine, {layers} layer{'' if layers == 1 else 's'}, "
            + (formats.pop() if len(formats) == 1 else f"{len(formats)} formats")
        )
        rows = []
        for name, entries in self._totals():
            cycles = sum(entry["cycles"]["array"] + entry["cycles"]["quantizer"] for entry in entries)
            overflows = [entry["counts"]["overflows"] for entry in entries]
            sqnr = _mean([decibels(entry.get("sqnr_db")) for entry in entries])
            rows.append(
                [
                    name,
                    str(sum(entry["multiply_adds"] for entry in entries)),
                    str(cycles),
                    _shown_decibels(sqnr),
                    "-" if None in overflows else str(sum(overflows)),
                ]
            )
        return _Table(title, ["pass", "multiply-adds", "cycles", "mean SQNR dB", "overflows"], rows)


class Report(_Document):
    """What results cost: the schema mlsim.report/1 (docs/report.md), as a dict. It shows a summary."""

    def __init__(self, document: Mapping[str, Any], request: Mapping[str, Any]):
        super().__init__(document)
        self._request = dict(request)

    def __reduce__(self) -> Tuple[Any, ...]:
        return Report, (dict(self), self._request)

    def text(self, format: str = "text", detail: bool = False) -> str:
        """The report as `mlsim report --format F` prints it: text, markdown, csv, json or html (one page with plots).

        detail: in text, every table and not the summary alone.
        """
        if format not in ("text", "markdown", "csv", "json", "html"):
            raise Error(f"format: is {format!r}, expected text, markdown, csv, json or html")
        if detail and format != "text":
            raise Error(f"detail: is of the format text, expected none beside {format}")
        return _native.report(to_text({**self._request, "format": format, "detail": bool(detail)}, "report"))

    def save(self, path: Path) -> None:
        """Writes the report, whole or not at all, in the format of the name's ending: txt, md, csv, json or html."""
        name = os.fspath(path)
        formats = {".txt": "text", ".md": "markdown", ".csv": "csv", ".json": "json", ".html": "html"}
        ending = os.path.splitext(name)[1]
        if ending not in formats:
            raise Error(f"path: is '{name}', expected a name that ends in {', '.join(formats)}")
        _native.write_file(name, self.text(formats[ending]))

    def to_frame(self) -> Any:
        """A pandas.DataFrame with a row for each results file, pass (and all of them), and machine.

        Columns: file, workload, pass, machine ("own" and the baselines), multiply_adds, cycles (of the own one),
        operations_only_pj, computing_pj, memory_pj, mean_sqnr_db, and the ratios operations_only_ratio and
        computing_ratio of a baseline to the own machine. Raises mlsim.Error without pandas.
        """
        rows = []
        for one in self["results"]:
            for name, total in one["totals"].items():
                base = {"file": one["file"], "workload": one["workload"], "pass": name}
                energies = [("own", total["energy"])] + list(total["baselines"].items())
                for machine, energy in energies:
                    row: Dict[str, Any] = {**base, "machine": machine, "multiply_adds": total["multiply_adds"]}
                    row["cycles"] = total["cycles"] if machine == "own" else None
                    for key, value in energy.items():
                        if isinstance(value, Mapping) and "value" in value:
                            row[key] = value["value"]
                    sqnr = total["mean_sqnr_db"] if machine == "own" else total["baseline_mean_sqnr_db"].get(machine)
                    row["mean_sqnr_db"] = decibels(sqnr)
                    rows.append(row)
        return _frame(rows)

    def _summary(self) -> _Table:
        results = self["results"]
        baselines = list(results[0]["totals"]["all"]["baselines"])
        rows = []
        for one in results:
            total = one["totals"]["all"]
            energy = total["energy"]
            each = "-"
            if total["multiply_adds"]:
                each = f"{energy['computing_pj']['value'] / total['multiply_adds']:.3g}"
            row = [f"{one['workload']} {one['formats']}"]
            row += [_picojoules(energy[line]["value"]) for line in ("operations_only_pj", "computing_pj", "memory_pj")]
            row.append(each)
            for name in baselines:
                ratio = total["baselines"][name]["computing_ratio"]
                ratio = None if ratio is None else ratio["value"]
                row.append("-" if ratio is None else f"{ratio:.2f}")
            rows.append(row)
        header = ["results", "operations", "all computing", "memory", "pJ a multiply-add"]
        header += [f"{name} /" for name in baselines]
        return _Table(f"mlsim.Report, prices of {self['cost_table']}, {results[0]['activity']} operands", header, rows)


class Sweep(_Document):
    """The points of a sweep: the schema mlsim.sweep/1 (docs/sweep.md), as a dict. It shows them as a table."""

    def _text(self) -> str:
        return to_text({"text": to_text(self, "sweep")}, "sweep")

    def to_json(self) -> str:
        """The text of the file that `mlsim sweep --out FILE.json` writes."""
        return _native.sweep_file(self._text())

    def save(self, path: Path) -> None:
        """Writes that file, whole or not at all. Raises mlsim.Error where it cannot be written."""
        _native.write_file(os.fspath(path), self.to_json())

    def _flat(self) -> List[Dict[str, Any]]:
        rows = []
        for point in self["points"]:
            row = {key: value for key, value in point.items() if key != "passes"}
            row["mean_sqnr_db"] = decibels(row["mean_sqnr_db"])
            for name, entry in point["passes"].items():
                for key, value in entry.items():
                    row[f"{name}_{key}"] = decibels(value) if key == "sqnr_db" else value
            rows.append(row)
        return rows

    def to_frame(self) -> Any:
        """A pandas.DataFrame with a row for each point and the columns of `mlsim sweep --out FILE.csv`.

        SQNRs in dB are infinite where results are exact. Raises mlsim.Error without pandas.
        """
        return _frame(self._flat())

    def __repr__(self) -> str:
        try:
            return _native.sweep_table(self._text()).rstrip("\n")
        except Error:
            return dict.__repr__(self)

    def _summary(self) -> _Table:
        def each(point: Mapping[str, Any], key: str) -> str:
            if not point["multiply_adds"] or point[key] is None:
                return "-"
            return f"{point[key] / point['multiply_adds']:.3g}"

        rows = []
        for point in self["points"]:
            bits = point["accumulator_bits"]
            rows.append(
                [
                    point["format"],
                    "-" if bits is None else str(bits),
                    point["array"],
                    each(point, "operations_only_pj"),
                    each(point, "computing_pj"),
                    each(point, "with_memory_pj"),
                    str(point["cycles"]),
                    _shown_decibels(decibels(point["mean_sqnr_db"])),
                    "*" if point["pareto"] else "",
                ]
            )
        header = [
            "format",
            "accumulator",
            "array",
            "operations pJ/MAC",
            "computing pJ/MAC",
            "with memory pJ/MAC",
            "cycles",
            "SQNR dB",
            "front",
        ]
        return _Table(f"mlsim.Sweep of '{self['workload']}', prices of {self['cost_table']}", header, rows)
