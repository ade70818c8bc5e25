"""Repairs change what they must and nothing else."""

import shutil
from pathlib import Path

import pytest

from scripts.catalog.check import Scope, check, check_scope
from scripts.catalog.fix import apply_edits, fix
from scripts.catalog.load import load
from scripts.catalog.model import Edit
from scripts.catalog.source import write_atomic

BIB = "papers/2021/doe2021first.bib"


def test_edits_that_overlap_wait() -> None:
    edits = [Edit(0, 3, "x"), Edit(2, 4, "y"), Edit(4, 4, ","), Edit(4, 4, ",")]
    assert apply_edits("abcdef", edits) == "aby,ef"


def test_a_clean_catalogue_is_left_alone(home: Path) -> None:
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in home.rglob("*.*")}
    assert fix(Scope(home)).fixed == ()
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in home.rglob("*.*")} == before


def test_only_the_faulty_lines_change_and_comments_stay(home: Path) -> None:
    path = home / "papers/2021/doe2021first.yaml"
    good = path.read_text().replace("summary: >-", "summary: >-   # <why>  so")
    path.write_text(good.replace("The second sentence says", "The  second sen\u200btence\u00a0says  "))
    assert {f.code for f in fix(Scope(home)).fixed} == {"S009", "F006", "F007"}
    assert path.read_text() == good
    assert path.read_text().startswith("# a comment that stays\n")


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("{RLHF}", "RLHF"),
        ("  author = ", "  AUTHOR = "),
        ("},\n  year", "}\n  year"),
        ("{2101.00001},\n", "{arXiv:2101.00001v2},\n"),
        ("https://arxiv.org/abs/2101.00001", "http://arxiv.org/pdf/2101.00001v1"),
        ("First Words", "First  Words"),
        ("@misc{doe2021first,", "@misc{first,"),
        ("}\n", "}"),
        ("  year", "\tyear"),
        ("Jane", "Ja\u200bne"),
    ],
)
def test_repairs_restore_the_entry(home: Path, good: str, bad: str) -> None:
    path = home / BIB
    text = path.read_text()
    place = text.rindex(good) if good == "}\n" else text.index(good)
    path.write_text(text[:place] + bad + text[place + len(good) :])
    assert check(load(home)) != []
    assert fix(Scope(home)).left == ()
    assert path.read_text() == text


@pytest.mark.parametrize("change", [lambda b: b.replace(b"\n", b"\r\n"), lambda b: b"\xef\xbb\xbf" + b])
def test_encoding_is_repaired(home: Path, change) -> None:  # type: ignore[no-untyped-def]
    path = home / BIB
    raw = path.read_bytes()
    path.write_bytes(change(raw))
    assert fix(Scope(home)).left == ()
    assert path.read_bytes() == raw


def test_dry_run_and_scope_write_nothing_else(home: Path) -> None:
    for name in ("doe2021first", "doe2021second"):
        path = home / f"papers/2021/{name}.bib"
        path.write_text(path.read_text().replace("{RLHF}", "RLHF"))
    before = (home / BIB).read_text()
    assert len(fix(Scope(home), dry_run=True).fixed) == 2
    assert (home / BIB).read_text() == before
    fix(Scope(home, ("papers/2021/doe2021second.bib",)))
    assert (home / BIB).read_text() == before
    assert len(check_scope(Scope(home)).findings) == 1


def test_the_whole_broken_corpus_can_be_repaired_as_far_as_it_goes(tmp_path: Path, root: Path) -> None:
    home = Path(shutil.copytree(root / "tests/data/broken", tmp_path / "broken"))
    repair = fix(Scope(home))
    assert len(repair.fixed) >= 15
    assert [f for f in repair.left if f.edit] == []
    assert fix(Scope(home)).fixed == ()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bib"
    write_atomic(path, "old\n")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_atomic(path, "new\n")
    assert path.read_text() == "old\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bib"]
