// The official Anthropic SDK's tool runner.

import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";

import { job, main, scene } from "./cases.mjs";
import { description, parameters, Told } from "./tools.mjs";

const client = new Anthropic({
  baseURL: `${job.url}/anthropic`,
  apiKey: "none",
  maxRetries: 0,
  timeout: 60_000,
});

async function runner(name, stream) {
  const told = new Told();
  const weather = betaTool({
    name: "weather",
    description,
    inputSchema: parameters,
    run: told.weather,
  });
  const answers = client.beta.messages.toolRunner({
    model: job.backend,
    max_tokens: 2000,
    messages: [{ role: "user", content: scene(name, "runner") }],
    tools: [weather],
    stream,
  });
  for await (const answer of answers) {
    const { content } = stream ? await answer.finalMessage() : answer;
    told.said.push(content.map((block) => block.text ?? "").join(""));
    told.identities.push(...content.filter((b) => b.type === "tool_use").map((b) => b.id));
  }
  return told.report();
}

await main({
  runner_one_call: () => runner("one_call", true),
  runner_rounds: () => runner("rounds", false),
});
