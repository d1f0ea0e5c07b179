"""What a refusal advises, in the words of the command line.

Sentences name a setting by its dotted path, as recipes and Python do: "skip such records with data.invalid skip". The
command line, and it alone, adds how that is typed.
"""

from __future__ import annotations

import re
from typing import get_type_hints

_PATH = re.compile(r"(?<![\w./-])(data|model|train|evaluate)\.([a-z_]+)(\.[a-z_]+)*")


def with_flags(sentence: str) -> str:
    """The sentence and the flags of the settings that it advises: "... (as a flag: --data.invalid)".

    What stands at its very start is what it complains of, and is no advice; names of files are none either.
    """
    advised = dict.fromkeys(found[0] for found in _PATH.finditer(sentence) if found.start() and _is_setting(found))
    if not advised:
        return sentence
    flags = ", ".join(f"--{path}" for path in advised)
    return f"{sentence} (as {'a flag' if len(advised) == 1 else 'flags'}: {flags})"


def _is_setting(found: re.Match[str]) -> bool:
    from seqsci import registry
    from seqsci.recipe import TASKS, describe

    part, name = found[1], found[2]
    if part == "model":
        blocks = [registry.settings(model) for model in registry.names()]
    else:
        blocks = [get_type_hints(recipe)[part] for recipe in TASKS.values()]
    return any(name == field for block in blocks for field, *_ in describe(block))
