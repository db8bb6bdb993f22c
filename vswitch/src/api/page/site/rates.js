// Rates: differences of the counters of two responses, divided by the time between them on the
// switch's clock. The server sends counters only; each page has its own interval. The rate of a new
// counter, or of one that restarted, is unknown.

/** The length of the history in microseconds on the switch's clock. */
const HISTORY = 60e6;

export class Rates {
  #now = null;
  #before = null;
  #history = new Map();

  /** Adds a response. Returns whether it is new: those within half a second have the same data. */
  add(response) {
    if (this.#now && this.#now.started === response.started_unix_millis && this.#now.micros === response.micros) return false;
    const counters = collect(response);
    const isSameRun = this.#now && this.#now.started === response.started_unix_millis && this.#now.micros < response.micros;
    this.#before = isSameRun ? this.#now : null;
    if (!isSameRun) this.#history.clear();
    const hasAllDrops = response.drops.rows.length === response.drops.count;
    this.#now = { started: response.started_unix_millis, micros: response.micros, counters, hasAllDrops };
    return true;
  }

  /** The rate of a counter per second; null if unknown. */
  of(key) {
    const increase = this.increase(key);
    return increase === null ? null : increase / ((this.#now.micros - this.#before.micros) / 1e6);
  }

  /** The increase of a counter between the two responses; null if unknown. */
  increase(key) {
    if (!this.#before) return null;
    const now = this.#now.counters.get(key);
    // Rows without drops are not in the response, so a new row began at 0.
    const initial = key.startsWith("drop ") && this.#before.hasAllDrops ? 0 : undefined;
    const before = this.#before.counters.get(key) ?? initial;
    return now === undefined || before === undefined || now < before ? null : now - before;
  }

  /** The last minute of a rate as [{ at, rate }], the oldest first. Call once for each response. */
  history(key) {
    const past = (this.#history.get(key) ?? []).filter(({ at }) => at > this.#now.micros - HISTORY);
    const rate = this.of(key);
    if (rate !== null) past.push({ at: this.#now.micros, rate });
    this.#history.set(key, past);
    return past;
  }

  /** Makes all rates unknown until the next response. */
  pause() {
    this.#before = null;
  }
}

export const dropKey = (row) => `drop ${row.reason} ${row.port} ${row.network}`;

function collect(response) {
  const counters = new Map();
  const traffic = (key, row) => {
    for (const name of ["receive_packets", "receive_bytes", "transmit_packets", "transmit_bytes"]) {
      counters.set(`${key} ${name}`, row[name]);
    }
  };
  traffic("tenants", response.totals.tenants);
  traffic("uplinks", response.totals.uplinks);
  counters.set("dropped", response.totals.dropped);
  for (const port of response.ports.rows) traffic(`port ${port.name}`, port);
  for (const vtep of response.vteps.rows) {
    counters.set(`vtep ${vtep.name} punted`, vtep.punted_packets);
    counters.set(`vtep ${vtep.name} host`, vtep.host_packets);
  }
  for (const worker of response.workers) {
    counters.set(`worker ${worker.worker} busy`, worker.busy_cycles);
    counters.set(`worker ${worker.worker} idle`, worker.idle_cycles);
    counters.set(`worker ${worker.worker} received`, worker.received);
    counters.set(`worker ${worker.worker} transmitted`, worker.transmitted);
  }
  for (const row of response.drops.rows) counters.set(dropKey(row), row.packets);
  return counters;
}
