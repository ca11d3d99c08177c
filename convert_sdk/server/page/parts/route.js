/** The address of what is shown: `#/project/experiences/checkout?q=cart` is a view, its path and its parameters. */

/** Read an address. */
export function readRoute(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [view = "", ...rest] = path.split("/").map(decode);
  return { view, path: rest.filter(Boolean), parameters: new URLSearchParams(query) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Write an address; parameters that are empty are left out. */
export function writeRoute(view, path = [], parameters = {}) {
  const entries = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const query = new URLSearchParams(entries).toString();
  return `#/${[view, ...path].map(encodeURIComponent).join("/")}${query ? `?${query}` : ""}`;
}

/** Put an address in place of the present one, without a step back and without showing anything anew. */
export function rewriteRoute(route) {
  history.replaceState(null, "", route);
}
