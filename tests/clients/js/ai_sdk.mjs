// The Vercel AI SDK: its model of OpenAI speaks the responses API unless told otherwise.

import { createOpenAI } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";

import { baseURL, job, main, prompt } from "./cases.mjs";

const openai = createOpenAI({ baseURL, apiKey: "none" });

const conversation = (marker) => ({
  system: "Be brief.",
  messages: [
    { role: "user", content: "I am called Ada." },
    { role: "assistant", content: "Hello Ada." },
    { role: "user", content: prompt(marker) },
  ],
  maxRetries: 0,
});

async function generated(model, marker) {
  const { text, finishReason, usage } = await generateText({ model, ...conversation(marker) });
  return { text, finish: finishReason, usage };
}

async function streamed(model, marker) {
  const failures = [];
  const result = streamText({
    model,
    ...conversation(marker),
    onError: ({ error }) => failures.push(String(error)),
  });
  const pieces = [];
  for await (const piece of result.textStream) pieces.push(piece);
  return { text: pieces.join(""), finish: await result.finishReason, failures };
}

await main({
  generate: () => generated(openai(job.backend), "generate"),
  stream: () => streamed(openai(job.backend), "stream"),
  chat_generate: () => generated(openai.chat(job.backend), "chat_generate"),
  chat_stream: () => streamed(openai.chat(job.backend), "chat_stream"),
});
