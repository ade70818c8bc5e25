"""The `rlhf` command as a user meets it."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import cli


def rlhf(*arguments: str, into: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.cli", *arguments]
    return subprocess.run(command, input=into, capture_output=True, text=True, timeout=120, check=False)


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run in this process: quicker, and `SystemExit` is all that may come out."""
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    shown = capsys.readouterr()
    return int(left.value.code or 0), shown.out, shown.err


COMMANDS = (
    "check fix add list show run bench verify contract museum kl-table gradient-table same-name build serve export "
    "coverage"
)


def test_every_promised_command_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS.split():
        code, out, _ = call(capsys, command, "--help")
        assert code == 0 and "Usage" in out


def test_no_torch() -> None:
    commands = [
        "check",
        "coverage --json",
        "show dpo",
        "export json",
        "list papers --seed-papers",
        "run --help",
    ]
    commands += [f"list {kind} --json" for kind in ("methods", "categories", "claims", "beds")]
    code = (
        "import sys\n"
        "from scripts.cli import main\n"
        f"for command in {commands!r}:\n"
        "    try:\n"
        "        main(command.split())\n"
        "    except SystemExit as left:\n"
        "        assert left.code in (None, 0, 1), command\n"
        "    heavy = {'torch', 'transformers', 'safetensors'} & set(sys.modules)\n"
        "    assert not heavy, (command, heavy)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("kind", ["methods", "categories", "papers", "claims", "beds"])
def test_lists_are_pure_json_and_tables(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    code, out, err = call(capsys, "list", kind, "--json")
    rows = json.loads(out)
    assert code == 0 and err == "" and isinstance(rows, list) and rows
    code, out, _ = call(capsys, "list", kind)
    assert code == 0 and str(rows[0].get("key", rows[0].get("id"))) in out


def test_the_map_is_as_large_as_promised(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(call(capsys, "list", "categories", "--json")[1])
    assert len(rows) >= 40
    assert all(row["question"].endswith("?") and (row["methods"] or row["reason"]) for row in rows)
    assert len(json.loads(call(capsys, "list", "papers", "--json")[1])) >= 40
    assert len(json.loads(call(capsys, "list", "papers", "--seed-papers", "--json")[1])) == 11


def test_check_exit_codes_and_formats(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "check", str(home))
    assert code == 0 and out.startswith("no problems in 2 entries")
    assert call(capsys, "check", str(home), "--format", "github")[:2] == (0, "")
    path = home / "papers/2021/doe2021first.yaml"
    path.write_text(path.read_text().replace("basis: abstract", 'basis: "100%,: <x>"'))
    code, out, err = call(capsys, "check", "--root", str(home), "--json")
    document = json.loads(out)
    assert (code, err) == (1, "")
    assert set(document) == {"findings", "entries", "seconds"} and document["entries"] == 2
    assert document["findings"][0]["file"].endswith("papers/2021/doe2021first.yaml")
    code, out, _ = call(capsys, "check", str(path), "--format", "github")
    assert code == 1 and out.count("\n") == 1
    assert out.startswith("::error file=") and "line=6,col=8,title=S004::basis: '100%25,: <x>'" in out
    assert call(capsys, "check", str(home / "papers/2021/doe2021second.yaml"))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("check", "/nowhere"), "/nowhere does not exist."),
        (("check", "--root", "/"), "/ holds no catalogue"),
        (("check", "--format", "xml"), "Invalid value for '--format'"),
        (("list", "paper"), "did you mean 'papers'?"),
        (("lst",), "No such command 'lst'"),
        (("show", "rafailov2023direkt"), "did you mean 'rafailov2023direct'?"),
        (("add",), "Give either an arXiv id or a DOI, or --bibtex FILE, or --issue FILE."),
        (("add", "--bibtex", "/nowhere.bib"), "/nowhere.bib cannot be read: No such file or directory."),
        (("add", "--bibtex", "/dev/zero"), "/dev/zero is larger than 1,000,000 bytes."),
        (("export", "xml"), "Invalid value"),
    ],
)
def test_failures_are_one_sentence_and_code_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert sentence in err and err.startswith("rlhf: ") and err.count("\n") == 1


