from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from aiohttp import ClientSession

from .dialects import DIALECTS

ROOT = Path(__file__).parents[2]


async def test_a_provider_runs_as_a_program() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.providers", "chat", "--words", "2", "--log"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    dialect = DIALECTS["chat"]
    try:
        url = (await process.stdout.readline()).decode().strip()
        async with ClientSession() as session:
            for prompt, answer in [("hi", "word1 word2 "), ('%%{"text": "told"}%%', "told")]:
                path, body = dialect.request([("user", prompt)], False)
                async with session.post(url + path, json=body) as response:
                    assert dialect.text(await response.json()) == answer
        logged = json.loads(await process.stdout.readline())
        assert logged == {
            "kind": "turn",
            "path": "/v1/chat/completions",
            "body": dialect.request([("user", "hi")], False)[1],
        }
        process.send_signal(signal.SIGTERM)
        await process.communicate()
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
