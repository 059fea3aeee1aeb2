// The official SDK: models, chat, completions, responses, errors.

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { baseURL, collect, getsQuiet, job, main, prompt, thrown, weather } from "./cases.mjs";

const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0, timeout: 60_000 });
const model = job.backend;
const chat = client.chat.completions;

const user = (content) => [{ role: "user", content }];
const ask = (content, fields) => chat.create({ model, messages: user(content), ...fields });

const cases = {
  async models_list() {
    return (await collect(await client.models.list())).map((one) => one.id);
  },

  async model_missing() {
    return thrown(() => client.models.retrieve("no-such-model"));
  },

  async chat_create() {
    const { data, request_id } = await ask(prompt("chat_create")).withResponse();
    const [choice] = data.choices;
    return {
      text: choice.message.content,
      finish: choice.finish_reason,
      usage: data.usage,
      request_id,
    };
  },

  async chat_stream() {
    const chunks = await collect(
      await ask(prompt("chat_stream"), { stream: true, stream_options: { include_usage: true } }),
    );
    const deltas = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta));
    return {
      role: deltas[0].role,
      text: deltas.map((delta) => delta.content ?? "").join(""),
      usage: chunks.at(-1).usage,
    };
  },

  async chat_stream_helper() {
    const runner = chat.stream({ model, messages: user(prompt("chat_stream_helper")) });
    const pieces = [];
    runner.on("content", (piece) => pieces.push(piece));
    const final = await runner.finalContent();
    return [pieces.join(""), final];
  },

  async parse() {
    const format = zodResponseFormat(
      z.object({ city: z.string(), degrees: z.number().int() }),
      "weather",
    );
    const completion = await chat.parse({
      model,
      messages: user(prompt("parse", weather())),
      response_format: format,
    });
    return completion.choices[0].message.parsed;
  },

  async history() {
    const completion = await chat.create({
      model,
      messages: [
        { role: "system", content: "First rule: be brief." },
        { role: "developer", content: "Second rule: be kind." },
        { role: "user", content: "I am called Ada." },
        { role: "assistant", content: "Hello Ada." },
        ...user(prompt("history")),
      ],
    });
    return completion.choices[0].message.content;
  },

  async ignored() {
    const { data, response } = await ask(prompt("ignored"), { logprobs: true }).withResponse();
    return [data.choices[0].message.content, response.headers.get("x-clinvk-ignored")];
  },

  async completions_create() {
    const completion = await client.completions.create({
      model,
      prompt: prompt("completions_create"),
    });
    return completion.choices[0].text;
  },

  async responses_create() {
    const response = await client.responses.create({
      model,
      instructions: "Be brief.",
      input: prompt("responses_create"),
    });
    return [response.status, response.output_text];
  },

  async responses_stream() {
    const stream = client.responses.stream({ model, input: prompt("responses_stream") });
    const events = await collect(stream);
    const final = await stream.finalResponse();
    return [
      events.map((event) => event.sequence_number),
      events.at(-1).type,
      final.output[0].content[0].text,
    ];
  },

  async responses_stored() {
    const first = await client.responses.create({ model, input: prompt("responses_stored_1") });
    const second = await client.responses.create({
      model,
      input: prompt("responses_stored_2"),
      previous_response_id: first.id,
    });
    const found = await client.responses.retrieve(second.id);
    await client.responses.delete(first.id);
    return [found.output_text, await thrown(() => client.responses.retrieve(first.id))];
  },

  async closed_stream() {
    const stream = await ask(prompt("closed_stream", { words: 9, hold_after: 3 }), {
      stream: true,
    });
    let piece;
    for await (const chunk of stream) {
      piece = chunk.choices[0].delta.content;
      if (piece) break; // leaving the loop ends the request
    }
    return [piece, await getsQuiet()];
  },

  async no_messages() {
    return thrown(() => chat.create({ model, messages: [] }));
  },

  async client_tools() {
    const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object" } } }];
    return thrown(() => ask(prompt("client_tools"), { tools }));
  },

  async rate_limited() {
    return thrown(() => ask(prompt("rate_limited", { error: { status: 429, retry_after: 7 } })));
  },

  async provider_broken() {
    return thrown(() => ask(prompt("provider_broken", { error: { status: 500 } })));
  },

  async too_slow() {
    const messages = user(prompt("too_slow", { silent: true }));
    const left = await thrown(() => chat.create({ model, messages }, { timeout: 1500 }));
    return [left, await getsQuiet()];
  },
};

await main(cases, ["parse", "closed_stream", "rate_limited", "provider_broken", "too_slow"]);
