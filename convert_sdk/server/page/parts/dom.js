/** Elements made in one expression. Text is only ever put in as text, so that nothing of a project can run. */

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "circle", "rect", "line", "g", "title"]);

/**
 * Make an element: `h("button", { class: "quiet", onclick: save }, "Save")`.
 *
 * A property that begins with "on" is a listener, `style` an object, `dataset` too; true and false switch an
 * attribute; all else is an attribute. Children are nodes, text, numbers, lists of these, or nothing.
 */
export function h(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = SVG_TAGS.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(properties)) set(element, key, value);
  put(element, children);
  return element;
}

function set(element, key, value) {
  if (value === undefined || value === null || value === false) return;
  if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
  else if (key === "style") for (const [name, each] of Object.entries(value)) element.style.setProperty(name, each);
  else if (key === "dataset") Object.assign(element.dataset, value);
  else if (key === "class") element.setAttribute("class", [element.getAttribute("class"), value].filter(Boolean).join(" "));
  else if (key === "value") element.value = value;
  else element.setAttribute(key, value === true ? "" : String(value));
}

function put(element, children) {
  for (const child of children) {
    if (child === undefined || child === null || child === false) continue;
    if (Array.isArray(child)) put(element, child);
    else element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Replace what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  put(element, children);
  return element;
}

/** Replace what an element holds, and leave the focus and the scroll where they were: on what has the same name. */
export function refill(element, ...children) {
  const focused = element.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  const { scrollTop } = element;
  fill(element, ...children);
  element.scrollTop = scrollTop;
  if (focused === null) return element;
  for (const each of element.querySelectorAll("a, button, input, select, summary, textarea")) {
    if (nameOf(each) === focused) {
      each.focus({ preventScroll: true });
      break;
    }
  }
  return element;
}

function nameOf(element) {
  const group = element.closest("fieldset")?.querySelector("legend")?.textContent ?? "";
  const name = element.dataset.key ?? element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent;
  return `${element.tagName} ${group} ${name}`;
}

/** A word for a number of things: `counted(2, "visitor")` is "2 visitors". */
export function counted(number, noun, plural = `${noun}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;
}

/** A share between 0 and 1 in per cent, with as many digits as say something. */
export function percent(share, digits = 1) {
  return `${(100 * share).toFixed(digits).replace(/\.0+$/, "")} %`;
}

let ids = 0;
/** An id that nothing else on the page has. */
export function freshId(name = "x") {
  return `${name}-${++ids}`;
}

/** Call a function once the calls for it have paused. */
export function debounced(call, wait = 150) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...args), wait);
  };
}
