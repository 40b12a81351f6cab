"""The layers of the package and its house rules, read from the sources."""

import ast
import traceback
from pathlib import Path

import numpy as np
import pytest

import nmf_core

ROOT = Path(nmf_core.__file__).parent

# From the top down; a module may import from its own layer (not in a circle) and from those below.
LAYERS = [
    {"__init__", "__main__", "cli", "demo", "report", "plotting", "io"},
    {"ensemble", "model_selection", "rank_selection", "comparison", "known"},
    {"patching"},
    {"estimators"},
    {
        "factorize",
        "factorization",
        "transform",
        "divergence",
        "least_squares",
        "floor",
        "interpretation",
        "onnx",
        "paragraphs",
        "provenance",
        "readable",
        "references",
        "similarity",
        "optimality",
        "minibatch",
        "online",
        "progress",
        "start",
        "vanishing",
    },
    {"solvers"},
    {"initialization", "stopping"},
    {"problem"},
    {"data"},
    {"engine", "rows"},
    {"losses", "factors"},
    {"validation", "labels", "threads", "files", "html", "memory", "shapes", "typing", "warning"},
    {"_core"},
]

# Who else may raise what is wrong with a user's input: in all other places it is too late or too early.
RAISES = {
    "validation": "the one place for it",
    "labels": "what cannot be brought into order, or has no numbers",
    "factorization.load": "says which file is not one of ours",
    "io": "what is wrong with a file shows where it is read",
    "cli": "says which options and files do not go together",
    "estimators": "stands in for scikit-learn's own message",
}

# Who else may ask whether something is sparse: what follows is not a way to compute a fit.
LADDERS = {
    "validation": "says what X is",
    "data": "the containers",
    "io": "reads and writes both kinds of files",
    "interpretation": "looks at the errors of rows after a fit",
}


def modules():
    """Name within the package, such as "solvers.base", and parsed source."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        yield name, ast.parse(path.read_text(encoding="utf8"))


MODULES = dict(modules())
KNOWN = {*MODULES, "_core"}


def imports(tree):
    """Names within the package of all modules that this one imports anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written out"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            names = [constant.value for constant in node.args if isinstance(constant, ast.Constant)]
        else:
            continue
        for name in names:
            top, *rest = name.split(".")
            if top == "nmf_core":
                while rest and ".".join(rest) not in KNOWN:  # the name of something in a module
                    rest.pop()
                yield ".".join(rest) or "__init__"


IMPORTS = {name: set(imports(tree)) for name, tree in MODULES.items()}


def layer(name):
    return next(number for number, names in enumerate(LAYERS) if name.split(".")[0] in names)


