// The tables and the totals. Rows are reused from second to second, and a cell's text changes only if
// it differs.

import {
  bits, byId, clock, count, duration, html, many, packets, setAttribute, setProse, setText, svg,
} from "./dom.js";
import { dropKey } from "./rates.js";

/** Columns are [title, class]: "number" is aligned right, "text" has sentences. */
function table(id, caption, columns) {
  const place = byId(id);
  const body = html("tbody");
  const heads = columns.map(([title, kind]) => html("th", { scope: "col", class: kind ?? null }, title));
  const made = html("table", {}, html("caption", {}, caption), html("thead", {}, html("tr", {}, ...heads)), body);
  const empty = html("p", { class: "faint" });
  const rows = new Map();
  place.replaceChildren(made, empty);
  /** `of(item)` returns { key, cells, marked }. */
  return (items, of, whenEmpty) => {
    const wanted = new Set();
    const order = items.map((item) => {
      const { key, cells, marked } = of(item);
      wanted.add(key);
      let row = rows.get(key);
      if (!row) {
        row = html("tr", { "data-row": key }, ...columns.map(([title, kind], at) =>
          at === 0 ? html("th", { scope: "row" }) : html("td", { class: kind ?? null, "data-title": title })));
        rows.set(key, row);
      }
      cells.forEach((text, at) => (columns[at][1] === "text" ? setProse : setText)(row.children[at], String(text ?? "")));
      row.classList.toggle("rising", Boolean(marked));
      return row;
    });
    for (const [key, row] of rows) {
      if (!wanted.has(key)) {
        row.remove();
        rows.delete(key);
      }
    }
    order.forEach((row, at) => {
      if (body.children[at] !== row) body.insertBefore(row, body.children[at] ?? null);
    });
    made.hidden = items.length === 0;
    setText(empty, items.length ? "" : whenEmpty);
  };
}

const shown = (list, what) => (list.rows.length < list.matching
  ? `${count(list.rows.length)} of ${many(list.matching, what)} shown` : many(list.count, what));

/** Makes the tables; returns a function that updates them. */
export function tables() {
  const drops = table("drops-table", "Frames dropped since the start, by reason, port and network", [
    ["Reason"], ["Port"], ["Network"], ["Frames", "number"], ["Rate", "number"], ["Meaning", "text"],
  ]);
  const frames = table("frames-table", "The last dropped frames, the newest first", [
    ["Time"], ["Reason"], ["Port"], ["Network"], ["Bytes", "number"], ["Frame", "frame"],
  ]);
  const ports = table("ports-table", "Ports", [
    ["Port"], ["Role"], ["Link"], ["Packets in", "number"], ["Bits in", "number"],
    ["Packets out", "number"], ["Bits out", "number"], ["Dropped", "number"], ["MTU", "number"],
    ["Device"],
  ]);
  const networks = table("networks-table", "Networks", [
    ["Network"], ["VNI", "number"], ["VTEP"], ["Ports", "number"], ["Remote VTEPs", "number"],
    ["MACs", "number"], ["Moves", "number"], ["Refused", "number"], ["Dropped", "number"],
  ]);
  const tunnels = table("tunnels-table", "Tunnels", [
    ["Remote VTEP"], ["From VTEP"], ["State"], ["Next hop"], ["MAC of the next hop"],
    ["Networks", "number"], ["Reason", "text"],
  ]);
  const workers = table("workers-table", "Workers", [
    ["Worker"], ["Core", "number"], ["Busy", "number"], ["Received", "number"], ["Sent", "number"],
    ["Unaccounted", "number"], ["Queues", "text"],
  ]);
  return (response, rates) => {
    showDrops(drops, response, rates);
    showFrames(frames, response);
    setText(byId("ports-count"), shown(response.ports, "port"));
    ports(response.ports.rows, (port) => portRow(port, rates), "No ports are configured.");
    setText(byId("networks-count"), shown(response.networks, "network"));
    networks(response.networks.rows, networkRow, response.networks.count ? "No network matches the filter." : "No networks are configured.");
    const all = response.vteps.rows.flatMap((vtep) => vtep.remotes.rows.map((remote) => [vtep, remote]));
    const total = response.vteps.rows.reduce((sum, vtep) => sum + vtep.remotes.matching, 0);
    setText(byId("tunnels-count"), shown({ rows: all, matching: total, count: total }, "tunnel"));
    tunnels(all, tunnelRow, "No remote VTEPs.");
    workers(response.workers, (worker) => workerRow(worker, rates), "No workers.");
  };
}

function showDrops(show, response, rates) {
  const { drops } = response;
  const rows = drops.rows.map((row) => ({ ...row, rate: rates.of(dropKey(row)) }));
  rows.sort((a, b) => Number(b.rate > 0) - Number(a.rate > 0) || b.packets - a.packets || (dropKey(a) < dropKey(b) ? -1 : 1));
  const rising = new Set(rows.filter((row) => row.rate > 0).map((row) => row.reason)).size;
  const parts = [many(response.totals.dropped, "frame")];
  if (drops.rows.length < drops.count) parts.push(`${drops.rows.length} of ${count(drops.count)} rows shown`);
  parts.push(rising ? `▲ ${many(rising, "reason")} rising now` : "none rising");
  setText(byId("drops-count"), drops.count ? parts.join(" · ") : "");
  byId("drops-count").classList.toggle("bad", rising > 0);
  show(rows, (row) => ({
    key: dropKey(row),
    marked: row.rate > 0,
    cells: [row.reason, row.port || "–", row.network || "–", count(row.packets),
      row.rate > 0 ? `▲ ${packets(row.rate)}` : packets(row.rate), row.help],
  }), "No frames were dropped.");
}

