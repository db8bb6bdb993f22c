// Asks the switch once a second, and shows what it says. When it does not answer, the page says since when, and
// what it shows is marked as old.

import { ago, byId, clock, say } from "./dom.js";
import { selectedDetails, showPicture } from "./picture.js";
import { Rates } from "./rates.js";
import { tables, tiles } from "./tables.js";

const PERIOD = 1000;
const PATIENCE = 3000;

const rates = new Rates();
const showTables = tables();
const showTiles = tiles();
const filter = byId("filter");

let answer = null;
let answeredAt = null;
let timer = null;
let asking = null;

async function ask() {
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  const started = performance.now();
  const late = setTimeout(() => mine.abort(), PATIENCE);
  try {
    const wanted = filter.value.trim();
    const response = await fetch(`/page.json?network=${encodeURIComponent(wanted)}`, { signal: mine.signal, cache: "no-store" });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const said = await response.json();
    if (mine === asking) take(said, wanted);
  } catch (error) {
    // A newer question took this one's place.
    if (mine !== asking) return;
    silent(error);
  } finally {
    clearTimeout(late);
  }
  // A newer question has its own successor, and a page that nobody sees asks nothing.
  if (mine === asking && !document.hidden) timer = setTimeout(ask, Math.max(200, PERIOD - (performance.now() - started)));
}

function take(said, wanted) {
  answer = said;
  answeredAt = Date.now();
  const isNew = rates.take(answer);
  document.body.classList.remove("stale");
  byId("banner").hidden = true;
  byId("lamp").className = "lamp live";
  say(byId("state-text"), "live");
  say(byId("version"), answer.version);
  say(byId("generation"), `configuration generation ${answer.generation} · ${clock(answer.unix_millis)}`);
  if (isNew) showTiles(answer, rates);
  showTables(answer, rates);
  showPicture(answer, rates, wanted);
}

/** Nobody answers: what is shown is old, and no rate is known. */
function silent(error) {
  const why = error?.message?.startsWith("status ") ? ` (${error.message})` : "";
  // What changes every second is not part of the alert: it would be read aloud every second.
  say(byId("banner-what"), `No answer${answeredAt ? ` since ${clock(answeredAt)}` : ""}${why}.`);
  say(byId("banner-more"), `${answeredAt ? `That was ${ago((Date.now() - answeredAt) / 1000)} ago; everything below is as it was then. ` : ""}` +
    "Is the switch running? This page goes on asking.");
  byId("banner").hidden = false;
  byId("lamp").className = "lamp dead";
  say(byId("state-text"), "no answer");
  document.body.classList.add("stale");
  rates.pause();
  if (answer) {
    showTiles(answer, rates);
    showTables(answer, rates);
    showPicture(answer, rates, filter.value.trim());
  }
}

filter.addEventListener("input", ask);
byId("picture").addEventListener("chosen", () => answer && selectedDetails(answer, rates));
new ResizeObserver(() => answer && showPicture(answer, rates, filter.value.trim())).observe(byId("picture"));
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : ask()));
ask();