def functions(tree, within=""):
    """Qualified names and nodes of functions and classes."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield f"{within}{node.name}", node
            yield from functions(node, f"{within}{node.name}.")
        elif not isinstance(node, ast.expr):
            yield from functions(node, within)


def used_in(name, node_or_tree, found):
    """Where, as "module.function", the search finds something; "module" outside functions."""
    inside = {}
    for qualified, node in functions(node_or_tree):
        for child in ast.walk(node):
            inside[child] = qualified
    for node in ast.walk(node_or_tree):
        if found(node):
            yield f"{name}.{inside[node]}" if node in inside else name


def allowed(place, exemptions):
    parts = place.split(".")
    return any(".".join(parts[:n]) in exemptions for n in range(1, len(parts) + 1))


# --- layers


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_its_layer(name):
    assert any(name.split(".")[0] in names for names in LAYERS), "say in LAYERS where it belongs"


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_downwards(name):
    upwards = [other for other in IMPORTS[name] if layer(other) < layer(name)]
    assert upwards == []


def test_no_imports_in_a_circle():
    left = {name: {other for other in others if other != name} for name, others in IMPORTS.items()}
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    assert left == {}


def test_the_reader_of_imports_reads_them():
    """Known facts, so that a mistake in this file cannot make everything pass."""
    assert IMPORTS["factorize"] >= {"solvers", "data", "validation", "threads"}
    assert "_core" in IMPORTS["threads"]
    assert "solvers.base" in IMPORTS["solvers"]
    assert "estimators" in IMPORTS["patching"]
    assert layer("solvers.base") < layer("_core")


def test_only_one_module_touches_thread_pools():
    users = [
        name
        for name, tree in MODULES.items()
        if any(
            "threadpoolctl" in ast.unparse(node)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
        )
    ]
    assert users == ["threads"]


def test_only_one_loop():
    """Rules are asked whether the fit is over in one place."""
    asked = [
        place
        for name, tree in MODULES.items()
        for place in used_in(
            name, tree, lambda node: isinstance(node, ast.Call) and ast.unparse(node.func) == "rule.done"
        )
    ]
    assert sorted(set(asked)) == ["solvers.base.solve", "solvers.base.solve_rows"]


# --- who may do what


def raises_on_input(node):
    return (
        isinstance(node, ast.Raise)
        and node.exc is not None
        and ast.unparse(node.exc).startswith(("ValueError", "TypeError"))
    )


def asks_for_sparse(node):
    if not isinstance(node, ast.Call):
        return False
    function = ast.unparse(node.func).split(".")[-1]
    return function in ("issparse", "isspmatrix", "is_sparse") or (
        function == "isinstance" and "sp." in ast.unparse(node.args[1])
    )


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(("found", "exemptions"), [(raises_on_input, RAISES), (asks_for_sparse, LADDERS)])
def test_one_place_for(found, exemptions, name):
    elsewhere = [place for place in used_in(name, MODULES[name], found) if not allowed(place, exemptions)]
    assert elsewhere == []


@pytest.mark.parametrize(("found", "exemptions"), [(raises_on_input, RAISES), (asks_for_sparse, LADDERS)])
def test_exemptions_are_needed(found, exemptions):
    places = [place for name, tree in MODULES.items() for place in used_in(name, tree, found)]
    assert [name for name in exemptions if not any(allowed(place, {name}) for place in places)] == []


# --- names and documentation


def test_no_file_for_everything():
    names = {part.lower() for path in ROOT.rglob("*") for part in path.with_suffix("").parts[len(ROOT.parts) :]}
    assert not {
        name for name in names if name.strip("_") in ("utils", "util", "helpers", "helper", "common", "misc", "tools")
    }


@pytest.mark.parametrize("name", MODULES)
def test_no_second_versions(name):
    suffixes = ("_fast", "_slow", "_c", "_impl", "_new", "_old", "_v2", "2")
    assert [qualified for qualified, _ in functions(MODULES[name]) if qualified.endswith(suffixes)] == []


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_is_documented(name):
    """Modules, classes and functions; a method where it is first defined, not in every class that provides it."""
    tree = MODULES[name]
    assert ast.get_docstring(tree)
    bare = []
    for qualified, node in functions(tree):
        *outer, last = qualified.split(".")
        holder = dict(functions(tree)).get(".".join(outer))
        if last.startswith("_") or any(part.startswith("_") for part in outer):
            continue
        inherits = isinstance(holder, ast.ClassDef) and holder.bases
        if isinstance(holder, ast.FunctionDef) or inherits:
            continue
        if not ast.get_docstring(node) and not is_trivial(node):
            bare.append(qualified)
    assert bare == []


def is_trivial(node):
    """A property of one line: its class documents it as an attribute."""
    decorated = [ast.unparse(decorator) for decorator in getattr(node, "decorator_list", [])]
    return "property" in decorated and len(node.body) == 1


@pytest.mark.parametrize("name", nmf_core.__all__)
def test_public_names_have_documentation(name):
    value = getattr(nmf_core, name)
    assert isinstance(value, str) or value.__doc__


# --- shapes


DOORS = {
    "cli",
    "comparison",
    "ensemble.many.factorize_many",
    "ensemble.survey.rank_survey",
    "estimators",
    "factorize.factorize",
    "known.refitting.refit",
    "least_squares.nnls",
    "model_selection",
    "onnx.transform_model",
    "optimality.kkt_residual",
    "report.render_report",
    "transform.transform",
}


def test_few_parameters():
    """Below what users call no function has more than eight."""
    many = []
    for name, tree in MODULES.items():
        for qualified, node in functions(tree):
            if isinstance(node, ast.FunctionDef):
                a = node.args
                names = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs) if p.arg not in ("self", "cls")]
                if len(names) > 8 and not allowed(f"{name}.{qualified}", DOORS):
                    many.append(f"{name}.{qualified}")
    assert many == []


def test_kernels_are_called_by_the_engine():
    """And the checks of what users give, which come before it; threads only ask how many there may be."""
    users = {name for name, others in IMPORTS.items() if "_core" in others}
    assert users == {
        "engine",
        "threads",
        "validation.scan",
        "validation.matrices",
        "validation.arguments",
        "data.sources",
    }


def test_eight_calls_from_an_estimator_to_a_kernel(monkeypatch):
    stacks = []
    kernel = nmf_core._core.dense_pass

    def spy(*arguments):
        frames = (frame for frame, _ in traceback.walk_stack(None))
        stacks.append([frame.f_code.co_qualname for frame in frames])
        kernel(*arguments)

    monkeypatch.setattr(nmf_core._core, "dense_pass", spy)
    nmf_core.NMF(2, max_iter=30, tol=0).fit(np.random.default_rng(0).random((20, 10)))
    # the first is the spy; scikit-learn's decorator of fit_transform doesn't count
    chain = stacks[-1][1 : next(i for i, call in enumerate(stacks[-1]) if call.endswith("NMF.fit")) + 1]
    assert len([call for call in chain if "<locals>.wrapper" not in call]) <= 8, chain
