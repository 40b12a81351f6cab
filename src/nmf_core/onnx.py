"""The transform of a fitted model as an ONNX graph, which runs without Python.

With the Frobenius loss a row is solved exactly, by principal pivoting: a graph is the faster the fewer its steps are.
With Kullback-Leibler that solves the quadratic model of every Newton step, of which a few lead to the minimiser. With
other losses a graph makes the multiplicative updates of `nmf_core.transform.transform` itself. Graphs compute in
double, whatever they take and return: normal equations lose the digits of single precision.

Rows of factors, and H, have a component more than the model in a graph, the last one, which is zero.
"""

import json
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise ImportError('ONNX graphs need onnx: pip install "nmf-core[onnx]"') from error

from nmf_core.files import written_whole
from nmf_core.losses import LOSSES, Beta, make_loss
from nmf_core.readable import Readable, components_of, fit_in
from nmf_core.solvers.exact import ALIKE, condition
from nmf_core.typing import LossName
from nmf_core.validation import (
    check_arguments,
    check_choice,
    check_fit,
    check_integer,
    check_loss,
    check_matrix,
    check_number,
    check_penalties,
    check_portable,
)

__all__ = ["factorization_model", "register_skl2onnx", "save_onnx", "transform_model"]

OPSET, OLDEST_OPSET = 17, 13
_BLOCK = 1 << 18  # numbers of the largest array of a block of rows, which stays in the cache
_RIDGE, _NEWTON_RIDGE = 1e-12, 1e-9  # on a diagonal of ones, for components that depend on each other
_CENTRES = 3  # around which the ridge lies, one after the other
_ROUNDING = 1e-15  # of gradients, relative to the sum of those downhill
_WARM_UP = 8  # multiplicative updates before the first Newton step
_SHORT, _PROMISE = 1e-6, 1e-15  # the last Newton step, relative to what is reached; what it promises, to the row's sum
_GUARD = float(np.finfo(np.float32).eps)  # scikit-learn's, instead of a vanishing denominator
_EPS, _LEAST = float(np.finfo(np.float64).eps), float(np.finfo(np.float64).tiny)

Solve = Callable[["Tensor"], "Tensor"]


class Tensor:
    """A value in a graph: an expression of several adds the nodes that compute it.

    Parameters
    ----------
    graph : Graph
        Where it is.
    name : str
        Its name there.
    kind : int
        Its element type in ONNX.
    """

    def __init__(self, graph: "Graph", name: str, kind: int) -> None:
        self.graph, self.name, self.kind = graph, name, kind

    def __add__(self, other: Any) -> "Tensor":
        return self.graph.node("Add", self, other)

    def __sub__(self, other: Any) -> "Tensor":
        return self.graph.node("Sub", self, other)

    def __mul__(self, other: Any) -> "Tensor":
        return self.graph.node("Mul", self, other)

    def __truediv__(self, other: Any) -> "Tensor":
        return self.graph.node("Div", self, other)

    def __matmul__(self, other: Any) -> "Tensor":
        return self.graph.node("MatMul", self, other)

    def __pow__(self, other: Any) -> "Tensor":
        return self.graph.node("Pow", self, other)

    def __neg__(self) -> "Tensor":
        return self.graph.node("Neg", self)

    def __abs__(self) -> "Tensor":
        return self.graph.node("Abs", self)

    def __lt__(self, other: Any) -> "Tensor":
        return self.graph.node("Less", self, other, kind=TensorProto.BOOL)

    def __gt__(self, other: Any) -> "Tensor":
        return self.graph.node("Greater", self, other, kind=TensorProto.BOOL)

    def __and__(self, other: Any) -> "Tensor":
        return self.graph.node("And", self, other)

    def __or__(self, other: Any) -> "Tensor":
        return self.graph.node("Or", self, other)

    def __xor__(self, other: Any) -> "Tensor":
        return self.graph.node("Xor", self, other)

    def __invert__(self) -> "Tensor":
        return self.graph.node("Not", self)


