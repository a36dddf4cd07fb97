// The hierarchy as rings: the module we are in at the centre, what is inside it around. One ring is
// one level; the angle of an arc is its flow.

const SVG = "http://www.w3.org/2000/svg";
const REACH = 300;
const HEART = 78;
const RINGS = 3;
const THIN = 0.002; // radians below which an arc is left to the grey behind it
const MILLISECONDS = 420;

const begin = new Float64Array(count); // of each arc, as a share of the whole circle
const span = Float64Array.from(items.flow, (flow) => flow / items.flow[0]);
for (let item = 0; item < count; item += 1) {
  let at = begin[item];
  for (const child of item ? children[item] : around) {
    begin[child] = at;
    at += span[child];
  }
}

function svg(tag, attributes, ...parts) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...parts);
  return element;
}

const canvasOfRings = svg("svg", { viewBox: `${-REACH - 4} ${-REACH - 4} ${2 * REACH + 8} ${2 * REACH + 8}`, role: "tree", "aria-label": "层级 hierarchy" });
const rest = svg("path", { class: "rest" }); // what is not drawn, or too thin to be
const [arcs, labels] = [svg("g", {}), svg("g", { "aria-hidden": "true" })];
const centre = svg("g", { class: "centre" });
canvasOfRings.append(rest, arcs, labels, centre);
byId("rings").append(canvasOfRings);

const drawn = new Map(); // item -> path
let view = viewOf(0);
let active = 0; // the item that Tab leads to
let motion = 0;

function viewOf(item) {
  const rings = Math.max(1, Math.min(RINGS, below[item]));
  return { from: begin[item], width: span[item], depth: level[item], ring: (REACH - HEART) / rings };
}

const radius = (depth, ring) => Math.min(REACH, depth <= 0 ? 0 : depth < 1 ? depth * HEART : HEART + (depth - 1) * ring);

function arcOf(item, deeper = 0) {
  const from = Math.max(0, Math.min(1, (begin[item] - view.from) / view.width));
  const to = Math.max(0, Math.min(1, (begin[item] + span[item] - view.from) / view.width));
  const depth = level[item] + deeper - view.depth;
  return { from: 2 * Math.PI * from, to: 2 * Math.PI * to, inner: radius(depth, view.ring), outer: radius(depth + 1, view.ring) };
}

function outline({ from, to, inner, outer }) {
  const point = (angle, far) => `${(far * Math.sin(angle)).toFixed(2)},${(-far * Math.cos(angle)).toFixed(2)}`;
  const wide = to - from > Math.PI ? 1 : 0;
  if (to - from > 2 * Math.PI - 1e-6) {
    const ring = (far, turn) => `M${point(0, far)}A${far},${far} 0 1 ${turn} ${point(Math.PI, far)}A${far},${far} 0 1 ${turn} ${point(0, far)}Z`;
    return ring(outer, 1) + ring(inner, 0);
  }
  return `M${point(from, inner)}L${point(from, outer)}A${outer},${outer} 0 ${wide} 1 ${point(to, outer)}`
    + `L${point(to, inner)}A${inner},${inner} 0 ${wide} 0 ${point(from, inner)}Z`;
}

// Arcs in sight, parents first; thin ones and what is inside them are left out.
function inSight() {
  const found = [];
  const look = (item) => {
    const arc = arcOf(item);
    if (arc.to - arc.from < THIN || arc.inner >= REACH - 0.5) return;
    if (arc.outer - arc.inner > 0.5 && level[item] > view.depth - 1e-9 + (item === focus ? 1 : 0)) found.push([item, arc]);
    children[item].forEach(look);
  };
  look(0);
  return found.filter(([item]) => item !== focus);
}

function drawRings(settled) {
  const seen = new Set();
  const found = inSight();
  for (const [item, arc] of found) {
    seen.add(item);
    let path = drawn.get(item);
    if (!path) {
      path = svg("path", { role: "treeitem", tabindex: "-1", class: isModule(item) ? "module" : "node" });
      path.dataset.item = item;
      path.setAttribute("aria-label", describe(item));
      path.setAttribute("aria-level", level[item]);
      drawn.set(item, path);
      arcs.append(path);
    }
    path.setAttribute("d", outline(arc));
    path.setAttribute("fill", shade(item));
    // Between thin arcs a line would cover what it parts.
    path.setAttribute("stroke-width", Math.min(1, ((arc.to - arc.from) * arc.outer) / 6).toFixed(2));
  }
  for (const [item, path] of drawn) {
    if (!seen.has(item)) {
      path.remove();
      drawn.delete(item);
    }
  }
  const open = [focus, ...seen].filter((item) => isModule(item) && arcOf(item, 1).inner < REACH - 0.5
    && (!children[item].length || !children[item].every((child) => seen.has(child))));
  rest.setAttribute("d", open.map((item) => outline(arcOf(item, 1))).join(""));
  const size = letter();
  labels.replaceChildren(...(settled ? found.map((one) => label(one, size)).filter(Boolean) : []));
  if (settled) showCentre();
}

