"""The command line: its door, and what it says when something is refused."""

from __future__ import annotations

import errno
import inspect
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import CycloptsError, UnusedCliTokensError

from seqsci.cli import benchmarks as _benchmarks  # noqa: F401 # it adds its verbs to the app
from seqsci.cli import written as _written  # noqa: F401 # it adds its verbs to the app
from seqsci.cli.advice import with_flags
from seqsci.cli.verbs import app
from seqsci.errors import SeqsciError


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 2 refused input or place, 130 interrupted, 141 nobody reads on."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    _require_fields(tokens)
    tokens = dotted(tokens)
    try:
        app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_quietly()
    except OSError as problem:
        _refuse(_told(problem))
    except UnusedCliTokensError as problem:
        words = " ".join(problem.unused_tokens or ())
        _refuse(f"'{words}' is one word too many; `seqsci VERB --help` says what a verb takes")
    except CycloptsError as problem:
        _refuse(" ".join(str(problem).split()))
    except SeqsciError as problem:
        _refuse(with_flags(str(problem)) if _takes_fields(tokens) else str(problem))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _leave_quietly() -> NoReturn:
    """What is still to be printed goes nowhere: Python would complain of the closed pipe when it ends."""
    for stream in (sys.stdout, sys.stderr):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(141)


def _told(problem: OSError) -> str:
    """What the disk refuses, in a sentence."""
    if problem.filename is None or problem.errno is None:
        return " ".join(str(problem).split())
    full = problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "make room and try again; `seqsci resume` goes on with a run" if full else "choose another place"
    return f"{problem.filename}: {(problem.strerror or 'refused').lower()}; {advice}"


def _refuse(sentence: str) -> NoReturn:
    print(f"seqsci: {sentence}", file=sys.stderr)
    sys.exit(2)


def _require_fields(tokens: list[str]) -> None:
    """Refuse a dotted flag, by the name that was typed, at a verb that trains nothing and so takes no such fields."""
    verb = next((token for token in tokens if not token.startswith("-")), "")
    typed = next((token.partition("=")[0] for token in tokens if _is_dotted(token)), None)
    if typed is None or not verb or verb not in app:
        return
    command = app[verb].default_command
    own = inspect.signature(command).parameters if command is not None else {}
    if "set" not in own:
        last = typed.rpartition(".")[2]
        advice = f"take --{last}" if last in own else f"`seqsci {verb} --help` lists its flags"
        _refuse(f"{typed}: `seqsci {verb}` takes no fields of a recipe; {advice}")


def _takes_fields(tokens: list[str]) -> bool:
    """Whether a verb trains, and none of its settings was given: who has given one knows how."""
    verb = next((token for token in tokens if not token.startswith("-") and token in app), "")
    command = app[verb].default_command if verb else None
    given = any(token.partition("=")[0] == "--set" for token in tokens)
    return command is not None and "set" in inspect.signature(command).parameters and not given


def _is_dotted(token: str) -> bool:
    name = token.partition("=")[0]
    return name.startswith("--") and "." in name


def dotted(tokens: list[str]) -> list[str]:
    """`--train.lr 1e-4` and `--train.lr=1e-4` -> `--set train.lr=1e-4`."""
    rewritten: list[str] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        name, equals, value = token.partition("=")
        position += 1
        if not _is_dotted(token):
            rewritten.append(token)
            continue
        if not equals:
            if position == len(tokens) or tokens[position].startswith("--"):
                _refuse(f"{name} needs a value, such as {name} 1")
            value = tokens[position]
            position += 1
        rewritten += ["--set", f"{name[2:]}={value}"]
    return rewritten
