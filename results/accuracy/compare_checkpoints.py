#!/usr/bin/env python3
"""How far the weights of two checkpoints of mlsim-train are from each other.

usage: compare_checkpoints.py ONE.pt OTHER.pt

Prints, for the weights of all convolutions and linear layers together: how many are equal bit by bit, the norm of the
difference over that of the first, and the cosine of the angle between both."""
import array
import io
import math
import pickle
import sys
import zipfile


class Reader(pickle.Unpickler):
    """Reads an archive of Torch without Torch: modules become dictionaries, tensors arrays of binary32."""

    def __init__(self, archive):
        super().__init__(io.BytesIO(archive.read("archive/data.pkl")))
        self.archive = archive

    def persistent_load(self, key):
        return key[2]

    def find_class(self, module, name):
        if name == "_rebuild_tensor_v2":
            return lambda storage, *_: array.array("f", self.archive.read(f"archive/data/{storage}"))
        if module == "collections":
            return dict
        if module.startswith("torch.") or module == "torch":
            return name
        return type(name, (), {"__setstate__": lambda self, state: self.__dict__.update(state)})


def weights(module, prefix=""):
    for name, value in vars(module).items():
        if name == "weight" and isinstance(value, array.array) and len(value) > 256:
            yield prefix + name, value
        elif hasattr(value, "__dict__"):
            yield from weights(value, f"{prefix}{name}.")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    one, other = (dict(weights(Reader(zipfile.ZipFile(file)).load().model)) for file in sys.argv[1:])
    if one.keys() != other.keys():
        sys.exit(f"{sys.argv[2]}: has other layers than {sys.argv[1]}")
    equal = count = 0
    square = other_square = product = difference = 0.0
    for name, values in one.items():
        for a, b in zip(values, other[name], strict=True):
            equal += a == b
            count += 1
            square += a * a
            other_square += b * b
            product += a * b
            difference += (a - b) * (a - b)
    print(
        f"{len(one)} layers, {count} weights, {100 * equal / count:.2f} % equal, difference "
        f"{math.sqrt(difference / square):.3g}, cosine {product / math.sqrt(square * other_square):.4f}"
    )


main()
