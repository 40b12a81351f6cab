"""Data frames and other labelled data as matrices, and results as what the data were."""

import importlib.util
import sys
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from nmf_core.labels.axis import Axis, in_order
from nmf_core.typing import Missing

# What pandas calls the values of columns of Python objects that are numbers.
_NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty")


class Labelled(NamedTuple):
    """A matrix and its labels.

    Attributes
    ----------
    values : object
        An array, a sparse array or matrix, or whatever else without labels.
    rows, columns : Axis or None
        Its labels, where it has some.
    library : str or None
        The library of the data frames that results should be.
    scan : Scan or None
        What is known of the values as they are, once they have been looked at.
    axes : Axes or None
        Of an array of which this matrix has been made: messages say where an entry was there.
    """

    values: Any
    rows: Axis | None = None
    columns: Axis | None = None
    library: str | None = None
    scan: Any = None
    axes: Any = None

    def place(self, row: int, column: int) -> str:
        """Where an entry is, as a message says it: by numbers from 0, and by names where there are some."""
        if self.axes is not None:
            return str(self.axes.place(row, column))
        return ", ".join(
            f"{what} {i}" if axis is None or axis.is_numbering else f"{what} {i} ({axis[i]!r})"
            for what, i, axis in (("row", row, self.rows), ("column", column, self.columns))
        )

    def in_memory(self) -> "Labelled":
        """The same, read as a whole if it is in a file of AnnData."""
        if not hasattr(self.values, "to_memory"):
            return self
        return self._replace(values=self.values.to_memory(), scan=None)

    def aligned(self, name: str, rows: Axis | None = None, columns: Axis | None = None, of: str = "X") -> "Labelled":
        """The same with rows and columns in the order of others, as far as both have labels; see `in_order`."""
        values, places = self.values, in_order(self.rows, rows, name, "row", of)
        if places is not None:
            values = values[places]
        places = in_order(self.columns, columns, name, "column", of)
        if places is not None:
            values = values.take_columns(places) if hasattr(values, "take_columns") else values[:, places]
        return self._replace(
            values=values,
            rows=rows if rows is not None and self.rows is not None else self.rows,
            columns=columns if columns is not None and self.columns is not None else self.columns,
            scan=self.scan if values is self.values else None,
        )


class LabelledMatrix(NamedTuple):
    """A matrix and the names of its rows and columns, where it has some: what files hold, for all that takes an X.

    Attributes
    ----------
    X : ndarray, sparse matrix or RowBlocks of shape (n_samples, n_features)
        In the dtype of the file; text becomes float64. `RowBlocks` if it is not in memory.
    row_labels, column_labels : tuple or None
        Names, of files text; with ``duplicates="keep"`` some may occur more than once.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> from nmf_core.io import LabelledMatrix
    >>> X = LabelledMatrix(np.ones((2, 3)), ("ann", "bob"), ("x", "y", "z"))
    >>> round(float(nmf_core.factorize(X, 1).predict("bob", "y")), 3)
    1.0
    """

    X: Any
    row_labels: Any = None
    column_labels: Any = None

    @property
    def shape(self) -> tuple[int, int]:
        """(n_samples, n_features)."""
        return self.X.shape

    def transposed(self) -> "LabelledMatrix":
        """Columns as rows."""
        return LabelledMatrix(self.X.T, self.column_labels, self.row_labels)


def labelled(X: Any, name: str = "X", *, missing: Missing | None = None, hint: bool = False) -> Labelled:
    """What X is without its labels, and these; of what has none, X as it is.

    Parameters
    ----------
    X : object
        Data frames may be of pandas or, with narwhals installed, of polars, Arrow and other libraries, where a first
        column of text labels the rows. Columns of integers, booleans, decimals and nullable numbers become floats, in
        which NaN stands for what is null.
    name : str
        How messages call it.
    missing : {None, "nan", "unstored"}
        What is missing, on which depends what a sparse data frame becomes whose fill value is NaN.
    hint : bool
        Whether the function that was called has a parameter `missing` to say so.

    Raises
    ------
    TypeError
        A masked array, a data frame that is lazy or that has a column without numbers.
    ValueError
        AnnData without X, or a sparse data frame of which nobody has said that it has missing entries.
    """
    if isinstance(X, Labelled):
        return X
    if type(X) is np.ndarray or X is None:
        return Labelled(X)
    if isinstance(X, LabelledMatrix):
        bare = labelled(X.X, name, missing=missing, hint=hint)
        return bare._replace(rows=Axis.of(X.row_labels), columns=Axis.of(X.column_labels))
    _refuse_masked(X, name, missing, hint)
    X = _native(X)
    if _is_anndata(X):
        values = X.X
        if values is None:
            layer = f"give one of its layers, as .layers[{next(iter(X.layers), 'counts')!r}]"
            raise ValueError(f"{name} is AnnData without X; {layer if len(X.layers) else 'fill it first'}.")
        return Labelled(values, Axis(X.obs_names), Axis(X.var_names), "pandas")
    if _is_like_pandas(X):
        return Labelled(_pandas_values(X, name, missing, hint), Axis(X.index), Axis(X.columns), "pandas")
    if _is_frame(X):
        return _of_narwhals(X, name)
    if hasattr(type(X), "index") and hasattr(type(X), "to_numpy"):  # a pandas series
        column = _pandas_values(X.to_frame(), name, missing, hint)[:, 0]
        return Labelled(
            column.toarray().ravel() if hasattr(column, "toarray") else column, Axis(X.index), None, "pandas"
        )
    return Labelled(X)


