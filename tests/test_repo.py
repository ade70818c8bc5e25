"""The house rules: which part may import which, what no file may say, and that the documents are true."""

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

NOT_METHODS = {"beds", "benchmarks", "core", "museum", "records"}
METHODS = tuple(
    p.parent.name
    for p in sorted(ROOT.glob("reference_impls/*/__init__.py"))
    if p.parent.name not in NOT_METHODS
)
BARE = {"torch", "transformers", "numpy", "pandas", "networkx", "yaml", "rich", "typer", "safetensors"}
HEAVY = {"torch", "transformers", "safetensors", "trl", "datasets", "accelerate"}
WITHOUT_TORCH = ("registry.py", "records.py", "records_io.py", "contract_record.py", "cli.py")

# Joined here so that this file does not contain what it looks for.
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("download", "pytorch", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("deb", "debian", "org"),
        ("anaconda", "org"),
        ("crates", "io"),
    )
]
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:" + "|".join(("work", "root", "opt", r"home/\w+")) + ")/")
COMMAND = re.compile(r"(?<![\w.-])((?:rlhf|make|python -m reference_impls) [^`\n]*)")


@cache
def files() -> list[Path]:
    """Every file that is or would be committed."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def sources(*folders: str) -> list[Path]:
    """The Python files under folders of the repository."""
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, top_level_only: bool = False) -> Iterator[tuple[int, str]]:
    """Line and full module name of each import, at whatever depth; `from a import b` gives a.b."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def forbidden(paths: list[Path], *packages: str, top_level_only: bool = False) -> list[str]:
    """Imports of the packages, as `file:line imports name`."""
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in paths
        for line, name in imports(path, top_level_only)
        if within(name, *packages)
    ]


def inside(*names: str) -> tuple[str, ...]:
    return tuple(f"reference_impls.{name}" for name in names)


def method_files(contracts: bool) -> list[Path]:
    """The contract files, or the method files they stand beside."""
    found = [p for p in sources(*(f"reference_impls/{name}" for name in METHODS)) if p.stem != "__init__"]
    return [p for p in found if p.stem.endswith("_contract") == contracts]


def test_reference_impls_need_only_what_a_bare_machine_has() -> None:
    allowed = BARE | set(sys.stdlib_module_names) | {"reference_impls"}
    foreign = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources("reference_impls")
        for line, name in imports(path)
        if name.partition(".")[0] not in allowed
    ]
    assert foreign == []


def test_scripts_never_import_torch() -> None:
    assert forbidden(sources("scripts"), *HEAVY) == []


def test_what_scripts_read_of_the_implementations_imports_no_torch() -> None:
    light = [ROOT / "reference_impls" / name for name in WITHOUT_TORCH]
    light += [*sources("reference_impls/benchmarks"), ROOT / "reference_impls" / "__init__.py"]
    assert forbidden([path for path in light if path.exists()], *HEAVY, top_level_only=True) == []


def test_core_knows_neither_beds_nor_methods() -> None:
    assert (
        forbidden(sources("reference_impls/core"), *inside("beds", "benchmarks", "harness", *METHODS)) == []
    )


def test_beds_know_no_methods() -> None:
    assert forbidden(sources("reference_impls/beds"), *inside("benchmarks", "harness", *METHODS)) == []


def test_methods_know_nothing_that_runs_them() -> None:
    above = inside("harness", "cli", "records", "registry", "benchmarks", "contracts", "mutants", "museum")
    assert forbidden(method_files(contracts=False), *above) == []


def test_contracts_never_import_the_method_they_judge() -> None:
    found = forbidden(method_files(contracts=True), *inside(*METHODS))
    assert [line for line in found if "_contract." not in line] == [], (
        "another contract's small spaces may be used"
    )


def test_every_method_file_has_a_contract_beside_it() -> None:
    wanted = {p.with_name(f"{p.stem}_contract.py") for p in method_files(contracts=False)}
    assert wanted == set(method_files(contracts=True))


def test_the_record_of_the_contracts_is_of_todays_code() -> None:
    from reference_impls import contract_record

    entries = contract_record.read()
    again = "run `rlhf contract --commit`"
    assert set(entries) == set(contract_record.contract_modules()), again
    assert contract_record.stale(entries) == [], again
    assert {module for module, entry in entries.items() if entry["status"] != "pass"} == set()


def test_trl_is_imported_only_by_the_parity_tests() -> None:
    others = [
        p for p in sources("reference_impls", "scripts", "tests") if not {"parity", "data"} & set(p.parts)
    ]
    assert forbidden(others, "trl", "datasets", "accelerate") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["list", "methods", "--json"],
        ["list", "categories", "--json"],
        ["list", "papers", "--json"],
        ["coverage", "--json"],
        ["build", "--strict", "--out", "{tmp}"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_listing_checking_and_building_need_no_torch(arguments: list[str], tmp_path: Path) -> None:
    program = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(HEAVY)!r}))\n"
        "from scripts.cli import main\n"
        "main()\n"
    )
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    command = [sys.executable, "-c", program, *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_no_file_names_a_package_registry_or_a_path_of_one_machine() -> None:
    found = []
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            for host in HOSTS:
                if host in line:
                    found.append(f"{path.relative_to(ROOT)}:{number} names {host}")
            if match := MACHINE_PATHS.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number} holds a machine's path: {match[0]}")
    assert found == []


