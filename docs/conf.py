"""Sphinx: how the pages are built. Warnings are errors (`scripts/check`)."""

import forebay

project = "Forebay"
copyright = "The Forebay authors"  # noqa: A001 - Sphinx's name
version = release = forebay.__version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "alabaster"
_SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
html_theme_options = {
    "description": "The event-driven platform you run yourself.",
    "page_width": "1120px",
    "body_max_width": "860px",
    "font_family": _SANS,
    "head_font_family": _SANS,
    "font_size": "16px",
    "code_font_size": "0.85em",
    "fixed_sidebar": True,
}
html_static_path = ["_static"]
html_css_files = ["forebay.css"]
html_show_sourcelink = False
