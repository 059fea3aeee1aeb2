"""What the models say about a key path: its kind, what it may hold, and whether it is secret.

The one place that looks into pydantic's field definitions; sources, error messages and the
printed configuration ask here, so that none of them keeps a list of keys of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo

Kind: TypeAlias = Literal[
    "section", "table", "list", "choice", "bool", "int", "float", "text", "any"
]

_SCALARS: dict[object, Kind] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "text",
    SecretStr: "text",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the configuration.

    Attributes:
        kind: what stands there; a `section` has fixed keys, a `table` free ones.
        model: the model of a `section`.
        values: the type of a `table`'s values or a `list`'s items.
        choices: the words of a `choice`.
        nullable: whether `null` is allowed.
        secret: whether its value must never be shown.
        accepts_text: whether a `list` may also be written as one text.
        least: the smallest number allowed, `(number, whether it is allowed itself)`, or None.
        most: the largest number allowed, or None.
    """

    kind: Kind
    model: type[BaseModel] | None = None
    values: Any = None
    choices: tuple[str, ...] = ()
    nullable: bool = False
    secret: bool = False
    accepts_text: bool = False
    least: tuple[float, bool] | None = None
    most: float | None = None

    @property
    def allowed(self) -> str:
        """What may stand here, in words."""
        return self._without_null + (" or null" if self.nullable else "")

    @property
    def _without_null(self) -> str:
        match self.kind:
            case "section":
                return "a mapping with the keys " + ", ".join(keys(self))
            case "table":
                return "a mapping"
            case "list":
                return "a list of texts" + (" or one text" if self.accepts_text else "")
            case "choice":
                return "one of " + ", ".join(self.choices)
            case "bool":
                return "true or false"
            case "int":
                return "a whole number" + self._range
            case "float":
                return "a number" + self._range
            case "text":
                return "a text"
            case "any":
                return "anything"

    @property
    def _range(self) -> str:
        match self.least, self.most:
            case (None, None):
                return ""
            case ((number, included), None):
                return f" of at least {number:g}" if included else f" above {number:g}"
            case (None, most):
                return f" of at most {most:.12g}"
            case ((number, included), most):
                if included:
                    return f" from {number:g} to {most:.12g}"
                return f" above {number:g}, at most {most:.12g}"


def root(model: type[BaseModel]) -> Place:
    """The place of the whole configuration."""
    return Place("section", model=model)


def keys(place: Place) -> tuple[str, ...]:
    """The keys of a section, in order; nothing for any other place."""
    return tuple(place.model.model_fields) if place.model else ()


def child(place: Place, key: str | int) -> Place | None:
    """The place under a key of a section or table or an index of a list, None if there is none."""
    match place.kind:
        case "section":
            field = place.model.model_fields.get(str(key)) if place.model else None
            return _of_field(field) if field else None
        case "table" | "list":
            return _of_type(place.values, ())
        case "any":
            return place
        case _:
            return None


def find(model: type[BaseModel], path: Sequence[str | int]) -> Place | None:
    """The place at a key path, None if the models have none there."""
    place: Place | None = root(model)
    for key in path:
        if place is None:
            return None
        place = child(place, key)
    return place


def leaves(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """The paths of all values outside tables."""
    for name, field in model.model_fields.items():
        place = _of_field(field)
        if place.kind == "section" and place.model:
            yield from ((name, *rest) for rest in leaves(place.model))
        elif place.kind != "table":
            yield (name,)


def _of_field(field: FieldInfo) -> Place:
    return _of_type(field.annotation, tuple(field.metadata))


def _of_type(annotation: Any, metadata: tuple[Any, ...], *, nullable: bool = False) -> Place:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _of_type(arguments[0], (*arguments[1:], *metadata), nullable=nullable)
    if origin in (Union, UnionType):
        (inner,) = (argument for argument in arguments if argument is not NoneType)
        return _of_type(inner, metadata, nullable=True)
    if origin is Literal:
        return Place("choice", choices=arguments, nullable=nullable)
    if origin is Mapping:
        inner = _of_type(arguments[1], ())
        return Place("table", values=arguments[1], secret=inner.secret, nullable=nullable)
    if origin is tuple:
        accepts_text = any(isinstance(item, BeforeValidator) for item in metadata)
        return Place("list", values=arguments[0], accepts_text=accepts_text, nullable=nullable)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Place("section", model=annotation, nullable=nullable)
    least, most = _bounds(metadata)
    return Place(
        _SCALARS.get(annotation, "any"),
        secret=annotation is SecretStr,
        nullable=nullable,
        least=least,
        most=most,
    )


def _bounds(metadata: tuple[Any, ...]) -> tuple[tuple[float, bool] | None, float | None]:
    least: tuple[float, bool] | None = None
    most: float | None = None
    for item in metadata:
        constraints = item.metadata if isinstance(item, FieldInfo) else [item]
        for constraint in constraints:
            match constraint:
                case Ge(ge=number) if isinstance(number, int | float):
                    least = (number, True)
                case Gt(gt=number) if isinstance(number, int | float):
                    least = (number, False)
                case Le(le=number) if isinstance(number, int | float):
                    most = number
    return least, most
