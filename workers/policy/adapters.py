"""The literal registry of adapters, and a model of graphs made ready by one."""

from collections.abc import Mapping

from suites.model import Manifest
from suites.rollout import ExecutionClass
from workers.policy.openpilot import OpenpilotPolicy
from workers.policy.plain import PlainPolicy
from workers.policy.runtime import RUNTIMES, Runtime

GraphPolicy = PlainPolicy | OpenpilotPolicy

ADAPTERS: dict[str, type[PlainPolicy] | type[OpenpilotPolicy]] = {"plain": PlainPolicy, "openpilot": OpenpilotPolicy}
"""By `Manifest.adapter`."""


def outputs_of(manifest: Manifest, graph: str) -> tuple[str, ...]:
    """Names of a graph's outputs that the manifest lists: the others are not computed."""
    return tuple(tensor.name for tensor in manifest.outputs if tensor.graph == graph)


def load_graphs(manifest: Manifest, graphs: Mapping[str, bytes], execution: ExecutionClass) -> GraphPolicy:
    """The policy of a manifest and its graphs (role to bytes of the ONNX file), in this process.
    Raises PolicyError when a graph does not load."""
    runtime = RUNTIMES[execution.runtime]
    runtimes: dict[str, Runtime] = {role: runtime(data, outputs_of(manifest, role), execution) for role, data in graphs.items()}
    return ADAPTERS[manifest.adapter](manifest, runtimes)
