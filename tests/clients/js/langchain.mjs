// LangChain: a conversation, streamed, and through the responses API.

import { AIMessage, HumanMessage, SystemMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";

import { baseURL, collect, job, main, prompt } from "./cases.mjs";

const model = (fields) =>
  new ChatOpenAI({
    model: job.backend,
    apiKey: "none",
    configuration: { baseURL },
    maxRetries: 0,
    ...fields,
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
    return { text: answer.text, usage: answer.usage_metadata };
  },

  async stream() {
    const chunks = await collect(await model().stream(conversation("stream")));
    return {
      text: chunks.map((chunk) => chunk.text).join(""),
      usage: chunks.map((chunk) => chunk.usage_metadata).filter(Boolean),
    };
  },

  async responses() {
    const answer = await model({ useResponsesApi: true }).invoke(conversation("responses"));
    return { text: answer.text, usage: answer.usage_metadata };
  },

  async responses_stream() {
    const responses = model({ useResponsesApi: true });
    const chunks = await collect(await responses.stream(conversation("responses_stream")));
    return chunks.map((chunk) => chunk.text).join("");
  },
});
