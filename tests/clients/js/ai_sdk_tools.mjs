// The Vercel AI SDK with a tool in several steps, and with objects: responses, chats, messages.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateObject, generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";

import { baseURL, calling, job, main, prompt, scene, weather } from "./cases.mjs";
import { description, Told } from "./tools.mjs";

const openai = createOpenAI({ baseURL, apiKey: "none" });
const anthropic = createAnthropic({ baseURL: `${job.url}/anthropic/v1`, apiKey: "none" });

const models = {
  responses: openai(job.backend),
  chat: openai.chat(job.backend),
  messages: anthropic(job.backend),
};

async function talk(way, name, streamed) {
  const told = new Told();
  const failures = [];
  const asked = {
    model: models[way],
    prompt: scene(name, way),
    tools: {
      weather: tool({
        description,
        inputSchema: z.object({ city: z.string() }),
        execute: told.weather,
      }),
    },
    stopWhen: isStepCount(9),
    maxRetries: 0,
  };
  const steps = streamed
    ? await streamText({ ...asked, onError: ({ error }) => failures.push(error) }).steps
    : (await generateText(asked)).steps;
  if (failures.length) throw failures[0];
  for (const step of steps) {
    told.said.push(step.text);
    told.identities.push(...step.toolCalls.map((call) => call.toolCallId));
  }
  return told.report();
}

async function objectOf(way, name, reply, providerOptions) {
  const { object } = await generateObject({
    model: models[way],
    schema: z.object({ city: z.string(), degrees: z.number().int() }),
    prompt: prompt(`${way}_${name}`, reply),
    maxRetries: 0,
    providerOptions,
  });
  return object;
}

const cases = {};
for (const way of Object.keys(models)) {
  cases[`${way}_one_call`] = () => talk(way, "one_call", false);
  cases[`${way}_rounds`] = () => talk(way, "rounds", true);
}
cases.responses_schema = () => objectOf("responses", "schema", weather());
cases.chat_schema = () => objectOf("chat", "schema", weather());
// For models it does not know it declares a function named "json", unless told otherwise.
cases.messages_function = () =>
  objectOf("messages", "function", calling("json", { city: "Oslo", degrees: 3 }));
cases.messages_schema = () =>
  objectOf("messages", "schema", weather(), { anthropic: { structuredOutputMode: "outputFormat" } });

await main(cases);
