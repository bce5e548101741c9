"""How long do we wait? The libraries that ask DNS and the KDC know no deadline."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

#: Seconds that we wait for the KDC.
PATIENCE = 5


def within(seconds: float, ask: Callable[..., Any], *arguments: Any) -> Any:
    """What *ask* returns or raises; TimeoutError where that takes longer.

    The thread that asks cannot be ended, and is left to itself then.
    """
    answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((ask(*arguments), None))
        except BaseException as problem:
            answers.put((None, problem))

    Thread(target=run, daemon=True).start()
    try:
        answer, problem = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer within {seconds} s") from None
    if problem:
        raise problem
    return answer
