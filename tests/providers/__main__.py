"""Run one fake provider as a program: `python -m tests.providers anthropic --port 8099`.

Prints the URL as the first line of stdout, then runs until SIGINT or SIGTERM.  Prompts without a
directive get the reply that the options describe.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from functools import partial

from . import PROVIDERS, Reply, obey_directives
from .recording import RecordedRequest


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.providers", description=__doc__)
    parser.add_argument("provider", choices=PROVIDERS)
    parser.add_argument("--port", type=int, default=0, help="default: one the system chooses")
    parser.add_argument("--text", help="the answer; default: a greeting")
    parser.add_argument("--chunks", type=int, default=4, help="pieces the answer is sent in")
    parser.add_argument("--words", type=int, default=0, help="answer this many numbered words")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds between two pieces")
    parser.add_argument("--wait", type=float, default=0.0, help="seconds before the headers")
    parser.add_argument("--log", action="store_true", help="print every request as a JSON line")
    options = parser.parse_args()
    default = Reply(
        text=options.text,
        chunks=options.chunks,
        words=options.words,
        delay=options.delay,
        wait=options.wait,
    )
    asyncio.run(_serve(options.provider, options.port, default, log=options.log))


async def _serve(name: str, port: int, default: Reply, *, log: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    script = partial(obey_directives, default=default)
    watch = _print_request if log else None
    async with PROVIDERS[name](script, port=port, watch=watch) as provider:
        print(provider.url, flush=True)
        await stopped.wait()


def _print_request(request: RecordedRequest) -> None:
    line = {"kind": request.kind, "path": request.path, "body": request.body}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
