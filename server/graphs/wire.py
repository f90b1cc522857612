"""The structure of an ONNX file, before a parser builds it: few bytes can ask for gigabytes.

Encoding: protobuf.dev/programming-guides/encoding. The schema is that of the `onnx` package.
"""

from functools import cache
from typing import Any

from onnx import ModelProto

MAX_FIELDS = 1_000_000
"""Fields of all messages: each may become an object of some 100 bytes."""
MAX_DEPTH = 32
"""Messages within messages; a subgraph adds three."""
MAX_PACKED_BYTES = 16 << 20
"""Bytes of packed integers: one byte may become eight. Weights belong in `raw_data`."""
_BROKEN = "not an ONNX file, or a truncated one"

AS_LARGE_IN_MEMORY = {1, 2, 9, 12}
"""FieldDescriptor.Type of double, float, string and bytes: no larger in memory than on the wire."""


class MalformedError(ValueError):
    """Not a protobuf message, or one that asks for more than a model needs."""


@cache
def _children(descriptor: Any) -> dict[int, Any]:
    """Field number to the descriptor of its message, None for packed integers; others lack."""
    return {
        field.number: field.message_type
        for field in descriptor.fields
        if field.type not in AS_LARGE_IN_MEMORY
    }


def check_structure(data: bytes) -> None:
    """Walk over the messages of a serialised ModelProto without building any. Raises
    MalformedError: what is too much, or at which byte the encoding breaks."""
    fields = packed = 0
    todo: list[tuple[int, int, Any, int]] = [(0, len(data), ModelProto.DESCRIPTOR, 0)]
    while todo:
        at, end, descriptor, depth = todo.pop()
        children = _children(descriptor)  # absent: no message, so nothing to walk into
        if depth > MAX_DEPTH:
            raise MalformedError(f"messages nested more than {MAX_DEPTH} deep at byte {at}")
        while at < end:
            began = at
            tag, at = _varint(data, at, end)
            fields += 1
            match tag & 7:  # the wire type; the other bits are the field's number
                case 0:  # varint
                    _, at = _varint(data, at, end)
                case 1:  # eight bytes
                    at += 8
                case 5:  # four bytes
                    at += 4
                case 2:  # length-prefixed
                    length, at = _varint(data, at, end)
                    if tag >> 3 in children:
                        child = children[tag >> 3]
                        if child is None:
                            packed += length
                        else:
                            todo.append((at, at + length, child, depth + 1))
                    at += length
                case _:
                    raise MalformedError(f"not an ONNX file: unknown encoding at byte {began}")
            if at > end:
                raise MalformedError(f"{_BROKEN}: a field at byte {began} runs past its end")
            if fields > MAX_FIELDS:
                raise MalformedError(f"more than {MAX_FIELDS:,} fields")
            if packed > MAX_PACKED_BYTES:
                most = f"{MAX_PACKED_BYTES >> 20} MiB"
                raise MalformedError(f"more than {most} of packed integers outside raw_data")


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number at `at` and the place after it."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise MalformedError(f"{_BROKEN}: a number at byte {at} does not end")
