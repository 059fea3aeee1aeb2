// LangChain over the Anthropic dialect: a conversation, whole and streamed.

import { ChatAnthropic } from "@langchain/anthropic";
import { AIMessage, HumanMessage, SystemMessage } from "@langchain/core/messages";

import { collect, job, main, prompt } from "./cases.mjs";

const model = () =>
  new ChatAnthropic({
    model: job.backend,
    apiKey: "none",
    anthropicApiUrl: `${job.url}/anthropic`,
    maxRetries: 0,
  });

const conversation = (marker) => [
  new SystemMessage("Be brief."),
  new HumanMessage("I am called Ada."),
  new AIMessage("Hello Ada."),
  new HumanMessage(prompt(marker)),
];

await main({
  async invoke() {
    const answer = await model().invoke(conversation("invoke"));
    return { text: answer.text, input: answer.usage_metadata.input_tokens };
  },

  async stream() {
    const chunks = await collect(await model().stream(conversation("stream")));
    return chunks.map((chunk) => chunk.text).join("");
  },
});
