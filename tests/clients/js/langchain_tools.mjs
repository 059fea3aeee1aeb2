// LangChain with a tool and with structured output, over both dialects.

import { ChatAnthropic } from "@langchain/anthropic";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";

import { baseURL, calling, collect, job, main, prompt, scene, weather } from "./cases.mjs";
import { description, Told } from "./tools.mjs";

const Weather = z.object({ city: z.string(), degrees: z.number().int() });

const models = {
  openai: () =>
    new ChatOpenAI({
      model: job.backend,
      apiKey: "none",
      configuration: { baseURL },
      maxRetries: 0,
    }),
  anthropic: () =>
    new ChatAnthropic({
      model: job.backend,
      apiKey: "none",
      anthropicApiUrl: `${job.url}/anthropic`,
      maxRetries: 0,
    }),
};

/** Ask, call and ask again until there is no call. */
async function talk(way, name, streamed) {
  const told = new Told();
  const schema = z.object({ city: z.string() });
  const bound = models[way]().bindTools([
    tool(told.weather, { name: "weather", description, schema }),
  ]);
  const messages = [new HumanMessage(scene(name, way))];
  for (;;) {
    const answer = streamed
      ? (await collect(await bound.stream(messages))).reduce((sum, chunk) => sum.concat(chunk))
      : await bound.invoke(messages);
    told.said.push(answer.text);
    messages.push(answer);
    if (!answer.tool_calls.length) return told.report();
    for (const call of answer.tool_calls) {
      told.identities.push(call.id);
      const result = { tool_call_id: call.id, status: "success" };
      try {
        result.content = told.weather(call.args);
      } catch (error) {
        Object.assign(result, { content: error.message, status: "error" });
      }
      messages.push(new ToolMessage(result));
    }
  }
}

function structured(way, method, marker, reply) {
  const asking = models[way]().withStructuredOutput(Weather, { method, name: "Weather" });
  return asking.invoke(prompt(marker, reply));
}

const cases = {};
for (const way of Object.keys(models)) {
  const call = calling("Weather", { city: "Oslo", degrees: 3 });
  cases[`${way}_one_call`] = () => talk(way, "one_call", true);
  cases[`${way}_rounds`] = () => talk(way, "rounds", false);
  cases[`${way}_function`] = () => structured(way, "functionCalling", `${way}_function`, call);
  cases[`${way}_schema`] = () => structured(way, "jsonSchema", `${way}_schema`, weather());
}

await main(cases);
