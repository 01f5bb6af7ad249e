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
html_theme_options = {"description": "The event-driven platform you run yourself.", "page_width": "1080px"}