// As large on a narrow page as on a wide one.
const letter = () => Math.max(12, Math.min(21, (11 * 2 * REACH) / (canvasOfRings.clientWidth || 2 * REACH)));
const width = (text) => [...text].reduce((sum, letter) => sum + (letter.codePointAt(0) > 0x2e80 ? 12 : 6.8), 0);

function fit(text, room) {
  if (width(text) <= room) return text;
  const letters = [...text];
  while (letters.length && width(letters.join("")) > room - 8) letters.pop();
  return letters.length ? `${letters.join("")}…` : "";
}

function label([item, arc], size) {
  const far = (arc.inner + arc.outer) / 2;
  if ((arc.to - arc.from) * far < 1.25 * size) return null;
  const text = fit(items.name[item] || items.path[item], ((arc.outer - arc.inner - 10) * 12) / size);
  if (!text) return null;
  const turn = ((arc.from + arc.to) / 2) * (180 / Math.PI) - 90;
  const flip = turn > 90 ? 180 : 0;
  const transform = `rotate(${turn.toFixed(2)}) translate(${far.toFixed(1)},0) rotate(${flip})`;
  return svg("text", { transform, "font-size": size.toFixed(1) }, text);
}

function showCentre() {
  const up = focus ? "↑ 退出" : `${whole(items.size[0])} 个节点`;
  const name = focus ? fit(items.path[focus], 90) : "全部";
  const circle = svg("circle", { r: HEART - 3, tabindex: focus ? "0" : "-1", role: "button", "aria-label": focus ? `退出 ${describe(focus)}` : describe(0) });
  const size = Math.min(letter(), 17);
  centre.replaceChildren(circle,
    svg("text", { y: -1.3 * size, class: "big", "font-size": 1.5 * size }, name),
    svg("text", { y: 0.5 * size, "font-size": size }, focus ? percent(items.flow[focus]) : `${data.bits.total.toFixed(3)} 比特`),
    svg("text", { y: 2.2 * size, class: "little", "font-size": size }, up));
}

function moveRings(item) {
  const [old, next] = [view, viewOf(item)];
  cancelAnimationFrame(motion);
  byId("tip").hidden = true;
  const finish = () => {
    view = next;
    drawRings(true);
    setActive(drawn.has(active) ? active : children[item][0]);
  };
  if (still.matches || document.hidden) return finish();
  const start = performance.now();
  const frame = (now) => {
    const t = Math.min(1, (now - start) / MILLISECONDS);
    if (t >= 1) return finish();
    const ease = t * t * (3 - 2 * t);
    view = Object.fromEntries(Object.keys(old).map((key) => [key, old[key] + (next[key] - old[key]) * ease]));
    drawRings(false);
    motion = requestAnimationFrame(frame);
  };
  motion = requestAnimationFrame(frame);
}
followers.push(moveRings);

// Mouse, finger, keyboard

function setActive(item) {
  drawn.get(active)?.setAttribute("tabindex", "-1");
  active = item;
  drawn.get(item)?.setAttribute("tabindex", "0");
}

const itemOf = (event) => (event.target.dataset?.item === undefined ? null : Number(event.target.dataset.item));
const out = () => { if (focus) go(items.parent[focus]); };

function enter(item) {
  if (isModule(item)) go(item);
  else if (items.parent[item] !== focus) go(items.parent[item]);
}

canvasOfRings.addEventListener("click", (event) => {
  const item = itemOf(event);
  if (item !== null) enter(item);
  else if (event.target.closest(".centre")) out();
});

canvasOfRings.addEventListener("pointermove", (event) => {
  const item = itemOf(event);
  showTip(item === null ? "" : describe(item), event.clientX, event.clientY);
  light(item);
});
canvasOfRings.addEventListener("pointerleave", () => { showTip(""); light(null); });
canvasOfRings.addEventListener("focusin", (event) => {
  const item = itemOf(event);
  if (item === null || !event.target.matches(":focus-visible")) return;
  const box = event.target.getBoundingClientRect();
  showTip(describe(item), box.left + box.width / 2, box.top + box.height / 2);
  light(item);
});
canvasOfRings.addEventListener("focusout", () => showTip(""));

let lit = null;
function light(item) {
  drawn.get(lit)?.classList.remove("lit");
  lit = item;
  drawn.get(item)?.classList.add("lit");
  if (typeof drawMapSoon === "function") drawMapSoon();
}

canvasOfRings.addEventListener("keydown", (event) => {
  const item = itemOf(event) ?? focus;
  const family = (children[items.parent[item]] ?? []).filter((one) => drawn.has(one));
  const beside = (step) => family[(family.indexOf(item) + step + family.length) % family.length];
  const moves = {
    ArrowRight: () => beside(1), ArrowLeft: () => beside(-1), ArrowUp: () => items.parent[item],
    ArrowDown: () => children[item].find((one) => drawn.has(one)),
  };
  if (event.key in moves) {
    const next = moves[event.key]();
    if (drawn.has(next)) {
      setActive(next);
      drawn.get(next).focus();
    }
  } else if (event.key === "Enter" || event.key === " ") {
    if (itemOf(event) === null) out();
    else enter(item);
  } else if (event.key === "Escape" || event.key === "Backspace") out();
  else return;
  event.preventDefault();
});

new ResizeObserver(() => drawRings(true)).observe(canvasOfRings);
