// Shows a streamed answer while it comes: Swagger UI itself shows an answer only once it is whole.

const STREAMS = ["text/event-stream", "application/x-ndjson"];

// What one event adds to the text of the answer, in each of the dialects.
export function textOf(event) {
  switch (event.type) {
    case "message":
      return event.content?.text ?? "";
    case "response.output_text.delta":
      return event.delta;
    case "content_block_delta":
      return event.delta.text ?? "";
  }
  const choice = event.choices?.[0];
  return choice?.delta?.content ?? choice?.text ?? "";
}

// The JSON of the complete lines in `text`, and what is left of it.
export function parse(text) {
  const lines = text.split("\n");
  const rest = lines.pop();
  const events = [];
  for (const line of lines) {
    const json = line.replace(/^data: ?/, "").trim();
    if (json.startsWith("{")) events.push(JSON.parse(json));
  }
  return { events, rest };
}

// The streams of the page, by the operation that asked for them.
class Streams extends EventTarget {
  #states = new Map();

  get(operation) {
    return this.#states.get(operation);
  }

  set(operation, state) {
    this.#states.set(operation, state);
    this.dispatchEvent(new Event(operation));
  }

  // `fetch` for one operation, which also follows what comes.
  fetchFor(operation) {
    return async (url, options) => {
      const controller = new AbortController();
      const began = performance.now();
      this.set(operation, undefined);
      const response = await fetch(url, { ...options, signal: controller.signal });
      const type = response.headers.get("Content-Type") ?? "";
      if (response.ok && STREAMS.some((stream) => type.startsWith(stream))) {
        const stop = () => controller.abort();
        this.#follow(operation, response.clone().body, began, stop);
      }
      return response;
    };
  }

  async #follow(operation, body, began, stop) {
    let state = { text: "", events: 0, first: null, running: true, stop };
    let rest = "";
    const decoded = body.pipeThrough(new TextDecoderStream()).getReader();
    try {
      for (;;) {
        const { value, done } = await decoded.read();
        if (done) break;
        const found = parse(rest + value);
        rest = found.rest;
        const text = state.text + found.events.map(textOf).join("");
        const first = state.first ?? (text ? performance.now() - began : null);
        state = { ...state, text, first, events: state.events + found.events.length };
        this.set(operation, state);
      }
    } catch {
      // Stopped, or cut: Swagger UI says so in the place of the answer.
    }
    this.set(operation, { ...state, running: false });
  }
}

const streams = new Streams();
const keyOf = (path, method) => `${method.toLowerCase()} ${path}`;

// The plugin of Swagger UI.
export function Live(system) {
  const { createElement: h, Fragment, useCallback, useSyncExternalStore } = system.React;

  function Stream({ path, method }) {
    const operation = keyOf(path, method);
    const subscribe = useCallback((notify) => {
      streams.addEventListener(operation, notify);
      return () => streams.removeEventListener(operation, notify);
    }, [operation]);
    const state = useSyncExternalStore(subscribe, () => streams.get(operation));
    if (state === undefined) return null;
    const first = state.first === null ? "" : `, first text after ${Math.round(state.first)} ms`;
    const status = `${state.running ? "streaming" : "ended"}: ${state.events} events${first}`;
    return h("section", { className: "stream", "aria-label": "Streamed answer" },
      h("p", { className: "stream-status" }, status,
        state.running && h("button", { type: "button", onClick: state.stop }, "Stop")),
      h("pre", { className: "stream-text", "aria-live": "polite" }, state.text));
  }

  return {
    statePlugins: {
      spec: {
        wrapActions: {
          executeRequest: (original) => (request) => original({
            ...request,
            userFetch: streams.fetchFor(keyOf(request.pathName, request.method)),
          }),
        },
      },
    },
    wrapComponents: {
      responses: (Original) => (props) => h(Fragment, null,
        h(Stream, { path: props.path, method: props.method }),
        h(Original, props)),
    },
  };
}
