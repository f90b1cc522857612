"""A run as JUnit XML: one test per gate and per must-pass case, so that CI systems show them without knowing us."""

import re
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from server.services.documents.comment import FAILING, interval_text, percent
from server.services.runs.run_views import RunView
from suites.vocabulary import MetricVerdict, Status

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _text(value: str) -> str:
    return _NOT_XML.sub("\ufffd", value)


def junit(run: RunView) -> bytes:
    """UTF-8 XML. A gate that is worse fails; one that can't be told is skipped with the reason; advisory gates never fail.
    A run without a verdict is one test that errored, was skipped (cancelled) or is not finished."""
    root = Element("testsuites", name="redrive")
    document = run.verdict_document or {}
    suite = SubElement(root, "testsuite", name=run.suite.short)
    properties = SubElement(suite, "properties")
    for name, value in (
        ("run", run.url),
        ("candidate", run.candidate.digest),
        ("baseline", run.baseline.digest),
    ):
        SubElement(properties, "property", name=name, value=value)
    if run.verdict is None:
        case = SubElement(suite, "testcase", classname=run.suite.name, name="run")
        if run.status is Status.ERRORED:
            SubElement(case, "error", message=_text(run.error))
        else:
            SubElement(case, "skipped", message=f"the run is {run.status}: it has no verdict")
    else:
        for gate in document.get("gates", []):
            _gate(suite, run, gate)
        for entry in document.get("cases", []):
            _case(suite, run, entry)
        SubElement(suite, "system-out").text = _text(run.sentence)
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(plural, str(sum(case.find(kind) is not None for case in cases)))
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def _gate(suite: Element, run: RunView, gate: dict[str, Any]) -> None:
    case = SubElement(
        suite,
        "testcase",
        classname=f"{run.suite.name}.gates",
        name=f"{gate['metric']} ({gate['estimand']})",
    )
    text = f"{gate['verdict']}: {interval_text(gate['interval'])}, margin {percent(gate['margin'])}. {gate['reason']}"
    if gate["critical"] and gate["verdict"] in FAILING:
        SubElement(case, "failure", message=_text(text))
    elif gate["critical"] and gate["verdict"] in (MetricVerdict.CANNOT_TELL, MetricVerdict.MIXED):
        SubElement(case, "skipped", message=_text(text))
    else:
        SubElement(case, "system-out").text = _text(text)


def _case(suite: Element, run: RunView, entry: dict[str, Any]) -> None:
    case = SubElement(
        suite, "testcase", classname=f"{run.suite.name}.cases", name=_text(entry["case"])
    )
    text = _text(f"{entry['reason']} {entry['waived']}".strip())
    if entry["passed"] is False:
        SubElement(case, "failure", message=text)
    elif entry["passed"] is None:
        SubElement(case, "skipped", message=text)
