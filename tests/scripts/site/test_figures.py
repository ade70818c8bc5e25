import json
from xml.etree import ElementTree

import pytest

from scripts.site.figures import SCHEMES, FigureError, figure_size, figure_svg, text_width

SPEC = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "data": {"values": [{"x": 1, "y": 2, "c": "<script>alert(1)</script>"}, {"x": 2, "y": 3, "c": "b"}]},
    "mark": "point",
    "encoding": {
        "x": {"field": "x", "type": "quantitative"},
        "y": {"field": "y", "type": "quantitative"},
        "color": {"field": "c", "type": "nominal"},
    },
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_figure_is_drawn_in_the_colours_of_its_scheme(scheme: str) -> None:
    svg = figure_svg(SPEC, scheme)
    assert SCHEMES[scheme]["series"].split()[0] in svg
    tags = {node.tag.split("}")[1] for node in ElementTree.fromstring(svg).iter()}
    assert not tags & {"script", "foreignObject", "image", "a"}


def with_channel(channel: str, mark: dict[str, object], name: str = "c") -> dict[str, object]:
    """The specification with another channel besides colour, and another mark."""
    values = [{"x": 1, "y": 2, "c": name, "d": "one"}, {"x": 2, "y": 3, "c": "b", "d": "two"}]
    spec = json.loads(json.dumps({**SPEC, "data": {"values": values}, "mark": mark}))
    spec["encoding"][channel] = {"field": "d", "type": "nominal"}
    return dict(spec)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_legends_show_whole_names_and_marks_that_can_be_seen(scheme: str) -> None:
    name = "an arm whose name is longer than the renderer's own limit for a legend"
    shapes = figure_svg(with_channel("shape", {"type": "point", "filled": True}, name), scheme)
    assert name in shapes and '"black"' not in shapes
    dashes = figure_svg(with_channel("strokeDash", {"type": "line", "point": True}), scheme)
    samples = dashes.split("role-legend-symbol")[3:]
    assert [sample.split('d="')[1].split('"')[0] for sample in samples] == ["M-10,0L10,0"] * 2


def test_the_same_figure_has_the_same_bytes() -> None:
    figure_svg.__globals__["_drawn"].cache_clear()
    first = figure_svg(SPEC, "light")
    figure_svg.__globals__["_drawn"].cache_clear()
    assert figure_svg(SPEC, "light") == first


def test_a_bad_specification_is_one_sentence() -> None:
    with pytest.raises(FigureError) as caught:
        figure_svg({"mark": "no such mark"}, "light")
    assert "\n" not in str(caught.value)


def test_a_figure_fetches_nothing() -> None:
    with pytest.raises(FigureError):
        figure_svg({**SPEC, "data": {"url": "https://example.org/data.csv"}}, "light")


def label_width(label: str, weight: str) -> float:
    """Pixels by which an axis label widens a figure, as the renderer measures it."""

    def wide(name: str) -> int:
        spec = {**SPEC, "data": {"values": [{"x": name, "y": 1}]}, "width": 10}
        axis = {"labelLimit": 9999, "labelFontWeight": weight}
        spec["encoding"] = {"y": {"field": "x", "type": "nominal", "title": None, "axis": axis}}
        return figure_size(spec)[0]

    return wide(label * 10) - wide(label)


@pytest.mark.parametrize("weight", ["normal", "bold"])
@pytest.mark.parametrize("first", range(32, 127, 5))
def test_widths_are_those_of_the_renderer(first: int, weight: str) -> None:
    # A letter on either side, as spaces at the ends are dropped.
    label = "a" + "".join(chr(c) for c in range(first, min(first + 5, 127))) + "…−a"
    assert text_width(label * 9, 12, weight == "bold") == pytest.approx(label_width(label, weight), abs=2.5)


def test_text_keeps_the_width_it_was_laid_out_for() -> None:
    drawn = ElementTree.fromstring(figure_svg(SPEC, "light"))
    texts = [node for node in drawn.iter() if node.tag.endswith("}text") and node.text]
    assert texts and all(node.get("lengthAdjust") == "spacingAndGlyphs" for node in texts)
    for node in texts:
        assert float(node.get("textLength", "0")) > 0


def test_no_two_of_a_dozen_arms_share_a_colour() -> None:
    for colours in SCHEMES.values():
        assert len(set(colours["series"].split())) == 12
