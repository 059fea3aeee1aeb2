"""Callers that ask without a pause until they are told to stop: `load.py URL CALLERS`.

They stop at the end of standard input, after the answers that are still to come; then one line of
JSON says how many were right, and what happened to the others. Each caller keeps its connection as
long as the server does.
"""

from __future__ import annotations

import asyncio
import json
import sys

import aiohttp


async def call(
    session: aiohttp.ClientSession, url: str, number: int, done: asyncio.Event, lost: list[str]
) -> int:
    """Ask until it is done; how many answers were right."""
    right = 0
    while not done.is_set():
        prompt = f"caller {number}, question {right}"
        try:
            async with session.post(f"{url}/api/v1/prompt", json={"prompt": prompt}) as response:
                answer = await response.json()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            lost.append(repr(error))
            continue
        if response.status == 200 and answer["output"] == prompt:
            right += 1
        else:
            lost.append(f"{response.status} {answer}")
    return right


async def main(url: str, callers: int) -> None:
    """Ask until the end of standard input."""
    done = asyncio.Event()
    lost: list[str] = []
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, lambda: (sys.stdin.read(), loop.call_soon_threadsafe(done.set)))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session:
        right = await asyncio.gather(
            *(call(session, url, number, done, lost) for number in range(callers))
        )
    print(json.dumps({"right": sum(right), "lost": lost}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
