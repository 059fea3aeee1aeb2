from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from clinvkd.prompt import Message, Prompt, Text
from clinvkd.store import ResponseStatus, Store, decode_binding, encode_binding

from .samples import HISTORY, opened, response

FINAL = ("completed", "failed", "cancelled", "incomplete")


async def test_a_response_comes_back_equal(store: Store) -> None:
    kept = response("resp_1", previous_id="resp_0")
    await store.responses.put(kept)
    assert await store.responses.get("resp_1", "alice") == kept


async def test_a_response_survives_a_restart(path: Path) -> None:
    kept = response("resp_1", output=None, status="queued")
    async with opened(path) as store:
        await store.responses.put(kept)
    async with opened(path) as store:
        assert await store.responses.get("resp_1", "alice") == kept


async def test_what_is_stored_makes_an_equal_prompt_again(store: Store) -> None:
    prompt = Prompt(
        backend="claude", messages=HISTORY[:-1], system="Be brief.", model="opus", client="alice"
    )
    await store.responses.put(response("resp_1", messages=HISTORY, binding=encode_binding(prompt)))
    kept = await store.responses.get("resp_1", "alice")
    assert kept is not None
    question = Message("user", (Text("And now?"),))
    continued = decode_binding(kept.binding, (*kept.messages, question))
    assert continued == replace(prompt, messages=(*HISTORY, question))
    assert continued.key(continued.history) == prompt.key(HISTORY)


async def test_put_replaces_the_whole(store: Store) -> None:
    await store.responses.put(response("resp_1", previous_id="resp_0"))
    new = response("resp_1", model="other", output=None, status="failed", messages=())
    await store.responses.put(new)
    assert await store.responses.get("resp_1", "alice") == new


async def test_another_clients_response_is_not_there(store: Store) -> None:
    kept = response("resp_1", status="in_progress")
    await store.responses.put(kept)
    assert await store.responses.get("resp_1", "mallory") is None
    assert not await store.responses.update("resp_1", "mallory", status="failed")
    assert not await store.responses.delete("resp_1", "mallory")
    with pytest.raises(ValueError, match="another client"):
        await store.responses.put(response("resp_1", client="mallory"))
    assert await store.responses.get("resp_1", "alice") == kept


async def test_deleted_is_gone(store: Store) -> None:
    await store.responses.put(response("resp_1"))
    await store.responses.put(response("resp_2"))
    assert await store.responses.delete("resp_1", "alice")
    assert not await store.responses.delete("resp_1", "alice")
    assert await store.responses.get("resp_1", "alice") is None
    assert await store.responses.get("resp_2", "alice") is not None


@pytest.mark.parametrize(
    "text", ["", "%", "\0", "resp\n", "\ud800", "é", "'; DROP TABLE x", "x" * 10**6]
)
async def test_what_is_no_id_is_not_found(store: Store, text: str) -> None:
    assert await store.responses.get(text, "alice") is None
    assert not await store.responses.update(text, "alice", status="failed")
    assert not await store.responses.delete(text, "alice")


async def test_update_changes_what_it_is_given(store: Store) -> None:
    begun = response("resp_1", status="queued", output=None, messages=HISTORY[:1])
    other = response("resp_2", status="queued")
    await store.responses.put(begun)
    await store.responses.put(other)

    assert await store.responses.update("resp_1", "alice", status="in_progress")
    assert await store.responses.get("resp_1", "alice") == replace(begun, status="in_progress")

    done = replace(begun, status="completed", output={"done": True}, messages=HISTORY)
    assert await store.responses.update(
        "resp_1", "alice", status="completed", output={"done": True}, messages=HISTORY
    )
    assert await store.responses.get("resp_1", "alice") == done
    assert await store.responses.get("resp_2", "alice") == other


@pytest.mark.parametrize("final", FINAL)
async def test_the_first_final_status_stays(store: Store, final: ResponseStatus) -> None:
    kept = response("resp_1", status=final)
    await store.responses.put(kept)
    for late in get_args(ResponseStatus):
        assert not await store.responses.update("resp_1", "alice", status=late, output={})
    assert await store.responses.get("resp_1", "alice") == kept


async def test_what_the_daemon_left_unfinished_is_marked_failed(path: Path) -> None:
    async with opened(path) as store:
        for status in get_args(ResponseStatus):
            await store.responses.put(response(status, status=status))
    async with opened(path) as store:
        assert (await store.clear_up(9.0))["interrupted_responses"] == 2
        for status in get_args(ResponseStatus):
            kept = await store.responses.get(status, "alice")
            assert kept is not None
            assert kept.status == (status if status in FINAL else "failed")


async def test_prune_forgets_what_is_older(store: Store) -> None:
    for age in (1.0, 2.0, 3.0):
        await store.responses.put(response(f"resp_{age:.0f}", created_at=age))
    assert await store.responses.prune(2.0) == 1
    assert await store.responses.get("resp_1", "alice") is None
    assert await store.responses.get("resp_2", "alice") is not None
    assert await store.responses.prune(10.0) == 2


async def test_text_no_database_takes_comes_back_equal(store: Store) -> None:
    text = "a\ud800b\udfffc\0d\U0010ffff"
    kept = response(
        "resp_1",
        request={text: text},
        input_items=[text],
        output={"output": text},
        messages=(Message("user", (Text(text),)),),
    )
    await store.responses.put(kept)
    assert await store.responses.get("resp_1", "alice") == kept


async def test_ten_megabytes_come_back_equal(store: Store) -> None:
    text = "Ein Satz mit Größe. 一個句子。" * 350_000
    assert len(text.encode()) > 10_000_000
    kept = response("resp_1", messages=(Message("user", (Text(text),)),))
    await store.responses.put(kept)
    again = await store.responses.get("resp_1", "alice")
    assert again is not None
    assert again.messages[0].text == text
