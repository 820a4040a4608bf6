"""pydantic's errors in the words of someone who wrote a TOML file."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from jaxcoopt.errors import unknown_name

SHOWN = 10
"""How many errors are listed."""

KEY = 60
"""How many letters of a key are shown."""

EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "list_type": "a list [..]",
    "model_type": "a table",
    "dict_type": "a table",
    "model_attributes_type": "a table",
    "finite_number": "a finite number",
    "too_short": "at least one entry",
}
"""What the types of pydantic's errors ask for."""

KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a table",
}


def explain(error: ValidationError, table: dict[str, Any], model: type[BaseModel]) -> str:
    """All errors, one a line: the key's dotted path, what was given, what is expected, the nearest right key."""
    found = error.errors(include_url=False)
    lines = [_line(details, table, model) for details in found[:SHOWN]]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    lines += more
    return lines[0] if len(lines) == 1 else f"{len(lines)} errors\n" + "\n".join(f"  {line}" for line in lines)


def _line(error: Mapping[str, Any], table: dict[str, Any], model: type[BaseModel]) -> str:
    path = ".".join(f"{key!s:.{KEY}}" for key in dotted(error["loc"], table, error["type"] == "missing"))
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            hint = str(unknown_name("", error["loc"][-1], keys_at(model, error["loc"][:-1]))).partition("; ")[2]
            return f"{path}: unknown key; {hint}"
        case "missing":
            return f"{path}: missing{_expected_at(model, error['loc'])}"
        case "value_error":
            return f"{path}: {context['error']}" if path else str(context["error"])
        case "literal_error":
            hint = _nearest(error["input"], context["expected"])
            return f"{path}: got {_given(error['input'])}, expected {context['expected']}{hint}"
        case "union_tag_invalid":
            hint = _nearest(context["tag"], context["expected_tags"])
            return f"{path}.kind: got {context['tag']!r:.60}, expected one of {context['expected_tags']}{hint}"
        case "union_tag_not_found":
            return f"{path}.kind: missing; say which kind of {path.rpartition('.')[2]} it is"
        case "too_long":
            return f"{path}: got {context['actual_length']} entries, expected {context['max_length']} at most"
        case "string_too_long":
            letters, most = len(error["input"]), context["max_length"]
            return f"{path}: got {_given(error['input'])} of {letters:,} letters, expected {most:,} at most"
        case kind:
            expected = EXPECTED.get(kind, error["msg"].removeprefix("Input should be "))
            return f"{path}: got {_given(error['input'])}, expected {expected}"


def dotted(location: tuple[Any, ...], table: object, missing: bool) -> list[Any]:
    """The keys of a location as the file has them, without the tags that pydantic adds for unions."""
    path: list[Any] = []
    for depth, key in enumerate(location):
        last = depth == len(location) - 1
        if (isinstance(table, dict) and key in table) or (isinstance(table, list) and isinstance(key, int)):
            path.append(key)
            table = table[key]
        elif last and missing:
            path.append(key)
    return path


def keys_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """The keys that the table at a location may have."""
    found: Any = model
    for key in location:
        found = _inside(found, key)
    models = _models(found)
    return sorted({name for each in models for name in each.model_fields})


def _inside(annotation: object, key: Any) -> Any:
    """The annotation of what lies at a key, an index or a union's tag."""
    models = _models(annotation)
    for each in models:
        if key in each.model_fields:
            return each.model_fields[key].annotation
    tagged = [each for each in models if "kind" in each.model_fields and key in _kinds(each)]
    tagged = tagged or [each for each in models if key in each.model_fields]
    return tagged[0] if tagged else annotation


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(model.model_fields["kind"].annotation)


def _models(annotation: object) -> list[type[BaseModel]]:
    """All tables that an annotation allows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is Literal:
        return []
    inside = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    return [model for each in inside for model in _models(each)]


def _expected_at(model: type[BaseModel], location: tuple[Any, ...]) -> str:
    """What a missing key is for, from its documentation."""
    found: Any = model
    for key in location[:-1]:
        found = _inside(found, key)
    for each in _models(found):
        if location[-1] in each.model_fields and each.model_fields[location[-1]].description:
            return f"; {each.model_fields[location[-1]].description}"
    return ""


def _given(value: object) -> str:
    """A value as TOML would show it, and its kind."""
    shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else f"{value!r:.60}"
    kind = KINDS.get(type(value), "")
    return f"{shown} ({kind})" if kind and not isinstance(value, bool) else shown


def _nearest(given: object, expected: str) -> str:
    names = [name.strip(" '") for name in expected.replace(" or ", ", ").split(",")]
    hint = str(unknown_name("", given, names)).partition("; ")[2]
    return f"; {hint}" if hint.startswith("did you mean") else ""
