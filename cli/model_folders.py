"""Models as folders: shipped by name, or anybody's by path."""

from pathlib import Path

from suites.errors import Finding, SubmitterError
from suites.identity import file_digest
from suites.manifest import Manifest, load_manifest

SHIPPED = Path(__file__).parent.parent / "models"


def shipped_models() -> list[str]:
    """Names, sorted."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/manifest.json"))


def local_model(name: str) -> tuple[Manifest, dict[str, Path]]:
    """(manifest, graph sha256 to file) of `log`, a shipped model's name, or a model's folder.
    Raises SubmitterError where there is no model, or a graph of its manifest is not in the
    folder."""
    if name == "log":
        from workers.policy.log_policy import log_manifest

        return log_manifest(), {}
    folder = Path(name) if (Path(name) / "manifest.json").is_file() else SHIPPED / name
    if not (folder / "manifest.json").is_file():
        problem = "neither a shipped model nor a folder with manifest.json"
        finding = Finding("--model", problem, f"shipped: log, {', '.join(shipped_models())}")
        raise SubmitterError(f"there is no model {name!r}", finding)
    manifest = load_manifest(folder / "manifest.json")
    here = {file_digest(path): path for path in sorted(folder.glob("*.onnx"))}
    missing = tuple(
        Finding(
            str(folder),
            f"no file has the sha256 {graph.sha256[:12]}… of the {graph.role} graph",
            "export the manifest again",
        )
        for graph in manifest.graphs
        if graph.sha256 not in here
    )
    if missing:
        raise SubmitterError(f"model {manifest.name} is not complete", missing)
    return manifest, {graph.sha256: here[graph.sha256] for graph in manifest.graphs}
