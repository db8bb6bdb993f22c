// The picture of the overlay. It is drawn anew when an object is added, removed or changes its state.
// Otherwise only texts and the thickness of port and uplink lines change, so that the focus stays.
// Lines of networks and tunnels have no counters.

import { bits, byId, count, html, many, packets, setAttribute, setText, svg } from "./dom.js";
import { layout } from "./layout.js";

const MAX_BANDS = 24;
// Ports drawn for a network, with few and with many networks.
const MAX_PORTS = 8;
const FEW_PORTS = 3;
const MANY_BANDS = 8;
const MAX_OTHERS = 8;
const MAX_REMOTES = 24;
const COLOURS = 8;

let drawn = "";
let updates = [];
let selected = null;
let describe = new Map();

/** Updates the picture; it is as wide as its element. */
export function showPicture(response, rates, filter) {
  const place = byId("picture");
  const width = Math.max(300, Math.floor(place.clientWidth));
  const model = modelOf(response);
  const shape = JSON.stringify([width, response.host, structure(model)]);
  if (shape !== drawn) {
    draw(place, model, width, response);
    drawn = shape;
  }
  for (const update of updates) update(response, rates);
  setText(byId("overlay-count"), summary(response, model, filter));
  if (selected && describe.has(selected)) details(selected, response, rates);
}

/** Selects what is drawn. */
function modelOf(response) {
  const ports = new Map(response.ports.rows.map((port) => [port.name, port]));
  const vtepPlaces = new Map(response.vteps.rows.map((vtep, place) => [vtep.name, place]));
  let networks = response.networks.rows;
  if (networks.length > MAX_BANDS) {
    // Ranks are powers of two, so that small changes do not replace networks.
    const rank = (network) => Math.floor(Math.log2(1 + network.frames));
    networks = [...networks].sort((a, b) => rank(b) - rank(a)).slice(0, MAX_BANDS)
      .sort((a, b) => a.index - b.index);
  }
  const most = networks.length > MANY_BANDS ? FEW_PORTS : MAX_PORTS;
  networks = networks.map((network) => {
    const members = network.ports.map((name) => ports.get(name)).filter(Boolean).slice(0, most);
    return { ...network, ports: members, morePorts: more(network.port_count - members.length, "port") };
  });
  const last = vtepPlaces.size;
  networks.sort((a, b) => (vtepPlaces.get(a.vtep) ?? last) - (vtepPlaces.get(b.vtep) ?? last));
  const colours = new Map(networks.map((network) => [network.name, network.index % COLOURS]));
  const vteps = response.vteps.rows.map((vtep) => ({
    ...vtep,
    uplink: ports.get(vtep.port),
    remotes: vtep.remotes.rows.slice(0, MAX_REMOTES),
    moreRemotes: more(vtep.remotes.matching - Math.min(vtep.remotes.rows.length, MAX_REMOTES), "remote VTEP"),
  }));
  const unused = response.ports.rows.filter((port) => port.role === "unused");
  const others = unused.slice(0, MAX_OTHERS);
  return { networks, vteps, others, moreOthers: more(unused.length - others.length, "unused port"), colours };
}

const more = (left, what) => (left > 0 ? `+ ${many(left, `more ${what}`)}` : null);

/** The parts of a model whose changes redraw the picture; no counters. */
function structure(model) {
  return [
    model.networks.map((n) => [n.name, n.index, n.vni, n.vtep, n.ports.map((p) => [p.name, p.link]), n.morePorts]),
    model.others.map((port) => [port.name, port.link]), model.moreOthers,
    model.vteps.map((v) => [
      v.name, v.address, v.udp_port, v.host_interface, v.uplink?.name, v.uplink?.link, v.moreRemotes,
      v.remotes.map((r) => [r.address, r.state, r.reason, r.next_hop, r.networks, r.network_count]),
    ]),
  ];
}

function summary(response, model, filter) {
  const { rows, matching } = response.vteps;
  const ofNetworks = networksDrawn(response, model, filter);
  return rows.length < matching ? `${ofNetworks} · ${rows.length} of ${many(matching, "VTEP")} drawn` : ofNetworks;
}

function networksDrawn(response, model, filter) {
  const { count: all, matching } = response.networks;
  if (all === 0) return "no networks are configured";
  if (filter && matching === 0) return `no network matches; there are ${count(all)}`;
  const drawnCount = model.networks.length;
  if (drawnCount < matching) return `${drawnCount} of ${many(matching, "network")} drawn, those with the most traffic; the filter finds the others`;
  return filter ? `${matching} of ${many(all, "network")}` : many(all, "network");
}

