"""Reading files that nobody vouches for: caps, encoding, newlines, invisible characters."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from .findings import at, declare, in_file
from .model import Edit, Finding, Source

MAX_BYTES = 100_000
MAX_TAXONOMY_BYTES = 1_000_000
MAX_CHARACTER_FINDINGS = 1_000

declare(
    F001="not UTF-8",
    F002="byte-order mark",
    F003="Windows line ends",
    F004="control character",
    F005="tab",
    F006="invisible character",
    F007="unusual space",
    F008="not NFC",
    F009="trailing space or no newline at the end",
    F010="too large",
    F011="symbolic link",
    F012="cannot be read",
    F014="look-alike letter",
)

_SUSPECT = re.compile(r"[^\n\x20-\x7e]")
_LINE_BREAKS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_TRAILING = re.compile(r"(?<![ \t])[ \t]+$", re.M)
# Characters that show as nothing although Unicode counts them as letters, marks or symbols.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
# Cyrillic, or Greek letters drawn like Latin ones, inside a Latin word; letters that copy ASCII elsewhere.
_FOREIGN = "\u0400-\u052fΑΒΕΖΗΙΚΜΝΟΡΤΥΧο"
_LOOKALIKE = re.compile(
    f"(?<=[A-Za-z])[{_FOREIGN}]|[{_FOREIGN}](?=[A-Za-z])|[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\U0001d400-\U0001d7ff]"
)


def read_source(root: Path, path: Path, cap: int = MAX_BYTES) -> tuple[Source | None, list[Finding]]:
    """Read one regular file; whatever is wrong with its bytes becomes findings."""
    file = path.relative_to(root).as_posix()
    if path.is_symlink():
        return None, [in_file(file, "F011", "symbolic links are not followed", "commit the file itself")]
    try:
        if not path.is_file():
            return None, [in_file(file, "F012", "not a regular file")]
        size = path.stat().st_size
        if size > cap:
            return None, [in_file(file, "F010", f"{size:,} bytes; the limit is {cap:,}")]
        raw = path.read_bytes()
    except OSError as error:
        return None, [in_file(file, "F012", f"cannot be read: {error.strerror}")]
    return decode(file, raw)


def decode(file: str, raw: bytes) -> tuple[Source | None, list[Finding]]:
    """Bytes to normalised text plus findings about encoding and characters."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        return None, [Finding(file, line, column, "F001", message, "save the file as UTF-8")]
    findings = []
    rewrite = Edit(0, 0, "")
    if text.startswith("\ufeff"):
        text = text[1:]
        findings.append(Finding(file, 1, 1, "F002", "byte-order mark", "save without it", rewrite))
    if "\r\n" in text:
        line = text[: text.index("\r\n")].count("\n") + 1
        text = text.replace("\r\n", "\n")
        findings.append(Finding(file, line, 1, "F003", "Windows line ends", "use \\n line ends", rewrite))
    original = text
    suspects = list(_SUSPECT.finditer(text))
    blank = {m.start() for m in suspects if _is_control(m.group())}
    if blank:
        text = "".join(" " if i in blank else c for i, c in enumerate(text))
    starts = (0, *(m.end() for m in re.finditer("\n", text)))
    source = Source(file, text, starts)
    listed = suspects[:MAX_CHARACTER_FINDINGS]
    findings += [f for m in listed if (f := _character(source, m.start(), m.group()))]
    findings += [_lookalike(source, m) for m in islice(_LOOKALIKE.finditer(text), MAX_CHARACTER_FINDINGS)]
    findings += _layout(source, original)
    return source, findings


def _is_control(char: str) -> bool:
    return char != "\t" and (unicodedata.category(char) in ("Cc", "Cs", "Cn", "Co") or char in _LINE_BREAKS)


def _character(source: Source, offset: int, char: str) -> Finding | None:
    name = f"U+{ord(char):04X} {unicodedata.name(char, '')}".strip()

    def replace(by: str) -> Edit:
        return Edit(offset, offset + 1, by)

    if char == "\t":
        edit = replace("  ") if source.file.endswith(".bib") else None
        return at(source, offset, "F005", "tab character", "use spaces", edit)
    if _is_control(char):
        return at(source, offset, "F004", f"control character {name}", "remove it", replace(""))
    if char == "\ufffd":
        return at(source, offset, "F004", "replacement character: text was lost", "type the character again")
    if unicodedata.category(char) == "Cf" or _BLANK.match(char):
        return at(source, offset, "F006", f"invisible character {name}", "remove it", replace(""))
    if unicodedata.category(char) == "Zs":
        return at(source, offset, "F007", f"unusual space {name}", "use a plain space", replace(" "))
    return None


def _lookalike(source: Source, m: re.Match[str]) -> Finding:
    name = unicodedata.name(m.group(), "")
    message = f"look-alike letter U+{ord(m.group()):04X} {name}"
    return at(source, m.start(), "F014", message, "type the plain letter")


