// Asks the daemon. The key lives in a private field of this object and nowhere else.

import { serverSentEvents } from "./events.js";

// Request ids begin with it where the page only looks, so that they can be told from work.
const OWN = "dashboard-";

export const isOwn = (requestId) => requestId?.startsWith(OWN) ?? false;

export class ApiError extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.param = error.param ?? null;
  }
}

export class Api extends EventTarget {
  #key = null;

  get hasKey() {
    return this.#key !== null;
  }

  // Use a key from now on, or none (null).
  use(key) {
    this.#key = key;
  }

  // The answer to a request that succeeded; `path` is relative to this page, `body` becomes JSON.
  // Throws ApiError for an answer with an error, and tells "refused" of a key that is not valid.
  async fetch(path, { method = "GET", body, signal, accept = "application/json" } = {}) {
    const headers = { Accept: accept };
    if (this.#key !== null) headers.Authorization = `Bearer ${this.#key}`;
    if (method === "GET") headers["X-Request-Id"] = OWN + randomDigits();
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      credentials: "omit",
      cache: "no-store",
    });
    if (response.ok) return response;
    const error = new ApiError(response.status, await errorOf(response));
    if (error.status === 401) this.dispatchEvent(new Event("refused"));
    throw error;
  }

  async json(path, options) {
    return (await this.fetch(path, options)).json();
  }

  // The events of a stream as `{ type, data }`, with their data read as JSON.
  async *stream(path, options = {}) {
    const response = await this.fetch(path, { ...options, accept: "text/event-stream" });
    for await (const { type, data } of serverSentEvents(response.body)) {
      yield { type, data: JSON.parse(data) };
    }
  }
}

function randomDigits() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function errorOf(response) {
  try {
    return (await response.json()).error;
  } catch {
    return { code: "unknown", message: `the daemon answered with status ${response.status}` };
  }
}

// What is said of a failure that a person may see.
export function messageOf(error) {
  if (error instanceof ApiError) return error.message;
  if (error instanceof TypeError) return "The daemon cannot be reached.";
  return String(error.message ?? error);
}
