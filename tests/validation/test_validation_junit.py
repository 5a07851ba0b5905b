from xml.etree import ElementTree

import numpy as np
import pytest
from junitparser import Error, Failure, JUnitXml

from validation.gate import judge
from validation.junit import GateCase, junit_xml, write_junit
from validation.verdict import GateOptions


def case(policy, lost, *, bundle="demo-cpu-int8", n=500):
    baseline = np.ones(n, dtype=np.bool_)
    verdict = judge(baseline, np.arange(n) >= lost, np.arange(n, dtype=np.int32), GateOptions())
    return GateCase(bundle, policy, verdict, 1.25)


CASES = [case("fixed", 0), case("adaptive", 5), case("confidence", 60)]


@pytest.fixture
def suite():
    (parsed,) = JUnitXml.fromstring(junit_xml(CASES))
    return parsed


def test_fail_and_inconclusive_are_both_red_and_can_be_told_apart(suite):
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (3, 1, 1, 0)
    passed, inconclusive, failed = suite
    assert passed.is_passed
    assert [type(result) for result in inconclusive.result] == [Error]
    assert [type(result) for result in failed.result] == [Failure]
    assert (inconclusive.result[0].type, failed.result[0].type) == ("inconclusive", "fail")
    assert failed.result[0].message == CASES[2].verdict.reason


def test_the_numbers_are_properties_of_the_case():
    document = ElementTree.fromstring(junit_xml(CASES))
    adaptive = document.find(".//testcase[@name='adaptive']")
    properties = {item.get("name"): item.get("value") for item in adaptive.iter("property")}
    assert properties["flips_lost"] == "5"
    assert float(properties["upper_bound"]) == CASES[1].verdict.upper_bound
    assert adaptive.get("classname") == "demo-cpu-int8"
    assert float(adaptive.get("time")) == 1.25


def test_a_failure_lists_the_flipped_puzzles_and_how_to_see_one(suite):
    text = list(suite)[1].result[0].text
    assert "lost: 0, 1, 2, 3, 4" in text
    assert "hrm-trt solve --model demo-cpu-int8 --policy adaptive --example 0" in text


def test_the_elements_come_in_the_schemas_order():
    """Properties, then the result: what the xunit2 schema of pytest and Jenkins asks for."""
    document = ElementTree.fromstring(junit_xml(CASES))
    assert document.tag == "testsuites"
    for element in document.iter("testcase"):
        tags = [child.tag for child in element]
        assert tags in (["properties"], ["properties", "failure"], ["properties", "error"])


def test_names_are_escaped(tmp_path):
    write_junit(tmp_path / "gate.xml", [case("fixed", 0, bundle='a "b" & <c>')])
    (suite,) = JUnitXml.fromfile(str(tmp_path / "gate.xml"))
    (only,) = suite
    assert only.classname == 'a "b" & <c>'
