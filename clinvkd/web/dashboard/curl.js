// Writes a request that the daemon has seen as a command line that sends it again.

// What a connection, a browser or curl itself adds.
const LEFT_OUT = new Set([
  "accept-encoding", "accept-language", "cache-control", "connection", "content-length", "cookie",
  "dnt", "expect", "host", "idempotency-key", "keep-alive", "origin", "pragma", "priority",
  "referer", "te", "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade",
  "user-agent", "x-request-id",
]);
const CREDENTIALS = new Set(["authorization", "x-api-key"]);
const REDACTED = "[redacted]";
const STREAM = "text/event-stream";
const KEY = '"Authorization: Bearer $CLINVK_API_KEY"'; // in double quotes, for the shell to fill in

// `request` is an entry of the inspector, `base` the address of the daemon.
export function curl(request, base) {
  const url = new URL(request.path.replace(/^\/+/, "/"), base).href;
  const words = ["curl"];
  const headers = Object.entries(request.request_headers)
    .map(([name, value]) => [name.toLowerCase(), value]);
  const streams = headers.some(([name, value]) => name === "accept" && value.includes(STREAM));
  if (streams) words.push("-N");
  if (request.method === "HEAD") words.push("--head");
  else if (request.method !== (hasBody(request) ? "POST" : "GET")) words.push("-X", request.method);
  words.push(quoted(url));
  const lines = [words.join(" ")];
  if (headers.some(([name]) => CREDENTIALS.has(name))) lines.push(`-H ${KEY}`);
  for (const [name, value] of headers) {
    if (LEFT_OUT.has(name) || CREDENTIALS.has(name) || name.startsWith("sec-")) continue;
    if (value.includes(REDACTED)) continue;
    lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  }
  if (hasBody(request)) lines.push(`--data-raw ${quoted(request.request_body)}`);
  return lines.join(" \\\n  ");
}

// Why the command would not send what was sent, or an empty text.
export function difference(request) {
  if (request.truncated) return "The body was too long to be kept whole: it is another one here.";
  if (request.request_body?.includes(REDACTED)) return "Something in the body was redacted.";
  if (!hasBody(request) && ["POST", "PATCH", "PUT"].includes(request.method)) {
    return "There was no body, or it is not kept (session.store_content).";
  }
  return "";
}

const hasBody = ({ request_body: body }) => body !== null && body !== undefined && body !== "";

// For POSIX shells: within single quotes nothing has a meaning but the quote.
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
