// The layout of the picture: tenants on the left, this host with its networks in the middle, other
// hosts on the right; on a narrow screen from top to bottom. Pure computation; draws nothing.
//
// A picture is { width, height, host, boxes, wires }. A box is { kind, key, x, y, w, h, item }. A wire is
// { kind, key, path, item, label, joins }: `label` is the position of its label, `joins` the keys of
// the boxes at its ends.

/** The least width in pixels for a picture from left to right. */
export const WIDE = 900;

/** The greatest distance of the first VTEP from the top in pixels. */
const FIRST_VTEP_MAX = 220;

const between = (low, value, high) => Math.round(Math.min(high, Math.max(low, value)));

/**
 * Lays out a model: { networks: [{ name, vtep, ports: [port], morePorts }], others: [port], moreOthers,
 * vteps: [{ name, uplink, remotes: [remote], moreRemotes }] }, networks in the order of their VTEPs.
 */
export function layout(model, width) {
  return width >= WIDE ? wide(model, width) : narrow(model, width);
}

const keys = {
  port: (port) => `port ${port.name}`,
  network: (network) => `network ${network.name}`,
  vtep: (vtep) => `vtep ${vtep.name}`,
  remote: (vtep, remote) => `remote ${vtep.name} ${remote.address}`,
};

function wide(model, width) {
  const [port, step, pad] = [38, 48, 14];
  const portX = 22;
  const portW = between(118, width * 0.125, 170);
  const bandX = portX + portW + between(112, width * 0.135, 176);
  const bandW = between(160, width * 0.19, 250);
  const vtepX = bandX + bandW + between(40, width * 0.055, 84);
  const vtepW = between(160, width * 0.155, 210);
  const hostRight = vtepX + vtepW + 18;
  const remoteW = between(196, width * 0.22, 290);
  const remoteX = width - remoteW - 1;
  const boxes = [];
  const wires = [];
  const bands = new Map();
  let y = 42;
  for (const network of model.networks) {
    const rows = network.ports.length + (network.morePorts ? 0.5 : 0);
    const h = Math.max(60, rows * step + pad - 6);
    const band = { kind: "network", key: keys.network(network), x: bandX, y, w: bandW, h, item: network };
    boxes.push(band);
    const of = bands.get(network.vtep) ?? [];
    bands.set(network.vtep, [...of, band]);
    const first = y + (h - rows * step) / 2 + (step - port) / 2;
    network.ports.forEach((item, place) => {
      const box = { kind: "port", key: keys.port(item), x: portX, y: first + place * step, w: portW, h: port, item };
      const middle = box.y + port / 2;
      boxes.push(box);
      wires.push({
        kind: "port", key: `wire ${box.key}`, path: `M${portX + portW} ${middle}H${bandX}`, item, network,
        joins: [box.key, band.key], label: { x: (portX + portW + bandX) / 2, y: middle, w: bandX - portX - portW },
      });
    });
    if (network.morePorts) {
      const above = first + network.ports.length * step;
      boxes.push({ kind: "more", key: `more ${band.key}`, x: portX, y: above, w: portW, h: 16, item: network.morePorts });
    }
    y += h + 12;
  }
  for (const item of model.others) {
    boxes.push({ kind: "port", key: keys.port(item), x: portX, y, w: portW, h: port, item });
    y += step;
  }
  if (model.moreOthers) {
    boxes.push({ kind: "more", key: "more others", x: portX, y, w: portW, h: 16, item: model.moreOthers });
    y += 24;
  }
  let bottom = y;
  let free = 42;
  let freeRemote = 8;
  for (const vtep of model.vteps) {
    const [vtepH, gap, uplinkH] = [62, 22, 62];
    const total = vtepH + gap + uplinkH;
    const mine = bands.get(vtep.name) ?? [];
    const middle = mine.length ? (mine[0].y + mine.at(-1).y + mine.at(-1).h) / 2 : free + total / 2;
    // Beside its networks, but visible without scrolling.
    const top = Math.max(free, Math.min(middle - total / 2, FIRST_VTEP_MAX));
    const box = { kind: "vtep", key: keys.vtep(vtep), x: vtepX, y: top, w: vtepW, h: vtepH, item: vtep };
    boxes.push(box);
    mine.forEach((band, place) => {
      const from = band.y + band.h / 2;
      const to = top + (vtepH * (place + 1)) / (mine.length + 1);
      wires.push({
        kind: "network", key: `wire ${band.key}`, item: band.item, network: band.item, joins: [band.key, box.key],
        path: curve(bandX + bandW, from, vtepX, to),
      });
    });
    if (vtep.uplink) {
      const uplink = {
        kind: "uplink", key: keys.port(vtep.uplink), x: vtepX, y: top + vtepH + gap, w: vtepW, h: uplinkH, item: vtep.uplink,
      };
      boxes.push(uplink);
      const x = vtepX + vtepW / 2;
      wires.push({
        kind: "uplink", key: `wire ${uplink.key}`, item: vtep.uplink, joins: [box.key, uplink.key],
        path: `M${x} ${top + vtepH}V${uplink.y}`,
      });
    }
    free = top + total + 20;
    const [remoteH, remoteGap] = [70, 12];
    const count = vtep.remotes.length;
    const out = top + vtepH + gap + uplinkH / 2;
    let at = Math.max(freeRemote, out - (count * (remoteH + remoteGap) - remoteGap) / 2);
    vtep.remotes.forEach((item, place) => {
      const remote = { kind: "remote", key: keys.remote(vtep, item), x: remoteX, y: at, w: remoteW, h: remoteH, item };
      boxes.push(remote);
      const from = top + vtepH + gap + (uplinkH * (place + 1)) / (count + 1);
      wires.push({
        kind: "tunnel", key: `wire ${remote.key}`, item, vtep, joins: [keys.vtep(vtep), keys.port(vtep.uplink ?? { name: "" }), remote.key],
        path: curve(vtepX + vtepW, from, remoteX, at + remoteH / 2), label: { x: remoteX - 12, y: at + remoteH / 2 },
      });
      at += remoteH + remoteGap;
    });
    if (vtep.moreRemotes) {
      boxes.push({ kind: "more", key: `more ${box.key}`, x: remoteX, y: at, w: remoteW, h: 16, item: vtep.moreRemotes });
      at += 28;
    }
    freeRemote = at + 12;
    bottom = Math.max(bottom, free);
  }
  const host = { x: 1, y: 1, w: (model.vteps.length ? hostRight : bandX + bandW + 22) - 1, h: bottom + 6 };
  return { width, height: Math.max(host.h + 2, freeRemote - 10), host, boxes, wires };
}