def test_git_ignores_no_source() -> None:
    here = {
        p for folder in ("reference_impls", "scripts", "tests", "docs") for p in (ROOT / folder).rglob("*")
    }
    lost = {
        p for p in here - set(files()) if p.is_file() and not {"__pycache__", ".hypothesis"} & set(p.parts)
    }
    assert {str(p.relative_to(ROOT)) for p in lost} == set()


def test_no_large_file_and_no_link_is_committed() -> None:
    large = [f"{p.relative_to(ROOT)}: {p.stat().st_size} bytes" for p in files() if p.stat().st_size > 2**20]
    links = [str(p.relative_to(ROOT)) for p in files() if p.is_symlink()]
    assert large + links == []


def test_tests_mirror_the_tree() -> None:
    folders = {p.parent.relative_to(ROOT / "tests") for p in (ROOT / "tests").rglob("test_*.py")}
    free = {Path("."), Path("parity"), Path("parity/dropped")}
    lost = [
        str(folder) for folder in folders - free if folder.parts[0] != "data" and not (ROOT / folder).is_dir()
    ]
    assert lost == []


def test_the_licences_are_there_in_full() -> None:
    code = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in code and "END OF TERMS AND CONDITIONS" in code
    catalogue = (ROOT / "LICENSE-CATALOGUE").read_text(encoding="utf-8")
    assert "Creative Commons Attribution 4.0 International Public License" in catalogue
    assert "Section 8 -- Interpretation." in catalogue
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["license"] == [
        "Apache-2.0",
        "CC-BY-4.0",
    ]


def requirements() -> list[Requirement]:
    project = PYPROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def test_constraints_pin_every_direct_dependency_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {r.name.lower(): r for r in map(Requirement, (x for x in lines if x and not x.startswith("#")))}
    assert set(pinned) == {r.name.lower() for r in requirements()}
    for wanted in requirements():
        (pin,) = pinned[wanted.name.lower()].specifier
        assert pin.operator == "==" and wanted.specifier.contains(pin.version), wanted


def test_the_floors_are_as_promised() -> None:
    floors = {r.name: str(r.specifier) for r in requirements()}
    assert PYPROJECT["project"]["requires-python"] == ">=3.11"
    assert ">=2.11" in floors["torch"] and ">=5.17" in floors["transformers"]
    assert ">=9.8.1" in floors["mkdocs-material"]


def test_workflows_and_forms_are_readable_and_ask_for_no_secret() -> None:
    documents = [*(ROOT / ".github").rglob("*.yml")]
    assert {"ci.yml", "pages.yml", "gpu.yml", "add-a-paper.yml", "fix-an-entry.yml"} <= {
        p.name for p in documents
    }
    for path in documents:
        text = path.read_text(encoding="utf-8")
        assert isinstance(yaml.safe_load(text), dict), path.name
        assert "secrets." not in text, path.name


def test_ci_runs_the_command_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert re.search(r"^make test$", script.read_text(encoding="utf-8"), re.M)


def documented_commands() -> list[tuple[str, str]]:
    """Each command that a document shows, in a fence or between backticks."""
    shown = []
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        code = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.M | re.S)
        code += re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S))
        for line in "\n".join(code).splitlines():
            match = COMMAND.match(line.strip())
            if match:
                shown.append((name, re.split(r"\s{2,}#|\s+#\s", match[1])[0].strip()))
    return sorted(set(shown))


@cache
def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+):", text, re.M))


def unknown_words(command: str) -> list[str]:
    """Sub-commands and options of a documented `rlhf` command that the program does not have."""
    import typer.main

    import reference_impls.cli
    import scripts.cli

    scripts.cli.mount()
    here = typer.main.get_command((reference_impls if command.startswith("python") else scripts).cli.app)
    words = shlex.split(re.sub(r"[\[\]…]", " ", command.replace("python -m reference_impls", "rlhf")))[1:]
    unknown = []
    for word in words:
        below = getattr(here, "commands", {})
        if word in below:
            here = below[word]
        elif below and not word.startswith("-"):
            return [word]
        elif word.startswith("--"):
            known = {option for parameter in here.params for option in parameter.opts}
            if word.partition("=")[0] not in known | {"--help"}:
                unknown.append(word)
    return unknown


@pytest.mark.parametrize(("document", "command"), documented_commands())
def test_documented_commands_exist(document: str, command: str) -> None:
    if command.startswith("make "):
        wanted = [w for w in shlex.split(command)[1:] if "=" not in w and w != "…"]
        assert set(wanted) <= make_targets(), f"{document}: {command}"
    else:
        assert unknown_words(command) == [], f"{document}: {command}"


def test_the_documents_link_to_files_that_exist() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        targets = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / name).read_text(encoding="utf-8"))
        gone = [t for t in targets if "://" not in t and not (ROOT / t).exists()]
        assert gone == [], name