def _layout(source: Source, original: str) -> Iterator[Finding]:
    text = source.text
    for m in _TRAILING.finditer(text):
        yield at(source, m.start(), "F009", "space at the end of the line", "", Edit(m.start(), m.end(), ""))
    if text and not text.endswith("\n"):
        edit = Edit(len(text), len(text), "\n")
        yield at(source, len(text) - 1, "F009", "no newline at the end of the file", "", edit)
    if unicodedata.is_normalized("NFC", original):
        return
    for start, line in zip(source.line_starts, text.split("\n"), strict=True):
        if not unicodedata.is_normalized("NFC", line):
            fixed = unicodedata.normalize("NFC", line)
            column = next(
                (i for i, (a, b) in enumerate(zip(line, fixed, strict=False)) if a != b), len(fixed)
            )
            edit = Edit(start, start + len(line), fixed)
            yield at(
                source, start + column, "F008", "text is not in Unicode NFC", "use composed characters", edit
            )


Write = Callable[[Path, str | None], None]
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stops:
    """What a signal to stop does while files change: it waits for the step under way, and only the first counts."""

    def __init__(self) -> None:
        self.steps = 0
        self.waiting = 0
        self.over = False

    def came(self, number: int, _: object) -> None:
        """Handle a signal."""
        if self.steps:
            self.waiting = number
        elif not self.over:
            self.over = True
            raise KeyboardInterrupt

    @contextmanager
    def step(self, last: bool = False) -> Iterator[None]:
        """What is done whole or not at all; after the last step it is too late to stop."""
        self.steps += 1
        try:
            yield
            self.over |= last
        finally:
            self.steps -= 1
            if self.waiting and not self.steps:
                number, self.waiting = self.waiting, 0
                self.came(number, None)


@contextmanager
def stops() -> Iterator[Stops]:
    """Signals to stop as `Stops` has them, in the main thread; those that are ignored stay ignored."""
    mine = Stops()
    heard = STOPS if threading.current_thread() is threading.main_thread() else ()
    before = {n: handler for n in heard if (handler := signal.getsignal(n)) not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, mine.came)
        yield mine
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def all_or_nothing(root: Path) -> Iterator[Write]:
    """A writer of files (of None: a remover) whose every change is undone if the block ends by any exception.

    The old files wait under ``root``, outside the catalogue's folders, so that undoing needs no space on the disk.
    """
    kept: dict[Path, Path | None] = {}
    made: list[Path] = []
    with stops() as stop, _aside(root, stop) as aside:

        def write(path: Path, text: str | None) -> None:
            with stop.step():
                if path not in kept:
                    old = aside / str(len(kept)) if path.exists() else None
                    if old:
                        shutil.copy2(path, old)
                    kept[path] = old
                    made.extend(folder for folder in path.parents if not folder.exists())
                if text is None:
                    path.unlink()
                else:
                    _write(path, text)

        try:
            yield write
            stop.over = True
        except BaseException:
            with stop.step():
                for path, old in kept.items():
                    if old is None:
                        path.unlink(missing_ok=True)
                    else:
                        os.replace(old, path)
                _remove_empty(made)
            raise


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """An empty folder to fill; it takes the place of ``folder`` only if the block ends well."""
    folder = folder.resolve()
    made = [parent for parent in folder.parents if not parent.exists()]
    with stops() as stop:
        try:
            with _aside(folder.parent, stop) as aside:
                new, old = aside / "new", aside / "old"
                new.mkdir()
                yield new
                with stop.step(last=True):
                    try:
                        if folder.exists():
                            os.replace(folder, old)
                        os.replace(new, folder)
                    except BaseException:
                        if old.exists() and not folder.exists():
                            os.replace(old, folder)
                        raise
        except BaseException:
            with stop.step():
                _remove_empty(made)
            raise


@contextmanager
def _aside(parent: Path, stop: Stops) -> Iterator[Path]:
    """A folder inside another that is gone afterwards, whatever happens."""
    made: list[str] = []
    try:
        with stop.step():
            parent.mkdir(parents=True, exist_ok=True)
            made.append(tempfile.mkdtemp(prefix=".rlhf-", dir=parent))
        yield Path(made[0])
    finally:
        with stop.step():
            for name in made:
                shutil.rmtree(name, ignore_errors=True)


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in sorted(set(folders), reverse=True):
        with suppress(OSError):
            folder.rmdir()


def write_atomic(path: Path, text: str) -> None:
    """Write through a temporary file in the same folder, so that a reader sees the old text or the new."""
    with stops() as stop:
        made = [folder for folder in path.parents if not folder.exists()]
        try:
            with stop.step(last=True):
                _write(path, text)
        except BaseException:
            _remove_empty(made)
            raise


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as out:
            out.write(text)
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
