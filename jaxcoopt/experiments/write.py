"""Settings as TOML text, such that reading it gives the same settings."""

import json
from typing import Any

from jaxcoopt.experiments.settings import Experiment


def to_toml(settings: Experiment) -> str:
    """Every setting, those left at their default too; what is None is left out, which means the same."""
    return "\n".join(_lines(settings.model_dump(exclude_none=True), "")).lstrip("\n") + "\n"


def _lines(table: dict[str, Any], path: str) -> list[str]:
    """Plain values first, then tables, then lists of tables: TOML needs that order."""
    lines = [f"{key} = {_value(value)}" for key, value in table.items() if not _is_table(value)]
    for key, value in table.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            lines += ["", f"[{name}]", *_lines(value, name)]
        elif _is_table(value):
            for entry in value:
                lines += ["", f"[[{name}]]", *_lines(entry, name)]
    return lines


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
        case _:
            return repr(value)
