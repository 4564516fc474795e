"""Times `mlsim simulate` on whole training steps: command.py MLSIM. Synthetic values; quantizing, the three passes of
every convolution, errors against binary64, counts and the results file are all in."""
import json
import pathlib
import subprocess
import sys
import tempfile
import time


def cost(arguments):
    """Seconds and peak MiB of a command, the least of three."""
    seconds = []
    for _ in range(3):
        begin = time.monotonic()
        usage = subprocess.run(
            [sys.executable, "-c", CHILD, *arguments], check=True, capture_output=True, text=True
        ).stdout
        seconds.append((time.monotonic() - begin, int(usage) / 1024))
    return min(seconds)


# A child of its own, because the peak of children is that of all so far.
CHILD = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""

mlsim = sys.argv[1]
print("network       batch  baselines  threads  seconds  peak MiB")
with tempfile.TemporaryDirectory() as folder:
    for network, batch in (("resnet20", 128), ("resnet18", 8), ("mobilenetv2", 8)):
        workload = pathlib.Path(folder, "step.json")
        step = {"schema": "mlsim.workload/1", "name": "step", "seed": 1, "format": "e2m4", "values": {}}
        workload.write_text(json.dumps({**step, "batch": batch, "layers": network}))
        for baselines in ("without", "with"):
            options = ["--no-baselines"] if baselines == "without" else []
            for threads in (1, 2):
                seconds, peak = cost(
                    [mlsim, "simulate", workload, *options, "--jobs", str(threads), "--results", folder + "/out.json"]
                )
                print(f"{network:12} {batch:6}  {baselines:9}  {threads:7}  {seconds:7.2f}  {peak:8.0f}", flush=True)
