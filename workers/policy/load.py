"""From a manifest and its graphs to a policy that is ready to drive."""

from pathlib import Path

from suites.errors import MachineError
from suites.model import Manifest
from suites.rollout import ExecutionClass
from workers.policy.adapters import ADAPTERS, outputs_of
from workers.policy.protocol import Policy
from workers.policy.runtime import Runtime, installed, runtime_of_file
from workers.policy.sandbox import Limits, SandboxedPolicy

BUILTIN = ExecutionClass(runtime="builtin", version="1", precision="float64")


def default_execution(manifest: Manifest) -> ExecutionClass:
    """What drives this model on this machine where nothing else is asked for. Loads no runtime."""
    return BUILTIN if manifest.adapter == "builtin" else installed("onnxruntime")


def open_policy(
    manifest: Manifest,
    graphs: dict[str, Path],
    *,
    execution: ExecutionClass | None = None,
    sandboxed: bool = True,
    limits: Limits = Limits(),
) -> Policy:
    """A policy of `manifest`. `graphs`: sha256 to file.

    `sandboxed=False` runs the graph in this process, for trusted models only; the bits are the same. Raises MachineError
    when this machine lacks the runtime, its version or a graph. Static checks (server.graphs) were made at submission.
    """
    execution = execution or default_execution(manifest)
    if manifest.adapter == "builtin":
        from workers.policy.log import LogPolicy

        return LogPolicy(manifest)
    here = installed(execution.runtime)
    if execution != here:
        raise MachineError(f"this comparison runs on {execution}, this machine offers {here}: leave it to one that has it")
    files: dict[str, Path] = {graph.role: graphs[graph.sha256] for graph in manifest.graphs}
    if sandboxed:
        return SandboxedPolicy(manifest, files, execution, limits)
    runtimes: dict[str, Runtime] = {
        graph.role: runtime_of_file(graphs[graph.sha256], graph.sha256, outputs_of(manifest, graph.role), execution)
        for graph in manifest.graphs
    }
    return ADAPTERS[manifest.adapter](manifest, runtimes)
