"""simulate, report, sweep and counts: the documents of the command, its sentences, and what Python adds."""

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
from conftest import SOURCE, refused_by_command, run_command

import mlsim

SMALL = SOURCE / "workloads" / "examples" / "small.json"
EDGE = SOURCE / "sim" / "configs" / "edge-8x8.json"


def workload(**more):
    return {
        "schema": "mlsim.workload/1", "name": "two", "seed": 5, "format": "e2m1", "values": {}, **more,
        "layers": [
            {"name": "conv", "type": "conv2d", "batch": 2, "in_channels": 4, "out_channels": 6, "in_size": [7, 7],
             "kernel": [3, 3], "padding": [1, 1]},
            {"name": "head", "type": "linear", "batch": 2, "in_channels": 6, "out_channels": 3}],
    }  # fmt: skip


@pytest.fixture(name="folder")
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.json").write_text(json.dumps(workload()))
    return tmp_path


@pytest.mark.parametrize("engine", ["functional", "analytic", "cycle", "structural"])
def test_simulate_writes_the_bytes_of_the_command(engine, folder):
    tensors = [] if engine == "analytic" else ["--tensors", "t"]
    run_command("simulate", "w.json", "--engine", engine, "--array", EDGE, "--results", "r.json", *tensors, folder=folder)
    expected = (folder / "r.json").read_text()
    array = json.loads(EDGE.read_text())
    for source in ("w.json", folder / "w.json", workload()):
        results = mlsim.simulate(source, engine, array=array, tensors="mine" if tensors else None, threads=2)
        assert results.to_json() == expected
        assert results == json.loads(expected)
    if tensors:
        assert len(os.listdir("t")) == 6 and sorted(os.listdir("t")) == sorted(os.listdir("mine"))
        for name in os.listdir("t"):
            assert (folder / "t" / name).read_bytes() == (folder / "mine" / name).read_bytes()
    results.save("saved.json")
    assert (folder / "saved.json").read_text() == expected


def test_simulate_takes_formats_traces_and_no_baselines(folder):
    run_command("simulate", "w.json", "--format", "mxfp8", "--no-baselines", "--results", "r.json", folder=folder)
    results = mlsim.simulate("w.json", format="mxfp8", baselines=False)
    assert results.to_json() == (folder / "r.json").read_text()
    mlsim.simulate(SMALL, engine="structural", array=EDGE, trace="mine.vcd")
    run_command("simulate", SMALL, "--engine", "structural", "--array", EDGE, "--trace", "its.vcd", "--results", "r.json",
                folder=folder)  # fmt: skip
    cut = [(folder / name).read_text().partition("$timescale")[2] for name in ("mine.vcd", "its.vcd")]
    assert cut[0] == cut[1] != ""


def test_dicts_may_hold_numbers_of_numpy_and_paths(folder):
    layer = {"name": "conv", "type": "conv2d", "batch": np.int64(1), "in_channels": 2, "out_channels": 2,
             "in_size": np.array([3, 3]), "kernel": (1, 1), "passes": ["forward"],
             "tensors": {"activation": folder / "a.npy", "weight": "w.npy"}}  # fmt: skip
    np.save(folder / "a.npy", np.ones((1, 2, 3, 3), np.float32))
    (folder / "deep").mkdir()
    np.save(folder / "deep" / "w.npy", np.ones((2, 2, 1, 1), np.float32))
    document = {"schema": "mlsim.workload/1", "name": "x", "seed": 1, "format": "e2m4", "layers": [layer]}
    assert mlsim.simulate(document, folder="deep")["layers"][0]["passes"][0]["multiply_adds"] == 36
    with pytest.raises(mlsim.Error, match="w.npy: cannot be read"):
        mlsim.simulate(document)