class Graph:
    """A graph that is being written.

    Parameters
    ----------
    prefix : str
        What all names begin with.
    width : int
        Components, with the one that is zero.
    """

    def __init__(self, prefix: str, width: int) -> None:
        self.prefix, self.width = prefix, width
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[tuple[Any, ...], onnx.TensorProto] = {}
        self._count = 0

    def name(self, what: str) -> str:
        """A name that nothing else has."""
        self._count += 1
        return f"{self.prefix}{what}_{self._count}"

    def constant(self, value: Any, dtype: Any = np.float64) -> Tensor:
        """Numbers that are part of the graph, each of them once."""
        array = np.ascontiguousarray(np.asarray(value, dtype=dtype)).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, self.name("constant"))
        tensor = self.constants[key]
        return Tensor(self, tensor.name, tensor.data_type)

    def integers(self, *values: int) -> Tensor:
        """A vector of integers."""
        return self.constant(values, np.int64)

    def node(self, op: str, *inputs: Any, kind: int | None = None, n_outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; its outputs are of the kind of its first input. Numbers among the inputs become constants."""
        tensors = [value if isinstance(value, Tensor) else self.constant(value) for value in inputs]
        outputs = [self.name(op) for _ in range(n_outputs)]
        self.nodes.append(helper.make_node(op, [tensor.name for tensor in tensors], outputs, **attributes))
        found = [Tensor(self, name, tensors[0].kind if kind is None else kind) for name in outputs]
        return found[0] if n_outputs == 1 else found

    def where(self, condition: Tensor, value: Any, other: Any) -> Tensor:
        """One or the other, elementwise."""
        return self.node("Where", condition, value, other, kind=TensorProto.DOUBLE)

    def maximum(self, value: Tensor, other: Any) -> Tensor:
        """The larger one, elementwise."""
        return self.node("Max", value, other)

    def sums(self, value: Tensor) -> Tensor:
        """The sum of every row (r, 1)."""
        return self.node("ReduceSum", value, self.integers(1), keepdims=1)

    def cast(self, value: Tensor, kind: int) -> Tensor:
        """The same in another element type."""
        return self.node("Cast", value, kind=kind, to=kind)

    def any(self, value: Tensor) -> Tensor:
        """Whether any of several booleans is true; not of none."""
        number = self.node("ReduceSum", self.cast(value, TensorProto.INT64), keepdims=0)
        return number > self.constant(0, np.int64)

    def column(self, value: Tensor) -> Tensor:
        """Rows (r, m) as columns (r, m, 1)."""
        return self.node("Unsqueeze", value, self.integers(2))

    def row(self, value: Tensor) -> Tensor:
        """Rows (r, m) as (r, 1, m)."""
        return self.node("Unsqueeze", value, self.integers(1))

    def diagonal(self, matrices: Tensor) -> Tensor:
        """The diagonals (r, width) of matrices (r, width, width)."""
        flat = self.node("Reshape", matrices, self.integers(0, self.width**2))
        return self.node("Gather", flat, self.integers(*range(0, self.width**2, self.width + 1)), axis=1)

    def length(self, value: Tensor) -> Tensor:
        """The number of rows (1,)."""
        shape = self.node("Shape", value, kind=TensorProto.INT64)
        return self.node("Slice", shape, self.integers(0), self.integers(1))

    def loop(self, body: Callable[..., tuple[Tensor, ...]], trips: Any, *begin: Tensor, n_stacked: int = 0) -> Any:
        """A loop whose body takes its number and what the last turn has left.

        It returns whether to go on, what it leaves, and what is stacked up over all turns.
        """
        outer, self.nodes = self.nodes, []
        number = Tensor(self, self.name("number"), TensorProto.INT64)
        on = Tensor(self, self.name("on"), TensorProto.BOOL)
        taken = [Tensor(self, self.name("taken"), tensor.kind) for tensor in begin]
        left = [self.node("Identity", tensor) for tensor in body(number, *taken)]
        inputs, outputs = (
            [
                helper.make_tensor_value_info(tensor.name, tensor.kind, () if i < n_scalars else None)
                for i, tensor in enumerate(tensors)
            ]
            for n_scalars, tensors in ((2, [number, on, *taken]), (1, left))
        )
        graph = helper.make_graph(self.nodes, self.name("body"), inputs, outputs)
        self.nodes = outer
        count = trips if isinstance(trips, Tensor) else self.constant(trips, np.int64)
        n_outputs = len(begin) + n_stacked
        found = self.node("Loop", count, self.constant(True, np.bool_), *begin, n_outputs=n_outputs, body=graph)
        for tensor, source in zip([found] if n_outputs == 1 else found, left[1:], strict=True):
            tensor.kind = source.kind
        return found


class Model(NamedTuple):
    """What is minimised for every row, and how far.

    Attributes
    ----------
    H : ndarray of shape (k, m)
        Components.
    loss : Beta
        The loss.
    l1, l2 : float
        Strengths of penalties, as they stand in the objective.
    tol : float
        When a row is done.
    max_iter : int
        Newton steps or multiplicative updates at most.
    """

    H: np.ndarray
    loss: Beta
    l1: float
    l2: float
    tol: float
    max_iter: int

    def components(self, g: Graph) -> tuple[Tensor, Tensor]:
        """H (k + 1, m) and its transpose."""
        H = g.cast(g.constant(np.pad(self.H, ((0, 1), (0, 0))), self.H.dtype), TensorProto.DOUBLE)
        return H, g.node("Transpose", H, perm=[1, 0])

    def floors(self, g: Graph, total: Tensor) -> Tensor:
        """The least that an entry of the model counts as (r, 1), as in `nmf_core.problem.model_floors`."""
        power = self.loss.steepness
        share, least = 10 ** -min(18.0, 200 / power), 10 ** -(300 / power)
        return g.maximum(total * (share / self.H.shape[1]), least)

    @property
    def sums(self) -> np.ndarray:
        """The sums of the components (k + 1,)."""
        return np.append(self.H.sum(axis=1, dtype=np.float64), 0.0)

    @property
    def begin(self) -> np.ndarray:
        """Equal components (k + 1,) of a row that sums up to one."""
        total = self.sums.sum()
        return self.each(1 / total if total else 0.0)

    def each(self, value: float) -> np.ndarray:
        """The value for every component (k + 1,)."""
        return np.append(np.full(len(self.H), value), 0.0)


class Tableau(NamedTuple):
    """What finds the minimiser z >= 0 of z B z / 2 - c z for every row, B having ones and a ridge on its diagonal.

    Attributes
    ----------
    T : Tensor
        Of shape (r, k + 1, k + 1). To begin with B, and -c in its last column, so that it tells gradients of z; in the
        end the inverse of B where components are in, and what is not zero in the last column: these components, and
        gradients of the others.
    inside : Tensor
        Which components are in (r, k + 1).
    """

    T: Tensor
    inside: Tensor

    @classmethod
    def of(cls, B: Any, c: Tensor) -> "Tableau":
        """B (k + 1, k + 1), with zeros in the end, for all rows or for each, and c (r, k + 1); no component is in."""
        g = c.graph
        return cls(g.node("Sub", B, g.column(c) * np.eye(g.width)[-1]), c < c)

    @property
    def last(self) -> Tensor:
        """The last column (r, k + 1)."""
        g = self.T.graph
        return g.node("Gather", self.T, g.constant(g.width - 1, np.int64), axis=2)

    @property
    def z(self) -> Tensor:
        """The components that are in (r, k + 1)."""
        return self.T.graph.where(self.inside, self.last, 0.0)

    def corrected(self, B: Any, c: Tensor) -> "Tableau":
        """The same with this c, and without what rounding has done to the last column."""
        g, z = self.T.graph, self.z
        rest = g.where(self.inside, z @ B - c, 0.0)
        z -= g.where(self.inside, g.node("Squeeze", self.T @ g.column(rest), g.integers(2)), 0.0)
        last = np.eye(g.width)[-1]
        return self._replace(T=self.T * (1 - last) + g.column(g.where(self.inside, z, z @ B - c)) * last)

    def solved(self, slack: Tensor, ridge: float) -> "Tableau":
        """The same when nothing in the last column is below `slack` (r, 1).

        An exchange makes a component positive and its gradient zero, or the other way round: with e the unit vector of
        i, row i is solved for what stands in column i, ``T <- T - (T e + e) (e T - e) / T_ii``. Of what is negative the
        exchange comes next that lowers the objective most: in all they are hardly more than components are positive in
        the end. A pivot below the ridge is one of rounding.

        References
        ----------
        K. G. Murty (1988), "Linear complementarity, linear and nonlinear programming", chapter 4.
        """
        g = self.T.graph

        def exchange(_: Tensor, T: Tensor, inside: Tensor) -> tuple[Tensor, ...]:
            b, pivots = Tableau(T, inside).last, g.diagonal(T)
            gains = g.where((b < slack) & (pivots > ridge / 2), b * b / g.maximum(pivots, ridge / 2), 0.0)
            best = g.node("ArgMax", gains, kind=TensorProto.INT64, axis=1, keepdims=1)
            moves = g.node("GatherElements", gains, best, axis=1) > 0.0
            chosen = g.node("Equal", g.integers(*range(g.width)), best, kind=TensorProto.BOOL) & moves
            e = g.cast(chosen, TensorProto.DOUBLE)
            up = T @ g.column(e) + g.column(e)
            pivot = g.where(moves, g.node("GatherElements", pivots, best, axis=1), 1.0)
            across = (g.node("GatherND", T, best, batch_dims=1) - e) / pivot
            return g.any(moves), T - up * g.row(across), inside ^ chosen

        return Tableau(*g.loop(exchange, 5 * g.width + 20, *self))


def _slack(c: Tensor) -> Tensor:
    """What counts as negative in a tableau (r, 1)."""
    return c.graph.sums(c.graph.maximum(c, 0.0)) * -_ROUNDING


def _least_squares(g: Graph, model: Model) -> Solve:
    """The minimiser of ||x - w H||^2 / 2 + l1 sum(w) + l2 / 2 ||w||^2, with w scaled to equal curvatures.

    For components that depend on each other the tableau needs a ridge. It lies around zero first, then around the
    minimiser that was found, until it does not matter any more: this is the proximal point method.
    """
    k, H = len(model.H), model.H.astype(np.float64)
    gram = np.pad(H @ H.T + model.l2 * np.eye(k), (0, 1))
    sizes = np.sqrt(np.diag(gram))
    scale = np.divide(1, sizes, out=np.zeros(k + 1), where=sizes > 0)
    gram = gram * scale * scale[:, np.newaxis] + _RIDGE * np.eye(k + 1)
    _, Ht = model.components(g)

    def solve(x: Tensor) -> Tensor:
        c = (x @ Ht - model.each(model.l1)) * scale
        slack = _slack(c)

        def centred(_: Tensor, T: Tensor, inside: Tensor) -> tuple[Tensor, ...]:
            before = Tableau(T, inside)
            return g.constant(True, np.bool_), *before.corrected(gram, c + before.z * _RIDGE).solved(slack, _RIDGE)

        solved = Tableau(*g.loop(centred, _CENTRES, *Tableau.of(gram, c)))
        return g.maximum(solved.z, 0.0) * scale + g.sums(c) * 0.0  # NaN stays NaN

    return solve


def _kullback_leibler(g: Graph, model: Model) -> Solve:
    """The minimiser of sum(y - x log y) + l1 sum(w) + l2 / 2 ||w||^2, y = w H, by Newton steps after some updates.

    The gradient is sums + l1 + l2 w - (x / y) H.T and the curvature B = H diag(x / y^2) H.T + l2. A step goes to the
    minimiser z of the quadratic model, or a part of the way.
    """
    l2, tol = model.l2, min(model.tol, _SHORT)
    costs = model.sums + model.each(model.l1)
    idle = np.where(costs + l2 > 0, 0.0, model.begin)  # components that cost nothing stay where they are in `transform`
    H, Ht = model.components(g)

    def solve(x: Tensor) -> Tensor:
        total = g.sums(x)
        floor, noise = model.floors(g, total), total * _PROMISE

        def update(_: Tensor, w: Tensor) -> tuple[Tensor, ...]:
            q = (x / g.maximum(w @ H, floor)) @ Ht
            return g.constant(True, np.bool_), w * q / g.maximum(w * l2 + costs, _LEAST)

        def newton(_: Tensor, w: Tensor, done: Tensor) -> tuple[Tensor, ...]:
            wH = w @ H
            y = g.maximum(wH, floor)
            ratio = x / y
            curvature = ratio / y
            B = H @ (g.column(curvature) * Ht) + np.diag(model.each(l2))
            sizes = g.node("Sqrt", g.diagonal(B))
            scale = g.where(sizes > _LEAST, g.node("Reciprocal", sizes), 0.0)
            unit = B * g.column(scale) * g.row(scale) + _NEWTON_RIDGE * np.eye(g.width)
            c = ((ratio + curvature * wH) @ Ht - costs) * scale + w * sizes * _NEWTON_RIDGE  # around w
            c = g.where(done, -1.0, c)
            solved = Tableau.of(unit, c).solved(_slack(c), _NEWTON_RIDGE)
            z = g.maximum(solved.z, 0.0) * scale
            step = z - w
            promise = g.sums(step @ H * ratio) - g.sums(step * costs) - g.sums(step * w) * l2
            share = part(y, w, step, abs(promise) * 0.5 + noise)
            goes_on = (g.sums(abs(step * sizes)) > g.sums(z * sizes) * tol) & (promise > noise)
            done_next = done | ~goes_on
            return g.any(~done_next), g.where(done, w, g.maximum(w + step * share, 0.0)), done_next

        def part(y: Tensor, w: Tensor, step: Tensor, allowed: Tensor) -> Tensor:
            """How much of a step is made: halves of it, until the objective rises no more than allowed in the end."""
            change, cost = step @ H, g.sums(step * costs)
            pulls = change * x

            def halve(_: Tensor, share: Tensor) -> tuple[Tensor, ...]:
                pull = g.sums(pulls / g.maximum(y + change * share, floor))
                rises = cost + g.sums(step * (w + step * share)) * l2 - pull > allowed
                return g.any(rises), g.where(rises, share * 0.5, share)

            return g.loop(halve, 50, g.where(allowed < allowed, 1.0, 1.0))  # from ones (r, 1)

        w = g.loop(update, _WARM_UP, total * model.begin)
        w, _ = g.loop(newton, model.max_iter, w, ~(total > 0.0))
        return w + total * idle

    return solve


def _multiplicative(g: Graph, model: Model) -> Solve:
    """Multiplicative updates, as the kernels make them for `transform`: from the same start, ended by the same rule.

    A row is done when Newton's steps of its coordinates, with curvatures estimated from their shares of the model, have
    fallen to `tol` of the first ones.
    """
    beta, exponent, l2, sums = model.loss.beta, model.loss.exponent, model.l2, model.sums
    H, Ht = model.components(g)

    def solve(x: Tensor) -> Tensor:
        total = g.sums(x)
        floor = model.floors(g, total)

        def update(number: Tensor, w: Tensor, done: Tensor, goal: Tensor) -> tuple[Tensor, ...]:
            y = g.maximum(w @ H, floor)
            power = y ** (beta - 2)
            numerator, slope = (x * power) @ Ht, (y * power) @ Ht + w * l2 + model.each(model.l1)
            curvature = g.maximum(slope * sums / g.maximum(g.sums(w * sums), _LEAST) + l2, _LEAST)
            step = g.maximum((numerator - slope) / curvature, -w)
            length = g.sums(step * step * curvature)
            new = w * (numerator / g.where(slope > _LEAST, slope, _GUARD)) ** exponent
            new = g.where(new > _LEAST, new, 0.0)
            if beta < 1:
                new = g.where(new * sums < g.sums(new * sums) * _EPS, 0.0, new)
            first = g.node("Equal", number, g.constant(0, np.int64), kind=TensorProto.BOOL)
            goal = g.where(first, length * model.tol**2, goal)
            done_next = done | ~(length > goal)
            return g.any(~done_next), g.where(done, w, new), done_next, goal

        w, *_ = g.loop(update, model.max_iter, total * model.begin, ~(total > 0.0), total)
        return w + total * 0.0

    return solve


def _transform(g: Graph, X: Tensor, model: Model, floor: float, kind: int) -> Tensor:
    """W of X, in an element type, by blocks of rows: memory does not grow with their number."""
    k, m = model.H.shape
    if model.loss.quadratic:
        solve, numbers = _least_squares(g, model), (k + 1) ** 2
    elif model.loss.linear:
        solve, numbers = _kullback_leibler(g, model), (k + 1) * max(k + 1, m)
    else:
        solve, numbers = _multiplicative(g, model), max(k, m)
    zero, one = g.integers(0), g.integers(1)
    X = g.cast(X, kind)
    n = g.length(X)
    size = g.node("Max", g.node("Min", n, g.integers(max(1, _BLOCK // numbers))), one)

    def block(number: Tensor) -> tuple[Tensor, ...]:
        first = number * size
        x = g.cast(g.node("Slice", X, first, first + size, zero), TensorProto.DOUBLE)
        w = solve(x + floor if floor else x)
        lacking = g.node("Concat", zero, zero, size - g.length(w), zero, axis=0)
        return g.constant(True, np.bool_), g.node("Pad", w, lacking)

    stacked = g.loop(block, g.node("Max", (n + size - one) / size, one), n_stacked=1)
    W = g.node("Reshape", stacked, g.integers(-1, k + 1))
    ends = g.node("Concat", n, g.integers(k), axis=0)
    return g.cast(g.node("Slice", W, g.integers(0, 0), ends, g.integers(0, 1)), kind)


def transform_model(
    H: Any,
    loss: LossName | float = "frobenius",
    *,
    alpha_W: float = 0.0,
    l1_ratio: float = 0.0,
    floor: float = 0.0,
    tol: float = 1e-4,
    max_iter: int = 200,
    dtype: Any = None,
    opset: int = OPSET,
    input_name: str = "X",
    output_name: str = "W",
) -> onnx.ModelProto:
    """The transform for given components as an ONNX model.

    It takes any number of rows and answers each on its own: an answer does not depend on the rows beside it. They are
    not checked: NaN comes out where it goes in, and any answer for what `transform` refuses, such as negative numbers.

    With the Frobenius loss and Kullback-Leibler, W is the minimiser, which `transform` comes close to as its `tol`
    becomes small. It is exact to about 1e-8 of the largest entry of a row; of components that are alike, as far as
    their Gram matrix tells them apart, to 1e-5 if that has a condition of 1e10 once its diagonal is scaled to ones.
    Where they depend on each other, W is one of many that fit equally well. With other losses the graph makes the same
    updates as `transform` with this `tol` and `max_iter`.

    Parameters
    ----------
    H : array-like of shape (n_components, n_features)
        Components.
    loss : str or float
        "frobenius", "kullback-leibler", "itakura-saito", or the beta of a beta-divergence.
    alpha_W, l1_ratio
        Penalty of W, as in `nmf_core.factorize`.
    floor : float
        What is added to X, as in `nmf_core.factorize`.
    tol : float
        With Kullback-Leibler a row is done after a Newton step of this relative length, or 1e-6 if that is less: what
        is left is about its square. With other losses it is done when its updates have fallen to `tol` of the first.
        With the Frobenius loss this does not matter.
    max_iter : int
        Newton steps at most, of which a row seldom needs ten, or updates.
    dtype : {"float32", "float64"}, optional
        Of X and W; by default that of H. In between, the graph computes in double.
    opset : int
        Version of ONNX's operators, 13 or later.
    input_name, output_name : str
        What X and W are called.

    Returns
    -------
    onnx.ModelProto
        With X (n_rows, n_features) as input and W (n_rows, n_components) as output.

    Raises
    ------
    ValueError, TypeError
        An argument cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from nmf_core.onnx import transform_model
    >>> H = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])
    >>> model = transform_model(H)
    >>> from onnx.reference import ReferenceEvaluator
    >>> [W] = ReferenceEvaluator(model).run(None, {"X": np.array([[2.0, 5.0, 1.0]])})
    >>> W.round(6).tolist()
    [[2.0, 1.0]]
    """
    model = _checked(H, loss, alpha_W, l1_ratio, tol, max_iter)
    name = np.dtype(model.H.dtype if dtype is None else dtype).name
    dtype = np.dtype(check_choice(name, "dtype", ["float32", "float64"]))
    opset = check_integer(opset, "opset", OLDEST_OPSET, onnx.defs.onnx_opset_version())
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    k, m = model.H.shape
    g = Graph(f"{output_name}/", k + 1)
    X = Tensor(g, input_name, kind)
    W = _transform(g, X, model, check_number(floor, "floor"), kind)
    g.nodes.append(helper.make_node("Identity", [W.name], [output_name]))
    graph = helper.make_graph(
        g.nodes,
        "transform",
        [helper.make_tensor_value_info(input_name, kind, ["n_rows", m])],
        [helper.make_tensor_value_info(output_name, kind, ["n_rows", k])],
        list(g.constants.values()),
    )
    opsets = [helper.make_opsetid("", opset)]
    proto = helper.make_model(
        graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets), producer_name="nmf_core"
    )
    onnx.checker.check_model(proto)
    return proto


def _checked(H: Any, loss: Any, alpha_W: float, l1_ratio: float, tol: float, max_iter: int) -> Model:
    """What is asked for, if a graph can do it."""
    H = check_matrix(H, "H", factor=True).values
    H = np.asarray(H.todense() if hasattr(H, "todense") else H)
    the_loss = make_loss(check_loss(loss, LOSSES))
    check_portable(own_loss=not isinstance(the_loss, Beta))
    m = H.shape[1]
    check_penalties(alpha_W, 0.0, l1_ratio, (1, m))
    l1, l2 = m * alpha_W * l1_ratio, m * alpha_W * (1 - l1_ratio)
    tol, max_iter = check_number(tol, "tol"), check_integer(max_iter, "max_iter", 1)
    assert isinstance(the_loss, Beta)
    if not (the_loss.quadratic or the_loss.linear):  # as `nmf_core.solvers.exact.solver_for_rows` does
        gram = H.astype(np.float64) @ H.T
        alike = condition(gram)
        alike = condition(gram + l2 * np.eye(len(H))) if alike > ALIKE and l2 else alike
        tol *= float(np.sqrt(ALIKE / np.clip(alike, ALIKE, 1 / _EPS)))
    return Model(H, the_loss, l1, l2, tol, max_iter)


# What may be asked of the graph of a fit, which has all else itself.
OPTIONS = ("tol", "max_iter", "dtype", "opset", "input_name", "output_name")


def factorization_model(f: Any, **how: Any) -> onnx.ModelProto:
    """The transform of a factorization or of a fitted estimator as an ONNX model.

    Parameters
    ----------
    f : nmf_core.Factorization, or what holds one, or a fitted NMF or MiniBatchNMF
        Found without missing entries, weights, biases, bounds and penalties of one's own. Of an estimator, which may
        have been pickled, it is its `transform`, with its `tol` and `max_iter`.
    **how
        `tol`, `max_iter`, `dtype`, `opset`, `input_name` and `output_name` of `transform_model`.

    Returns
    -------
    onnx.ModelProto
        Its metadata has labels of features, if there are some, as "feature_names" in JSON, in the order of its input.

    Raises
    ------
    ValueError, TypeError
        A graph cannot do what the transform does, or there is no such argument.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> from nmf_core.onnx import factorization_model
    >>> f = nmf_core.factorize(np.random.default_rng(0).random((20, 5)), 2, random_state=0)
    >>> [output.name for output in factorization_model(f).graph.output]
    ['W']
    """
    check_arguments(how, OPTIONS, "the graph of a fit")
    estimator = hasattr(f, "components_") and hasattr(f, "_labelled_H")
    f = f if estimator else fit_in(f)
    check_fit(estimator or isinstance(f, Readable), f, "An ONNX graph")
    model = transform_model(**{**(_of_estimator(f) if estimator else _of_factorization(f)), **how})
    labels = components_of(f).columns
    if labels is not None:
        names = json.dumps(list(labels), default=str, ensure_ascii=False)
        helper.set_model_props(model, {"feature_names": names})
    return model


def _of_factorization(f: Any) -> dict[str, Any]:
    """Arguments of `transform_model` that make it the transform of a factorization."""
    parameters = f.parameters
    check_portable(
        own_loss=f.own_loss is not None,
        missing=parameters.get("missing") is not None,
        weights=bool(parameters.get("weighted")),
        biases=f.biases is not None,
        bounds="factor_W" in parameters,
    )
    same = {name: parameters.get(name) or 0.0 for name in ("alpha_W", "l1_ratio", "floor")}
    return {"H": f.H, "loss": f.loss, **same}


def _of_estimator(nmf: Any) -> dict[str, Any]:
    """Arguments of `transform_model` that make it the transform of an estimator."""
    factor_W = getattr(nmf, "factor_W", None)
    check_portable(missing=getattr(nmf, "missing", None) is not None, bounds=factor_W is not None and factor_W.said)
    tol = getattr(nmf, "transform_tol", None)
    return {
        "H": nmf.components_,
        "loss": nmf.beta_loss,
        "alpha_W": nmf.alpha_W,
        "l1_ratio": nmf.l1_ratio,
        "floor": getattr(nmf, "floor_", 0.0),
        "tol": nmf.tol if tol is None else tol,
        "max_iter": getattr(nmf, "transform_max_iter", None) or nmf.max_iter,
    }


def save_onnx(f: Any, path: str | os.PathLike, **how: Any) -> None:
    """Write the transform of a factorization or of a fitted estimator to an ONNX file, whole or not at all.

    Parameters
    ----------
    f : nmf_core.Factorization, or what holds one, or a fitted NMF or MiniBatchNMF
        As for `factorization_model`.
    path : str or path
        The file; ".onnx" is not appended.
    **how
        As for `factorization_model`.

    Raises
    ------
    OSError
        The file cannot be written; one that was there before is unchanged.
    ValueError, TypeError
        A graph cannot do what the transform does, or there is no such argument.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> from nmf_core.onnx import save_onnx
    >>> f = nmf_core.factorize(np.random.default_rng(0).random((20, 5)), 2, random_state=0)
    >>> save_onnx(f, "model.onnx", dtype="float32")  # doctest: +SKIP
    """
    data = factorization_model(f, **how).SerializeToString()
    with written_whole(path) as draft:
        draft.write_bytes(data)


def register_skl2onnx() -> None:
    """Let skl2onnx convert `nmf_core.NMF` and `nmf_core.MiniBatchNMF`, alone or anywhere in a pipeline.

    Graphs use the `tol` and `max_iter` of the estimator's `transform`. Their input must be dense.

    Examples
    --------
    >>> import numpy as np, nmf_core.onnx
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> X = np.random.default_rng(0).random((20, 5))
    >>> pipeline = make_pipeline(MinMaxScaler(), nmf_core.NMF(2, random_state=0)).fit(X)
    >>> nmf_core.onnx.register_skl2onnx()  # doctest: +SKIP
    >>> skl2onnx.to_onnx(pipeline, X[:1])  # doctest: +SKIP
    """
    try:
        skl2onnx = import_module("skl2onnx")
    except ImportError as error:
        raise ImportError('Pipelines need skl2onnx: pip install "nmf-core[onnx]"') from error
    package = import_module(__name__.rpartition(".")[0])  # whose names that need scikit-learn are resolved lazily
    for estimator in (package.NMF, package.MiniBatchNMF):
        skl2onnx.update_registered_converter(estimator, f"NmfCore{estimator.__name__}", _output_shape, _convert)


def _output_shape(operator: Any) -> None:
    """Say what an estimator makes of its input."""
    [X], [W] = operator.inputs, operator.outputs
    kind = _kind(X)[1]
    W.type = kind([X.get_first_dimension(), len(operator.raw_operator.components_)])


def _kind(X: Any) -> tuple[int, Any]:
    """The element type of W in a pipeline, for ONNX and for skl2onnx: that of X, or float32."""
    types = import_module("skl2onnx.common.data_types")
    double = isinstance(X.type, types.DoubleTensorType)
    return (TensorProto.DOUBLE, types.DoubleTensorType) if double else (TensorProto.FLOAT, types.FloatTensorType)


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of an estimator to a pipeline."""
    [X], [W], asked = operator.inputs, operator.outputs, _of_estimator(operator.raw_operator)
    check_integer(container.target_opset, "target_opset", OLDEST_OPSET)
    floor = asked.pop("floor")
    model = _checked(**asked)
    g, kind = Graph(scope.get_unique_variable_name("nmf_core") + "/", len(model.H) + 1), _kind(X)[0]
    found = _transform(g, Tensor(g, X.onnx_name, kind), model, floor, kind)
    g.nodes.append(helper.make_node("Identity", [found.name], [W.onnx_name], name=g.name("Identity")))
    container.nodes.extend(g.nodes)
    container.initializers.extend(g.constants.values())
    container.node_domain_version_pair_sets.add(("", container.target_opset))