def test_a_bug_is_one_sentence_too(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("some\nbug")

    monkeypatch.setattr("scripts.catalog.check.load", explode)
    assert call(capsys, "check", str(home)) == (2, "", "rlhf: unexpected RuntimeError: some bug\n")


def test_codes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    from scripts.catalog.findings import CODES

    code, out, _ = call(capsys, "check", "--codes")
    assert code == 0 and {line.split()[0] for line in out.splitlines()} == set(CODES) and "B018" in CODES


def test_fix_says_what_it_did(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "papers/2021/doe2021first.bib"
    good = path.read_text()
    path.write_text(good.replace("{RLHF}", "RLHF"))
    code, out, _ = call(capsys, "fix", str(home), "--dry-run")
    assert code == 1 and "would repair" in out and "RLHF" in out
    code, out, _ = call(capsys, "fix", str(home))
    assert code == 0 and "repaired" in out and "0 problems left" in out
    assert path.read_text() == good


def test_add_from_file_and_from_standard_input(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "@misc{x, title={Third Paper}, author={Jane Doe}, year={2022}, url={https://example.org/}}"
    (home / "third.bib").write_text(text)
    code, out, _ = call(
        capsys, "add", "--root", str(home), "--bibtex", str(home / "third.bib"), "--category", "alpha"
    )
    assert code == 0 and out.count("wrote ") == 2 and "TODO" in out
    assert (home / "papers/2022/doe2022third.yaml").read_text().startswith("categories: [alpha]")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.replace("Third", "Fourth").encode())))
    assert call(capsys, "add", "--root", str(home), "--bibtex", "-")[0] == 0
    code, _, err = call(capsys, "add", "--root", str(home), "--bibtex", str(home / "third.bib"))
    assert code == 2 and "there already" in err
    code, _, err = call(capsys, "add", "--root", str(home), "--bibtex", "-", "--category", "alpa")
    assert code == 2 and "did you mean 'alpha'?" in err
    (home / "third.bib").write_text("@misc{x, title={Third")
    code, out, _ = call(capsys, "add", "--root", str(home), "--bibtex", str(home / "third.bib"))
    assert code == 1 and "B001" in out


def test_add_by_arxiv_id_names_the_offline_way(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    code, out, err = call(capsys, "add", "2305.18290", "--root", str(home))
    assert (code, out) == (2, "")
    assert "needs the network" in err and "--bibtex FILE" in err


def test_exports(home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for form in ("bib", "csv", "json", "graphml"):
        code, out, _ = call(capsys, "export", form, "--root", str(home))
        assert code == 0 and "doe2021first" in out
        target = tmp_path / f"catalogue.{form}"
        assert call(capsys, "export", form, "--root", str(home), "--out", str(target))[:2] == (0, "")
        assert target.read_text(encoding="utf-8") == out


def test_build_and_serve_are_handed_on(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[object, ...]] = []
    fake = type(sys)("scripts.site.build")
    fake.build_site = lambda *arguments: seen.append(arguments)  # type: ignore[attr-defined]
    fake.serve_site = lambda *arguments: seen.append(arguments)  # type: ignore[attr-defined]
    fake.write_pages = lambda *arguments: seen.append(arguments) or []  # type: ignore[attr-defined, func-returns-value]
    monkeypatch.setitem(sys.modules, "scripts.site.build", fake)
    assert call(capsys, "build", "--root", str(home), "--out", "there", "--strict")[0] == 0
    assert call(capsys, "serve", "--root", str(home), "--port", "8001")[0] == 0
    assert call(capsys, "build", "--root", str(home), "--pages", "leaves")[0] == 0
    assert seen == [(home, Path("there"), True), (home, "127.0.0.1", 8001), (home, Path("leaves"))]


def test_from_a_shell_in_another_folder(home: Path, tmp_path: Path, root: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "scripts.cli", "check"],
        cwd=home / "papers",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "2 entries" in run.stdout


def test_hostile_titles_do_not_style_the_terminal(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "papers/2021/doe2021first.bib"
    path.write_text(path.read_text().replace("First Words", "First [red]Words[/red] [/]"))
    code, out, _ = call(capsys, "list", "papers", "--root", str(home))
    assert code == 0 and "[red]Words[/red] [/]" in out


def test_one_file_is_checked_in_well_under_a_second(home: Path) -> None:
    run = rlhf("check", str(home / "papers/2021/doe2021first.yaml"), "--json")
    assert json.loads(run.stdout)["seconds"] < 1
