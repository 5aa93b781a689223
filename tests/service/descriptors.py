"""The protocol's true descriptors, read out of the Envoy binary, where protobuf's generated C++ keeps them serialised."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

_FILE_FIELDS = {1: 2, 2: 2, 3: 2, 4: 2, 5: 2, 6: 2, 7: 2, 8: 2, 9: 2, 10: 0, 11: 0, 12: 2, 14: 0, 15: 2}
"""Top-level fields of a FileDescriptorProto and their wire types."""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _length(data: bytes) -> int:
    """How many leading bytes are top-level fields of a FileDescriptorProto."""
    at, last, names = 0, 0, 0
    try:
        while True:
            tag, value = _varint(data, at)
            number, kind = tag >> 3, tag & 7
            if _FILE_FIELDS.get(number) != kind or (number == 1 and (names := names + 1) > 1):
                return last
            if kind == 2:
                size, value = _varint(data, value)
                at = value + size
            else:
                _, at = _varint(data, value)
            if at > len(data):
                return last
            last = at
    except IndexError:
        return last


class Binary:
    """Files of descriptors inside an executable."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as opened:
            self._data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)

    def close(self) -> None:
        self._data.close()

    def file(self, name: str) -> descriptor_pb2.FileDescriptorProto:
        """The descriptor of one file.

        Raises:
            LookupError: it is not there.
        """
        start = b"\x0a" + bytes([len(name)]) + name.encode()
        assert len(name) < 128
        for found in re.finditer(re.escape(start), self._data):
            at = found.start()
            data = self._data[at : at + (1 << 20)]
            size = _length(data)
            while size > len(start):
                try:
                    file = descriptor_pb2.FileDescriptorProto.FromString(data[:size])
                except DecodeError:
                    break
                if file.name == name and file.package:
                    return file
                break
        raise LookupError(name)

    def pool(self, name: str) -> descriptor_pool.DescriptorPool:
        """A pool of its own with a file and all it depends on."""
        pool = descriptor_pool.DescriptorPool()
        done: set[str] = set()

        def add(each: str) -> None:
            if each in done:
                return
            done.add(each)
            file = self.file(each)
            for dependency in file.dependency:
                add(dependency)
            pool.Add(file)

        add(name)
        return pool


def nested(descriptor: Descriptor) -> list[Descriptor]:
    """A message and all below it."""
    return [descriptor, *(each for child in descriptor.nested_types for each in nested(child))]
