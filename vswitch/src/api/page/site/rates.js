// Rates: the differences of two answers' counters, by the server's own time. What counters did while nobody asked is
// spread over that time. Nothing is known of what is new, or has begun again.

/** So far back, in microseconds of the switch's clock, goes what is remembered. */
const HISTORY = 60e6;

export class Rates {
  #now = null;
  #before = null;
  #history = new Map();

  /** Takes an answer. Whether it is a new one: several within half a second are the same. */
  take(answer) {
    if (this.#now && this.#now.started === answer.started_unix_millis && this.#now.micros === answer.micros) return false;
    const counters = collect(answer);
    const isSameRun = this.#now && this.#now.started === answer.started_unix_millis && this.#now.micros < answer.micros;
    this.#before = isSameRun ? this.#now : null;
    if (!isSameRun) this.#history.clear();
    const hasAllDrops = answer.drops.rows.length === answer.drops.count;
    this.#now = { started: answer.started_unix_millis, micros: answer.micros, counters, hasAllDrops };
    return true;
  }

  /** Per second, or null. */
  of(key) {
    const change = this.change(key);
    return change === null ? null : change / ((this.#now.micros - this.#before.micros) / 1e6);
  }

  /** What came to a counter between the two answers, or null. */
  change(key) {
    if (!this.#before) return null;
    const now = this.#now.counters.get(key);
    // Drops that never happened are not in the list: one that is there for the first time has just happened.
    const unseen = key.startsWith("drop ") && this.#before.hasAllDrops ? 0 : undefined;
    const before = this.#before.counters.get(key) ?? unseen;
    return now === undefined || before === undefined || now < before ? null : now - before;
  }

  /** The last minute of a rate, as { at, rate }, the oldest first; call it once for each answer. */
  remember(key) {
    const past = (this.#history.get(key) ?? []).filter(({ at }) => at > this.#now.micros - HISTORY);
    const rate = this.of(key);
    if (rate !== null) past.push({ at: this.#now.micros, rate });
    this.#history.set(key, past);
    return past;
  }

  /** Nothing is known until the next answer; its rates are those since the last one. */
  pause() {
    this.#before = null;
  }
}

export const dropKey = (row) => `drop ${row.reason} ${row.port} ${row.network}`;

function collect(answer) {
  const counters = new Map();
  const traffic = (key, row) => {
    for (const name of ["receive_packets", "receive_bytes", "transmit_packets", "transmit_bytes"]) {
      counters.set(`${key} ${name}`, row[name]);
    }
  };
  traffic("tenants", answer.totals.tenants);
  traffic("uplinks", answer.totals.uplinks);
  counters.set("dropped", answer.totals.dropped);
  for (const port of answer.ports.rows) traffic(`port ${port.name}`, port);
  for (const vtep of answer.vteps.rows) {
    counters.set(`vtep ${vtep.name} punted`, vtep.punted_packets);
    counters.set(`vtep ${vtep.name} host`, vtep.host_packets);
  }
  for (const worker of answer.workers) {
    counters.set(`worker ${worker.worker} busy`, worker.busy_cycles);
    counters.set(`worker ${worker.worker} idle`, worker.idle_cycles);
    counters.set(`worker ${worker.worker} received`, worker.received);
    counters.set(`worker ${worker.worker} transmitted`, worker.transmitted);
  }
  for (const row of answer.drops.rows) counters.set(dropKey(row), row.packets);
  return counters;
}
