"""Whatever stops a writing command, the tree is as it was before."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from scripts import cli
from scripts.catalog import source
from scripts.catalog.source import all_or_nothing, replacing

THIRD = "@misc{x, title={Third Paper}, author={Jane Doe}, year={2022}, url={https://example.org/}}\n"
FOURTH = THIRD.replace("Third", "Fourth").replace("org/", "org/4")
COMMANDS = {
    "add": ("add", "--bibtex", "{home}/../new.bib"),
    "fix": ("fix",),
    "rename": ("rename", "doe2021first"),
    "export": ("export", "json", "--out", "{home}/../catalogue.json"),
}


def tree(*homes: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() if p.is_file() else b"" for home in homes for p in sorted(home.rglob("*"))}


@pytest.fixture
def busy(home: Path) -> Path:
    """A catalogue in which every command has something to do."""
    for name, title in (("first", "Foremost"), ("second", "Second")):
        path = home / f"papers/2021/doe2021{name}.bib"
        path.write_text(path.read_text().replace(name.capitalize(), title).replace("{RLHF}", "RLHF") + "\n\n")
        path.write_text(path.read_text().replace("  title", "\ttitle"))
    (home.parent / "new.bib").write_text(THIRD + FOURTH)
    return home


def words(home: Path, command: str) -> list[str]:
    return [word.format(home=home) for word in COMMANDS[command]] + (
        [str(home)] if command == "fix" else ["--root", str(home)]
    )


def call(home: Path, command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        cli.main(words(home, command))
    return int(left.value.code or 0), capsys.readouterr().err


def raise_at(step: int, error: BaseException, real: Callable[..., None]) -> Callable[..., None]:
    left = [step]

    def patched(*arguments: object, **named: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise error
        real(*arguments, **named)

    return patched


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("place", ["replace", "chmod"])
def test_a_failure_at_any_step_changes_nothing(
    busy: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    error: BaseException,
    place: str,
) -> None:
    before = tree(busy.parent)
    for step in range(1, 20):
        with monkeypatch.context() as patch:
            patch.setattr(source.os, place, raise_at(step, error, getattr(os, place)))
            code, said = call(busy, command, capsys)
        if code < 2:
            assert step > 1, "the command never came to the step that fails"
            return
        assert tree(busy.parent) == before
        assert (code, said) == (
            (130, "")
            if isinstance(error, KeyboardInterrupt)
            else (2, "rlhf: No space left on device; nothing is half-written.\n")
        )
    pytest.fail("it failed at every step")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_limit_on_file_sizes_is_a_full_disk(busy: Path, root: Path, command: str) -> None:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))

    before = tree(busy.parent)
    run = subprocess.run(
        [sys.executable, "-B", "-m", "scripts.cli", *words(busy, command)],
        cwd=root,
        capture_output=True,
        text=True,
        preexec_fn=limit,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2 and run.stderr.startswith("rlhf: ") and run.stderr.count("\n") == 1
    assert "too large" in run.stderr and tree(busy.parent) == before


def write_three(home: Path) -> None:
    with all_or_nothing(home) as write:
        write(home / "new" / "one.bib", "one\n")
        write(home / "old.bib", "two\n")
        write(home / "gone.bib", None)


def replace_folder(home: Path) -> None:
    with replacing(home / "site") as new:
        (new / "index.html").write_text("new\n")


def write_one(home: Path) -> None:
    source.write_atomic(home / "deep" / "er" / "one.json", "{}\n")


@pytest.mark.parametrize("work", [write_three, replace_folder, write_one])
@pytest.mark.parametrize("name", source.STOPS)
def test_a_signal_at_every_line_of_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[Path], None], name: signal.Signals
) -> None:
    """All or nothing wherever it comes, also for who loses patience and sends it again while things are undone."""
    left = 0

    def strike(frame: FrameType, event: str, _: object) -> object:
        nonlocal left
        if frame.f_code.co_filename != source.__file__ or frame.f_code.co_name in ("came", "stops"):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                signal.raise_signal(name)
        return strike

    def impatient(real: Callable[..., None]) -> Callable[..., None]:
        def patched(*arguments: object, **named: object) -> None:
            if left <= 0:
                signal.raise_signal(name)
            real(*arguments, **named)

        return patched

    monkeypatch.setattr(source.os, "replace", impatient(os.replace))
    monkeypatch.setattr(source.shutil, "rmtree", impatient(shutil.rmtree))
    before = signal.signal(name, signal.default_int_handler)
    try:
        for line in range(1, 500):
            home = tmp_path / str(line)
            (home / "site").mkdir(parents=True)
            for file in ("old.bib", "gone.bib", "site/index.html"):
                (home / file).write_text("old\n")
            was, left, stopped = tree(home), line, False
            sys.settrace(strike)  # type: ignore[arg-type]
            try:
                work(home)
            except KeyboardInterrupt:
                stopped = True
            finally:
                sys.settrace(None)
            assert (tree(home) == was) is stopped, f"line event {line}"
            if left > 0:
                return
    finally:
        signal.signal(name, before)
    pytest.fail("it never ended")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_signals_at_random_moments(busy: Path, root: Path, name: str) -> None:
    """Before or after, and never in between; after SIGKILL, which nobody can catch, every file is whole."""
    draw = random.Random(name)
    for round_, command in enumerate(("rename", "fix", "add")):
        home = Path(shutil.copytree(busy, busy.parent / f"copy{round_}"))
        before = tree(home)
        process = subprocess.Popen(
            [sys.executable, "-B", "-m", "scripts.cli", *words(home, command)],
            cwd=root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(draw.uniform(0.2, 0.8))
        process.send_signal(getattr(signal, name))
        said = process.communicate(timeout=60)[1]
        after = tree(home)
        if process.returncode == 130 or before == after:
            assert before == after and "Traceback" not in said
        else:
            whole = {
                path: raw
                for path, raw in after.items()
                if "/.rlhf-" not in path and Path(path).name[0] != "."
            }
            assert all(raw.endswith(b"\n") for path, raw in whole.items() if Path(path).is_file())


def test_a_full_standard_output_is_one_sentence(root: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "wb") as full:
        run = subprocess.run(
            [sys.executable, "-m", "scripts.cli", "export", "csv", "--root", str(root / "tests/data/good")],
            cwd=root,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert run.returncode == 2
    assert run.stderr.startswith("rlhf: No space left on device") and "Traceback" not in run.stderr


def test_new_folders_go_again(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), all_or_nothing(tmp_path) as write:
        write(tmp_path / "a" / "b" / "c.bib", "text\n")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced_when_it_is_whole(tmp_path: Path) -> None:
    site = tmp_path / "site"
    with replacing(site) as new:
        (new / "index.html").write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(site) as new:
        (new / "index.html").write_text("half")
        raise KeyboardInterrupt
    assert (site / "index.html").read_text() == "old"
    with replacing(site) as new:
        (new / "other.html").write_text("new")
    assert [p.name for p in tmp_path.rglob("*.html")] == ["other.html"] and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_moved_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("old")
    for step in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(source.os, "replace", raise_at(step, OSError(28, "full"), os.replace))
            with pytest.raises(OSError, match="full"), replacing(tmp_path / "site"):
                pass
        assert (tmp_path / "site" / "index.html").read_text() == "old"
        assert len(list(tmp_path.iterdir())) == 1
