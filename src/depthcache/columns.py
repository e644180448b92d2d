"""Conversions of `Columns` to numpy, pandas and polars, called by the native module.

numpy is a dependency; pandas, polars and pyarrow are optional. Arrow libraries need no conversion.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from depthcache.errors import InvalidArgument, PackageMissing

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]
    import polars as pl
    from numpy.typing import NDArray

    from depthcache._native import Columns

__all__ = ["to_numpy", "to_pandas", "to_polars"]

_DTYPES: dict[str, str] = {"c": "i1", "i": "i4", "l": "i8", "g": "f8", "tsu:UTC": "M8[us]"}
"""numpy dtypes by format string of the Arrow C data interface."""
_BITS = "b"
_EXACT = "d:38,18"
_NO_TIME = -1


def to_numpy(columns: Columns) -> dict[str, NDArray[np.generic]]:
    """One array per column; see `Columns.to_numpy`."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, kind, memory, validity, words in columns._parts():  # noqa: SLF001
        if kind == _EXACT:
            allowed = "False for numpy; for exact numbers use to_integers() of a book"
            raise InvalidArgument(name="exact", value=True, allowed=allowed)
        values = _array(kind, memory, len(columns))
        if words is not None:
            values = np.array(words, dtype=np.str_)[values] if words else np.empty(0, np.str_)
        elif validity is not None:
            values = _with_gaps(values, _bits(validity, len(columns)))
        arrays[name] = values
    return arrays


def to_pandas(columns: Columns) -> pd.DataFrame:
    """A pandas DataFrame; see `Columns.to_pandas`."""
    pandas = _needed("pandas", "to_pandas()")
    data: dict[str, Any] = {}
    for name, kind, memory, validity, words in columns._parts():  # noqa: SLF001
        if kind == _EXACT:
            data[name] = _exact(columns, name)
            continue
        values = _array(kind, memory, len(columns)).copy()
        if words is not None:
            data[name] = pandas.Categorical.from_codes(values, words)
        elif validity is None:
            data[name] = values
        elif kind == "l":
            data[name] = pandas.arrays.IntegerArray(values, ~_bits(validity, len(columns)))
        else:
            times = _with_gaps(values, _bits(validity, len(columns)))
            data[name] = pandas.DatetimeIndex(times).tz_localize("UTC")
    return cast("pd.DataFrame", pandas.DataFrame(data))


def to_polars(columns: Columns) -> pl.DataFrame:
    """A polars DataFrame; see `Columns.to_polars`."""
    return cast("pl.DataFrame", _needed("polars", "to_polars()").DataFrame(columns))


def _exact(columns: Columns, name: str) -> Any:
    """A column of decimals, which pandas stores as pyarrow arrays."""
    pyarrow = _needed("pyarrow", "to_pandas() with exact numbers")
    pandas = _needed("pandas", "to_pandas()")
    return pandas.arrays.ArrowExtensionArray(pyarrow.table(columns).column(name))


def _array(kind: str, memory: Any, rows: int) -> NDArray[Any]:
    """A read-only view of the values."""
    if kind == _BITS:
        return _bits(memory, rows)
    return np.asarray(memory).view(_DTYPES[kind])


def _bits(memory: Any, rows: int) -> NDArray[np.bool_]:
    return np.unpackbits(np.asarray(memory), count=rows, bitorder="little").view(np.bool_)


def _with_gaps(values: NDArray[Any], is_there: NDArray[np.bool_]) -> NDArray[Any]:
    if is_there.all():
        return values
    gap = np.datetime64("NaT") if values.dtype.kind == "M" else _NO_TIME
    return np.where(is_there, values, gap).astype(values.dtype)


def _needed(package: str, wanted_for: str) -> Any:
    """Import an optional dependency. Raises PackageMissing."""
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise PackageMissing(package=package, wanted_for=wanted_for) from None
