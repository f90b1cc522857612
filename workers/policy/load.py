"""From a manifest and its graphs to a policy that is ready to drive."""

from pathlib import Path

from suites.errors import Finding, SubmitterError
from suites.execution_classes import default_execution
from suites.manifest import Manifest
from suites.rollout import ExecutionClass
from workers.policy.adapters.adapter_kinds import ADAPTERS, outputs_of
from workers.policy.log_policy import LogPolicy
from workers.policy.policy import Policy
from workers.policy.runtimes.available import runtime_for, runtime_of_file
from workers.policy.runtimes.runtime import Runtime
from workers.policy.sandbox.sandboxed_policy import Limits, SandboxedPolicy

BUILTINS: dict[str, type[LogPolicy]] = {"log": LogPolicy}
"""Models that are code of ours; `pid` and `zero` are shipped as graphs."""


def open_policy(
    manifest: Manifest,
    graphs: dict[str, Path],
    *,
    execution: ExecutionClass | None = None,
    sandboxed: bool = True,
    limits: Limits = Limits(),
) -> Policy:
    """A policy of `manifest`. `graphs`: sha256 to file.

    `sandboxed=False` runs the graph in this process, for trusted models only, with the same bits.
    Static checks (server.graphs.static_checks) were made at submission.
    Raises MachineError when this machine lacks the runtime, its version or a graph, or the runtime
    can't be sandboxed and should be; PolicyError when a graph does not load (a sandboxed one: at
    its first step).
    """
    execution = execution or default_execution(manifest)
    if manifest.builtin is not None:
        return _builtin(manifest)
    runtime_for(execution, sandboxed)
    files: dict[str, Path] = {graph.role: graphs[graph.sha256] for graph in manifest.graphs}
    if sandboxed:
        return SandboxedPolicy(manifest, files, execution, limits)
    runtimes: dict[str, Runtime] = {}
    for graph in manifest.graphs:
        role, sha256 = graph.role, graph.sha256
        outputs = outputs_of(manifest, role)
        runtimes[role] = runtime_of_file(files[role], sha256, outputs, execution)
    return ADAPTERS[manifest.adapter](manifest, runtimes)


def _builtin(manifest: Manifest) -> Policy:
    if manifest.builtin not in BUILTINS:
        problem = f"expected {', '.join(BUILTINS)}, found {manifest.builtin}"
        remedy = "pid and zero are graphs: see models/pid and models/zero"
        finding = Finding("builtin", problem, remedy)
        raise SubmitterError(f"no built-in model {manifest.builtin!r}", (finding,))
    return BUILTINS[manifest.builtin](manifest)
