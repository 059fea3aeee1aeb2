// The official Anthropic SDK: messages, streams, models, counting, errors.

import Anthropic from "@anthropic-ai/sdk";

import { collect, job, main, prompt } from "./cases.mjs";

const at = (base) =>
  new Anthropic({ baseURL: job.url + base, apiKey: "none", maxRetries: 0, timeout: 60_000 });
const client = at("/anthropic");

const request = (content, fields) => ({
  model: job.backend,
  max_tokens: 2000,
  messages: [{ role: "user", content }],
  ...fields,
});
const textOf = (message) => message.content.map((block) => block.text ?? "").join("");

async function thrown(call) {
  try {
    await call();
    return null;
  } catch (error) {
    const { status, type, message } = error;
    return { class: error.constructor.name, status, type, message, request_id: error.requestID };
  }
}

const cases = {
  async create() {
    const { data, request_id } = await client.messages
      .create(request(prompt("create")))
      .withResponse();
    return { text: textOf(data), stop: data.stop_reason, usage: data.usage, request_id };
  },

  async base_url_with_version() {
    return textOf(await at("/anthropic/v1").messages.create(request(prompt("versioned"))));
  },

  async stream() {
    const asked = request(prompt("stream"), { stream: true });
    const events = await collect(await client.messages.create(asked));
    return {
      kinds: events.map((event) => event.type),
      text: events.map((event) => event.delta?.text ?? "").join(""),
    };
  },

  async stream_helper() {
    const pieces = [];
    const stream = client.messages.stream(request(prompt("stream_helper")));
    stream.on("text", (piece) => pieces.push(piece));
    const message = await stream.finalMessage();
    return [pieces.join(""), textOf(message)];
  },

  async conversation() {
    const message = await client.messages.create({
      model: job.backend,
      max_tokens: 2000,
      system: "Be brief.",
      messages: [
        { role: "user", content: "I am called Ada." },
        { role: "assistant", content: "Hello Ada." },
        { role: "user", content: prompt("conversation") },
      ],
    });
    return textOf(message);
  },

  async count_tokens() {
    const messages = [{ role: "user", content: "word ".repeat(100) }];
    return (await client.messages.countTokens({ model: job.backend, messages })).input_tokens;
  },

  async models() {
    const ids = (await collect(client.models.list())).map((one) => one.id);
    return [ids, (await client.models.retrieve(job.backend)).id];
  },

  async unknown_model() {
    return thrown(() => client.messages.create(request("x", { model: "no-such-model" })));
  },

  async no_messages() {
    return thrown(() => client.messages.create(request("", { messages: [] })));
  },

  async rate_limited() {
    const asked = request(prompt("rate_limited", { error: { status: 429, retry_after: 7 } }));
    return thrown(() => client.messages.create(asked));
  },
};

await main(cases, ["rate_limited"]);