function draw(place, model, width, response) {
  const focused = document.activeElement?.getAttribute?.("data-key");
  const plan = layout(model, width);
  updates = [];
  describe = new Map();
  // Lines cover networks; all other boxes cover lines.
  const isBand = (box) => box.kind === "network";
  const bands = svg("g", {}, ...plan.boxes.filter(isBand).map((box) => drawBox(box, model)));
  const wires = svg("g", {}, ...plan.wires.map((wire) => drawWire(wire, model)));
  const boxes = svg("g", {}, ...plan.boxes.filter((box) => !isBand(box)).map((box) => drawBox(box, model)));
  const { host } = plan;
  const frame = svg("g", { class: "host" },
    svg("rect", { x: host.x, y: host.y, width: host.w, height: host.h, rx: 12 }),
    svg("text", { x: host.x + 20, y: host.y + 24 }, `this host${response.host ? `: ${response.host}` : ""}`));
  const picture = svg("svg", {
    width: plan.width, height: plan.height, viewBox: `0 0 ${plan.width} ${plan.height}`, role: "group",
    "aria-label": "The overlay: ports, networks, VTEPs and other hosts",
  }, frame, bands, wires, boxes);
  place.replaceChildren(picture);
  if (!model.networks.length && !model.vteps.length && !model.others.length) {
    place.replaceChildren(html("p", { class: "faint" }, "Nothing to draw: no ports, no networks."));
  }
  highlight();
  if (focused) place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

// --- lines ------------------------------------------------------------------------------------------------

function drawWire(wire, model) {
  const colour = wire.network ? ` colour${model.colours.get(wire.network.name)}` : "";
  const state = wire.kind === "tunnel" ? ` ${wire.item.state}` : "";
  const path = svg("path", { d: wire.path, class: `wire ${wire.kind}${state}${colour}`, "stroke-width": 2 });
  const group = svg("g", { "data-wire": wire.key, "data-joins": JSON.stringify(wire.joins) }, path);
  if (wire.kind === "tunnel" && wire.item.state === "unresolved") {
    group.append(svg("text", { x: wire.label.x, y: wire.label.y + 4, class: "cross", "text-anchor": "middle" }, "✕"));
  }
  if (wire.kind === "port") {
    const { x, y, w } = wire.label;
    const [into, out] = [y - 6, y + 15].map((at) => svg("text", { x, y: at, class: "rate", "text-anchor": "middle" }));
    group.append(into, out);
    updates.push((_, rates) => {
      const key = `port ${wire.item.name}`;
      setText(into, `→ ${rateText(rates, key, "receive", w > 150)}`);
      setText(out, `← ${rateText(rates, key, "transmit", w > 150)}`);
      thickness(path, sum(rates.of(`${key} receive_packets`), rates.of(`${key} transmit_packets`)));
    });
  }
  if (wire.kind === "uplink") {
    updates.push((_, rates) => {
      const key = `port ${wire.item.name}`;
      thickness(path, sum(rates.of(`${key} receive_packets`), rates.of(`${key} transmit_packets`)));
    });
  }
  return group;
}

const sum = (a, b) => (a ?? 0) + (b ?? 0);

function rateText(rates, key, way, withBits) {
  const text = packets(rates.of(`${key} ${way}_packets`));
  return withBits ? `${text} · ${bits(rates.of(`${key} ${way}_bytes`))}` : text;
}

/** From 1.5 pixels without traffic to 7 at ten million packets per second. */
function thickness(path, rate) {
  setAttribute(path, "stroke-width", (1.5 + Math.min(5.5, Math.log10(1 + rate) * 0.8)).toFixed(1));
}

// --- boxes ------------------------------------------------------------------------------------------------

/** Cuts a text to a width, at so many pixels for each character. */
function cut(text, width, each = 7.2) {
  const room = Math.max(3, Math.floor(width / each));
  return text.length <= room ? text : `${text.slice(0, room - 1)}…`;
}

function drawBox(box, model) {
  const { kind, key, x, y, w, h, item } = box;
  if (kind === "more") return svg("text", { x: x + 4, y: y + 12, class: "more" }, item);
  const group = svg("g", { class: `box ${kind}`, tabindex: "0", role: "img", "data-key": key });
  const line = (at, class_, text = "", end = false) => {
    const element = svg("text", { x: end ? x + w - 12 : x + 12, y: y + at, class: class_, "text-anchor": end ? "end" : null }, text);
    group.append(element);
    return element;
  };
  group.append(svg("rect", { x, y, width: w, height: h, rx: kind === "network" ? 9 : 6 }));
  shapes[kind]({ group, line, model, ...box });
  return group;
}

const shapes = {
  port({ group, line, item, w, key }) {
    if (item.link === "down") group.classList.add("down");
    line(16, "name", cut(item.name, w - 24));
    const state = item.role === "unused" ? "not used" : `link ${item.link}`;
    const under = line(31, "small", state);
    group.setAttribute("aria-label", `Port ${item.name}, ${state}`);
    updates.push((response) => {
      const drops = portOf(response, item.name)?.drops ?? 0;
      setText(under, cut(drops ? `${state} · ${count(drops)} dropped` : state, w - 20, 6));
    });
    describe.set(key, (response, rates) => portDetails(portOf(response, item.name), rates));
  },

  network({ group, line, model, item, w, key }) {
    group.classList.add(`colour${model.colours.get(item.name)}`);
    const vni = `VNI ${item.vni}`;
    line(24, "name", cut(item.name, w - 40 - vni.length * 7));
    line(24, "small", vni, true);
    const under = line(42, "small");
    group.setAttribute("aria-label", `Network ${item.name}, ${vni}, ${many(item.port_count, "port")}, ` +
      (item.vtep ? many(item.remote_vtep_count, "remote VTEP") : "on this host only"));
    updates.push((response) => {
      const now = response.networks.rows.find((row) => row.name === item.name) ?? item;
      const parts = [many(now.fdb_entries, "MAC")];
      if (now.drops) parts.push(`${count(now.drops)} dropped`);
      if (!item.vtep) parts.push("this host only");
      setText(under, cut(parts.join(" · "), w - 20, 6));
    });
    describe.set(key, (response) => networkDetails(response.networks.rows.find((row) => row.name === item.name)));
  },

  vtep({ group, line, item, w, key }) {
    line(20, "name", cut(`VTEP ${item.name}`, w - 24));
    line(37, "small", cut(item.address, w - 24, 6));
    line(53, "small faint", cut(`UDP ${item.udp_port} · TAP ${item.host_interface}`, w - 20, 6));
    group.setAttribute("aria-label", `Local VTEP ${item.name}, ${item.address}`);
    describe.set(key, (response, rates) => vtepDetails(response.vteps.rows.find((row) => row.name === item.name), rates));
  },

  uplink({ group, line, item, w, key }) {
    if (item.link === "down") group.classList.add("down");
    const isUp = item.link === "up";
    line(20, "name", cut(/uplink/i.test(item.name) ? item.name : `Uplink ${item.name}`, w - (isUp ? 24 : 96)));
    if (!isUp) line(20, "small bad", `link ${item.link}`, true);
    const [into, out] = [line(38, "rate"), line(54, "rate")];
    group.setAttribute("aria-label", `Uplink ${item.name}, link ${item.link}`);
    updates.push((_, rates) => {
      const withBits = w > 180;
      setText(into, `← ${rateText(rates, `port ${item.name}`, "receive", withBits)}`);
      setText(out, `→ ${rateText(rates, `port ${item.name}`, "transmit", withBits)}`);
    });
    describe.set(key, (response, rates) => portDetails(portOf(response, item.name), rates));
  },

  remote({ group, line, model, item, x, y, w, key }) {
    const isResolved = item.state === "resolved";
    group.classList.add(item.state);
    line(20, "name", cut(item.address, w - 100));
    line(20, isResolved ? "small" : "small bad", isResolved ? "✓ resolved" : "✕ unresolved", true);
    const via = item.next_hop === item.address ? "on the same link" : `next hop ${item.next_hop}`;
    line(38, "small", cut(isResolved ? via : item.reason ?? "no reason given", w - 20, 6));
    chips({ group, model, item, x: x + 12, y: y + 49, w: w - 24 });
    group.setAttribute("aria-label", `Remote VTEP ${item.address}, ${item.state}` +
      (item.reason ? `: ${item.reason}` : "") + `, ${many(item.network_count, "network")}`);
    describe.set(key, (response) => remoteDetails(key, response));
  },
};

/** The networks of a remote VTEP that have room: a patch of their colour, and their name. */
function chips({ group, model, item, x, y, w }) {
  let at = 0;
  let shown = 0;
  const drawnFirst = [...item.networks].sort((a, b) => model.colours.has(b) - model.colours.has(a));
  for (const name of drawnFirst) {
    const text = cut(name, 110, 6.2);
    const takes = 14 + text.length * 6.2 + 10;
    const rest = item.network_count - shown - 1;
    if (at + takes + (rest ? 34 : 0) > w && shown) break;
    const colour = model.colours.has(name) ? `colour${model.colours.get(name)}` : "";
    group.append(svg("rect", { x: x + at, y, width: 9, height: 9, rx: 2, class: `chip ${colour}` }),
      svg("text", { x: x + at + 14, y: y + 9, class: "small" }, text));
    at += takes;
    shown += 1;
  }
  const left = item.network_count - shown;
  if (left) group.append(svg("text", { x: x + at, y: y + 9, class: "small faint" }, shown ? `+ ${count(left)}` : many(left, "network")));
}

const portOf = (response, name) => response.ports.rows.find((port) => port.name === name);

// --- details ---------------------------------------------------------------------------------------

// Listeners on the SVG element would make it a stop of the Tab key.
byId("picture").addEventListener("pointerover", (event) => choose(event.target, "pointer"));
byId("picture").addEventListener("focusin", (event) => choose(event.target, "focus"));

function choose(target, how) {
  const box = target.closest?.("[data-key]");
  if (!box || (how === "pointer" && document.activeElement?.closest?.("#picture") && document.activeElement !== box)) return;
  selected = box.getAttribute("data-key");
  highlight();
  byId("picture").dispatchEvent(new CustomEvent("chosen"));
}

/** Highlights the selected box and its lines. */
function highlight() {
  const picture = byId("picture");
  for (const box of picture.querySelectorAll("[data-key]")) {
    box.classList.toggle("chosen", box.getAttribute("data-key") === selected);
  }
  for (const wire of picture.querySelectorAll("[data-wire]")) {
    wire.classList.toggle("chosen", JSON.parse(wire.getAttribute("data-joins")).includes(selected));
  }
}

/** Shows details of a box. */
export function details(key, response, rates) {
  const described = describe.get(key)?.(response, rates);
  if (!described) return;
  const [title, pairs] = described;
  const place = byId("details");
  if (place.getAttribute("data-of") !== key || place.querySelectorAll("dd").length !== pairs.length) {
    place.setAttribute("data-of", key);
    place.replaceChildren(html("h3", {}, title), html("dl", {}, ...pairs.map(([name]) =>
      html("div", {}, html("dt", {}, name), html("dd")))));
  }
  place.querySelectorAll("dd").forEach((element, at) => setText(element, String(pairs[at][1])));
}

/** Shows details of the selected box, if any. */
export const selectedDetails = (response, rates) => selected && details(selected, response, rates);

function portDetails(port, rates) {
  if (!port) return null;
  const key = `port ${port.name}`;
  const networks = port.members.map((member) => member.network).join(", ");
  const place = port.role === "uplink" ? ["Uplink of VTEP", port.vtep] : ["Network", networks || "none: not used"];
  return [`Port ${port.name}`, [
    place, ["Link", port.link], ["Device", port.device], ["Driver", port.driver], ["MAC", port.mac], ["MTU", port.mtu],
    ["Received", `${rateText(rates, key, "receive", true)} (${count(port.receive_packets)} so far)`],
    ["Sent", `${rateText(rates, key, "transmit", true)} (${count(port.transmit_packets)} so far)`],
    ["Dropped", count(port.drops)], ["Queues", `${port.rx_queues} receive, ${port.tx_queues} transmit`],
  ]];
}

function networkDetails(network) {
  if (!network) return null;
  const listed = (names, all) => `${names.join(", ") || "none"}${all > names.length ? `, and ${count(all - names.length)} more` : ""}`;
  return [`Network ${network.name}`, [
    ["VNI", network.vni], ["VTEP", network.vtep ?? "none: on this host only"],
    ["Ports", listed(network.ports, network.port_count)],
    ["Floods to", listed(network.remote_vteps, network.remote_vtep_count)],
    ["MAC addresses", count(network.fdb_entries)], ["Moved", count(network.fdb_moves)],
    ["Refused: table full", count(network.fdb_refused)],
    ["Ageing", network.mac_ageing_secs ? `${network.mac_ageing_secs} s` : "never"], ["Dropped", count(network.drops)],
  ]];
}

function vtepDetails(vtep, rates) {
  if (!vtep) return null;
  return [`VTEP ${vtep.name}`, [
    ["Address", vtep.address], ["UDP port", vtep.udp_port], ["Uplink", vtep.port], ["MAC", vtep.mac],
    ["Host interface", vtep.host_interface],
    ["To the kernel", packets(rates.of(`vtep ${vtep.name} punted`))],
    ["From the kernel", packets(rates.of(`vtep ${vtep.name} host`))],
    ["Remote VTEPs", `${count(vtep.remotes.count)}, ${count(vtep.unresolved)} unresolved`],
  ]];
}

function remoteDetails(key, response) {
  for (const vtep of response.vteps.rows) {
    const remote = vtep.remotes.rows.find((row) => `remote ${vtep.name} ${row.address}` === key);
    if (!remote) continue;
    const left = remote.network_count - remote.networks.length;
    return [`Remote VTEP ${remote.address}`, [
      ["State", remote.state], ["Reason", remote.reason ?? "the kernel has a route and a neighbour"],
      ["Next hop", remote.next_hop ?? "none"], ["Its MAC", remote.next_hop_mac ?? "not known"],
      ["From VTEP", vtep.name], ["Networks", `${remote.networks.join(", ")}${left > 0 ? `, and ${count(left)} more` : ""}`],
    ]];
  }
  return null;
}