def frame(values: Any, rows: Axis | None, columns: Axis | None, library: str | None) -> Any:
    """An array as a data frame of a library, or itself if neither side has names, or there is no such library.

    Parameters
    ----------
    values : ndarray of shape (n, m), or (n,) for a series of pandas
        The values.
    rows, columns : Axis or None
        Labels; only pandas has some of rows.
    library : str or None
        Such as "polars"; for None pandas.
    """
    nameless = library is None and all(axis is None or axis.names_nothing for axis in (rows, columns))
    if nameless or importlib.util.find_spec(library or "pandas") is None:
        return values
    if library in (None, "pandas"):
        pandas: Any = import_module("pandas")
        if values.ndim == 1:
            return pandas.Series(values, index=rows and rows.original)
        return pandas.DataFrame(values, index=rows and rows.original, columns=columns and columns.original)
    names = range(values.shape[1]) if columns is None else columns
    return _narwhals(library).from_numpy(values, schema=list(map(str, names)), backend=library).to_native()


def of_integers(X: Any) -> bool:
    """Whether all that X holds is of types of whole numbers."""
    X = X.values if isinstance(X, Labelled) else X
    kinds = getattr(X, "dtypes", None)  # of data frames
    kinds = [getattr(X, "dtype", None)] if kinds is None else list(kinds)
    return bool(kinds) and all(getattr(kind, "kind", "") in ("i", "u") for kind in kinds)


def tabulated(columns: dict[str, Any], library: str | None = None) -> Any:
    """Columns of the same length as a data frame of a library, by default pandas, or as they are if it is not there."""
    if importlib.util.find_spec(library or "pandas") is None:
        return columns
    if library in (None, "pandas"):
        return import_module("pandas").DataFrame(columns)
    return _narwhals(library).from_dict(columns, backend=library).to_native()


def like(X: Any, values: np.ndarray, columns: Axis) -> Any:
    """An array (n, m) as a data frame of the kind of X (n, ...) with its labels of rows; as it is if X is no frame."""
    X = _native(X)
    if not _is_frame(X):
        return values
    if _is_like_pandas(X):
        return type(X)(values, index=X.index, columns=columns.original)
    return frame(values, None, columns, _narwhals(X).from_native(X).implementation.value)


def _is_frame(X: Any) -> bool:
    # Of a lazy frame the attribute itself would have to be found out.
    return hasattr(type(X), "columns") or hasattr(type(X), "column_names")


def _is_like_pandas(X: Any) -> bool:
    return all(hasattr(type(X), name) for name in ("columns", "index", "to_numpy"))


def _is_anndata(X: Any) -> bool:
    return "anndata" in sys.modules and isinstance(X, sys.modules["anndata"].AnnData)


def _native(X: Any) -> Any:
    """The data frame that a frame of narwhals is around; anything else as it is."""
    return X.to_native() if type(X).__module__.startswith("narwhals") else X


def _refuse_masked(X: Any, name: str, missing: Missing | None, hint: bool) -> None:
    """Masked arrays are refused, also as rows of a list: NumPy would go on with what is masked."""
    if isinstance(X, np.ma.MaskedArray) or (
        isinstance(X, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in X)
    ):
        advice = "fill them first."
        if name == "weights":
            advice = "fill them first, with 0 for what does not count."
        elif hint:
            advice += f" If they are missing, use {name}.filled(numpy.nan) and missing='nan'."
        elif missing == "nan":
            advice += f" If they are missing, use {name}.filled(numpy.nan)."
        raise TypeError(f"{name} is a masked array; masked entries are not supported, {advice}")


def _narwhals(of: Any) -> Any:
    try:
        return import_module("narwhals")
    except ImportError as error:
        raise ImportError(
            f"Data frames of {_library(of)} need narwhals: pip install 'nmf-core[frames]', or pip install narwhals"
        ) from error


def _about_column(name: str, column: Any, dtype: Any, n: int, *, first: bool = False) -> str:
    """What is wrong with a column without numbers, one of n; with few others the frame may be a long table."""
    advice = f" If it names the rows, make it the index: .set_index({column!r})." if first else ""
    if 2 < n < 5:
        advice += " If each of its lines is an entry of a matrix, nmf_core.io.from_triplets makes that."
    return f"{name} must hold real numbers, but its column {column!r} has dtype {dtype}.{advice}"


