"""Parquet: one file, or all those in a folder, one after the other."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core.data.sources import parquet_blocks
from nmf_core.io.base import library, listed
from nmf_core.io.memory import LABEL, LARGE_LIBRARY, Stored
from nmf_core.io.tables import import_pandas, numbers, read_frame
from nmf_core.labels import LabelledMatrix, index_columns
from nmf_core.validation import Labels


def read_parquet(path: Path, _: str, labels: str, *__: Any) -> Stored:
    """A data frame; an index that pandas has left, or a first column that holds no numbers, are labels of rows.

    Files of a folder are taken in the order of their names, numbers in these by their size: part.2 is before part.10.
    """
    parquet = library("pyarrow.parquet", ".parquet", "cli")
    files = sorted(path.rglob("*.parquet"), key=_in_order) if path.is_dir() else [path]
    if not files:
        raise ValueError("a folder without .parquet files")
    heads = [parquet.read_metadata(file) for file in files]
    most = max((head.row_group(i).num_rows for head in heads for i in range(head.num_row_groups)), default=0)
    schema = _common_schema(files, [head.schema.to_arrow_schema() for head in heads], path)
    n = sum(head.num_rows for head in heads)
    index, names = _roles(schema, labels)
    single = all(str(schema.field(name).type) == "float" for name in names)
    dtype = np.dtype(np.float32 if single else np.float64)

    def opened() -> Iterator[Any]:
        for file in files:
            with parquet.ParquetFile(file, pre_buffer=False) as one:
                yield one

    def blocks(block_bytes: int | None) -> LabelledMatrix:
        _check_columns(schema, names)
        if n == 0 or not names:
            raise ValueError(f"it is empty: its shape is {n} x {len(names)}")
        X = parquet_blocks(opened, n, names, dtype, block_bytes)
        return LabelledMatrix(X, row_labels(), tuple(names))

    def row_labels() -> Labels:
        if not index:
            return None
        pyarrow = library("pyarrow", ".parquet", "cli")
        frame = pyarrow.concat_tables([file.read(columns=index) for file in opened()]).to_pandas()
        if len(frame.columns) == 0:
            return tuple(map(str, frame.index))
        return tuple(map(str, frame.iloc[:, 0]))

    def whole() -> LabelledMatrix:
        if not path.is_dir():
            return _from_frame(read_frame(path), labels)
        table = blocks(None)
        return table._replace(X=table.X.read())

    # A table of pyarrow and a data frame of pandas are made of a single file first.
    copies = 1 if path.is_dir() else 3
    row_bytes = len(names) * dtype.itemsize
    return Stored(
        shape=(n, len(names)), dtype=dtype, n_stored=n * len(names), whole_bytes=copies * n * row_bytes,
        row_bytes=row_bytes, whole=whole, blocks=blocks,
        extra=LARGE_LIBRARY + most * row_bytes + LABEL * (len(names) + (n if index else 0)),
    )  # fmt: skip


def _in_order(file: Path) -> list[Any]:
    """What sorts names by the numbers in them."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(file))]


def _common_schema(files: list[Path], schemas: list[Any], folder: Path) -> Any:
    """The schema of all files, which must have the same columns."""
    for file, schema in zip(files, schemas, strict=True):
        other = sorted(set(schema.names) ^ set(schemas[0].names))
        if other:
            pair = f"{file.relative_to(folder)} and {files[0].relative_to(folder)}"
            raise ValueError(f"{pair} do not have the same columns, but for one of them {listed(other)}")
    if len(schemas) == 1:
        return schemas[0]
    return library("pyarrow", ".parquet", "cli").unify_schemas(schemas, promote_options="permissive")


def _roles(schema: Any, labels: str) -> tuple[list[str], list[str]]:
    """Which columns are labels of rows, and which are features."""
    index = index_columns(schema)
    names = [name for name in schema.names if name not in index]
    if not index and (
        labels in ("both", "rows") or (labels == "auto" and names and not _is_number(schema.field(names[0]).type))
    ):
        index, names = names[:1], names[1:]
    return index, names


def _is_number(kind: Any) -> bool:
    types = library("pyarrow.types", ".parquet", "cli")
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _check_columns(schema: Any, names: list[str]) -> None:
    for name in names:
        if not _is_number(schema.field(name).type):
            raise ValueError(f"column {name} holds {schema.field(name).type}, not numbers")


def _from_frame(frame: Any, labels: str) -> LabelledMatrix:
    """The matrix in a data frame of pandas."""
    pandas = import_pandas()
    rows = None
    if not isinstance(frame.index, pandas.RangeIndex):
        rows = tuple(map(str, frame.index))
    elif labels in ("both", "rows") or (
        labels == "auto" and frame.shape[1] and not pandas.api.types.is_numeric_dtype(frame.dtypes.iloc[0])
    ):
        rows = tuple(map(str, frame.iloc[:, 0]))
        frame = frame.iloc[:, 1:]
    columns = tuple(map(str, frame.columns))
    return LabelledMatrix(numbers(frame, rows, columns), rows, columns)