def test_report_is_that_of_the_command(folder):
    results = [mlsim.simulate("w.json"), mlsim.simulate("w.json", format="nvfp4")]
    for index, one in enumerate(results):
        one.save(f"{index}.json")
    said = run_command("report", "0.json", "1.json", "--format", "json", "--activity", "zeros", "--table", "aladdin-40nm",
                       folder=folder)  # fmt: skip
    report = mlsim.report(["0.json", folder / "1.json"], table="aladdin-40nm", activity="zeros")
    expected = json.loads(said)
    for one, other in zip(report["results"], expected["results"]):
        one["file"] = other["file"]
    assert report == expected
    for format in ("text", "markdown", "csv", "json", "html"):
        said = run_command("report", "0.json", "--format", format, folder=folder)
        # The page's footer has the command that made it.
        said = said.replace("<dt>command</dt><dd>mlsim report 0.json --format html</dd>\n", "")
        assert mlsim.report("0.json").text(format) == said
    every = run_command("report", "0.json", "--detail", folder=folder)
    assert mlsim.report("0.json").text(detail=True) == every
    assert "backward_data" in every
    assert "backward_data" not in mlsim.report("0.json").text()
    report.save("report.html")
    assert "<!doctype html>" in (folder / "report.html").read_text().lower()
    assert mlsim.report(results[0])["results"][0]["totals"] == mlsim.report("0.json")["results"][0]["totals"]
    assert mlsim.report(results[0])["results"][0]["file"] == "results"


def test_report_of_a_step_and_with_a_sweep():
    step = {"schema": "mlsim.workload/1", "name": "step", "seed": 1, "format": "e2m4", "batch": 2, "layers": "resnet20"}
    results = mlsim.simulate(step, engine="analytic")
    sweep = mlsim.sweep(step, ["e2m4", "mxfp4"], engine="analytic")
    report = mlsim.report(results, step="resnet20", sweep=sweep)
    assert report["results"][0]["training_step"]["parts"]
    assert "mxfp4" in report.text("html")


def test_report_with_test_accuracies(folder):
    for name, accuracy in (("1.jsonl", 0.9), ("2.jsonl", 0.92), ("3.jsonl", 0.93)):
        (folder / name).write_text('{"test_accuracy": 0.1}\n{"test_accuracy": %s}\n' % accuracy)
    report = mlsim.report(mlsim.simulate(SMALL), accuracy={"e2m4": ["1.jsonl", folder / "2.jsonl"], "fp32": "3.jsonl"})
    page = report.text("html")
    assert "<td>2</td><td>91.00</td><td>90.00</td><td>92.00</td>" in page
    assert "<td>1</td><td>93.00</td>" in page
    with pytest.raises(mlsim.Error, match="accuracy: 'e9' is no machine of this report, expected one of e2m4"):
        mlsim.report(mlsim.simulate(SMALL), accuracy={"e9": "1.jsonl"}).text("html")
    with pytest.raises(mlsim.Error, match="accuracy: is list, expected a dict of files of metrics"):
        mlsim.report(mlsim.simulate(SMALL), accuracy=["1.jsonl"])


def test_memory_that_takes_time():
    array = {"dram_bytes_per_cycle": 2.5, "dram_latency_cycles": 40, "sram_read_bytes_per_cycle": 4}
    limited = mlsim.simulate(SMALL, engine="analytic", array=array)
    unlimited = mlsim.simulate(SMALL, engine="analytic", array=dict.fromkeys(array))
    assert limited["array"]["dram_bytes_per_cycle"] == 2.5
    assert limited["array"]["sram_write_bytes_per_cycle"] is None
    assert "dram_bytes_per_cycle" not in unlimited["array"]
    for layer, fast in zip(limited["layers"], unlimited["layers"]):
        for run, other in zip(layer["passes"], fast["passes"]):
            cycles, least = run["cycles"], other["cycles"]
            assert cycles["array"] - least["array"] == cycles["dram_stalls"] + cycles["sram_stalls"] > 0
            assert cycles["quantizer"] - least["quantizer"] == cycles["quantizer_stalls"]
            assert "dram_stalls" not in least