def _library(of: Any) -> str:
    return of if isinstance(of, str) else type(of).__module__.partition(".")[0]


# --- data frames of pandas


def _pandas_values(X: Any, name: str, missing: Missing | None, hint: bool) -> Any:
    """The values of a data frame of pandas: an array, or CSR if all of its columns are sparse."""
    pandas: Any = import_module("pandas")
    types = pandas.api.types
    for i, (column, dtype) in enumerate(zip(X.columns, X.dtypes, strict=True)):
        if dtype.kind in "fiubc" or (dtype.kind == "O" and types.is_numeric_dtype(dtype)):
            continue
        if dtype != np.dtype(object) or types.infer_dtype(X.iloc[:, i], skipna=True) not in _NUMBERS:
            raise TypeError(_about_column(name, column, dtype, X.shape[1], first=i == 0))
    dtypes = list(X.dtypes)
    if dtypes and all(isinstance(dtype, pandas.SparseDtype) for dtype in dtypes):
        fills = [dtype.fill_value for dtype in dtypes]
        if not any(fills) or (missing == "unstored" and all(map(pandas.isna, fills))):
            return _stored_values(X)
        if missing != "nan" and any(map(pandas.isna, fills)):
            advice = "missing='nan' takes it so" if hint else "fill it in first"
            if hint and all(map(pandas.isna, fills)):
                advice += ", and so does missing='unstored' without filling memory"
            raise ValueError(
                f"{name} is a sparse data frame whose fill value is NaN: what it does not store is missing, "
                f"not zero; {advice}."
            )
    elif all(isinstance(dtype, np.dtype) for dtype in dtypes):
        values = X.to_numpy()
        if values.dtype != object:
            return values
    sizes = {getattr(getattr(dtype, "subtype", dtype), "itemsize", 0) for dtype in dtypes if dtype.kind == "f"}
    single = sizes == {4} and all(dtype.kind == "f" for dtype in dtypes)
    return X.to_numpy(dtype=np.float32 if single else np.float64, na_value=np.nan)


def _stored_values(X: Any) -> Any:
    """What a data frame of sparse columns stores, but for NaN where that is what it does not store, as CSR."""
    sp: Any = import_module("scipy.sparse")
    arrays = [X.iloc[:, j].array for j in range(X.shape[1])]
    data = np.concatenate([array.sp_values for array in arrays])
    rows = np.concatenate([array.sp_index.to_int_index().indices for array in arrays])
    columns = np.repeat(np.arange(len(arrays)), [array.npoints for array in arrays])
    if data.dtype.kind == "f" and np.isnan(arrays[0].fill_value):
        known = ~np.isnan(data)
        data, rows, columns = data[known], rows[known], columns[known]
    return sp.coo_matrix((data, (rows, columns)), shape=X.shape).tocsr()


# --- data frames of other libraries


def _of_narwhals(X: Any, name: str) -> Labelled:
    """A data frame of another library: its first column labels rows if it is text, as that library has no index.

    So does an index of pandas that came with an Arrow table.
    """
    kind = f"{name} is a {type(X).__name__} of {_library(X)}"
    if hasattr(type(X), "collect") or hasattr(type(X), "compute"):
        raise TypeError(f"{kind}, which is lazy: collect it first, as .collect() or .compute() do.")
    nw = _narwhals(X)
    try:
        table = nw.from_native(X)
    except nw.exceptions.DuplicateError:
        raise TypeError(f"{kind} in which names of columns occur twice; rename them.") from None
    except TypeError:
        raise TypeError(f"{kind}, which is not supported; give a data frame or an array of it.") from None
    if not isinstance(table, nw.DataFrame):
        raise TypeError(f"{kind}, which is lazy: collect it first.")
    rows, index = None, index_columns(X.schema) if table.implementation.is_pyarrow() else []
    first = table.columns[:1]
    if not index and len(table.columns) > 1 and table.schema[first[0]] in (nw.String, nw.Categorical, nw.Enum):
        index = first
    if index:
        labels = [table[column].to_list() for column in index]
        rows, table = Axis(labels[0] if len(index) == 1 else zip(*labels, strict=True)), table.drop(*index)
    for column, dtype in table.schema.items():
        if not dtype.is_numeric() and dtype != nw.Boolean and table[column].null_count() < len(table):
            raise TypeError(_about_column(name, column, dtype, table.shape[1]))
    single = all(dtype == nw.Float32 for dtype in table.schema.values())
    values = table.select(nw.all().cast(nw.Float32 if single else nw.Float64)).to_numpy()
    return Labelled(values, rows, Axis(table.columns), table.implementation.value)


def index_columns(schema: Any) -> list[str]:
    """The columns of an Arrow schema that are an index which pandas has left."""
    stored = (schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in schema.names if name in stored or name.startswith("__index_level_")]
