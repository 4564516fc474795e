#!/usr/bin/env python3
"""Writes the seeds of corpus/ that are made: tests/fuzz/make_corpus.py MLSIM, where MLSIM is the command.

Those beside them are written by hand, or were found by libFuzzer. NumPy and libturbojpeg are needed."""
import ctypes
import io
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy

SOURCE = pathlib.Path(__file__).resolve().parents[2]
CORPUS = SOURCE / "tests/fuzz/corpus"


def put(reader, name, content):
    path = CORPUS / reader / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def npy_seeds():
    def npy(array, version=(1, 0)):
        stream = io.BytesIO()
        numpy.lib.format.write_array(stream, array, version=version)
        return stream.getvalue()

    values = numpy.arange(12, dtype="<f4").reshape(3, 4)
    put("npy", "version-1", npy(values))
    put("npy", "version-2", npy(values, (2, 0)))
    put("npy", "version-3", npy(values, (3, 0)))
    put("npy", "fortran", npy(numpy.asfortranarray(values.reshape(3, 2, 2))))
    put("npy", "native", npy(values).replace(b"'<f4'", b"'=f4'"))
    put("npy", "no-numbers", npy(numpy.array([numpy.nan, numpy.inf, -0.0, 1e-45], dtype="<f4")))
    put("npy", "binary64", npy(values.astype("<f8")))
    put("npy", "big-endian", npy(values.astype(">f4")))
    put("npy", "scalar", npy(numpy.array(1, dtype="<f4")))
    put("npy", "empty", npy(numpy.zeros((0, 2), dtype="<f4")))


# The fields of a header, and what follows it.
def png(width, height, depth, colour, row, interlace=0, extra=b""):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    rows = b"".join(b"\0" + row for _ in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) +
            chunk(b"IEND", b""))


def png_seeds():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    palette = chunk(b"PLTE", bytes(range(12)))
    put("png", "rgb", png(4, 3, 8, 2, bytes(range(12))))
    put("png", "rgb16", png(2, 2, 16, 2, bytes(range(12))))
    put("png", "rgba", png(3, 2, 8, 6, bytes(range(12))))
    put("png", "gray1", png(8, 2, 1, 0, b"\xa5"))
    put("png", "gray16", png(3, 2, 16, 0, bytes(range(6))))
    put("png", "gray-alpha", png(3, 2, 8, 4, bytes(range(6))))
    put("png", "palette", png(4, 2, 2, 3, b"\x1b", extra=palette + chunk(b"tRNS", b"\0\x80\xff")))
    put("png", "gamma", png(1, 1, 8, 2, b"abc", extra=chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"sRGB", b"\0")))
    put("png", "interlaced", png(1, 1, 8, 2, b"abc", interlace=1))
    put("png", "wide", png(60000, 60000, 8, 2, b"")[:80])
    put("cifar10-rows", "two", png(1024, 2, 8, 2, bytes(range(256)) * 12))
    put("cifar10-rows", "narrow", png(4, 3, 8, 2, bytes(range(12))))
    put("cifar10-rows", "gray", png(1024, 1, 8, 0, bytes(1024)))


def jpeg_seeds():
    library = ctypes.CDLL("libturbojpeg.so.0")
    library.tjInitCompress.restype = ctypes.c_void_p
    rgb, cmyk = 0, 11
    progressive = 16384

    def jpeg(name, width, height, pixel_format, subsampling, flags=0):
        depth = 4 if pixel_format == cmyk else 3
        pixels = bytes((7 * i) % 251 for i in range(width * height * depth))
        out = ctypes.POINTER(ctypes.c_ubyte)()
        size = ctypes.c_ulong(0)
        handle = ctypes.c_void_p(library.tjInitCompress())
        if library.tjCompress2(handle, pixels, width, 0, height, pixel_format, ctypes.byref(out), ctypes.byref(size),
                               subsampling, 75, flags) != 0:
            raise SystemExit(f"no JPEG {name} was made")
        put("jpeg", name, bytes(out[:size.value]))

    jpeg("rgb444", 9, 7, rgb, 0)
    jpeg("rgb422", 17, 8, rgb, 1)
    jpeg("rgb420", 17, 18, rgb, 2)
    jpeg("gray", 9, 7, rgb, 3)
    jpeg("progressive", 17, 9, rgb, 2, progressive)
    jpeg("inks", 9, 7, cmyk, 0)


