"""Static checks of a submitted model: its graphs are read, never run. All findings come at once.

    bytes ──wire──▶ structure ──onnx──▶ proto ──safety, signature──▶ findings
    manifest ──roles───────────────────────────────────────────────▶ findings

Not checked here: that a graph computes, its time and its memory. The locked-down process that
runs it (`workers.policy.sandbox.sandboxed_policy`) finds out; there a failure is a result.
"""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from server.graphs.roles import role_findings
from server.graphs.safety import unsafe_parts
from server.graphs.signature import tensor_findings
from server.graphs.wire import MalformedError, check_structure
from suites.errors import Finding, SubmitterError
from suites.identity import digest
from suites.manifest import Graph, Manifest

MAX_GRAPH_BYTES = 256 << 20
"""Largest ONNX file that is accepted."""


def check_graphs(manifest: Manifest, graphs: dict[str, Path]) -> None:
    """Check a manifest against its graphs (sha256 to file). Raises SubmitterError."""
    findings = role_findings(manifest)
    for graph in manifest.graphs:
        findings += _graph(manifest, graph, graphs.get(graph.sha256))
    if findings:
        more = f" and {len(findings) - 1} more" if len(findings) > 1 else ""
        first = findings[0]
        raise SubmitterError(
            f"the model can't be run: {first.where}: {first.problem}{more}", tuple(findings)
        )


def _graph(manifest: Manifest, graph: Graph, path: Path | None) -> list[Finding]:
    where = f"graphs.{graph.role}"
    if path is None or not path.is_file():
        problem = f"the file of sha256 {graph.sha256} is missing"
        return [Finding(where, problem, "upload it before the manifest")]
    size = path.stat().st_size
    if size > MAX_GRAPH_BYTES:
        problem = f"expected at most {MAX_GRAPH_BYTES >> 20} MiB, found {size / (1 << 20):.1f} MiB"
        return [Finding(where, problem, "make the weights smaller (float16, fewer parameters)")]
    data = path.read_bytes()
    if size != graph.size_bytes or digest(data) != graph.sha256:
        expected = f"expected {graph.size_bytes} bytes of sha256 {graph.sha256}"
        problem = f"{expected}, found {size} bytes of {digest(data)}"
        remedy = "the manifest describes another file: write it again for this one"
        return [Finding(where, problem, remedy)]
    try:
        check_structure(data)
        model = onnx.load_model_from_string(data)
    except (MalformedError, DecodeError) as error:
        return [Finding(where, str(error), "export the model as one plain ONNX file")]
    return unsafe_parts(model, where) + tensor_findings(model, manifest, graph.role, where)
