#!/usr/bin/env python3
"""What a call from Python costs beside the same call in C++: python_overhead.py [CPP]

CPP is the program python_overhead of bench/, which times the C++ calls alone; without it only Python's are timed. Run with the
package in PYTHONPATH.
"""

import subprocess
import sys
import time

import numpy as np

import mlsim

# Layers as (activation, weight, padding), the smallest first: what a call costs shows there.
LAYERS = [((1, 1, 1, 1), (1, 1, 1, 1), 0), ((1, 8, 8, 8), (8, 8, 3, 3), 1), ((8, 16, 32, 32), (16, 16, 3, 3), 1)]


def median_microseconds(call, seconds=0.5):
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - begin)
    return sorted(times)[len(times) // 2] / 1000


def main():
    native = {}
    if len(sys.argv) > 1:
        lines = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout.splitlines()
        native = {i: float(line) for i, line in enumerate(lines)}
    print("activation           weight              C++, µs   Python, µs   difference, µs")
    for i, (activation, weight, padding) in enumerate(LAYERS):
        qa = mlsim.quantize(np.ones(activation, np.float32), "e2m4")
        qw = mlsim.quantize(np.ones(weight, np.float32), "e2m4")
        python = median_microseconds(lambda: mlsim.forward(qa, qw, padding=padding, threads=None))
        cpp = native.get(i)
        print(f"{str(activation):20} {str(weight):18}", end="")
        print(f"{cpp:10.1f}{python:13.1f}{python - cpp:17.1f}" if cpp is not None else f"{'-':>10}{python:13.1f}{'-':>17}")


if __name__ == "__main__":
    main()
