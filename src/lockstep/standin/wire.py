"""Property values as the engine's protocol writes them, and as plain Python.

A protobuf Struct has no word for "not known yet": the engine sends one of seven strings, by the type that
it expects, and takes any of them back. Secrets and outputs are objects with a signature; the providers
here ask for neither, and unwrap those that come all the same. Format: `MarshalProperties` in Pulumi's
`sdk/go/common/resource/plugin/rpc.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct, Value

Values: TypeAlias = dict[str, Any]

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
UNKNOWNS = frozenset(
    {
        UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)


class Unknown:
    """What nobody knows before the update. There is one; `is UNKNOWN` asks for it."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __copy__(self) -> Unknown:
        return self

    def __deepcopy__(self, memo: object) -> Unknown:
        return self


UNKNOWN: Final = Unknown()


def values(struct: Struct) -> Values:
    """A message's properties as plain values; whole numbers as int."""
    return {key: _plain(value) for key, value in struct.fields.items()}


def struct(properties: Mapping[str, Any]) -> Struct:
    """Plain values as a message's properties. A value of any other type is a TypeError."""
    from google.protobuf.struct_pb2 import Struct

    message = Struct()
    for key, value in properties.items():
        _write(message.fields[key], value)
    return message


def holds_unknown(value: object) -> bool:
    """Whether anything in it is not known yet."""
    if isinstance(value, Mapping):
        return any(holds_unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(holds_unknown(item) for item in value)
    return value is UNKNOWN


def _plain(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in UNKNOWNS else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    if kind == "struct_value":
        return _unwrapped(values(value.struct_value))
    return None


def _unwrapped(properties: Values) -> Any:
    """What a secret or an output holds; anything else as it is."""
    if properties.get(SIGNATURE) in (SECRET, OUTPUT):
        return properties.get("value", UNKNOWN)
    return properties


def _write(into: Value, value: Any) -> None:
    if value is None:
        into.null_value = 0
    elif value is UNKNOWN:
        into.string_value = UNKNOWN_STRING
    elif isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, str):
        into.string_value = value
    elif isinstance(value, int | float):
        into.number_value = value
    elif isinstance(value, Mapping):
        into.struct_value.SetInParent()
        for key, item in value.items():
            _write(into.struct_value.fields[key], item)
    elif isinstance(value, list | tuple):
        into.list_value.SetInParent()
        for item in value:
            _write(into.list_value.values.add(), item)
    else:
        raise TypeError(f"a {type(value).__name__} is no property value")
