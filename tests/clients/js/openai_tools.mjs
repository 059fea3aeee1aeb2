// The official OpenAI SDK with a tool: `runTools` for chats, the tool runner for responses.

import OpenAI from "openai";
import { ResponsesToolRunner } from "openai/helpers/responses-tool-runner";

import { baseURL, job, main, scene } from "./cases.mjs";
import { description, parameters, Told } from "./tools.mjs";

const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0, timeout: 60_000 });
const asked = (name, way) => [{ role: "user", content: scene(name, way) }];

async function chat(name, stream) {
  const told = new Told();
  const weather = {
    name: "weather",
    description,
    parameters,
    parse: JSON.parse,
    function: told.weatherOrError,
  };
  const runner = client.chat.completions.runTools({
    model: job.backend,
    messages: asked(name, "chat"),
    tools: [{ type: "function", function: weather }],
    stream,
  });
  await runner.finalContent();
  for (const message of runner.messages) {
    if (message.role !== "assistant") continue;
    told.said.push(message.content ?? "");
    told.identities.push(...(message.tool_calls ?? []).map((call) => call.id));
  }
  return told.report();
}

async function responses(name, stream) {
  const told = new Told();
  const weather = { type: "function", name: "weather", description, parameters, strict: true };
  const runner = new ResponsesToolRunner({
    functions: [{ tool: weather, execute: told.weatherOrError }],
  });
  const params = { model: job.backend, input: asked(name, "responses") };
  for await (const turn of runner.iterate(client, params, { stream })) {
    told.said.push(turn.response.output_text);
  }
  return told.report();
}

await main({
  chat_one_call: () => chat("one_call", true),
  chat_rounds: () => chat("rounds", false),
  responses_one_call: () => responses("one_call", true),
  responses_rounds: () => responses("rounds", false),
});
