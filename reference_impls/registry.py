"""What there is to run, read from source without importing it: listing methods never loads torch.

Method facts are the ``METHODS`` literal of ``<branch>/<method>.py``, benchmarks the ``BENCHMARK`` literal of
``benchmarks/<name>.py``, and the settings of a method are the fields of the dataclass that annotates the
``config`` argument of its ``train``. Only ``load`` and ``build_config`` import a method.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from reference_impls.core.digest import digest

ROOT = Path(__file__).resolve().parent
DIMENSIONS: dict[str, tuple[str, ...]] = {
    "arity": ("unary", "binary", "n-ary"),
    "involvement": ("observed", "active", "co-generative"),
    "granularity": ("episode", "segment", "step"),
    "abstraction": ("instance", "feature"),
    "intent": ("evaluative", "instructive", "descriptive", "none"),
    "explicitness": ("explicit", "implicit"),
}
"""The six properties of feedback of kaufmann2025survey, as others describe that survey, and their values."""
NOT_BRANCHES = ("beds", "benchmarks", "core", "museum", "records")
State = tuple[tuple[str, int, int], ...]


class Problem(Exception):
    """Something a user can put right; its message is one clear sentence."""


@dataclass(frozen=True)
class MethodFacts:
    """One entry of a ``METHODS`` literal, with the place it was read from."""

    key: str
    module: str
    path: Path
    line: int
    name: str
    paper: str
    category: str
    provenance: str
    feedback: tuple[str, ...]
    needs: tuple[str, ...]
    target: str | None
    yields: str
    preset: Mapping[str, object] = field(default_factory=dict)
    bed: Mapping[str, object] = field(default_factory=dict)
    """Settings of the bed without which the method has nothing to show."""
    knob: Mapping[str, object] | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)
    counterparts: tuple[Mapping[str, str], ...] = ()
    verify_mutant: str | Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Simulator:
    """One entry of a ``SIMULATORS`` literal of a bed: a kind of feedback that the bed can give."""

    key: str
    module: str
    path: Path
    line: int
    feedback: str
    gives: str
    dimensions: Mapping[str, str]


@dataclass(frozen=True)
class Arm:
    """One line of a benchmark: a method with settings on a bed."""

    arm: str
    method: str
    set: Mapping[str, object] = field(default_factory=dict)
    bed_set: Mapping[str, object] = field(default_factory=dict)
    oracle: bool = False


@dataclass(frozen=True)
class Benchmark:
    """A ``BENCHMARK`` literal: the question and the arms that are compared."""

    key: str
    module: str
    path: Path
    line: int
    categories: tuple[str, ...]
    question: str
    arms: tuple[Arm, ...]
    measures: tuple[str, ...] = ()
    """Metrics of its own kind of method that its table and figure read."""
    devices: tuple[str, ...] = ("cpu", "cuda")
    """Where it is worth running; the first is the one whose records its figure shows."""


@dataclass(frozen=True)
class ClaimTest:
    """One entry of a ``CLAIMS`` literal: what would count as holding and as failing, written before the run."""

    key: str
    """``<paper>/<claim>``."""
    benchmark: str
    module: str
    path: Path
    line: int
    test: str
    arms: tuple[str, ...]
    measure: str
    """A function of the benchmark's module: the runs of one seed, indexed by arm, to one number."""
    holds: str
    fails: str
    why: str
    controls: tuple[Mapping[str, str], ...]
    """What should come out otherwise, each with a ``measure`` of its own."""
    unit: str = ""
    revisions: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class Grid:
    """One entry of a ``GRIDS`` literal: values of a setting, tried for some arms of a comparison on tuning seeds."""

    place: str
    arms: tuple[str, ...]
    setting: str
    values: tuple[float, ...]
    measure: str
    """What the choice is made by, as a column of records: ``metrics.gap_closed``."""
    best: str = "highest"
    """Or ``lowest``."""


@dataclass(frozen=True)
class Setting:
    """A field of a config dataclass as it stands in the source."""

    name: str
    annotation: ast.expr
    default: object
    place: str


@dataclass(frozen=True)
class Loaded:
    """A method that has been imported."""

    facts: MethodFacts
    module: ModuleType
    config_class: type
    train: Callable[..., Any]


