"""Builds the wheel of mlsim with CMake, for the Python that runs this (PEP 517). Uses the standard library alone.

Config settings (pip's --config-settings KEY=VALUE): build-dir, a folder for CMake, by default build/pip-TAG of the
repository; define, one -D option of CMake or several separated by semicolons, such as
"MLSIM_PYBIND11_INCLUDE=/path/to/pybind11/include".
"""

import base64
import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import zipfile

_HERE = os.path.dirname(os.path.abspath(__file__))
_REPOSITORY = os.path.dirname(_HERE)


def _version():
    with open(os.path.join(_REPOSITORY, "CMakeLists.txt"), encoding="utf-8") as file:
        return re.search(r"project\(mlsim VERSION ([0-9.]+)", file.read()).group(1)


def _tag():
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    abi = "cp" + sysconfig.get_config_var("SOABI").split("-")[1]
    platform = re.sub(r"[-.]", "_", sysconfig.get_platform())
    return f"{python}-{abi}-{platform}"


def _metadata():
    return (
        "Metadata-Version: 2.1\n"
        "Name: mlsim\n"
        f"Version: {_version()}\n"
        "Summary: Bit-accurate simulation and energy of low-bit training\n"
        "License: Apache-2.0\n"
        "Requires-Python: >=3.9\n"
        "Requires-Dist: numpy>=1.23\n"
    )


def _wheel():
    return f"Wheel-Version: 1.0\nGenerator: mlsim\nRoot-Is-Purelib: false\nTag: {_tag()}\n"


def _build(settings, staging):
    settings = settings or {}
    build = settings.get("build-dir") or os.path.join(_REPOSITORY, "build", f"pip-{_tag()}")
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "MLSIM_BUILD_TRAINER": "OFF",
        "MLSIM_BUILD_TESTS": "OFF",
        "MLSIM_BUILD_BENCH": "OFF",
        "MLSIM_BUILD_PYTHON": "ON",
        "MLSIM_PYTHON_INSTALL_DIR": ".",
        "Python3_EXECUTABLE": sys.executable,
    }
    defines = [f"-D{key}={value}" for key, value in options.items()]
    defines += [f"-D{define}" for define in settings.get("define", "").split(";") if define]
    cmake = os.environ.get("CMAKE", "cmake")
    for command in (
        [cmake, "-S", _REPOSITORY, "-B", build, *defines],
        [cmake, "--build", build, "--target", "mlsim_python", "--parallel", str(os.cpu_count() or 1)],
        [cmake, "--install", build, "--component", "python", "--prefix", staging],
    ):
        subprocess.run(command, check=True)


def _add(archive, record, name, content, mode=0o644):
    # The same bytes give the same wheel.
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.external_attr = mode << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    record.append(f"{name},sha256={digest},{len(content)}\n")


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = f"mlsim-{_version()}.dist-info"
    os.makedirs(os.path.join(metadata_directory, folder), exist_ok=True)
    for name, text in (("METADATA", _metadata()), ("WHEEL", _wheel())):
        with open(os.path.join(metadata_directory, folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    return folder


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = f"mlsim-{_version()}-{_tag()}.whl"
    info = f"mlsim-{_version()}.dist-info"
    record = []
    with tempfile.TemporaryDirectory() as staging:
        _build(config_settings, staging)
        with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
            for folder, folders, files in os.walk(staging):
                folders.sort()
                for file in sorted(files):
                    path = os.path.join(folder, file)
                    with open(path, "rb") as stream:
                        content = stream.read()
                    mode = os.stat(path).st_mode & 0o777
                    _add(archive, record, os.path.relpath(path, staging).replace(os.sep, "/"), content, mode)
            _add(archive, record, f"{info}/METADATA", _metadata().encode())
            _add(archive, record, f"{info}/WHEEL", _wheel().encode())
            _add(archive, [], f"{info}/RECORD", ("".join(record) + f"{info}/RECORD,,\n").encode())
    return name