function narrow(model, width) {
  const x = 12;
  const w = width - 2 * x - 24;
  const right = x + w;
  const boxes = [];
  const wires = [];
  const bands = [];
  let y = 36;
  for (const network of model.networks) {
    const rows = network.ports.length;
    const h = 48 + rows * 46 + (network.morePorts ? 22 : 0);
    const band = { kind: "network", key: keys.network(network), x, y, w, h, item: network };
    boxes.push(band);
    bands.push(band);
    network.ports.forEach((item, place) => {
      const top = y + 46 + place * 46;
      boxes.push({ kind: "port", key: keys.port(item), x: x + 10, y: top, w: w * 0.4, h: 38, item });
      const from = x + 10 + w * 0.4;
      wires.push({
        kind: "port", key: `wire ${keys.port(item)}`, path: `M${from} ${top + 19}H${right - 8}`, item, network,
        joins: [keys.port(item), band.key], label: { x: (from + right - 8) / 2, y: top + 19, w: right - 8 - from },
      });
    });
    if (network.morePorts) {
      boxes.push({ kind: "more", key: `more ${band.key}`, x: x + 10, y: y + h - 24, w, h: 16, item: network.morePorts });
    }
    y += h + 10;
  }
  for (const item of model.others) {
    boxes.push({ kind: "port", key: keys.port(item), x, y, w, h: 38, item });
    y += 46;
  }
  if (model.moreOthers) {
    boxes.push({ kind: "more", key: "more others", x, y, w, h: 16, item: model.moreOthers });
    y += 22;
  }
  y += 6;
  let hostBottom = y;
  const outside = [];
  for (const vtep of model.vteps) {
    const box = { kind: "vtep", key: keys.vtep(vtep), x, y, w, h: 62, item: vtep };
    boxes.push(box);
    const mine = bands.filter((band) => band.item.vtep === vtep.name);
    mine.forEach((band, place) => {
      const lane = right + 6 + (place % 5) * 4;
      const to = y + (62 * (place + 1)) / (mine.length + 1);
      wires.push({
        kind: "network", key: `wire ${band.key}`, item: band.item, network: band.item, joins: [band.key, box.key],
        path: `M${right} ${band.y + 23}H${lane - 3}q3 0 3 3V${to - 3}q0 3 -3 3H${right}`,
      });
    });
    y += 62;
    if (vtep.uplink) {
      const uplink = { kind: "uplink", key: keys.port(vtep.uplink), x, y: y + 18, w, h: 62, item: vtep.uplink };
      boxes.push(uplink);
      wires.push({
        kind: "uplink", key: `wire ${uplink.key}`, item: vtep.uplink, joins: [box.key, uplink.key],
        path: `M${x + w / 2} ${y}V${y + 18}`,
      });
      y += 80;
      outside.push([vtep, uplink.y + 31]);
    }
    y += 16;
    hostBottom = y;
  }
  y += 12;
  outside.forEach(([vtep, from], place) => {
    const lane = Math.max(3, x - 5 - (place % 3) * 3);
    for (const item of vtep.remotes) {
      const remote = { kind: "remote", key: keys.remote(vtep, item), x: x + 30, y, w: width - x - 32, h: 70, item };
      boxes.push(remote);
      wires.push({
        kind: "tunnel", key: `wire ${remote.key}`, item, vtep, joins: [keys.vtep(vtep), keys.port(vtep.uplink), remote.key],
        path: `M${x} ${from}H${lane}V${y + 35}H${x + 30}`, label: { x: x + 20, y: y + 35 },
      });
      y += 82;
    }
    if (vtep.moreRemotes) {
      boxes.push({ kind: "more", key: `more ${keys.vtep(vtep)}`, x: x + 30, y, w, h: 16, item: vtep.moreRemotes });
      y += 26;
    }
  });
  const host = { x: 1, y: 1, w: width - 2, h: hostBottom };
  return { width, height: Math.max(y, hostBottom + 3), host, boxes, wires };
}

const curve = (x0, y0, x1, y1) => {
  const middle = (x0 + x1) / 2;
  return `M${x0} ${y0}C${middle} ${y0} ${middle} ${y1} ${x1} ${y1}`;
};