def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    """A field of a protocol buffer: an integer, or what has a length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(number, values):
    return b"".join(field(number, value) for value in values)


def onnx_tensor(name, dims, value=1.0):
    count = int(numpy.prod(dims))
    return fields(1, dims) + field(2, 1) + field(8, name) + field(9, struct.pack("<f", value) * count)


def onnx_integers(name, values):
    return field(1, len(values)) + field(2, 7) + field(8, name) + field(9, struct.pack(f"<{len(values)}q", *values))


def onnx_node(kind, inputs, output, **attributes):
    def attribute(name, value):
        if isinstance(value, int):
            return field(1, name) + field(3, value) + field(20, 2)
        return field(1, name) + fields(8, value) + field(20, 7)

    return (fields(1, inputs) + field(2, output) + field(3, "n_" + output) + field(4, kind) +
            fields(5, [attribute(name, value) for name, value in attributes.items()]))


def onnx_model(nodes, tensors, dims, opset=13):
    shape = b"".join(field(1, field(2, "N") if extent is None else field(1, extent)) for extent in dims)
    images = field(1, "x") + field(2, field(1, field(1, 1) + field(2, shape)))
    graph = fields(1, nodes) + field(2, "g") + fields(5, tensors) + field(11, images) + field(12, field(1, "y"))
    return field(1, 7) + field(8, field(1, "") + field(2, opset)) + field(7, graph)


def onnx_seeds():
    put("onnx", "convolutions", onnx_model(
        [onnx_node("Conv", ["x", "w"], "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2], group=1),
         onnx_node("BatchNormalization", ["a", "s", "s", "s", "s"], "b"), onnx_node("Relu", ["b"], "c"),
         onnx_node("Add", ["b", "c"], "d"), onnx_node("MaxPool", ["d"], "e", kernel_shape=[2, 2], strides=[2, 2]),
         onnx_node("GlobalAveragePool", ["e"], "f"), onnx_node("Flatten", ["f"], "g", axis=1),
         onnx_node("Gemm", ["g", "v"], "y", transB=1)],
        [onnx_tensor("w", [4, 3, 3, 3]), onnx_tensor("s", [4]), onnx_tensor("v", [5, 4])], [None, 3, 8, 8]))
    put("onnx", "transposed", onnx_model(
        [onnx_node("ConvTranspose", ["x", "w"], "a", kernel_shape=[2, 2], strides=[2, 2], group=2),
         onnx_node("Sigmoid", ["a"], "y")], [onnx_tensor("w", [4, 2, 2, 2])], [2, 4, 3, 3]))
    put("onnx", "attention", onnx_model(
        [onnx_node("MatMul", ["x", "w"], "q"), onnx_node("Reshape", ["q", "heads"], "r"),
         onnx_node("Transpose", ["r"], "t", perm=[0, 2, 3, 1]), onnx_node("Transpose", ["r"], "u", perm=[0, 2, 1, 3]),
         onnx_node("MatMul", ["u", "t"], "z"), onnx_node("Softmax", ["z"], "y", axis=3)],
        [onnx_tensor("w", [4, 4]), onnx_integers("heads", [0, 0, 2, 2])], [None, 3, 4]))
    put("onnx", "shapes", onnx_model(
        [onnx_node("Shape", ["x"], "s"), onnx_node("Gather", ["s", "i"], "n", axis=0),
         onnx_node("Unsqueeze", ["n", "i"], "u"), onnx_node("Concat", ["u", "m"], "c", axis=0),
         onnx_node("Reshape", ["x", "c"], "y")],
        [onnx_integers("i", [0]), onnx_integers("m", [-1])], [2, 3, 4]))


def data_set_seeds():
    record = bytes([7]) + bytes(range(256)) * 12
    put("cifar10", "one", record)
    put("cifar10", "wrong-label", b"\x0a" + record[1:])
    put("cifar10", "cut-off", record[:100])
    images = struct.pack(">IIII", 0x803, 1, 28, 28) + bytes(784)
    labels = struct.pack(">II", 0x801, 1) + b"\x09"
    put("mnist", "one", struct.pack(">H", len(images)) + images + labels)
    put("mnist", "wrong-label", struct.pack(">H", len(images)) + images + labels[:-1] + b"\x0a")
    put("mnist", "fewer-labels", struct.pack(">H", len(images)) + images + struct.pack(">II", 0x801, 0))
    put("mnist", "compressed", struct.pack(">H", 8) + b"\x1f\x8b\x08\0\0\0\0\0" + labels)


def journal_line(point, row, identity="id"):
    """As evaluation/sweep_lines.cpp writes it; the checksum is FNV-1a of texts that 0xFF ends."""
    check = 0xCBF29CE484222325
    for text in (identity, str(point), row):
        for byte in text.encode() + b"\xff":
            check = ((check ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f'{{"point":{point},"row":{row},"check":"{check:016x}"}}\n'


def journal_seeds():
    header = '{"sweep":"id"}\n'
    row = '{"format":"e2m4","passes":{"forward":{"sqnr_db":"exact"}}}'
    put("journal", "header", header)
    put("journal", "two", header + journal_line(0, row) + journal_line(3, '"row"'))
    put("journal", "twice", header + journal_line(1, row) + journal_line(1, row))
    put("journal", "cut-off", header + journal_line(2, row)[:-9])
    put("journal", "beyond", header + journal_line(4, row) + journal_line(2, "[]").replace("check", "chekc"))
    put("journal", "another", header.replace("id", "di") + journal_line(0, row, "di"))
    put("journal", "none", "text\n")


def shard_seeds():
    header = (
        '{"schema":"mlsim.sweep-shard/1","sweep":"id","shard":1,"shards":1,"points":2,"rows":2,"workload":"w",'
        '"engine":"analytic","activity":"dense","cost_table":"t","front":["energy","time"]}\n'
    )
    row = (
        '{"format":"e2m4","activation":"e2m4","weight":"e2m4","error":"e2m4","array":"default","rows":16,'
        '"columns":16,"elements_per_scaler":8,"accumulator_bits":null,"multiply_adds":8,"cycles":4,'
        '"operations_only_pj":1.5,"computing_pj":2.5,"memory_pj":3.5,"with_memory_pj":6.0,"energy_delay_js":1e-12,'
        '"area_um2":7.5,"mean_sqnr_db":null,"passes":{"forward":{"sqnr_db":null,"cosine_error":null,"overflows":0,'
        '"non_finite":null}}}'
    )
    lines = journal_line(0, row) + journal_line(1, row)
    put("shard", "whole", header + lines)
    put("shard", "cut-off", (header + lines)[:-9])
    put("shard", "part", header.replace('"shards":1', '"shards":2') + lines)
    put("shard", "no-row", header + journal_line(0, row) + journal_line(1, "[]"))
    put("shard", "no-energy", header + journal_line(0, row) + journal_line(1, row.replace("6.0", '"6"')))
    put("shard", "none", '{"schema":"mlsim.sweep/1"}\n')


def documents(mlsim):
    """What the command writes of a small workload."""
    formats = {"mls": "e2m4", "blocks": "mxfp4", "baseline": "int8"}
    with tempfile.TemporaryDirectory() as folder:
        def made(name, *arguments):
            path = pathlib.Path(folder) / name
            option = "--results" if arguments[0] == "simulate" else "--out"
            subprocess.run([mlsim, *arguments, option, path], check=True, stdout=subprocess.DEVNULL)
            return path

        for name, number_format in formats.items():
            workload = {
                "schema": "mlsim.workload/1", "name": name, "seed": 1, "format": number_format, "values": {},
                "layers": [{"name": "conv", "type": "conv2d", "batch": 1, "in_channels": 4, "out_channels": 4,
                            "in_size": [4, 4], "kernel": [3, 3], "padding": [1, 1]}]}
            path = pathlib.Path(folder) / "workload.json"
            path.write_text(json.dumps(workload))
            put("workload", name, path.read_text())
            results = made("results.json", "simulate", path)
            put("results", name, results.read_text())
            if name == "mls":
                put("ert", "own", made("own.yaml", "report", results, "--format", "accelergy-ert").read_text())
        shapes = made("shapes.json", "simulate", path, "--engine", "analytic")
        put("results", "analytic", shapes.read_text())
        for kind in ("json", "csv"):
            sweep = made(f"sweep.{kind}", "sweep", path, "--formats", "e2m1,int8")
            put("sweep", kind, sweep.read_text())


def copies():
    for name in ("default-16x16", "edge-8x8", "large-32x32-hbm2e", "weight-stationary-16x16"):
        put("array", name, (SOURCE / f"sim/configs/{name}.json").read_text())
    for name in ("aladdin-40nm", "horowitz-45nm", "horowitz-45nm-leakage", "tpuv4i-7nm"):
        put("cost-table", name, (SOURCE / f"energy/tables/{name}.json").read_text())
    put("network", "vgg16", (SOURCE / "workloads/networks/vgg16.json").read_text())
    for name in ("vgg16", "bert_block"):
        put("onnx", name, (SOURCE / f"tests/workloads/onnx/{name}.onnx").read_bytes())


def main():
    if len(sys.argv) != 2 or shutil.which(sys.argv[1]) is None:
        raise SystemExit("expected the mlsim command: tests/fuzz/make_corpus.py build/release/app/mlsim")
    npy_seeds()
    png_seeds()
    jpeg_seeds()
    onnx_seeds()
    data_set_seeds()
    journal_seeds()
    shard_seeds()
    documents(sys.argv[1])
    copies()


if __name__ == "__main__":
    main()
