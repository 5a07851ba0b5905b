import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from markupsafe import escape

from engines.act import Policy
from export.quantise.calibration import Calibration, SiteAmax
from validation.flips import replay_command
from validation.gate import judge
from validation.report.content import DRAWN, policy_result
from validation.report.render import render_report, write_report
from validation.report.view import axis, duration, series, size, summary
from validation.sensitivity import Attempt, SearchRecord
from validation.verdict import GateOptions

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """What a browser would see: elements in their nesting, identifiers, text."""

    def __init__(self, source):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(source)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"an attribute twice in <{tag}>"
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def values(self, attribute):
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


@pytest.fixture(scope="module")
def source(report):
    return render_report(report)


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def test_the_page_is_well_formed(source, page):
    assert source.startswith("<!doctype html>")
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))
    targets = {link[1:] for link in page.values("href")} | set(re.findall(r"url\(#([^)]*)\)", source))
    assert targets <= set(identifiers)


def test_the_page_fetches_nothing(source, page):
    assert not re.search(r"https?://|//[a-z0-9-]+\.|@import|url\((?!#)", source, flags=re.IGNORECASE)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in page.elements}
    assert not page.values("src")
    assert all(link.startswith("#") for link in page.values("href"))


def test_names_are_text_and_never_markup(source, page):
    assert "<script>" not in source
    assert "<b>ready</b>" not in source
    assert "<script>alert(1)</script>/step_3750" in page.text
    assert "rough & <b>ready</b>" in page.text


def test_every_flipped_puzzle_is_there_with_its_command(source, report):
    (bundle,) = report.bundles
    (result,) = bundle.policies
    assert result.lost
    assert result.won
    for example in (*result.verdict.lost, *result.verdict.won):
        assert str(escape(replay_command(bundle.model, example, result.policy.name))) in source


def test_each_drawn_puzzle_shows_the_puzzle_and_both_answers(page, report):
    (result,) = report.bundles[0].policies
    labels = page.values("aria-label")
    for flip in (*result.lost, *result.won):
        assert {f"{name}, puzzle {flip.example}" for name in ("Puzzle", "PyTorch", "Engine")} <= set(labels)


def test_the_verdict_and_its_numbers_are_shown(page, report):
    (result,) = report.bundles[0].policies
    verdict = result.verdict
    assert {f"badge {verdict.verdict}"} <= set(page.values("class"))
    text = re.sub(r"\s+", " ", page.text)
    assert verdict.reason[1:] in text
    for check in result.checks:
        assert f"{check.name}: {check.reason}" in text
    for shown in (f"{verdict.engine_exact:.2%}", f"{verdict.flips_lost} / {verdict.flips_won}", "1.8 MB", "ab" * 32):
        assert shown in text


def test_beyond_the_drawn_puzzles_the_rest_are_listed(puzzles, baseline, report):
    worse = judge(baseline.solved, np.zeros(500, dtype=np.bool_), puzzles.groups, GateOptions())
    result = policy_result(Policy("fixed", 8), worse, (), puzzles, baseline, baseline, 1.0)
    assert len(result.lost) == DRAWN
    bundle = replace(report.bundles[0], policies=(result,))
    text = Page(render_report(replace(report, bundles=(bundle,)))).text
    assert f"{worse.flips_lost - DRAWN} more" in text
    assert text.count("--example ") == worse.flips_lost


def test_the_training_is_shown_where_it_is_known(page, report):
    charts = sum(element == "svg" and attributes.get("class") == "chart" for element, attributes in page.elements)
    without = Page(render_report(replace(report, training=None)))
    assert "12 min & <i>more</i>" in page.text
    assert "unseen puzzles" not in without.text
    assert charts - 2 == sum(tag == "svg" and names.get("class") == "chart" for tag, names in without.elements)


def test_a_report_replaces_the_one_before_it(tmp_path, report, source):
    (tmp_path / "report.html").write_text("an older one")
    write_report(tmp_path / "report.html", report)
    assert (tmp_path / "report.html").read_text() == source


def test_losses_far_off_the_axis_stand_at_its_end(report):
    scale = axis([report.bundles[0].policies[0].verdict])
    assert (scale.percent(-1.0), scale.percent(1.0)) == (0.0, 100.0)
    assert 0 < scale.percent(0.0) < scale.percent(0.01) < 100


def test_a_baseline_that_solves_nothing_still_has_a_report(puzzles, baseline, report):
    nothing = np.zeros(500, dtype=np.bool_)
    verdict = judge(nothing, nothing, puzzles.groups, GateOptions(unit="relative"))
    result = policy_result(Policy("fixed", 8), verdict, (), puzzles, baseline, baseline, 1.0)
    text = Page(render_report(replace(report, bundles=(replace(report.bundles[0], policies=(result,)),)))).text
    assert "PyTorch solves 0 different puzzles" in text


def test_the_summary_counts_the_verdicts(report):
    verdict = report.bundles[0].policies[0].verdict
    others = [verdict.model_copy(update={"verdict": name}) for name in ("pass", "pass", "fail")]
    assert summary(others) == "3 gates: 2 passed, 1 failed."


def test_the_legend_begins_with_pytorch(report):
    assert [entry.name for entry in series(report)] == ["PyTorch", "rough & <b>ready</b>"]


@pytest.mark.parametrize(
    ("count", "shown"), [(999, "999 B"), (1500, "1.5 kB"), (54_500_000, "54.5 MB"), (2_140_000_000, "2.1 GB")]
)
def test_sizes_are_for_people(count, shown):
    assert size(count) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0.04, "0.0 s"), (12.34, "12.3 s"), (600, "10.0 min")])
def test_times_are_for_people(seconds, shown):
    assert duration(seconds) == shown


def test_calibration_and_search_are_shown_where_there_are_some(report):
    amax = SiteAmax(input=1.0, weight=1.0)
    site = "L_level.layers.0.mlp.down_proj"
    calibration = Calibration(
        method="max",
        sites={site: amax},
        segments={site: (1.0, 1.5)},
        checkpoint="0",
        dataset="0",
        split="calibration",
        puzzles=256,
        seed=0,
        versions={},
    )
    attempt = Attempt(
        assignment={site: "nvfp4"},
        work={"nvfp4": 0.5},
        exact=0.9,
        lost=2,
        won=1,
        loss=0.01,
        drift=0.1,
        finite=True,
        accepted=True,
        why="everything in NVFP4",
    )
    search = SearchRecord(
        formats=("nvfp4", "fp8"),
        baseline_exact=0.91,
        n=100,
        tolerance=0.02,
        rule="",
        alone=(),
        attempts=(attempt,),
        chosen={site: "nvfp4"},
    )
    text = render_report(replace(report, calibration=calibration, search=search))
    for words in ("256 of the calibration split", "1 of 1", "How auto chose", "50.0% NVFP4", "2 / 1"):
        assert words in text
    assert text.count('class="chart"') > render_report(report).count('class="chart"')
