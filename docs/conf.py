"""The site that `make docs` builds: these pages, and `api.md` with the docstrings of all that is public.

Links of pages are relative, as they are followed in the repository; tests/docs/test_links.py looks where they lead.
"""

import ast
import inspect
import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

import kobako

project = "Kobako"
html_title = "Kobako"
html_theme = "furo"
html_show_copyright = False
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
# Examples of requests are not whole.
suppress_warnings = ["myst.xref_missing", "misc.highlighting_failure"]

default_role = "literal"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "undoc-members": True}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
toc_object_entries_show_parents = "hide"

PUBLIC = Path(kobako.__file__)
HOMES = {
    each.name: node.module
    for node in ast.parse(PUBLIC.read_text()).body
    if isinstance(node, ast.ImportFrom)
    for each in node.names
}
"""The module that each public name comes from: its docstring is there."""

OUTSIDE = re.compile(r"\[([^]]*)\]\(\.\./[^)]*\)")
NAMES = re.compile(r"^```\{names\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at each page before it is read, and at each signature before it is shown."""
    # Some names are imported for type checks only; signatures are evaluated where they stand.
    for home in HOMES.values():
        for name in kobako.__all__:
            vars(sys.modules[home]).setdefault(name, getattr(kobako, name))
    app.connect("source-read", prepare)
    app.connect("autodoc-process-signature", tidy)
    return {"parallel_read_safe": True}


def prepare(app: Sphinx, page: str, source: list[str]) -> None:
    """Take out links to what the site has not; write out what the names of `api.md` stand for."""
    if page == "api":
        app.env.note_dependency(PUBLIC)
    text = OUTSIDE.sub(r"\1", source[0])
    source[0] = NAMES.sub(lambda found: "\n".join(described(each) for each in found[1].split()), text)


def described(name: str) -> str:
    """Return the directive that describes a public name."""
    value, options = getattr(kobako, name), ""
    kind = "function" if inspect.isfunction(value) else "data"
    if isinstance(value, type):
        kind = "exception" if issubclass(value, Exception) else "class"
    elif inspect.ismodule(value):
        kind, options = "module", f":exclude-members: {', '.join(kobako.__all__)}"
    return f"```{{eval-rst}}\n.. auto{kind}:: {HOMES[name]}.{name}\n   {options}\n```\n"


def tidy(
    app: Sphinx, kind: str, name: str, value: object, options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write defaults as Python has them. A protocol is not called; the settings have a page of their own."""
    if value is kobako.Settings or getattr(value, "_is_protocol", False):
        return "", None
    return signature and re.sub(r"<function (\w+)>", r"\1", signature.replace("<factory>", "...")), returns