function showFrames(show, response) {
  const { frames } = response;
  const note = byId("frames-withheld");
  note.hidden = !frames.withheld;
  setProse(note, frames.withheld
    ? `The contents of frames are left out: ${frames.withheld}. On the host, \`vswitch show dropped-frames\` shows them.` : "");
  setText(byId("frames-count"), frames.rows.length < frames.count
    ? `the newest ${frames.rows.length} of ${count(frames.count)} kept` : many(frames.count, "frame"));
  const seen = new Map();
  show(frames.rows, (frame) => {
    const id = `${frame.unix_micros} ${frame.reason} ${frame.port} ${frame.network} ${frame.summary}`;
    const again = (seen.get(id) ?? 0) + 1;
    seen.set(id, again);
    const millis = frame.unix_micros / 1000;
    const age = (response.unix_millis - millis) / 1000;
    return {
      key: `${id} ${again}`,
      cells: [`${clock(millis, true)} · ${duration(age)} ago`, frame.reason, frame.port || "–", frame.network || "–", count(frame.len),
        frame.summary ?? "left out"],
    };
  }, "No dropped frames.");
}

function portRow(port, rates) {
  const key = `port ${port.name}`;
  const networks = port.members.map((member) => member.network).join(", ");
  const role = { uplink: `uplink of ${port.vtep}`, tenant: `in ${networks}`, unused: "not used" }[port.role];
  return {
    key,
    cells: [port.name, role, port.link, packets(rates.of(`${key} receive_packets`)), bits(rates.of(`${key} receive_bytes`)),
      packets(rates.of(`${key} transmit_packets`)), bits(rates.of(`${key} transmit_bytes`)), count(port.drops), port.mtu, port.device],
  };
}

const networkRow = (network) => ({
  key: network.name,
  cells: [network.name, network.vni, network.vtep ?? "–", count(network.port_count), count(network.remote_vtep_count),
    count(network.fdb_entries), count(network.fdb_moves), count(network.fdb_refused), count(network.drops)],
});

const tunnelRow = ([vtep, remote]) => ({
  key: `${vtep.name} ${remote.address}`,
  marked: remote.state === "unresolved",
  cells: [remote.address, vtep.name, remote.state === "resolved" ? "✓ resolved" : "✕ unresolved", remote.next_hop ?? "–",
    remote.next_hop_mac ?? "–", count(remote.network_count), remote.reason ?? ""],
});

function workerRow(worker, rates) {
  const key = `worker ${worker.worker}`;
  const [busy, idle] = [rates.increase(`${key} busy`), rates.increase(`${key} idle`)];
  const share = busy === null || idle === null || busy + idle === 0 ? "–" : `${((100 * busy) / (busy + idle)).toFixed(1)} %`;
  return {
    key,
    marked: worker.unaccounted !== 0,
    cells: [worker.worker, worker.core, share, packets(rates.of(`${key} received`)), packets(rates.of(`${key} transmitted`)),
      worker.unaccounted, worker.queues.join(", ")],
  };
}

// --- totals -----------------------------------------------------------------------------------------------

const TILES = [
  ["From tenants", "tenants receive"], ["To tenants", "tenants transmit"],
  ["Uplinks, in", "uplinks receive"], ["Uplinks, out", "uplinks transmit"],
];

/** Makes the totals; returns a function that updates them. */
export function tiles() {
  const place = byId("tiles");
  const made = [...TILES, ["Dropped", "dropped"], ["Known MACs", "macs"], ["Unaccounted", "unaccounted"]].map(([title, key]) => {
    const [value, under, line] = [html("strong"), html("span", { class: "faint" }), svg("path", {})];
    const spark = key === "macs" || key === "unaccounted" ? null
      : svg("svg", { class: "spark", viewBox: "0 0 120 26", preserveAspectRatio: "none", "aria-hidden": "true" }, line);
    const tile = html("li", { "data-tile": key }, html("span", { class: "title" }, title), value, under, spark);
    place.append(tile);
    return { key, tile, value, under, line };
  });
  return (response, rates) => {
    for (const { key, tile, value, under, line } of made) {
      if (key === "macs") {
        setText(value, count(response.totals.fdb_entries));
        setText(under, "static and learned");
      } else if (key === "unaccounted") {
        const lost = response.totals.unaccounted;
        setText(value, count(lost));
        setText(under, lost ? "must be 0: please report it" : "as expected");
        tile.classList.toggle("rising", lost !== 0);
      } else if (key === "dropped") {
        const rate = rates.of("dropped");
        setText(value, rate > 0 ? `▲ ${packets(rate)}` : packets(rate));
        setText(under, `${count(response.totals.dropped)} so far`);
        tile.classList.toggle("rising", rate > 0);
        spark(line, rates.history("dropped"));
      } else {
        setText(value, packets(rates.of(`${key}_packets`)));
        setText(under, bits(rates.of(`${key}_bytes`)));
        spark(line, rates.history(`${key}_packets`));
      }
    }
  };
}

/** Draws the known part of the last minute, scaled to its maximum. */
function spark(path, past) {
  const [high, from] = [Math.max(1, ...past.map(({ rate }) => rate)), past[0]?.at];
  const width = 120 / (past.at(-1)?.at - from);
  const point = ({ at, rate }) => `${((at - from) * width).toFixed(1)} ${(25 - (23 * rate) / high).toFixed(1)}`;
  setAttribute(path, "d", past.length > 1 ? `M${past.map(point).join("L")}` : "M0 25");
}