def methods(root: Path = ROOT) -> dict[str, MethodFacts]:
    """Facts of every method under ``root``, by key."""
    return dict(_methods(root, _state(_branches(root))))


@lru_cache(maxsize=8)
def _methods(root: Path, state: State) -> dict[str, MethodFacts]:
    """What :func:`methods` returns, for files in a given state."""
    found: dict[str, MethodFacts] = {}
    for path in _method_files(root):
        for key, entry, line in _literal_entries(path, "METHODS"):
            place = _place(path, line)
            if key in found:
                raise Problem(f"{place}: method {key!r} is already defined in {found[key].path}.")
            here = {"key": key, "module": _dotted(path, root), "path": path, "line": line}
            found[key] = _fill(MethodFacts, entry, here, f"{place}: method {key!r}")
            _check_dimensions(found[key].dimensions, f"{place}: method {key!r}")
    return found


def simulators(root: Path = ROOT) -> dict[str, Simulator]:
    """Every simulator of feedback under ``root``, by key."""
    found: dict[str, Simulator] = {}
    for path in sorted((root / "beds").glob("*.py")):
        for key, entry, line in _literal_entries(path, "SIMULATORS"):
            place = f"{_place(path, line)}: simulator {key!r}"
            here = {"key": key, "module": _dotted(path, root), "path": path, "line": line}
            found[key] = _fill(Simulator, entry, here, place)
            _check_dimensions(found[key].dimensions, place)
    return found


def _check_dimensions(given: Mapping[str, str], place: str) -> None:
    """All six properties of feedback with a value that there is, or none at all."""
    if given and set(given) != set(DIMENSIONS):
        wrong = sorted(set(given) ^ set(DIMENSIONS))[0]
        raise Problem(
            f"{place}: the dimensions lack or do not know {wrong!r}; they are {', '.join(DIMENSIONS)}."
        )
    for name, value in given.items():
        if value not in DIMENSIONS[name]:
            raise Problem(f"{place}: {name} {value!r}{did_you_mean(value, DIMENSIONS[name])}")


def benchmarks(root: Path = ROOT) -> dict[str, Benchmark]:
    """Every benchmark under ``root``, by key."""
    return dict(_benchmarks(root, _state([*_branches(root), root / "benchmarks"])))


@lru_cache(maxsize=8)
def _benchmarks(root: Path, state: State) -> dict[str, Benchmark]:
    """What :func:`benchmarks` returns, for files in a given state."""
    found: dict[str, Benchmark] = {}
    for path in _benchmark_files(root):
        node = _assignment(_parse(path), "BENCHMARK")
        if node is None:
            continue
        place = _place(path, node.lineno)
        entry = _evaluate(node.value, path) if node.value else None
        if not isinstance(entry, dict):
            raise Problem(f"{place}: BENCHMARK is not a dictionary.")
        here = {"module": _dotted(path, root), "path": path, "line": node.lineno}
        found_arms = _swept(entry.get("arms", ()), root)
        arms = tuple(_fill(Arm, arm, {}, f"{place}: arm {i}") for i, arm in enumerate(found_arms, start=1))
        benchmark = _fill(Benchmark, {**entry, "arms": arms}, here, place)
        if not benchmark.devices or set(benchmark.devices) - {"cpu", "cuda"}:
            raise Problem(f"{place}: 'devices' names cpu, cuda or both.")
        labels = [arm.arm for arm in arms]
        if repeated := {label for label in labels if labels.count(label) > 1}:
            raise Problem(f"{place}: two arms are called {min(repeated)!r}.")
        if benchmark.key in found:
            raise Problem(f"{place}: benchmark {benchmark.key!r} is already defined.")
        found[benchmark.key] = benchmark
    return found


