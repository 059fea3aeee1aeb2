// How a client program is told what to do, and how it tells what happened; see programs/cases.py.

export const job = JSON.parse(process.argv[2]);
export const baseURL = `${job.url}/openai/v1`;

/** A prompt that is recognised by its marker; `reply` scripts the provider's answer. */
export function prompt(marker, reply) {
  const text = `Say hello marker=${marker}`;
  return reply && job.scripted ? `${text} %%${JSON.stringify(reply)}%%` : text;
}

/** A prompt that plays one of the scenes for one way of using a client. */
export const scene = (name, way) => prompt(`${way}_${name}`, job.scenes[name]);

/** An answer of the provider that is a call of one of the caller's tools. */
export const calling = (tool, given) => ({
  tools: [{ name: job.tool_prefix + tool, arguments: given }],
});

/** The answer that is JSON: Claude Code has its model call a tool for that. */
export function weather() {
  const answer = { city: "Oslo", degrees: 3 };
  if (job.backend === "claude") {
    return { tools: [{ name: "StructuredOutput", arguments: answer }] };
  }
  return { text: JSON.stringify(answer) };
}

export async function collect(stream) {
  const all = [];
  for await (const one of stream) all.push(one);
  return all;
}

/** Whether the turns that run now end before long, by `/health`. */
export async function getsQuiet() {
  const deadline = Date.now() + 20_000;
  while (Date.now() < deadline) {
    const { backends } = await (await fetch(`${job.url}/health`)).json();
    if (!backends.find((backend) => backend.name === job.backend).pool.busy) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

/** What an SDK threw, as its caller sees it; null if it did not. */
export async function thrown(call) {
  try {
    await call();
    return null;
  } catch (error) {
    return {
      class: error.constructor.name,
      status: error.status ?? error.statusCode,
      message: error.message,
      code: error.code,
      param: error.param,
    };
  }
}

/** Run the cases; those named in `scripted` only with a fake provider. */
export async function main(cases, scripted = []) {
  for (const [name, run] of Object.entries(cases)) {
    if (scripted.includes(name) && !job.scripted) continue;
    let outcome;
    try {
      outcome = { result: (await run()) ?? null };
    } catch (error) {
      outcome = { failure: error.stack };
    }
    process.stdout.write(`${JSON.stringify({ case: name, ...outcome })}\n`);
  }
}
