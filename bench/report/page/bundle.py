"""One file out of several: the template with style, script and data put in.

    text = html({"comparisons": […]}, extra_css)

The scripts in `static/js` are ES modules that import one another; a module inside a page cannot be imported,
so each becomes a function that returns what it exports, in the order of `MODULES`. Data stand in one JSON
script element in which `<`, `>` and `&` are written as \\u escapes, so that no label can end the element. The
content security policy allows this style and this script, by their hashes, and no request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

MODULES = (
    "dom",
    "units",
    "scale",
    "marks",
    "tooltip",
    "chart",
    "costs",
    "controls",
    "leaderboard",
    "pareto",
    "lengths",
    "recall",
    "curve",
    "confusion",
    "drilldown",
    "published",
    "theme",
    "main",
)
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', flags=re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:function|const|class) (\w+))", flags=re.MULTILINE)
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def html(data: dict[str, Any], css: str) -> str:
    """The page with `data` (JSON values, no NaN) and the rules of `css` before its own."""
    style = css + _read("page.css")
    script = joined({name: _read(f"js/{name}.js") for name in MODULES})
    parts = {"style": style, "script": script, "data": as_json(data), "policy": _policy(style, script)}
    return _PLACE.sub(lambda place: parts[place[1]], _read("index.html"))


def as_json(data: dict[str, Any]) -> str:
    """ASCII JSON with sorted keys that no HTML parser can leave early."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).translate(_ESCAPES)


def joined(modules: Mapping[str, str]) -> str:
    """ES modules as one script, those that are imported before those that import them."""
    return "\n" + "\n".join(_scope(name, text) for name, text in modules.items())


def _scope(name: str, module: str) -> str:
    """One module as a function of its own, whose result holds what it exports."""
    exports = ", ".join(_EXPORT.findall(module))
    body = _EXPORT.sub("", _IMPORT.sub(r"const \1 = module_\2;", module)).strip("\n")
    return f"const module_{name} = (() => {{\n{body}\nreturn {{ {exports} }};\n}})();\n"


def _policy(style: str, script: str) -> str:
    """Nothing but this style, this script and images written out in the page."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _read(name: str) -> str:
    return (files("bench.report.page") / "static" / name).read_text(encoding="utf-8")
