// The Vercel AI SDK over the Anthropic dialect; its base URL ends in the version.

import { createAnthropic } from "@ai-sdk/anthropic";
import { generateText, streamText } from "ai";

import { job, main, prompt } from "./cases.mjs";

const anthropic = createAnthropic({ baseURL: `${job.url}/anthropic/v1`, apiKey: "none" });

const asked = (marker) => ({
  model: anthropic(job.backend),
  system: "Be brief.",
  messages: [
    { role: "user", content: "I am called Ada." },
    { role: "assistant", content: "Hello Ada." },
    { role: "user", content: prompt(marker) },
  ],
  maxRetries: 0,
});

await main({
  async generate() {
    const { text, finishReason, usage } = await generateText(asked("generate"));
    return { text, finish: finishReason, input: usage.inputTokens };
  },

  async stream() {
    const failures = [];
    const result = streamText({
      ...asked("stream"),
      onError: ({ error }) => failures.push(String(error)),
    });
    const pieces = [];
    for await (const piece of result.textStream) pieces.push(piece);
    return { text: pieces.join(""), finish: await result.finishReason, failures };
  },
});
