"""The command `llm`, with a model of its `extra-openai-models.yaml`, in two turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .cases import Job, case, main


def llm(job: Job, folder: str, *arguments: str) -> str:
    model = {"model_id": "mine", "model_name": job.backend, "api_base": job.base_url}
    Path(folder, "extra-openai-models.yaml").write_text(json.dumps([model]))  # JSON is YAML
    environment = {**os.environ, "LLM_USER_PATH": folder, "OPENAI_API_KEY": "none"}
    command = [sys.executable, "-m", "llm", "prompt", "-m", "mine", *arguments]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.rstrip("\n")


@case
def conversation(job: Job) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return [
            llm(job, folder, "-s", "Be brief.", job.prompt("conversation_1")),
            llm(job, folder, "--continue", job.prompt("conversation_2")),
        ]


@case
def whole(job: Job) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return llm(job, folder, "--no-stream", job.prompt("whole"))


if __name__ == "__main__":
    main()
