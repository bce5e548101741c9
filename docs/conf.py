"""How the manual is built: `sphinx-build -W docs out`, with the extra [docs]."""

import sys
from pathlib import Path

import negotiate_wsgi

sys.path.insert(0, str(Path(__file__).parent))  # for the extension `generated`

project = "negotiate-wsgi"
author = "The negotiate-wsgi authors"
project_copyright = author
release = version = negotiate_wsgi.__version__

extensions = [
    "generated",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

smartquotes = False  # "--" is an option, and no dash
nitpicky = True
#: What is written in a signature and has no page here: other people's types, and our own
#: that nobody has to name.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(_typeshed\.)?(wsgi\.)?(WSGIApplication|WSGIEnvironment|StartResponse)",
    ),
    (
        "py:.*",
        r"(os|logging|contextlib|enum|pathlib|collections|typing|types|datetime)\..*",
    ),
    ("py:.*", r"(Callable|Collection|Iterable|Iterator|Mapping|Sequence|Any|Self)"),
    ("py:.*", r"(flask|itsdangerous|werkzeug)\..*"),
    ("py:.*", r"(Authorize|OnDecision|Required|flask_adapter\.adapter\._View)"),
]

exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"negotiate-wsgi {release}"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False

copybutton_exclude = ".linenos, .gp, .go"

man_pages = [
    ("reference/command-line", "negotiate-wsgi", "tools for sign-on", [author], 1)
]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_display_short_literal_types = True
#: Names in single backticks are links where there is something to link to.
default_role = "generated"
