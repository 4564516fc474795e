"""SystemC knows one design in a process: its engines run here, in a process of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any, Dict


def simulate(request: str) -> str:
    """The answer of the compiled part's simulate, from a child process. Raises mlsim.Error."""
    from mlsim._native import Error

    if not sys.executable:
        raise Error("engine: cycle and structural run in a process of their own, and sys.executable does not say of what")
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    message = json.dumps({"path": [package, *sys.path], "request": request})
    # Isolated: it finds modules where this process does, and nowhere else.
    command = [sys.executable, "-I", __file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=os.getcwd()
    ) as child:
        try:
            output, errors = child.communicate(message.encode())
        except BaseException:
            # The child removes its unfinished files.
            child.terminate()
            child.wait()
            raise
    try:
        answer: Dict[str, Any] = json.loads(output)
    except ValueError:
        said = errors.decode(errors="replace").strip().splitlines()
        how = f"signal {-child.returncode}" if child.returncode < 0 else f"status {child.returncode}"
        raise Error(f"engine: its process ended with {how}" + (f": {said[-1]}" if said else "")) from None
    if "error" in answer:
        raise Error(answer["error"])
    if "memory" in answer:
        raise MemoryError(answer["memory"])
    return str(answer["answer"])


def _die_with_parent() -> None:
    """Asks the system to end this process with its parent, where it can."""
    try:
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass


def _main() -> None:
    # The parent ends this process where it is interrupted; Ctrl-C on a terminal reaches both.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    # What libraries print is not the answer.
    answers = os.dup(1)
    os.dup2(2, 1)
    message = json.loads(sys.stdin.buffer.read())
    sys.path[:] = message["path"]
    from mlsim import _native

    _native.remove_unfinished_files_on_signals()
    _native.keep_systemc_quiet()
    try:
        answer = {"answer": _native.simulate(message["request"])}
    except _native.Error as error:
        answer = {"error": str(error)}
    except MemoryError as error:
        answer = {"memory": str(error)}
    with os.fdopen(answers, "wb") as stream:
        stream.write(json.dumps(answer).encode())


if __name__ == "__main__":
    _main()
