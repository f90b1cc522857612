"""What a parsed graph may contain before any runtime is let near it."""

from collections.abc import Iterable, Iterator, Sequence

import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

from suites.errors import Finding

OPSETS = {"": (9, 26), "ai.onnx.ml": (1, 5)}
"""Accepted versions of the standard operator domains; 26 is the newest that the runtime reads."""
MAX_IR_VERSION = 13
MAX_NODES = 20_000
"""With every call of a model-local function counted as the nodes that it stands for."""
MAX_INITIALIZERS = 20_000
MAX_NESTING = 8
MAX_REPORTED = 20
"""Findings of one kind that are listed: a submitter fixes the exporter, not a thousand nodes."""
RANDOM = {"Multinomial", "Bernoulli"} | {
    f"Random{kind}{like}" for kind in ("Normal", "Uniform") for like in ("", "Like")
}
"""Operators that draw from a generator inside the runtime, which nobody can seed or rewind."""

FunctionKey = tuple[str, str]


def domain_of(name: str) -> str:
    """`ai.onnx` is another spelling of the default domain."""
    return "" if name == "ai.onnx" else name


def unsafe_parts(model: ModelProto, where: str) -> list[Finding]:
    """Everything in the model that is refused, each with what to do about it."""
    findings = [*_versions(model.opset_import, f"{where}.opset_import")]
    if model.ir_version > MAX_IR_VERSION:
        problem = f"expected IR version <= {MAX_IR_VERSION}, found {model.ir_version}"
        remedy = "export with an older onnx package"
        findings.append(Finding(f"{where}.ir_version", problem, remedy))
    if model.training_info:
        problem = "training graphs are not run"
        findings.append(Finding(f"{where}.training_info", problem, "export for inference"))
    functions = {(domain_of(f.domain), f.name): f for f in model.functions}
    walker = _Walker(functions)
    versions = _by_domain(model.opset_import)
    walker.graph(model.graph, where, versions, 0)
    for function in model.functions:
        place = f"{where}.functions.{function.name}"
        findings += _versions(function.opset_import, place)
        walker.nodes(function.node, place, _by_domain(function.opset_import), 0)
        for default in function.attribute_proto:
            walker.attribute(default, place, versions, 0)
    for found in walker.found.values():
        findings += found[:MAX_REPORTED]
        if len(found) > MAX_REPORTED:
            problem = f"{len(found) - MAX_REPORTED} more like this"
            findings.append(Finding(where, problem, found[0].remedy))
    if walker.initializers > MAX_INITIALIZERS:
        count = f"{walker.initializers:,}"
        problem = f"expected at most {MAX_INITIALIZERS:,} initializers, found {count}"
        findings.append(Finding(where, problem, "merge constants"))
    return findings + _too_many_nodes(model, functions, where)


