// Asks the switch once a second, and shows what it says. When it does not answer, the page says since when, and
// what it shows is marked as old. Whatever goes wrong, it asks again.

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
    const said = await answerTo(wanted, mine.signal).catch((error) => ({ error }));
    // A newer question took this one's place.
    if (mine !== asking) return;
    if (said.error) silent(said.error);
    else take(said, wanted);
  } catch (error) {
    odd(error);
  } finally {
    clearTimeout(late);
    // A newer question has its own successor, and a page that nobody sees asks nothing.
    if (mine === asking && !document.hidden) timer = setTimeout(ask, Math.max(200, PERIOD - (performance.now() - started)));
  }
}

async function answerTo(wanted, signal) {
  const response = await fetch(`/page.json?network=${encodeURIComponent(wanted)}`, { signal, cache: "no-store" });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
}

function take(said, wanted) {
  // Another version's answer is for another version's page.
  if (answer && said.version !== answer.version) {
    location.reload();
    return;
  }
  const isNew = rates.take(said);
  if (isNew) showTiles(said, rates);
  showTables(said, rates);
  showPicture(said, rates, wanted);
  say(byId("host"), said.host ? ` on ${said.host}` : "");
  document.title = said.host ? `${said.host} · vswitch` : "vswitch";
  say(byId("version"), said.version);
  say(byId("generation"), `configuration generation ${said.generation} · ${clock(said.unix_millis)}`);
  answer = said;
  answeredAt = Date.now();
  document.body.classList.remove("stale");
  byId("banner").hidden = true;
  byId("lamp").className = "lamp live";
  say(byId("state-text"), "live");
}

/** What is shown is old. */
function mark(state, what, more) {
  // What changes every second is not part of the alert: it would be read aloud every second.
  say(byId("banner-what"), what);
  say(byId("banner-more"), more);
  byId("banner").hidden = false;
  byId("lamp").className = "lamp dead";
  say(byId("state-text"), state);
  document.body.classList.add("stale");
}

/** The switch answered something that this page cannot show. */
function odd(error) {
  console.error(error);
  mark("not understood", `The switch's answer is not what this page understands (${error?.message ?? error}).`,
    "It goes on asking. If that does not end, load the page anew.");
}

/** Nobody answers: what is shown is old, and no rate is known. */
function silent(error) {
  const why = error?.message?.startsWith("status ") ? ` (${error.message})` : "";
  mark("no answer", `No answer${answeredAt ? ` since ${clock(answeredAt)}` : ""}${why}.`,
    `${answeredAt ? `That was ${ago((Date.now() - answeredAt) / 1000)} ago; everything below is as it was then. ` : ""}` +
    "Is the switch running? This page goes on asking.");
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
