"""The adapters by name, each made from a manifest and its loaded graphs."""

from suites.manifest import Manifest
from workers.policy.adapters.openpilot_adapter import OpenpilotPolicy
from workers.policy.adapters.plain_adapter import PlainPolicy

GraphPolicy = PlainPolicy | OpenpilotPolicy

ADAPTERS: dict[str, type[PlainPolicy] | type[OpenpilotPolicy]] = {
    "plain": PlainPolicy,
    "openpilot": OpenpilotPolicy,
}
"""By `Manifest.adapter`."""


def outputs_of(manifest: Manifest, graph: str) -> tuple[str, ...]:
    """Names of a graph's outputs that the manifest lists: the others are not computed."""
    return tuple(tensor.name for tensor in manifest.outputs if tensor.graph == graph)
