import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from scripts.site.build import SiteError, build_site


def spoil(root: Path, old: str, new: str) -> None:
    path = root / "taxonomy" / "10-first.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_strict_build_has_every_page(built: Path) -> None:
    for page in (
        "",
        "map/",
        "browse/",
        "categories/runs-here/",
        "methods/toy/",
        "papers/doe2001toy/",
        "museum/",
    ):
        assert (built / page / "index.html").is_file(), page


def test_no_page_asks_another_host_for_anything(built: Path) -> None:
    for page in built.rglob("*.html"):
        text = page.read_text()
        for attribute in ('src="http', 'href="http'):
            for part in text.split(attribute)[1:]:
                before = text[: text.index(attribute + part)]
                tag = before[before.rindex("<") :].split()[0]
                assert tag == "<a", (page, part[:80])


def test_paper_pages_are_outside_the_navigation(built: Path) -> None:
    page = (built / "map" / "index.html").read_text()
    navigation = page[page.index("<nav") : page.index("<article")]
    assert "categories/runs-here/" in navigation and "papers/" not in navigation


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (r"Test data. \foo $\foo$.", "categories/runs-here.md: formula"),
        ("Test data. [x](javascript:alert(1))", "categories/runs-here.md: link to 'javascript:alert(1)'"),
        (
            "Test data. [x](paper:nobody1999nothing)",
            "categories/runs-here.md: link to 'paper:nobody1999nothing'",
        ),
    ],
)
def test_a_strict_build_fails_and_names_the_page(fresh: Path, tmp_path: Path, new: str, said: str) -> None:
    spoil(fresh, "Test data. The toy minimises", new)
    with pytest.raises(SiteError) as caught:
        build_site(fresh, tmp_path / "out", strict=True)
    assert said in str(caught.value)
    build_site(fresh, tmp_path / "out", strict=False)
    assert (tmp_path / "out" / "categories" / "runs-here" / "index.html").is_file()


def test_a_strict_build_fails_on_a_broken_link(fresh: Path, tmp_path: Path) -> None:
    index = fresh / "docs" / "index.md"
    index.write_text(index.read_text() + '\n<p><a href="no-such-page/">x</a></p>\n')
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.html").write_text("the site as it was")
    with pytest.raises(SiteError) as caught:
        build_site(fresh, tmp_path / "out", strict=True)
    assert [p.read_text() for p in (tmp_path / "out").iterdir()] == ["the site as it was"]
    assert "index.html: link to 'no-such-page/' leads nowhere" in str(caught.value)


def test_plain_mkdocs_builds_the_same_site(small: Path, built: Path, tmp_path: Path) -> None:
    out = tmp_path / "plain"
    mkdocs = str(Path(sys.executable).with_name("mkdocs"))
    command = [mkdocs, "build", "--strict", "--quiet", "--site-dir", str(out)]
    subprocess.run(command, cwd=small, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    files = {p.relative_to(built) for p in built.rglob("*") if p.is_file()}
    assert files == {p.relative_to(out) for p in out.rglob("*") if p.is_file()}
    assert [f for f in sorted(files) if (out / f).read_bytes() != (built / f).read_bytes()] == []


def test_rlhf_serve_answers(small: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = (
        "from pathlib import Path; from scripts.site.build import serve_site;"
        f"serve_site(Path({str(small)!r}), '127.0.0.1', {port})"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert b"Something that runs" in _wait_for(f"http://127.0.0.1:{port}/categories/runs-here/", server)
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> bytes:
    for _ in range(150):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not answer")


def test_this_repository_builds_strictly_and_soon(real: Path) -> None:
    assert (real / "index.html").is_file()
    assert len(list((real / "categories").iterdir())) >= 40
    assert len(list((real / "papers").iterdir())) >= 40
    assert float((real / "cpu-seconds.txt").read_text()) < 240
