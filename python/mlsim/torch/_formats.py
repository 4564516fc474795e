"""Formats of layers: one for all, by operand, or by patterns of names."""

from __future__ import annotations

import fnmatch
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mlsim import _native
from mlsim._native import Error
from mlsim.torch._geometry import OPERANDS

FP32 = dict.fromkeys(OPERANDS, "fp32")


def _is_by_operand(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(key in OPERANDS for key in value)


def operand_formats(value: Any, name: str) -> Dict[str, str]:
    """The full formats by operand of a format for all, or of a mapping that has one for each of the three."""
    if isinstance(value, str):
        try:
            return dict(_native.operand_formats(value))
        except Error as error:
            raise Error(f"{name}: {error}") from error
    if _is_by_operand(value):
        missing = [operand for operand in OPERANDS if operand not in value]
        if missing:
            raise Error(f"{name}: has no format of the {missing[0]}, expected one for each of {', '.join(OPERANDS)}")
        return {operand: operand_formats(value[operand], f"{name}, {operand}")[operand] for operand in OPERANDS}
    raise Error(f"{name}: is {value!r}, expected a format or formats by operand")


def _matches(pattern: str, name: str) -> bool:
    return pattern == name or fnmatch.fnmatchcase(name, pattern)


class LayerFormats:
    """What each layer's operands are in, by name of the layer.

    format: a format, formats by operand, or a mapping from patterns of names (as of fnmatch) to either, in which the
    first that matches a name counts.
    """

    def __init__(self, format: Any) -> None:
        self._patterns: Dict[str, Dict[str, str]] = {}
        if isinstance(format, Mapping) and not _is_by_operand(format):
            if not format:
                raise Error("format: is empty, expected patterns of layers with their formats")
            for pattern, value in format.items():
                if not isinstance(pattern, str):
                    raise Error(f"format: {pattern!r} is no pattern of names")
                self._patterns[pattern] = operand_formats(value, f"format, {pattern}")
        else:
            self._patterns["*"] = operand_formats(format, "format")

    def of(self, name: str) -> Optional[Dict[str, str]]:
        """None where no pattern matches."""
        for pattern, formats in self._patterns.items():
            if _matches(pattern, name):
                return formats
        return None

    def in_full(self, name: str) -> bool:
        """Whether a layer is named without a pattern."""
        return name in self._patterns

    def all_float(self) -> bool:
        return all(formats == FP32 for formats in self._patterns.values())

    def check_used(self, names: Sequence[str]) -> None:
        """Raises mlsim.Error for a pattern that matches none of the names: a mistyped one would go unnoticed."""
        for pattern in self._patterns:
            if pattern != "*" and not matching(pattern, names):
                raise Error(f"format: '{pattern}' matches no layer, expected some of {listed(names)}")


def matching(pattern: str, names: Sequence[str]) -> List[str]:
    return [name for name in names if _matches(pattern, name)]


def listed(names: Sequence[str]) -> str:
    """Names as a message shows them: the first ones where there are many."""
    most = 12
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def roundings(value: Any) -> Dict[str, str]:
    """By operand: of one for all or of some by operand. Nearest, nearest and stochastic where nothing is said."""
    result = {"activation": "nearest", "weight": "nearest", "error": "stochastic"}
    if value is None:
        return result
    given = dict.fromkeys(OPERANDS, value) if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise Error(f"rounding: is {value!r}, expected nearest or stochastic, or these by operand")
    for operand, rounding in given.items():
        if operand not in OPERANDS:
            raise Error(f"rounding: {operand!r} is no operand, expected some of {', '.join(OPERANDS)}")
        if rounding not in ("nearest", "stochastic"):
            raise Error(f"rounding, {operand}: is {rounding!r}, expected nearest or stochastic")
        result[operand] = rounding
    return result
