"""The process in which an untrusted graph runs: it locks itself down, then answers step by step.

sandboxed_policy.py starts it with open descriptors for everything it will ever need: commands on
standard input, replies on standard output, its configuration, its graphs and the shared memory.
"""

import json
import mmap
import os
from dataclasses import asdict
from typing import Any

import numpy as np

from suites.errors import MachineError, RedriveError
from suites.manifest import load_manifest
from suites.rollout import ExecutionClass
from workers.policy.adapters.adapter_kinds import ADAPTERS, GraphPolicy, outputs_of
from workers.policy.policy import PolicyError
from workers.policy.runtimes.available import read_graph, runtime_for
from workers.policy.runtimes.runtime import Runtime
from workers.policy.sandbox.layout import HEADER, Command, Layout, Reply, read_exactly
from workers.policy.sandbox.lockdown import Bounds, lock_down


def main(config_fd: int) -> None:
    """Serve until the commands end."""
    replies = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not look like a reply
    config = json.loads(_read_all(config_fd))
    manifest = load_manifest(json.dumps(config["manifest"]))
    execution = ExecutionClass(**config["execution"])
    layout = Layout(manifest, config["rows"])
    region = mmap.mmap(config["region_fd"], layout.size)
    try:
        digests = {graph.role: graph.sha256 for graph in manifest.graphs}
        graphs = {
            role: read_graph(_read_all(fd), digests[role])
            for role, fd in config["graph_fds"].items()
        }
        runtime = runtime_for(execution)
        runtime.prepare(execution)
        device = execution.device != "cpu"
        bounds = Bounds(**config["bounds"])
        threads = runtime.starts_threads or device
        taken = lock_down(bounds, config["parent_pid"], threads, device)
        _reply(replies, Reply.LOCKED, taken)
        loaded: dict[str, Runtime] = {
            role: runtime(graph, outputs_of(manifest, role), execution)
            for role, graph in graphs.items()
        }
        policy = ADAPTERS[manifest.adapter](manifest, loaded)
    except (RedriveError, MemoryError) as error:
        _reply_error(replies, error)
        return
    del graphs
    _reply(replies, Reply.DONE)
    try:
        _serve(policy, layout, region, replies)
    except EOFError:
        return


def _serve(policy: GraphPolicy, layout: Layout, region: mmap.mmap, replies: int) -> None:
    batch = 0
    while True:
        command, count = HEADER.unpack(read_exactly(0, HEADER.size))
        match command:
            case Command.START:
                batch = count
                policy.start(batch)
            case Command.KEEP:
                batch = count
                policy.keep(np.frombuffer(read_exactly(0, 8 * count), np.int64))
            case Command.STEP:
                try:
                    action = policy.act(layout.observation(region, batch))
                    layout.write_action(region, action, batch)
                except (RedriveError, MemoryError) as error:
                    _reply_error(replies, error)
                else:
                    _reply(replies, Reply.DONE)


def _reply(fd: int, code: Reply, document: Any = None) -> None:
    data = b"" if document is None else json.dumps(document).encode()
    os.write(fd, HEADER.pack(code, len(data)) + data)


def _reply_error(fd: int, error: RedriveError | MemoryError) -> None:
    if isinstance(error, MemoryError):
        error = PolicyError("the model asked for more memory than it may use")
    code = Reply.MACHINE_FAILED if isinstance(error, MachineError) else Reply.MODEL_FAILED
    findings = [asdict(finding) for finding in error.findings]
    _reply(fd, code, {"message": str(error), "findings": findings})


def _read_all(fd: int) -> bytes:
    with os.fdopen(fd, "rb") as file:
        return file.read()