def claim_tests(root: Path = ROOT) -> dict[str, ClaimTest]:
    """Every test of a claim under ``root``, by the claim's key."""
    found: dict[str, ClaimTest] = {}
    for benchmark in benchmarks(root).values():
        arms = {arm.arm for arm in benchmark.arms}
        functions = {n.name for n in _parse(benchmark.path).body if isinstance(n, ast.FunctionDef)}
        for key, entry, line in _literal_entries(benchmark.path, "CLAIMS"):
            place = f"{_place(benchmark.path, line)}: claim {key!r}"
            here = {"key": key, "benchmark": benchmark.key, "module": benchmark.module}
            test = _fill(ClaimTest, entry, {**here, "path": benchmark.path, "line": line}, place)
            for arm in test.arms:
                if arm not in arms:
                    raise Problem(f"{place} names an unknown arm {arm!r}{did_you_mean(arm, arms)}")
            for control in test.controls:
                if set(control) != {"what", "measure"}:
                    raise Problem(f"{place}: a control has 'what' and 'measure', not {sorted(control)}.")
            for name in (test.measure, *(control["measure"] for control in test.controls)):
                if name not in functions:
                    raise Problem(
                        f"{place} names an unknown function {name!r}{did_you_mean(name, functions)}"
                    )
            if not test.controls:
                raise Problem(f"{place} has no control.")
            if key in found:
                raise Problem(f"{place} is already tested by {found[key].benchmark!r}.")
            found[key] = test
    return found


def grids(benchmark: Benchmark) -> tuple[Grid, ...]:
    """The grids of a benchmark: at most four values for each arm, the arm's own among them."""
    node = _assignment(_parse(benchmark.path), "GRIDS")
    entries = _evaluate(node.value, benchmark.path) if node is not None and node.value is not None else []
    place = _place(benchmark.path, node.lineno if node is not None else 1)
    if not isinstance(entries, list):
        raise Problem(f"{place}: GRIDS is not a list.")
    found = tuple(_fill(Grid, entry, {"place": place}, f"{place}: a grid") for entry in entries)
    arms = {arm.arm: arm for arm in benchmark.arms}
    for grid in found:
        if not 2 <= len(set(grid.values)) == len(grid.values) <= 4:
            raise Problem(f"{place}: a grid has two to four different values.")
        if grid.best not in ("highest", "lowest"):
            raise Problem(f"{place}: 'best' is 'highest' or 'lowest', not {grid.best!r}.")
        for name in grid.arms:
            if name not in arms:
                raise Problem(f"{place} names an unknown arm {name!r}{did_you_mean(name, arms)}")
    if repeated := {name for grid in found for name in grid.arms if sum(name in g.arms for g in found) > 1}:
        raise Problem(f"{place}: two grids are for the arm {min(repeated)!r}.")
    return found


def claim_digest(test: ClaimTest, root: Path = ROOT) -> str:
    """Digest of all that decides a verdict: the arms' settings, the bands, and the code of the measures."""
    arms = {arm.arm: arm for arm in benchmarks(root)[test.benchmark].arms}
    facts = {
        "arms": [[a, arms[a].method, {**arms[a].set}, {**arms[a].bed_set}] for a in test.arms],
        "bands": [test.holds, test.fails],
        "measures": [
            _code(test.path, name) for name in (test.measure, *(c["measure"] for c in test.controls))
        ],
    }
    return digest(facts)


def claim_digests(benchmark: str, root: Path = ROOT) -> dict[str, dict[str, str]]:
    """For each arm of a benchmark the claims that its runs are evidence for, with the digests of their tests."""
    return _claim_digests(benchmark, root, _state([root / "benchmarks"]))


@lru_cache(maxsize=64)
def _claim_digests(benchmark: str, root: Path, state: State) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for test in claim_tests(root).values():
        if test.benchmark == benchmark:
            for arm in test.arms:
                found.setdefault(arm, {})[test.key] = claim_digest(test, root)
    return found


def _code(path: Path, name: str) -> str:
    """The code of a module-level function with all that it uses of its module, without docstrings."""
    parts: dict[str, str] = {}
    body = {
        getattr(node, "name", None) or getattr(getattr(node, "targets", [None])[0], "id", ""): node
        for node in _parse(path).body
        if isinstance(node, ast.FunctionDef | ast.Assign)
    }
    wanted = [name]
    while wanted:
        current = wanted.pop()
        if current in body and current not in parts:
            parts[current] = _without_docstring(body[current])
            wanted += [node.id for node in ast.walk(body[current]) if isinstance(node, ast.Name)]
    return "\n".join(parts[part] for part in sorted(parts))


