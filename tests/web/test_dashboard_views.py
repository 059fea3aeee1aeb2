"""The playground, sessions, usage and requests, used as a person does."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from ..api.service import eventually
from ..gate.browser import PROGRAM
from ..gate.stage import staged
from .tab import Tab

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
]

HOSTILE = 'it\'s "quoted" $HOME `id` \\ back\n<b>second line</b>'
CHOOSE = """
const UNKNOWN = "\\u2013";
const choose = async (...names) => {
  await one("#ask-echo");
  for (const box of all(".choice input[type=checkbox]")) {
    box.checked = names.includes(box.id.replace("ask-", ""));
  }
};
"""


async def test_a_prompt_streams_and_can_be_stopped(tab: Tab) -> None:
    await tab.open("playground")
    await tab.run(
        f"""{CHOOSE}
        await choose("echo");
        await fill("#prompt", "[[slow 0.02]] [[long 1000000]] token");
        await press("Send");
        const text = () => document.querySelector(".lane-text")?.innerText ?? "";
        const first = await until(text);
        await until(() => text().length > first.length);
        """
    )
    await tab.keep("playground-streaming")
    await tab.run(
        """
        await press("Stop");
        await until(() => texts(".lane .badge").join() === "stopped");
        """
    )
    await tab.stage.idle()  # the agent was told
    assert tab.browser.complaints == []


async def test_three_backends_are_compared(tab: Tab) -> None:
    await tab.open("playground")
    lanes = await tab.run(
        f"""{CHOOSE}
        await choose("echo", "alpha", "beta");
        await fill("#prompt", "[[think well now]] one two three");
        await press("Send");
        await until(() => texts(".lane .badge").join() === "completed,completed,completed");
        await until(() => texts(".lane-text").every((text) => text));
        await until(() => texts(".lane dd").every((text) => text !== UNKNOWN));
        return all(".lane").map((lane) => ({{
          name: lane.querySelector("h2").innerText,
          text: lane.querySelector(".lane-text").innerText.trim(),
          thoughts: lane.querySelector("details .prose").textContent,
          figures: [...lane.querySelectorAll("dd")].map((each) => each.innerText),
        }}));
        """
    )
    assert {lane["name"] for lane in lanes} == {"echo", "alpha", "beta"}
    for lane in lanes:
        assert (lane["text"], lane["thoughts"].strip()) == ("one two three", "well now")
        first, took, tokens, cost = lane["figures"]
        assert first.endswith("ms")
        assert took.endswith("s")
        assert tokens == "6 in, 5 out"
        assert cost
    await tab.keep("playground-compared")
    assert tab.browser.complaints == []


async def test_a_lane_that_is_completed_shows_its_whole_text(tab: Tab) -> None:
    await tab.open("playground")
    lane = await tab.run(
        f"""{CHOOSE}
        await choose("echo");
        await fill("#prompt", "[[think well now]] one two three");
        window.requestAnimationFrame = () => 0;  // a tab in the background draws no frames
        await press("Send");
        await until(() => texts(".lane .badge").join() === "completed");
        return [".lane-text", ".lane details .prose"].map(
          (part) => document.querySelector(part).textContent.trim());
        """
    )
    assert lane == ["one two three", "well now"]


async def test_one_failure_leaves_the_other_answers(tab: Tab) -> None:
    await tab.open("playground")
    reason = await tab.run(
        f"""{CHOOSE}
        await choose("echo", "alpha");
        await fill("#ask-alpha ~ input", "one-model");
        await fill("#prompt", "[[model]] [[fail out of luck]]");
        await press("Send");
        await until(() => texts(".lane .badge").join() === "failed,failed");
        return [texts(".lane .reason"), texts(".lane-text")];
        """
    )
    assert all("out of luck" in each for each in reason[0])
    assert reason[1][1] == "one-model"


async def test_a_judge_is_asked_and_heard(tab: Tab) -> None:
    await tab.open("playground")
    verdict = await tab.run(
        f"""{CHOOSE}
        await choose("echo", "alpha");
        await fill("#judge", "beta");
        await fill("#prompt", "one two three");
        await press("Send");
        await until(() => document.querySelector(".verdict").checkVisibility());
        return [document.querySelector(".verdict").innerText, texts(".lane .badge")];
        """
    )
    # Echo makes no JSON of the form a judge is asked for.
    assert "There is no verdict" in verdict[0]
    assert verdict[1] == ["completed", "completed"]


async def test_a_session_is_found_read_continued_forked_and_deleted(tab: Tab) -> None:
    await tab.stage.text("the needle is here", ephemeral=False)
    await tab.stage.text("only hay")
    await tab.open("sessions")
    listed = await tab.run(
        """
        await one(".session-list a");
        await fill("#search", "needle");
        await until(() => texts(".session-search [role=status]").join() === "1 session");
        (await one(".session-list a")).click();
        await until(() => texts(".message .prose").length === 2);
        return [texts(".session-title"), texts(".message header strong"), texts(".message .prose")];
        """
    )
    assert listed == [["the needle is here"], ["You", "Agent"], ["the needle is here"] * 2]
    await tab.keep("session")
    said = await tab.run(
        """
        await fill("#continue-prompt", "[[history]]");
        await press("Send");
        await until(() => texts(".message .prose").length === 4
          && texts(".message:last-child header span").join().includes("out"));
        return texts(".message .prose").pop();
        """
    )
    history = [each["content"][0]["text"] for each in json.loads(said)["history"]]
    assert history == ["the needle is here"] * 2
    original = await tab.run("return location.hash;")
    await tab.run(
        f"""
        await press("Fork");
        await until(() => location.hash !== {json.dumps(original)});
        await until(() => texts(".conversation header .small").join().includes("copy of"));
        await until(() => texts(".message .prose").length === 4);
        """
    )
    copy = await tab.run("return location.hash;")
    await tab.run(
        """
        await press("Delete", ".conversation > header");
        await press("Keep it", "dialog");
        await press("Delete", ".conversation > header");
        await press("Delete", "dialog");
        await until(() => location.hash === "#/sessions");
        """
    )
    gone = copy.removeprefix("#/sessions/")
    async with tab.stage.client.get(f"/api/v1/sessions/{gone}") as response:
        assert response.status == 404
    kept = original.removeprefix("#/sessions/")
    async with tab.stage.client.get(f"/api/v1/sessions/{kept}") as response:
        assert response.status == 200
    assert tab.browser.complaints == []


async def test_a_turn_that_fails_leaves_the_conversation_as_it_was(tab: Tab) -> None:
    answer = await tab.stage.post(prompt="before")
    await tab.open(f"sessions/{answer.json['session_id']}")
    problem = await tab.run(
        """
        await until(() => texts(".message .prose").length === 2);
        await fill("#continue-prompt", "after [[fail out of luck]]");
        await press("Send");
        const problem = await until(() => texts(".conversation .problem").find((text) => text));
        const prompt = document.querySelector("#continue-prompt").value;
        return [problem, texts(".message .prose"), prompt];
        """
    )
    assert "out of luck" in problem[0]
    assert problem[1:] == [["before", "before"], "after [[fail out of luck]]"]


async def test_usage_is_a_chart_and_a_table(tab: Tab) -> None:
    await tab.stage.text("one two three")
    await tab.open("usage")
    async with tab.stage.client.get("/api/v1/usage?by=backend") as response:
        usage = (await response.json())["usage"]
    shown = await tab.run(
        """
        await one("svg rect");
        await fill("#measure", "output");
        const label = await until(() => all("svg[aria-label]").map((each) =>
          each.getAttribute("aria-label")).find((text) => text.startsWith("Tokens out")));
        document.querySelector("details summary").click();
        return {
          label,
          legend: texts(".legend li"),
          sums: all("section[aria-label=Sums] tbody tr").map((row) =>
            [...row.cells].map((cell) => cell.innerText)),
          days: texts("section[aria-label='Per day'] tbody tr").length,
          newest: texts("section[aria-label='Per day'] tbody tr")[0],
        };
        """
    )
    assert shown["label"] == "Tokens out per day, by backend"
    turns = {each["backend"]: f"{each['requests']:,}" for each in usage}
    assert {row[0]: row[1] for row in shown["sums"]} == turns
    assert set(shown["legend"]) == set(turns)
    assert shown["days"] == 30
    assert any(number != "0" for number in shown["newest"].split()[2:])
    await tab.keep("usage")
    assert tab.browser.complaints == []


async def test_cost_says_what_is_estimated_and_what_is_not_known(tab: Tab) -> None:
    alpha = {"backend": "alpha", "prompt": "one two three"}
    await tab.stage.text("free")
    await tab.stage.post(alpha)
    await tab.stage.post({**alpha, "model": "gpt-4o"})

    async def booked() -> bool:
        async with tab.stage.client.get("/api/v1/usage") as response:
            total = (await response.json())["total"]
        return bool(total["unpriced_requests"] and total["estimated_cost_usd"])

    await eventually(booked)
    await tab.open("usage")
    figure, sums = await tab.run(
        """
        await one("section[aria-label=Sums] tbody tr");
        return [
          all(".figure").find((each) => each.innerText.startsWith("Cost")).innerText,
          Object.fromEntries(all("section[aria-label=Sums] tbody tr").map((row) =>
            [row.cells[0].innerText, row.cells[5].innerText])),
        ];
        """
    )
    marked = r"\$[\d.e-]+ est\. \+ \d+ unpriced turns?"
    assert re.fullmatch(rf"Cost\s+{marked}", figure)
    assert re.fullmatch(marked, sums["alpha"])
    assert sums["echo"] == "$0"
    await tab.keep("usage-cost")


async def test_an_address_that_cannot_be_decoded_names_no_session(tab: Tab) -> None:
    await tab.open("sessions/%")
    shown = await tab.run(
        """
        const problem = await until(() => texts(".conversation .problem").find((text) => text));
        return [texts("h1"), problem];
        """
    )
    assert shown[0] == ["Sessions"]
    assert "no such session" in shown[1]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_a_request_copied_as_curl_does_the_same_again(tab: Tab) -> None:
    assert await tab.stage.text(HOSTILE) == HOSTILE
    await tab.open("requests")
    command = await tab.run(
        """
        const row = await until(() => all(".row-button").find((each) =>
          each.innerText === "POST /api/v1/prompt"));
        row.click();
        return (await one("pre[aria-label=Command]")).textContent;
        """
    )
    await tab.keep("request")
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", command,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    assert process.returncode == 0, errors
    assert json.loads(output)["output"] == HOSTILE
    await tab.run("await until(() => texts('.row-button')"
                  ".filter((text) => text === 'POST /api/v1/prompt').length >= 2);")  # fmt: skip
    assert tab.browser.complaints == []


async def test_requests_are_filtered_and_the_pages_own_are_left_out(tab: Tab) -> None:
    await tab.stage.post(prompt="[[fail out of luck]]")
    await tab.stage.text("fine")
    await tab.open("requests")
    shown = await tab.run(
        """
        await one(".row-button");
        const own = texts(".row-button");
        document.querySelector("#failed").click();
        await until(() => !texts("tbody .badge").includes("200"));
        return [own, texts("tbody .badge")];
        """
    )
    assert not any("/dashboard/" in text or "api/v1/requests" in text for text in shown[0])
    assert shown[1]
    assert all(int(status) >= 400 for status in shown[1])
    none = await tab.run(
        """
        await fill("#filter", "no such path");
        await until(() => all(".row-button").length === 0);
        return texts(".flush > p");
        """
    )
    assert none == ["There is no such request."]


async def test_a_restart_adds_new_requests_and_mixes_them_with_no_old_ones(
    tab: Tab, tmp_path: Path
) -> None:
    rows = "texts('.row-button').filter((text) => text === 'POST /api/v1/prompt').length"
    async with staged(tmp_path) as stage:
        port = stage.port
        page = Tab(stage, tab.browser)
        await stage.text("before the restart")
        await page.open("requests")
        await page.run(
            f"await one('#connection[data-state=live]'); await until(() => {rows} === 1);"
        )
    async with staged(tmp_path, port=port) as stage:
        await stage.text("before the page is back")
        await page.run(f"await until(() => {rows} === 2);")
        await stage.text("after the page is back")
        said = await page.run(
            f"""
            await until(() => {rows} === 3);
            const bodies = [];
            for (const row of all(".row-button").slice(0, 2)) {{
              row.click();
              const body = await until(() => texts("pre[aria-label=Body]").find((text) =>
                !bodies.includes(text)));
              bodies.push(body);
            }}
            all(".row-button")[2].click();
            const problem = await one(".conversation-place .problem");
            return [...bodies, problem.innerText];
            """
        )
    assert "after the page is back" in said[0]
    assert "before the page is back" in said[1]
    assert said[2].startswith("This request is no longer kept")
