import re
from xml.etree import ElementTree

from validation.report.charts import SERIES, accuracy_chart, depth_chart, series_style

CURVE = (0.4, 0.9, 0.99)


def test_a_chart_is_well_formed_and_brings_nothing_that_could_clash():
    first, second = accuracy_chart(CURVE, {0: CURVE}), depth_chart("adaptive", {0: (0, 5, 3)}, 3)
    for svg in (first, second):
        root = ElementTree.fromstring(svg)
        assert root.tag == "svg"
        assert not {"metadata", "style"} & {element.tag for element in root.iter()}
    identifiers = [re.findall(r' id="([^"]*)"', svg) for svg in (first, second)]
    assert not set(identifiers[0]) & set(identifiers[1])
    for svg, own in zip((first, second), identifiers, strict=True):
        assert set(re.findall(r"#([mp]\w+)", svg)) <= set(own)


def test_colours_are_the_style_sheets():
    svg = accuracy_chart(CURVE, {0: CURVE, 1: CURVE})
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    assert {"var(--series-0)", "var(--series-1)", "var(--series-2)"} <= set(re.findall(r"var\([^)]*\)", svg))
    assert "var(--series-3)" not in svg


def test_every_segment_has_its_place_even_if_nothing_stopped_there():
    svg = depth_chart("adaptive", {0: (0, 5, 3)}, 8)
    assert {str(segment) for segment in range(1, 9)} <= set(re.findall(r">(\d+)</text>", svg))


def test_bundles_that_share_a_colour_differ_in_their_dashes():
    styles = [series_style(index) for index in range(3 * SERIES)]
    assert len(set(styles)) == 3 * SERIES
    assert all(1 <= colour <= SERIES for colour, _ in styles)


def test_equal_data_make_equal_charts():
    assert accuracy_chart(CURVE, {}) == accuracy_chart(CURVE, {})
