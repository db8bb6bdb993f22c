// Requests the data once a second and shows it. While the switch does not respond, the page shows
// since when, and marks its contents as outdated. After any error the next request follows.

import { byId, clock, duration, setText } from "./dom.js";
import { selectedDetails, showPicture } from "./picture.js";
import { Rates } from "./rates.js";
import { tables, tiles } from "./tables.js";

const PERIOD = 1000;
const TIMEOUT = 3000;

const rates = new Rates();
const showTables = tables();
const showTiles = tiles();
const filter = byId("filter");

let latest = null;
let receivedAt = null;
let timer = null;
let current = null;

async function request() {
  clearTimeout(timer);
  current?.abort();
  const mine = (current = new AbortController());
  const started = performance.now();
  const timeout = setTimeout(() => mine.abort(), TIMEOUT);
  try {
    const wanted = filter.value.trim();
    const response = await load(wanted, mine.signal).catch((error) => ({ error }));
    // A newer request has replaced this one.
    if (mine !== current) return;
    if (response.error) showNoAnswer(response.error);
    else show(response, wanted);
  } catch (error) {
    showNotUnderstood(error);
  } finally {
    clearTimeout(timeout);
    // A newer request sets its own timer, and a hidden page sends none.
    const wait = Math.max(200, PERIOD - (performance.now() - started));
    if (mine === current && !document.hidden) timer = setTimeout(request, wait);
  }
}

async function load(wanted, signal) {
  const url = `/page.json?network=${encodeURIComponent(wanted)}`;
  const response = await fetch(url, { signal, cache: "no-store" });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
}

function show(response, wanted) {
  // A switch of another version has another page.
  if (latest && response.version !== latest.version) {
    location.reload();
    return;
  }
  const isNew = rates.add(response);
  if (isNew) showTiles(response, rates);
  showTables(response, rates);
  showPicture(response, rates, wanted);
  setText(byId("host"), response.host ? ` on ${response.host}` : "");
  document.title = response.host ? `${response.host} · vswitch` : "vswitch";
  setText(byId("version"), response.version);
  setText(byId("generation"),
    `configuration generation ${response.generation} · ${clock(response.unix_millis)}`);
  latest = response;
  receivedAt = Date.now();
  document.body.classList.remove("stale");
  byId("banner").hidden = true;
  byId("lamp").className = "lamp live";
  setText(byId("state-text"), "live");
}

/** Marks the contents as outdated. */
function showBanner(state, alert, more) {
  // The text that changes every second is not part of the alert: screen readers read alerts aloud.
  setText(byId("banner-what"), alert);
  setText(byId("banner-more"), more);
  byId("banner").hidden = false;
  byId("lamp").className = "lamp dead";
  setText(byId("state-text"), state);
  document.body.classList.add("stale");
}

/** The page cannot show the response. */
function showNotUnderstood(error) {
  console.error(error);
  showBanner("not understood",
    `The switch's answer is not what this page understands (${error?.message ?? error}).`,
    "The page keeps asking. If this message stays, reload the page.");
}

/** The switch does not respond: the contents are outdated, and all rates unknown. */
function showNoAnswer(error) {
  const why = error?.message?.startsWith("status ") ? ` (${error.message})` : "";
  const since = receivedAt ? ` since ${clock(receivedAt)}` : "";
  const age = receivedAt ? duration((Date.now() - receivedAt) / 1000) : "";
  showBanner("no answer", `No answer${since}${why}.`,
    (receivedAt ? `That was ${age} ago; everything below is as it was then. ` : "") +
    "Is the switch running? This page keeps asking.");
  rates.pause();
  if (latest) {
    showTiles(latest, rates);
    showTables(latest, rates);
    showPicture(latest, rates, filter.value.trim());
  }
}

filter.addEventListener("input", request);
byId("picture").addEventListener("chosen", () => latest && selectedDetails(latest, rates));
new ResizeObserver(() => latest && showPicture(latest, rates, filter.value.trim()))
  .observe(byId("picture"));
document.addEventListener("visibilitychange",
  () => (document.hidden ? clearTimeout(timer) : request()));
request();
