"""Reads tables, records and arrays that other stages or a user wrote. A damaged file is one message that names it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflows.command_line import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def read_csv(path: Path | str, columns: Sequence[str] = (), **options: Any) -> "pd.DataFrame":
    """A table.

    Args:
        path: a CSV file in UTF-8.
        columns: those that it must have.
        options: of `pandas.read_csv`.

    Raises:
        InputError: naming the file and what is wrong with it.
        OSError: it cannot be opened.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, **options)
    except pd.errors.EmptyDataError:
        expected = f" with {', '.join(columns)}" if columns else ""
        raise InputError(f"{path}: is empty; expected a header{expected}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8: {error.reason}") from None
    except ValueError as error:
        raise InputError(f"{path}: is not a table in CSV: {_line(error)}") from None
    if lacking := [column for column in columns if column not in table]:
        raise InputError(f"{path}: lacks the columns {', '.join(lacking)}")
    return table


def numbers(table: "pd.DataFrame", column: str, path: Path | str) -> "pd.Series":
    """A column as float64; empty fields are NaN.

    Raises:
        InputError: naming the file, the column and the first value that is not a number.
    """
    import pandas as pd

    values = table[column].replace("", None)
    found = pd.to_numeric(values, errors="coerce").astype("float64")
    if len(wrong := values[found.isna() & values.notna()]):
        raise InputError(f"{path}: {column}: {wrong.iloc[0]!r} is not a number (line {wrong.index[0] + 2})")
    return found


def read_json(path: Path | str) -> dict[str, Any]:
    """A record.

    Raises:
        InputError: naming the file, if it is not one JSON object in UTF-8.
        OSError: it cannot be opened.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON: {_line(error)}") from None
    if not isinstance(record, dict):
        raise InputError(f"{path}: holds no JSON object")
    return record


def read_arrays(path: Path | str, names: Sequence[str]) -> "dict[str, np.ndarray]":
    """Arrays of an `.npz`.

    Raises:
        InputError: naming the file, if it is damaged or lacks one of `names`.
        OSError: it cannot be opened.
    """
    import numpy as np

    Path(path).open("rb").close()
    try:
        loaded = np.load(path)
        if isinstance(loaded, np.ndarray):
            raise InputError(f"{path}: is a single array; expected an .npz with {', '.join(names)}")
        with loaded:
            if lacking := [name for name in names if name not in loaded]:
                raise InputError(f"{path}: lacks {', '.join(lacking)}; expected an .npz with {', '.join(names)}")
            return {name: loaded[name] for name in names}
    except InputError:
        raise
    except Exception as error:  # damaged files raise many kinds of errors
        raise InputError(f"{path}: is damaged or not an .npz file: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