def _without_docstring(node: ast.FunctionDef | ast.Assign) -> str:
    if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
        return ast.unparse(node.args) + "\n" + ast.unparse(ast.Module(node.body[1:], []))
    return ast.unparse(node)


def _swept(arms: Iterable[object], root: Path) -> Iterator[object]:
    """The arms, those that say ``"sweep": True`` repeated for each value of their method's knob."""
    for arm in arms:
        if not isinstance(arm, dict) or not arm.get("sweep"):
            yield arm
            continue
        rest = {name: value for name, value in arm.items() if name != "sweep"}
        knob = find_method(str(arm.get("method")), root).knob or {}
        name, values = str(knob.get("name")), knob.get("values", ())
        assert isinstance(values, Iterable)
        for value in values:
            setting = {**arm.get("set", {}), name: value}
            yield {**rest, "arm": f"{arm.get('arm')}, {name} {value:g}", "set": setting}


def find_method(key: str, root: Path = ROOT) -> MethodFacts:
    """Facts of one method, or a sentence that suggests the nearest key."""
    known = methods(root)
    if key not in known:
        raise Problem(f"There is no method {key!r}{did_you_mean(key, known)}")
    return known[key]


def config_values(key: str, overrides: Mapping[str, object] = {}, root: Path = ROOT) -> dict[str, Any]:
    """All settings of a method: defaults, then its preset, then ``overrides``. Imports nothing."""
    facts = find_method(key, root)
    settings = _settings(facts.path, _config_class_name(facts.path))
    return _resolve(settings, {**facts.preset, **overrides}, key)


def bed_values(
    bed: str, overrides: Mapping[str, object] = {}, root: Path = ROOT, method: str | None = None
) -> dict[str, Any]:
    """All settings of a bed: defaults, then what the ``method`` asks for, then ``overrides``. Imports nothing."""
    if method is not None:
        overrides = {**find_method(method, root).bed, **overrides}
    if bed in ("text", "hub"):
        raise Problem(f"The {bed!r} bed is not built yet; use --bed exact.")
    path = root / "beds" / f"{bed}.py"
    if not path.is_file():
        raise Problem(f"There is no bed {bed!r}{did_you_mean(bed, ('exact', 'text', 'hub'))}.")
    return _resolve(_settings(path, f"{bed.capitalize()}Config"), overrides, f"the {bed} bed")


def build_config(key: str, overrides: Mapping[str, object] = {}, root: Path = ROOT) -> Any:
    """The config of a method with ``overrides``; text is parsed by the annotated type. Imports the method."""
    values = config_values(key, overrides, root)
    return load(key, root).config_class(**values)


def load(key: str, root: Path = ROOT) -> Loaded:
    """Import one method."""
    facts = find_method(key, root)
    module = importlib.import_module(facts.module)
    return Loaded(facts, module, getattr(module, _config_class_name(facts.path)), module.train)


