/** Requests to the server that this page came from. */

/** What a request must bring that changes anything; new with each start of the server. */
export const token = document.querySelector("meta[name=convert-page-token]")?.content ?? "";

/** A refusal, with what the server says of it: its code, message, and perhaps path, line, column and findings. */
export class Refusal extends Error {
  constructor(answer, code) {
    super(answer.message ?? `the server answered ${code}`);
    this.answer = answer;
    this.code = code;
  }
}

/**
 * Ask for JSON.
 *
 * `body` is made JSON, `text` is sent as it is. What changes anything says so with `changes`: it carries the token.
 */
export async function ask(path, { method, body, text, changes = false, headers = {}, signal } = {}) {
  const response = await request(path, { method, body, text, changes, headers, signal });
  return response.json();
}

/** Ask for text, such as a document. */
export async function askText(path) {
  const response = await request(path, {});
  return { text: await response.text(), revision: (response.headers.get("etag") ?? "").replaceAll('"', "") };
}

async function request(path, { method, body, text, changes, headers, signal }) {
  const sent = body === undefined ? text : JSON.stringify(body);
  const response = await fetch(path, {
    method: method ?? (sent === undefined ? "GET" : "POST"),
    body: sent,
    signal,
    headers: {
      ...(sent === undefined ? {} : { "Content-Type": "application/json" }),
      ...(changes ? { "Convert-Page-Token": token } : {}),
      ...headers,
    },
  });
  if (!response.ok) throw new Refusal(await response.json().catch(() => ({})), response.status);
  return response;
}

/** The address of something of a project; parameters that are empty are left out. */
export function address(place, parts, parameters = {}) {
  const last = parts.at(-1);
  // A browser takes these out of a path, however they are written.
  if (last === "." || last === "..") return address(place, [...parts.slice(0, -1), ""], { ...parameters, key: last });
  const entries = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = entries.length ? `?${new URLSearchParams(entries)}` : "";
  return `/_api/projects/${place}${parts.map((part) => `/${encodeURIComponent(part)}`).join("")}${query}`;
}

/** True for the end of a request that this page gave up itself. */
export function isAborted(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/** Questions of which only the last one counts: `latest(signal => ask(…, { signal }))` gives up the one before. */
export function onlyLatest() {
  let controller = null;
  return async (question) => {
    controller?.abort();
    const own = (controller = new AbortController());
    const answer = await question(own.signal);
    if (own !== controller) throw new DOMException("a newer question was asked", "AbortError");
    return answer;
  };
}