def test_sweep_is_that_of_the_command(folder):
    for arguments, options in (
        ({"formats": ["e2m4", "nvfp4", "fp16"]}, ["--formats", "e2m4,nvfp4,fp16"]),
        ({"formats": "e2m1+e2m4+mxfp8-e5m2", "grouping": ["k4", "nc"], "accumulator_bits": [12, "full"]},
         ["--formats", "e2m1+e2m4+mxfp8-e5m2", "--grouping", "k4,nc", "--accumulator-bits", "12,full"]),
        ({"formats": "nvfp4", "taps_per_cycle": [1, 16]}, ["--formats", "nvfp4", "--taps-per-cycle", "1,16"]),
        ({"exponent_bits": (1, 2), "mantissa_bits": 1, "scale_fraction_bits": (0, 1), "sharing": [4, 8],
          "array": str(EDGE), "engine": "analytic", "activity": "zeros", "table": "tpuv4i-7nm"},
         ["--exponent-bits", "1:2", "--mantissa-bits", "1", "--scale-fraction-bits", "0:1", "--sharing", "4,8",
          "--array", EDGE, "--engine", "analytic", "--activity", "zeros", "--table", "tpuv4i-7nm"]),
        ({"exponent_bits": (0, 3), "mantissa_bits": (1, 8), "engine": "analytic", "sample": 7, "seed": 3,
          "sampling": "latin-hypercube"},
         ["--exponent-bits", "0:3", "--mantissa-bits", "1:8", "--engine", "analytic", "--sample", "7", "--seed", "3",
          "--sampling", "latin-hypercube"]),
    ):  # fmt: skip
        table = run_command("sweep", "w.json", *options, "--out", "s.json", folder=folder)
        sweep = mlsim.sweep("w.json", threads=2, **arguments)
        assert sweep.to_json() == (folder / "s.json").read_text()
        assert repr(sweep) + "\n" == table
        sweep.save("saved.json")
        assert (folder / "saved.json").read_text() == sweep.to_json()


def test_counts_are_those_of_the_command(folder):
    said = run_command("counts", "resnet20", "--batch", 4, "--format", "json", folder=folder)
    assert mlsim.counts("resnet20", batch=4) == json.loads(said)
    network = json.loads((SOURCE / "workloads" / "networks" / "resnet20.json").read_text())
    assert mlsim.counts(network, batch=np.int64(4)) == json.loads(said)


