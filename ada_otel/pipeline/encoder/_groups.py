"""Resources and scopes: the two outer levels of every OTLP request, and their cached bytes.

Traces, logs and metrics use the same field numbers here. A request holds resource groups (1); a resource
group holds the resource (1), scope groups (2) and a schema URL (3); a scope group holds the scope (1), its
items (2) and a schema URL (3).
"""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from ada_otel.pipeline.encoder._values import attributes_encoder
from ada_otel.pipeline.encoder._wire import SurpriseError, delimited, text, varint

_MAX_RESOURCES = 32
_MAX_SCOPES = 512

_resource_attributes = attributes_encoder(b"\x0a")
_scope_attributes = attributes_encoder(b"\x1a")


class EncodedResource:
    """A resource with its bytes; equal to another one if their resources are.

    It holds the resource, so that the id under which it is kept cannot pass to another object.
    """

    __slots__ = ("_hash", "head", "resource", "tail")

    def __init__(self, resource: Resource) -> None:
        if type(resource) is not Resource:
            raise SurpriseError("resource type")
        self.resource = resource
        self.head = delimited(b"\x0a", b"".join(_resource_attributes(resource._attributes)))
        self.tail = text(b"\x1a", resource._schema_url)
        self._hash = hash(resource)  # serializes all attributes to JSON, hence kept

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EncodedResource) and self.resource == other.resource


class EncodedScope:
    """An instrumentation scope with its bytes, held for the same reason as `EncodedResource`."""

    __slots__ = ("head", "scope", "tail")

    def __init__(self, scope: InstrumentationScope | None) -> None:
        self.scope = scope
        if scope is None:
            self.head, self.tail = b"\x0a\x00", b""
            return
        if type(scope) is not InstrumentationScope:
            raise SurpriseError("scope type")
        fields = [text(b"\x0a", scope._name), text(b"\x12", scope._version)]
        fields += _scope_attributes(scope._attributes)
        self.head = delimited(b"\x0a", b"".join(fields))
        self.tail = text(b"\x1a", scope._schema_url)


_resources: dict[int, EncodedResource] = {}
_scopes: dict[int, EncodedScope] = {}


def encoded_resource(resource: Resource) -> EncodedResource:
    """Return the bytes of this very object, made once.

    Raises:
        SurpriseError: It is not exactly an SDK `Resource`.
    """
    known = _resources.get(id(resource))
    if known is None or known.resource is not resource:
        known = EncodedResource(resource)
        if len(_resources) >= _MAX_RESOURCES:
            _resources.clear()
        _resources[id(resource)] = known
    return known


def encoded_scope(scope: InstrumentationScope | None) -> EncodedScope:
    """Return the bytes of this very object, made once.

    Raises:
        SurpriseError: It is not exactly an SDK `InstrumentationScope`.
    """
    known = _scopes.get(id(scope))
    if known is None or known.scope is not scope:
        known = EncodedScope(scope)
        if len(_scopes) >= _MAX_SCOPES:
            _scopes.clear()
        _scopes[id(scope)] = known
    return known


def clear_groups() -> None:
    """Forget all resources and scopes."""
    _resources.clear()
    _scopes.clear()


class Groups:
    """Encoded items by resource and scope, each in the order of first appearance, as the stock encoder does.

    Resources and scopes that are equal share a group, under the bytes of the first.
    """

    __slots__ = ("_by_identity", "_by_value")

    def __init__(self) -> None:
        self._by_identity: dict[tuple[int, int], tuple[Any, Any, list[bytes]]] = {}
        self._by_value: dict[EncodedResource, dict[Any, tuple[EncodedScope, list[bytes]]]] = {}

    def items(self, resource: Resource, scope: InstrumentationScope | None) -> list[bytes]:
        """Return the list to which the pieces of each item (tag and length, content) are appended."""
        identity = (id(resource), id(scope))
        found = self._by_identity.get(identity)
        if found is not None:
            return found[2]
        scopes = self._by_value.setdefault(encoded_resource(resource), {})
        if scope in scopes:
            pieces = scopes[scope][1]
        else:
            pieces = []
            scopes[scope] = (encoded_scope(scope), pieces)
        # Both objects are held, lest an id pass to another one within this batch.
        self._by_identity[identity] = (resource, scope, pieces)
        return pieces

    def encode(self) -> bytes:
        """Return the whole request."""
        # The sizes are summed up, and all is joined once: joining level by level copies it four times.
        request: list[bytes] = []
        for resource, scopes in self._by_value.items():
            group = [resource.head]
            for scope, pieces in scopes.values():
                size = len(scope.head) + sum(map(len, pieces)) + len(scope.tail)
                group += (b"\x12" + varint(size), scope.head, *pieces, scope.tail)
            group.append(resource.tail)
            request.append(b"\x0a" + varint(sum(map(len, group))))
            request += group
        return b"".join(request)
