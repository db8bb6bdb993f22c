// Elements and texts. Text always becomes text nodes, never HTML: names come from the configuration,
// and descriptions of frames from their senders.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Makes an HTML element; children are elements and strings. */
export function html(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Makes an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

export const byId = (id) => document.getElementById(id);

/** Like `setText`, with the parts in backticks as code. */
export function setProse(element, text) {
  if (element.textContent === text.replaceAll("`", "")) return;
  element.replaceChildren(...text.split("`").map((piece, at) => (at % 2 ? html("code", {}, piece) : piece)));
}

/** Changes a text only if it differs, so that a selection in it stays. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Changes an attribute only if it differs. */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

const SCALES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

/** Formats 1234567 as "1.23 M". */
export function scaled(value) {
  for (const [size, name] of SCALES) {
    if (value >= size * 0.9995) {
      const number = value / size;
      return `${number.toFixed(number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2)} ${name}`;
    }
  }
  if (value > 0 && value < 0.05) return "< 0.1";
  return value > 0 && value < 9.95 && !Number.isInteger(value) ? value.toFixed(1) : Math.round(value).toString();
}

const withUnit = (value, unit) => {
  const text = scaled(value);
  return /[a-zA-Z]$/.test(text) ? `${text}${unit}` : `${text} ${unit}`;
};

/** Packets per second; null is an unknown rate. */
export const packets = (rate) => (rate === null ? "–" : withUnit(rate, "pps"));

/** Bits per second, from bytes per second. */
export const bits = (rate) => (rate === null ? "–" : withUnit(rate * 8, "bit/s"));

/** Formats a number with thin spaces between thousands. */
export const count = (value) => value.toLocaleString("en").replaceAll(",", "\u202f");

/** Formats "1 port", "2 ports". */
export const many = (value, one, more = `${one}s`) => `${count(value)} ${value === 1 ? one : more}`;

/** Formats a time of day in the browser's time zone. */
export function clock(unixMillis, withMillis = false) {
  const time = new Date(unixMillis);
  const two = (value) => String(value).padStart(2, "0");
  const text = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return withMillis ? `${text}.${String(time.getMilliseconds()).padStart(3, "0")}` : text;
}

/** Formats a duration, as in "4 s" and "3 min". */
export function duration(seconds) {
  if (seconds < 120) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}