@pytest.mark.parametrize(
    ("document", "options"),
    [
        (workload(sed=1), []),
        (workload(accumulator_bits=99), []),
        ({**workload(), "layers": []}, []),
        (workload(format="e2m9m1"), []),
        (workload(), ["--engine", "cycle", "--format", "fp16"]),
        (workload(), ["--engine", "functional", "--array", "array.json"]),
        (workload(), ["--engine", "cycle", "--array", "taps.json"]),
        (workload(), ["--engine", "functional", "--tensors", "w.json"]),
    ],
)
def test_errors_are_the_sentences_of_the_command(document, options, folder):
    (folder / "w.json").write_text(json.dumps(document))
    (folder / "array.json").write_text('{"rows": 0}')
    (folder / "taps.json").write_text('{"taps_per_cycle": 257}')
    arguments = {option.removeprefix("--"): value for option, value in zip(options[::2], options[1::2])}
    with pytest.raises(mlsim.Error) as error:
        mlsim.simulate("w.json", **arguments)
    assert str(error.value) == refused_by_command("simulate", "w.json", *options, folder=folder)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: mlsim.simulate(7), "workload: is a int, expected a path or a dict"),
        (lambda: mlsim.simulate({"name": float("nan")}), "workload: Out of range float values"),
        (lambda: mlsim.simulate({"name": {1, 2}}), "workload: a set is no value of JSON"),
        (lambda: mlsim.simulate(workload(sed=1)), "workload: /sed: is an unknown key"),
        (lambda: mlsim.simulate(workload(), engine=None), "engine: is None, expected a text"),
        (lambda: mlsim.simulate(workload(), engine="magic"), "engine 'magic' is none of functional, cycle"),
        (lambda: mlsim.simulate(workload(), array={"rows": 0}), "array: /rows: is 0, expected an integer from 1 to"),
        (lambda: mlsim.simulate(workload(), array=3), "array: is a int, expected a path or a dict"),
        (lambda: mlsim.simulate(workload(), threads=0), "threads: is 0, expected a whole number from 1 to 1024"),
        (lambda: mlsim.simulate(workload(), tensors=3.0), "tensors: is a float, expected a path"),
        (lambda: mlsim.simulate("a\0b"), "workload: is 'a\\x00b', which is no path"),
        (lambda: mlsim.report([]), "results: there are none, expected one or more"),
        (lambda: mlsim.report({}), "results: the key \"schema\" is missing"),
        (lambda: mlsim.report(mlsim.simulate(SMALL), table="none"), "none: cannot be read, expected the file of a cost"),
        (lambda: mlsim.report(mlsim.simulate(SMALL), activity="all"), "activity 'all' is none of dense, zeros"),
        (lambda: mlsim.report(mlsim.simulate(SMALL)).text("pdf"), "format: is 'pdf', expected text, markdown"),
        (lambda: mlsim.report(mlsim.simulate(SMALL)).text("csv", detail=True), "detail: is of the format text, expected"),
        (lambda: mlsim.report(mlsim.simulate(SMALL)).save("r.pdf"), "path: is 'r.pdf', expected a name that ends in"),
        (lambda: mlsim.sweep(SMALL), "nothing to sweep: expected formats, or exponent_bits with mantissa_bits"),
        (lambda: mlsim.sweep(SMALL, ["e2m4"], exponent_bits=1), "exponent_bits is given, expected both exponent_bits and"),
        (lambda: mlsim.sweep(SMALL, ["e2m4+e2m4"]), "has 'e2m4+e2m4', expected a format, or three"),
        (lambda: mlsim.sweep(SMALL, [4]), "sweep: /formats/0: is 4, expected a text"),
        (lambda: mlsim.sweep(SMALL, ["e2m4"], grouping="x7"), "grouping 'x7' is unknown, expected nc, n, c, none"),
        (lambda: mlsim.sweep(SMALL, ["e2m4+fp16+fp16"]), "--formats: forward would multiply e2m4/g8m1/nc by fp16"),
        (lambda: mlsim.sweep(SMALL, exponent_bits=(3, 1), mantissa_bits=1), "sweep: /exponent_bits: is [3,1], expected"),
        (lambda: mlsim.sweep(SMALL, exponent_bits=9, mantissa_bits=1), "sweep: /exponent_bits/0: is 9, expected"),
        (lambda: mlsim.sweep(SMALL, ["e2m4"], accumulator_bits=1), "sweep: /accumulator_bits/0: is 1, expected"),
        (lambda: mlsim.sweep(SMALL, ["e2m4"], sample=0), "sweep: /sample: is 0, expected"),
        (lambda: mlsim.sweep(SMALL, ["e2m4"], sample=1, sampling="grid"), "sweep: /sampling: is \"grid\", expected"),
        (lambda: mlsim.sweep(SMALL, ["e2m4"], sharing=0), "sweep: /sharing/0: is 0, expected"),
        (lambda: mlsim.sweep(SMALL, ["e2m4"], engine="cycle"), "sweep: /engine: is \"cycle\", expected functional or"),
        (lambda: mlsim.counts("resnet20", batch=0), "counts: /batch: is 0, expected an integer from 1 to 1048576"),
        (lambda: mlsim.counts("resnet2000"), "resnet2000: "),
    ],
)  # fmt: skip
def test_arguments_are_refused(call, sentence):
    with pytest.raises(mlsim.Error) as error:
        call()
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


def test_results_that_are_no_numbers_are_a_warning(folder):
    huge = np.full((1, 1, 2, 2), 3e38, np.float32)
    np.save(folder / "a.npy", huge)
    layer = {"name": "conv", "type": "conv2d", "batch": 1, "in_channels": 1, "out_channels": 1, "in_size": [2, 2],
             "kernel": [2, 2], "tensors": {"activation": "a.npy", "weight": "a.npy"}}  # fmt: skip
    document = {"schema": "mlsim.workload/1", "name": "x", "seed": 1, "format": "mxfp8-e5m2", "layers": [layer]}
    with pytest.warns(RuntimeWarning, match="results are infinite or NaN: 1, the first in forward of layer 'conv'"):
        mlsim.simulate(document)
    with pytest.warns(RuntimeWarning, match="points with results that are infinite or NaN: 1"):
        mlsim.sweep(document, ["mxfp8-e5m2"])


