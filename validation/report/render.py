"""A report as one HTML file that fetches nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrm.data.palette import ARC
from hrm.files import write_bytes
from validation.flips import replay_command
from validation.report import view
from validation.verdict import points

if TYPE_CHECKING:
    from pathlib import Path

    from validation.report.content import Report


def write_report(path: Path, report: Report) -> None:
    """Write the report to ``path`` in one step.

    Raises:
        StorageError: the disk is full or failing.
        UnwritableError: the place cannot be written.
    """
    write_bytes(path, render_report(report).encode())


def render_report(report: Report) -> str:
    """The report as an HTML document."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("validation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": view.percent, "points": points, "bytes": view.size, "time": view.duration}
    environment.globals |= {"replay": replay_command, "drawings": lambda flip: view.drawings(report.task, flip)}
    results = [(number, bundle, result) for number, bundle in enumerate(report.bundles) for result in bundle.policies]
    verdicts = [result.verdict for _, _, result in results]
    return environment.get_template("report.html").render(
        report=report,
        results=results,
        numbers=view.numbers,
        summary=view.summary(verdicts),
        axis=view.axis(verdicts),
        charts=view.charts(report),
        series=view.series(report),
        training_charts=view.training_charts(report.training) if report.training else (),
        calibration_charts=view.calibration_charts(report.calibration) if report.calibration else (),
        calibration_facts=view.calibration_facts(report.calibration) if report.calibration else (),
        search_picture=view.search_picture(report.search) if report.search else "",
        search_facts=view.search_facts(report.search) if report.search else (),
        arc=ARC,
    )