def contract_digest(module: str, root: Path = ROOT) -> str:
    """SHA-256 over everything a contract's verdict depends on: method, contract, core, framework, museum."""
    method = root.joinpath(*module.split(".")[1:]).with_suffix(".py")
    contract = method.with_name(f"{method.stem}_contract.py")
    shared = [root / "contracts.py", root / "mutants.py"]
    for folder in ("core", "museum"):
        shared += sorted((root / folder).glob("*.py"))
    total = hashlib.sha256()
    for path in [method, contract, *shared]:
        if path.is_file():
            text = "\n".join(path.read_text(encoding="utf-8").splitlines())
            total.update(f"{path.relative_to(root).as_posix()}\0{text}\0".encode())
    return total.hexdigest()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, or all of them."""
    names = sorted(known)
    if near := difflib.get_close_matches(name, names, n=1, cutoff=0.5):
        return f"; did you mean {near[0]!r}?"
    return f" (known: {', '.join(names)})." if names else "."


def coerce(value: object, annotation: ast.expr) -> object:
    """``value``, text included, as the annotated type; raises ``ValueError`` if it cannot be."""
    match annotation:
        case ast.Constant(value=None):
            if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
                return None
        case ast.Constant(value=str(quoted)):
            return coerce(value, ast.parse(quoted, mode="eval").body)
        case ast.Name(id="str"):
            if isinstance(value, str):
                return value
        case ast.Name(id="bool"):
            return _boolean(value)
        case ast.Name(id="int") if isinstance(value, str):
            return int(value)
        case ast.Name(id="int"):
            if isinstance(value, int) and not isinstance(value, bool):
                return value
        case ast.Name(id="float") if isinstance(value, str | int | float) and not isinstance(value, bool):
            if math.isfinite(number := float(value)):
                return number
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _first_fit(value, (right, left) if ast.unparse(right) == "None" else (left, right))
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return _first_fit(value, (ast.Constant(None), inner))
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            choices = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            for choice in (ast.literal_eval(c) for c in choices):
                if value == choice or value == str(choice):
                    return choice
        case ast.Subscript(value=ast.Name(id="tuple"), slice=inner):
            return _tuple(value, inner.elts if isinstance(inner, ast.Tuple) else [inner])
    raise ValueError(value)


def _first_fit(value: object, alternatives: Iterable[ast.expr]) -> object:
    for alternative in alternatives:
        try:
            return coerce(value, alternative)
        except ValueError:
            continue
    raise ValueError(value)


def _boolean(value: object) -> bool:
    words = {
        "true": True,
        "yes": True,
        "on": True,
        "1": True,
        "false": False,
        "no": False,
        "off": False,
        "0": False,
    }
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError(value)


def _tuple(value: object, kinds: list[ast.expr]) -> tuple[object, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.strip("()[] ").split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError(value)
    if len(kinds) == 2 and isinstance(kinds[1], ast.Constant) and kinds[1].value is ...:
        kinds = [kinds[0]] * len(value)
    if len(kinds) != len(value):
        raise ValueError(value)
    return tuple(coerce(v, kind) for v, kind in zip(value, kinds, strict=True))


def _resolve(settings: Mapping[str, Setting], overrides: Mapping[str, object], owner: str) -> dict[str, Any]:
    for name in overrides:
        if name not in settings:
            raise Problem(f"{owner} has no setting {name!r}{did_you_mean(name, settings)}")
    values = {}
    for setting in settings.values():
        value = overrides.get(setting.name, setting.default)
        if value is MISSING:
            raise Problem(f"{setting.place}: {owner} needs a value for {setting.name!r}.")
        try:
            values[setting.name] = coerce(value, setting.annotation)
        except ValueError:
            kind = ast.unparse(setting.annotation)
            raise Problem(f"{setting.name} of {owner} must be {kind}, not {value!r}.") from None
    return values


def _settings(path: Path, class_name: str) -> dict[str, Setting]:
    """Fields of a dataclass, inherited ones first, in the order that its constructor takes them."""
    node, path = _class(path, class_name)
    found: dict[str, Setting] = {}
    for base in node.bases:
        found |= _settings(path, ast.unparse(base))
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            place = _place(path, item.lineno)
            default = MISSING if item.value is None else _evaluate(item.value, path)
            annotation = _without_alias(item.annotation, _parse(path))
            found[item.target.id] = Setting(item.target.id, annotation, default, place)
    return found


def _without_alias(annotation: ast.expr, tree: ast.Module) -> ast.expr:
    """What an annotation like ``Baseline`` stands for if the file says ``Baseline = Literal[...]``."""
    alias = _assignment(tree, annotation.id) if isinstance(annotation, ast.Name) else None
    return alias.value if alias is not None and alias.value is not None else annotation


def _class(path: Path, name: str) -> tuple[ast.ClassDef, Path]:
    """A class defined in a file, or imported there from another file of the package."""
    tree = _parse(path)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node, path
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            package, *rest = (node.module or "").split(".")
            for folder in path.parents:
                if folder.name == package:
                    return _class(folder.joinpath(*rest).with_suffix(".py"), name)
    raise Problem(f"{_place(path, 1)}: the file defines no class {name!r}.")


def _config_class_name(path: Path) -> str:
    """Name of the class that annotates the ``config`` argument of ``train``."""
    for node in _parse(path).body:
        if isinstance(node, ast.FunctionDef) and node.name == "train":
            for argument in node.args.args + node.args.kwonlyargs:
                if argument.arg == "config" and argument.annotation is not None:
                    return ast.unparse(argument.annotation).strip("'\"")
            raise Problem(f"{_place(path, node.lineno)}: train has no annotated argument 'config'.")
    raise Problem(f"{_place(path, 1)}: the file defines no function 'train'.")


def _branches(root: Path) -> list[Path]:
    return [Path(e.path) for e in os.scandir(root) if e.is_dir() and e.name not in NOT_BRANCHES]


def _method_files(root: Path) -> Iterator[Path]:
    for folder in sorted(_branches(root)):
        yield from (p for p in sorted(folder.glob("*.py")) if not p.stem.endswith("_contract"))


def _state(folders: Iterable[Path]) -> State:
    """Name, time and size of every Python file in some folders: something that changes when one of them does."""
    found = (entry for folder in folders if folder.is_dir() for entry in os.scandir(folder))
    files = ((entry.path, entry.stat()) for entry in found if entry.name.endswith(".py"))
    return tuple(sorted((path, stat.st_mtime_ns, stat.st_size) for path, stat in files))


def _benchmark_files(root: Path) -> list[Path]:
    return sorted((root / "benchmarks").glob("*.py"))


def _literal_entries(path: Path, name: str) -> Iterator[tuple[str, Mapping[str, object], int]]:
    """Key, value and line of each entry of a module-level dictionary of dictionaries."""
    node = _assignment(_parse(path), name)
    if node is None:
        return
    if not isinstance(node.value, ast.Dict):
        raise Problem(f"{_place(path, node.lineno)}: {name} is not a dictionary.")
    seen = set()
    for key_node, entry_node in zip(node.value.keys, node.value.values, strict=True):
        line = entry_node.lineno if key_node is None else key_node.lineno
        key = None if key_node is None else _evaluate(key_node, path)
        entry = _evaluate(entry_node, path)
        if not isinstance(key, str) or not isinstance(entry, dict) or key in seen:
            raise Problem(f"{_place(path, line)}: {name} needs distinct text keys with dictionaries.")
        seen.add(key)
        yield key, entry, line


def _fill(kind: type[Any], entry: object, here: Mapping[str, object], place: str) -> Any:
    """A facts dataclass from a literal, closed: every unknown and every missing field is an error."""
    if not isinstance(entry, Mapping):
        raise Problem(f"{place} is not a dictionary.")
    wanted = {f.name: f for f in fields(kind) if f.name not in here}
    for name in entry:
        if name not in wanted:
            raise Problem(f"{place} has an unknown field {name!r}{did_you_mean(str(name), wanted)}")
    for name, f in wanted.items():
        if name not in entry and f.default is MISSING and f.default_factory is MISSING:
            raise Problem(f"{place} lacks the field {name!r}.")
    lists = {name: tuple(value) for name, value in entry.items() if isinstance(value, list)}
    return kind(**{**entry, **lists, **here})


def _assignment(tree: ast.Module, name: str) -> ast.Assign | ast.AnnAssign | None:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in [getattr(t, "id", "") for t in targets]:
            return node
    return None


def _evaluate(node: ast.expr, path: Path) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        guilty = next((n for n in ast.walk(node) if isinstance(n, _NOT_LITERAL)), node)
        line = getattr(guilty, "lineno", node.lineno)
        raise Problem(
            f"{_place(path, line)}: {ast.unparse(guilty)!r} is not a literal, and it is read without running."
        ) from None


_NOT_LITERAL = (ast.Name, ast.Call, ast.Attribute, ast.BinOp, ast.Subscript, ast.comprehension, ast.JoinedStr)


def _parse(path: Path) -> ast.Module:
    try:
        return _parsed(path, _version(path))
    except SyntaxError as error:
        raise Problem(f"{_place(path, error.lineno)}: {error.msg}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{_place(path, 1)}: cannot be read: {error}.") from None


@lru_cache(maxsize=256)
def _parsed(path: Path, version: tuple[int, int]) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _version(path: Path) -> tuple[int, int]:
    """Something that changes when a file does."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


def _place(path: Path, line: int | None) -> str:
    """``file:line`` as errors name it."""
    shown = path.relative_to(ROOT.parent) if path.is_relative_to(ROOT.parent) else path
    return f"{shown.as_posix()}:{line}"


def _dotted(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root.parent).with_suffix("").parts)