def test_documents_show_themselves_and_stay_dicts():
    results = mlsim.simulate(SMALL)
    report = mlsim.report(results)
    sweep = mlsim.sweep(SMALL, ["e2m4", "e2m1"])
    assert "mlsim.Results 'small': functional engine, 1 layer, e2m4/g8m1/nc" in repr(results)
    assert "backward_weight" in repr(results)
    assert "mlsim.Report, prices of horowitz-45nm" in repr(report)
    assert "Pareto front" in repr(sweep)
    for document in (results, report, sweep):
        page = document._repr_html_()
        assert page.startswith("<table>") and page.count("<tr>") == page.count("</tr>") > 1
        assert json.loads(json.dumps(document)) == document
        for twin in (copy.deepcopy(document), pickle.loads(pickle.dumps(document))):
            assert twin == document and type(twin) is type(document) and repr(twin) == repr(document)
        broken = copy.deepcopy(document)
        broken.clear()
        assert repr(broken) == "{}" and broken._repr_html_() is None
    assert copy.deepcopy(report).text() == report.text()


def test_names_in_pages_are_escaped():
    document = mlsim.simulate(workload(name="<b>x"))
    assert "<b>" not in document._repr_html_() and "&lt;b&gt;x" in document._repr_html_()


def test_frames():
    pytest.importorskip("pandas")
    results = mlsim.simulate(SMALL)
    frame = results.to_frame()
    entries = results["layers"][0]["passes"]
    assert frame["pass"].tolist() == [entry["pass"] for entry in entries]
    assert frame["cycles_array"].tolist() == [entry["cycles"]["array"] for entry in entries]
    assert frame["sqnr_db"].tolist() == [entry["sqnr_db"] for entry in entries]
    report = mlsim.report(results).to_frame()
    assert len(report) == 4 * 7
    ratio = report[(report["pass"] == "all") & (report["machine"] == "fp32")]["computing_ratio"].item()
    assert 4 < ratio < 5
    sweep = mlsim.sweep(SMALL, ["e2m4", "e2m1"]).to_frame()
    assert sweep["forward_sqnr_db"].notna().all() and len(sweep) == 2


INTERRUPTED = """
    import os, signal, sys, threading
    import mlsim
    document = {"schema": "mlsim.workload/1", "name": "long", "seed": 1, "format": "e2m4", "values": {}, "layers": [
        {"name": f"l{i}", "type": "conv2d", "batch": 4, "in_channels": 64, "out_channels": 64, "in_size": [56, 56],
         "kernel": [3, 3], "padding": [1, 1]} for i in range(200)]}
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        if sys.argv[1] == "sweep":
            mlsim.sweep(document, ["e2m4", "e2m1"])
        else:
            mlsim.simulate(document, engine=sys.argv[1], tensors="t")
    except KeyboardInterrupt:
        mlsim.quantize([[1.0]], "e2m4")
        print("interrupted")
"""


@pytest.mark.parametrize("what", ["functional", "cycle", "sweep"])
def test_an_interrupt_ends_long_work(what, folder):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED), what], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "interrupted\n", done.stderr
    # Nothing is half written.
    for name in os.listdir("t") if os.path.exists("t") else []:
        np.load(folder / "t" / name)


def test_a_child_that_dies_is_an_error(monkeypatch):
    real = subprocess.Popen

    def stop(*arguments, **more):
        child = real(*arguments, **more)
        child.send_signal(signal.SIGKILL)
        return child

    monkeypatch.setattr(subprocess, "Popen", stop)
    with pytest.raises(mlsim.Error, match="engine: its process ended with signal 9"):
        mlsim.simulate(SMALL, engine="cycle")


def test_engines_of_systemc_run_as_often_as_they_are_asked_to():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = (mlsim.simulate(SMALL, engine="cycle") for _ in range(2))
    assert first == second
