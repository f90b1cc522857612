"""A run as JUnit XML: a test for each gate and must-pass case, as any CI system shows it."""

import re
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from server.services.documents.phrases import OPEN, cases_of, gate_change, gate_margin, gates_of
from server.services.runs.run_views import RunView
from suites.vocabulary import MetricVerdict, Status

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}
"""Attributes of a test suite, and the elements that they count."""


def junit(run: RunView) -> bytes:
    """UTF-8 XML. A gate that is worse fails, and one that is open is skipped with the reason.
    Advisory gates never fail. A run without a verdict is one test: errored, or skipped."""
    root = Element("testsuites", name="redrive")
    suite = SubElement(root, "testsuite", name=run.suite.short)
    properties = SubElement(suite, "properties")
    about = {
        "run": run.url,
        "candidate": run.candidate.digest,
        "baseline": run.baseline.digest,
        "provisional": str(run.provisional).lower(),
        "complete": str(run.complete).lower(),
        "withdrawn": _text(run.withdrawn),
        "line": _text(run.line),
        "tries": str(run.tries),
    }
    for name, value in about.items():
        SubElement(properties, "property", name=name, value=value)
    if run.verdict is None:
        _undecided(suite, run)
    else:
        for gate in gates_of(run):
            _gate(suite, run, gate)
        for case in cases_of(run):
            _case(suite, run, case)
        told = f"{run.sentence} {run.standing}".rstrip()
        SubElement(suite, "system-out").text = _text(told)
    tests = suite.findall("testcase")
    suite.set("tests", str(len(tests)))
    for attribute, element in _COUNTED.items():
        suite.set(attribute, str(sum(test.find(element) is not None for test in tests)))
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def _text(value: str) -> str:
    return _NOT_XML.sub("\ufffd", value)


def _undecided(suite: Element, run: RunView) -> None:
    test = SubElement(suite, "testcase", classname=run.suite.name, name="run")
    if run.status is Status.ERRORED:
        SubElement(test, "error", message=_text(run.error))
    else:
        SubElement(test, "skipped", message=f"the run is {run.status}: it has no verdict")


def _gate(suite: Element, run: RunView, gate: dict[str, Any]) -> None:
    name = f"{gate['metric']} ({gate['estimand']})"
    test = SubElement(suite, "testcase", classname=f"{run.suite.name}.gates", name=name)
    found = f"{gate['verdict']}: {gate_change(gate)}, margin {gate_margin(gate)}"
    text = _text(f"{found}. {gate['reason']}")
    if gate["critical"] and gate["verdict"] == MetricVerdict.WORSE:
        SubElement(test, "failure", message=text)
    elif gate["critical"] and gate["verdict"] in OPEN:
        SubElement(test, "skipped", message=text)
    else:
        SubElement(test, "system-out").text = text


def _case(suite: Element, run: RunView, case: dict[str, Any]) -> None:
    name = _text(case["case"])
    test = SubElement(suite, "testcase", classname=f"{run.suite.name}.cases", name=name)
    text = _text(f"{case['reason']} {case['waived']}".strip())
    if case["passed"] is False:
        SubElement(test, "failure", message=text)
    elif case["passed"] is None:
        SubElement(test, "skipped", message=text)
