"""A report's page: pictures drawn into the run folder, and one HTML file that holds them as well."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from seqsci.files import whole
from seqsci.report.drawing import save
from seqsci.report.words import ends_text, figure_text, fixed_text, interval_text
from seqsci.runs import Run


def build_page(
    run: Run, room: str, pictures: Mapping[str, Callable[[Any], Figure | bytes | None]], material: Any, **facts: Any
) -> Path:
    """Draw the pictures of a complete run (None: nothing to draw; bytes: a PNG of its own) and write report.html.

    Args:
        run: the run folder.
        room: folder of the page's template below this one, or the template itself.
        pictures: file name -> what draws it from the material.
        material: what the run folder holds; `run` in the template.
        facts: further names of the template; `data`: what is known of the data, such as whether they are simulated;
            `recipe`: the text of it, where it does not lie in the folder.
    """
    drawn, simulated = {}, bool(facts.get("data", {}).get("simulated", False))
    for name, function in pictures.items():
        path = run.folder / f"{name}.png"
        figure = function(material)
        if figure is None:
            path.unlink(missing_ok=True)
        else:
            if isinstance(figure, bytes):
                with whole(path) as temporary:
                    temporary.write_bytes(figure)
            else:
                save(figure, path, simulated)
            drawn[name] = base64.b64encode(path.read_bytes()).decode()
    home = FileSystemLoader(Path(__file__).parent)
    pages = Environment(loader=home, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters.update(figures=figure_text, fixed=fixed_text, interval=interval_text, ends=ends_text)
    if "recipe" not in facts:
        facts["recipe"] = (run.folder / "recipe.yaml").read_text(encoding="utf-8")
    template = pages.get_template(room if room.endswith(".j2") else f"{room}/report.html.j2")
    page = template.render(run=material, pictures=drawn, **facts)
    run.write("report.html", page)
    return run.folder / "report.html"