def _by_domain(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    return {domain_of(entry.domain): entry.version for entry in imports}


def _versions(imports: Sequence[onnx.OperatorSetIdProto], where: str) -> Iterator[Finding]:
    versions = _by_domain(imports)
    if "" not in versions and "ai.onnx.ml" not in versions:
        problem = "no standard operator set is imported"
        yield Finding(where, problem, "export with an opset of the ai.onnx domain")
    for domain, (least, most) in OPSETS.items():
        if domain in versions and not least <= versions[domain] <= most:
            expected = f"expected opset {least} to {most} of {domain or 'ai.onnx'}"
            problem = f"{expected}, found {versions[domain]}"
            remedy = f"export with opset_version={min(most, 17) if not domain else most}"
            yield Finding(where, problem, remedy)


class _Walker:
    """Visits every node, tensor and subgraph of a model, however deep."""

    def __init__(self, functions: dict[FunctionKey, FunctionProto]) -> None:
        self.functions = functions
        self.initializers = 0
        self.found: dict[str, list[Finding]] = {}

    def add(self, kind: str, where: str, problem: str, remedy: str) -> None:
        self.found.setdefault(kind, []).append(Finding(where, problem, remedy))

    def graph(self, graph: GraphProto, where: str, versions: dict[str, int], depth: int) -> None:
        if depth > MAX_NESTING:
            problem = f"expected subgraphs nested at most {MAX_NESTING} deep"
            self.add("nesting", where, problem, "flatten the control flow")
            return
        self.initializers += len(graph.initializer) + len(graph.sparse_initializer)
        self.tensors(graph.initializer, where)
        for sparse in graph.sparse_initializer:
            self.tensors((sparse.values, sparse.indices), where)
        self.nodes(graph.node, where, versions, depth)

    def nodes(
        self, nodes: Sequence[NodeProto], where: str, versions: dict[str, int], depth: int
    ) -> None:
        for number, node in enumerate(nodes):
            place = f"{where}.node[{number}] {node.op_type}"
            self.operator(node, place, versions)
            for attribute in node.attribute:
                self.attribute(attribute, place, versions, depth)

    def operator(self, node: NodeProto, place: str, versions: dict[str, int]) -> None:
        domain = domain_of(node.domain)
        if node.op_type == "EPContext":
            problem = "a compiled blob of one execution provider is not run"
            self.add("context", place, problem, "export the plain ONNX graph")
        elif (domain, node.op_type) in self.functions:
            return
        elif domain not in OPSETS:
            problem = f"expected an operator of ai.onnx or ai.onnx.ml, found domain {domain!r}"
            remedy = "export with standard operators only (no custom or contrib operators)"
            self.add("domain", place, problem, remedy)
        elif not onnx.defs.has(node.op_type, versions.get(domain, 1), domain):
            opset = f"opset {versions.get(domain, 1)} of {domain or 'ai.onnx'}"
            problem = f"no such operator in {opset}"
            self.add("operator", place, problem, "export with the opset that has it, or without it")
        elif node.op_type in RANDOM or (node.op_type == "Dropout" and any(node.input[2:])):
            problem = "draws random numbers of its own: its rollouts could not be driven again"
            remedy = "export for inference; noise is declared in a suite and comes with a seed"
            self.add("random", place, problem, remedy)

    def attribute(
        self, attribute: AttributeProto, place: str, versions: dict[str, int], depth: int
    ) -> None:
        self.tensors((attribute.t, *attribute.tensors), place)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            self.tensors((sparse.values, sparse.indices), place)
        for graph in _subgraphs(attribute):
            self.graph(graph, f"{place}.{attribute.name}", versions, depth + 1)

    def tensors(self, tensors: Iterable[TensorProto], where: str) -> None:
        problem = "expected all data inside the file, found external data"
        remedy = "save with onnx.save(model, path, save_as_external_data=False)"
        for tensor in tensors:
            if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
                self.add("external", f"{where}: tensor {tensor.name!r}", problem, remedy)


def _subgraphs(attribute: AttributeProto) -> list[GraphProto]:
    # an unset `g` reads as an empty graph
    return [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _too_many_nodes(
    model: ModelProto, functions: dict[FunctionKey, FunctionProto], where: str
) -> list[Finding]:
    """Functions that call functions double with each level: count what a runtime would inline."""
    known: dict[FunctionKey, int] = {}
    open_calls: set[FunctionKey] = set()

    def cost(nodes: Sequence[NodeProto]) -> int:
        total = 0
        for node in nodes:
            key = (domain_of(node.domain), node.op_type)
            total += 1 + (cost_of(key) if key in functions else 0)
            for attribute in node.attribute:
                total += sum(cost(graph.node) for graph in _subgraphs(attribute))
        return total

    def cost_of(key: FunctionKey) -> int:
        if key in open_calls:
            raise RecursionError(f"function {key[1]!r} calls itself")
        if key not in known:
            open_calls.add(key)
            known[key] = cost(functions[key].node)
            open_calls.remove(key)
        return known[key]

    try:
        total = cost(model.graph.node)
    except RecursionError as error:
        # the other RecursionError is Python's own
        told = "calls itself" in str(error)
        problem = str(error) if told else "functions call each other too deep"
        return [Finding(f"{where}.functions", problem, "inline the functions before export")]
    if total > MAX_NODES:
        problem = f"expected at most {MAX_NODES:,} nodes with functions inlined, found {total:,}"
        return [Finding(where, problem, "simplify the graph before export")]
    return []
