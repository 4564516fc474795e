#!/usr/bin/env python3
"""Writes the first images of each class of CIFAR-10's binary files as PNG files, a folder for each class.

usage: cifar10_subset.py CIFAR_FOLDER OUT_FOLDER [TRAIN_IMAGES_A_CLASS TEST_IMAGES_A_CLASS]"""
import pathlib
import struct
import sys
import zlib

SIDE = 32
PLANE = SIDE * SIDE
RECORD = 1 + 3 * PLANE


def png(pixels):
    rows = b"".join(
        b"\0" + b"".join(pixels[i : 3 * PLANE : PLANE] for i in range(y * SIDE, (y + 1) * SIDE)) for y in range(SIDE)
    )

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write_part(files, folder, count):
    written = [0] * 10
    for file in files:
        data = file.read_bytes()
        for first in range(0, len(data), RECORD):
            label = data[first]
            if written[label] == count:
                continue
            place = folder / str(label) / f"{written[label]:05}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(png(data[first + 1 : first + RECORD]))
            written[label] += 1


def main():
    if len(sys.argv) not in (3, 5):
        sys.exit(__doc__)
    source, target = map(pathlib.Path, sys.argv[1:3])
    train, test = map(int, sys.argv[3:5]) if len(sys.argv) == 5 else (500, 100)
    write_part([source / f"data_batch_{i}.bin" for i in range(1, 6)], target / "train", train)
    write_part([source / "test_batch.bin"], target / "val", test)


main()
