"""The reports of what a pretrained model has said: scores, embeddings and generated sequences."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from seqsci.errors import SeqsciError
from seqsci.report.page import build_page
from seqsci.runs import Run


def build_report(folder: Path) -> Path:
    """Draw the pictures and write report.html of a folder that holds summary.json and its table.

    Raises:
        SeqsciError: the folder has no summary, or it is damaged.
    """
    path = folder / "summary.json"
    try:
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        room = import_module(f"seqsci.report.language.{summary['verb']}")
    except (OSError, ValueError, KeyError, ModuleNotFoundError):
        raise SeqsciError(f"{path}: absent or damaged; ask the run again") from None
    run = Run(folder)
    return build_page(
        run,
        f"language/{summary['verb']}.html.j2",
        room.PICTURES,
        room.Material(run, summary),
        metrics={"seqsci": summary["seqsci"], "machine": summary["machine"]},
        said=summary,
        data=summary["data"],
        verdicts=summary["sentences"],
        model=summary["model"],
        recipe=summary["recipe"],
    )
