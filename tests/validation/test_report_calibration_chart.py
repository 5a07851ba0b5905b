import re
from xml.etree import ElementTree

import pytest

from export.quantise.calibration import Calibration, SiteAmax
from export.quantise.sites import ROLES
from validation.report.calibration_chart import calibration_chart, calibration_figure, lines

SEGMENTS = {
    "L_level.layers.0.self_attn.qkv_proj": (8.0, 10.0, 6.0),
    "L_level.layers.1.mlp.down_proj": (50.0, 40.0, 45.0),
    "H_level.layers.0.mlp.down_proj": (1.0, 1.5, 3.0),
}


@pytest.fixture
def calibration():
    return Calibration(
        method="max",
        sites={site: SiteAmax(input=max(values), weight=1.0) for site, values in SEGMENTS.items()},
        segments=SEGMENTS,
        checkpoint="",
        dataset="",
        split="calibration",
        puzzles=1,
        seed=0,
        versions={},
    )


def test_every_site_is_drawn_relative_to_its_first_segment(calibration):
    first, second, planner = lines(calibration)
    assert (first.role, first.layer, first.planner, first.values) == ("attention in", 1, False, (1.0, 1.25, 0.75))
    assert (second.role, second.layer, second.values) == ("MLP out", 2, (1.0, 0.8, 0.9))
    assert (planner.role, planner.planner, planner.values) == ("MLP out", True, (1.0, 1.5, 3.0))


def test_a_first_segment_without_input_is_not_divided_by(calibration):
    idle = calibration.model_copy(update={"segments": {"L_level.layers.0.mlp.down_proj": (0.0, 2.0)}})
    assert lines(idle)[0].values == (0.0, 1.0)


def test_the_figure_shows_each_line_in_the_panel_of_its_role(calibration):
    figure = calibration_figure(calibration)
    panels = {axes.get_title(): [line for line in axes.lines if line.get_marker() == "o"] for axes in figure.axes}
    assert list(panels) == list(ROLES.values())
    assert [len(panels[role]) for role in ROLES.values()] == [1, 0, 0, 2]
    assert list(panels["attention in"][0].get_ydata()) == [1.0, 1.25, 0.75]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["layer 1", "layer 2", "planner, layer 1"]
    assert figure.axes[0].get_ylim()[1] > 3


def test_the_reports_chart_takes_its_colours_from_the_style_sheet(calibration):
    svg = calibration_chart(calibration)
    assert ElementTree.fromstring(svg).tag == "svg"
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    assert {"var(--series-1)", "var(--series-2)", "var(--ink-soft)"} <= set(re.findall(r"var\([^)]*\)", svg))
    assert "first segment" in svg
    assert calibration_chart(calibration) == svg
