// The network as a picture: discs of modules, nodes in them, links between. Drawn on a canvas, for
// there may be thousands of each; what it tells is also in the rings and the table.

const SCALE = 10000;
const map = byId("map");
const pen = map.getContext("2d");
const spot = (key) => Float64Array.from(items[key], (value) => value / SCALE);
const [xs, ys, rs] = [spot("x"), spot("y"), spot("r")];
let camera = { x: 0, y: 0, r: 1 }; // what of the unit circle is seen: its middle and half its width
let travel = 0;
let pending = 0;
let hovered = null;

function cameraOf(item) {
  if (!item && children[0].length > 1) return cameraOfAll();
  return { x: xs[item], y: ys[item], r: Math.max(rs[item], 0.004) * 1.04 };
}

// All there is fits into the square, not only into the circle.
function cameraOfAll() {
  const ends = (middle, sign) => children[0].reduce((most, item) => Math.max(most, sign * middle[item] + rs[item]), -9);
  const [left, right, high, low] = [ends(xs, -1), ends(xs, 1), ends(ys, -1), ends(ys, 1)];
  return { x: (right - left) / 2, y: (low - high) / 2, r: (1.05 * Math.max(right + left, low + high)) / 2 };
}

function moveMap(item) {
  const [old, next] = [camera, cameraOf(item)];
  cancelAnimationFrame(travel);
  if (still.matches || document.hidden) {
    camera = next;
    return drawMapSoon();
  }
  const start = performance.now();
  const frame = (now) => {
    const t = Math.min(1, (now - start) / 420);
    const ease = t * t * (3 - 2 * t);
    // Sizes move by factors, so that near and far pass equally fast.
    const r = old.r * (next.r / old.r) ** ease;
    const part = Math.abs(next.r - old.r) < 1e-9 ? ease : (r - old.r) / (next.r - old.r);
    camera = { x: old.x + (next.x - old.x) * part, y: old.y + (next.y - old.y) * part, r };
    drawMap();
    if (t < 1) travel = requestAnimationFrame(frame);
  };
  travel = requestAnimationFrame(frame);
}
followers.push(moveMap);

function drawMapSoon() {
  if (!pending) pending = requestAnimationFrame(() => { pending = 0; drawMap(); });
}

// Pixels of the page, not of the screen.
function frameOfMap() {
  const side = map.clientWidth;
  const k = side / 2 / camera.r;
  return { side, k, at: (item) => [side / 2 + (xs[item] - camera.x) * k, side / 2 + (ys[item] - camera.y) * k] };
}

function drawMap() {
  const { side, k, at } = frameOfMap();
  const dots = window.devicePixelRatio || 1;
  if (map.width !== Math.round(side * dots)) map.width = map.height = Math.round(side * dots);
  pen.setTransform(dots, 0, 0, dots, 0, 0);
  pen.clearRect(0, 0, side, side);
  const seen = (item) => {
    const [x, y] = at(item);
    const r = rs[item] * k;
    return x + r > 0 && y + r > 0 && x - r < side && y - r < side;
  };
  const near = new Uint8Array(count);
  for (let item = 0; item < count; item += 1) {
    near[item] = item === focus || (item > 0 && near[items.parent[item]]) ? 1 : 0;
  }
  drawDiscs(k, at, seen, near);
  drawLines(data.bands, k, at, near, true);
  drawLines(data.links, k, at, near, false);
  drawNodes(k, at, seen, near);
  drawNames(k, at, seen, near, side);
}

function drawDiscs(k, at, seen, near) {
  const ink = colour("--ink");
  for (let item = 1; item < count && isModule(item); item += 1) {
    const r = rs[item] * k;
    if (r < 0.7 || !seen(item)) continue;
    const [x, y] = at(item);
    const strong = near[item] ? 1 : 0.35;
    pen.beginPath();
    pen.arc(x, y, r, 0, 2 * Math.PI);
    pen.fillStyle = shade(item, (dark.matches ? 0.26 : 0.24) * strong);
    pen.fill();
    pen.lineWidth = item === lit || item === hovered ? 2.5 : 1;
    pen.strokeStyle = item === lit || item === hovered ? ink : shade(item, 0.9 * strong, 0.15);
    pen.stroke();
  }
}

// Links inside a module have its colour; others are grey, and bent a little so that they part.
function drawLines(list, k, at, near, bands) {
  const [grey, ink] = [colour("--quiet"), colour("--ink")];
  const side = map.clientWidth;
  const many = list.length / 3;
  const faint = Math.min(1, Math.sqrt(150 / Math.max(1, many)));
  for (let e = list.length - 3; e >= 0; e -= 3) {
    const [a, b, strength] = [list[e], list[e + 1], list[e + 2] / 100];
    const inside = !bands && items.parent[a] === items.parent[b];
    const [[x, y], [u, v]] = [at(a), at(b)];
    if (Math.max(x, u) < 0 || Math.min(x, u) > side || Math.max(y, v) < 0 || Math.min(y, v) > side) continue;
    const lifted = hovered !== null && (a === hovered || b === hovered);
    const strong = near[a] && near[b] ? 1 : 0.3;
    pen.globalAlpha = lifted ? 0.95 : strong * (bands ? (0.04 + 0.6 * strength) * Math.min(1, Math.sqrt(60 / many)) : (inside ? 0.35 + 0.4 * strength : 0.1 + 0.22 * strength) * (0.35 + 0.65 * faint));
    pen.strokeStyle = lifted ? ink : inside ? shade(a, 1, 0.15) : grey;
    pen.lineWidth = bands ? Math.max(0.4, 10 * strength * Math.min(1, Math.sqrt(60 / many)) * Math.sqrt(k / 300)) : 0.5 + 1.7 * strength * Math.sqrt(faint);
    pen.beginPath();
    pen.moveTo(x, y);
    if (inside) pen.lineTo(u, v);
    else pen.quadraticCurveTo((x + u) / 2 + (v - y) * 0.12, (y + v) / 2 - (u - x) * 0.12, u, v);
    pen.stroke();
  }
  pen.globalAlpha = 1;
}

function drawNodes(k, at, seen, near) {
  const [card, ink] = [colour("--card"), colour("--ink")];
  for (let item = 1; item < count; item += 1) {
    if (isModule(item) || !seen(item)) continue;
    const [x, y] = at(item);
    const r = Math.max(0.6, rs[item] * k * 0.86);
    pen.globalAlpha = near[item] ? 1 : 0.35;
    pen.fillStyle = shade(item, 1, 0.08);
    pen.beginPath();
    pen.arc(x, y, r, 0, 2 * Math.PI);
    pen.fill();
    if (r > 2.5) {
      pen.strokeStyle = item === hovered || item === lit ? ink : card;
      pen.lineWidth = Math.min(1.5, r / 4);
      pen.stroke();
    }
  }
  pen.globalAlpha = 1;
}

// The most visited first; a name that would cover another is left out.
function drawNames(k, at, seen, near, side) {
  const taken = [];
  const family = getComputedStyle(document.body).fontFamily;
  const [paper, ink] = [colour("--paper"), colour("--ink")];
  const write = (item, x, y, size, room) => {
    const text = fit(items.name[item], room * (12 / size));
    if (!text || text === "…") return;
    pen.font = `${isModule(item) ? 600 : 400} ${size}px ${family}`;
    const half = pen.measureText(text).width / 2;
    const box = [x - half - 2, y - size / 2 - 1, x + half + 2, y + size / 2 + 1];
    if (box[0] < 0 || box[2] > side || box[1] < 0 || box[3] > side) return;
    if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) return;
    taken.push(box);
    pen.lineWidth = 3;
    pen.lineJoin = "round";
    pen.strokeStyle = paper;
    if (isModule(item) || half > rs[item] * k) pen.strokeText(text, x, y);
    pen.fillStyle = ink;
    pen.fillText(text, x, y);
  };
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  const order = [...Array(count).keys()].slice(1)
    .filter((item) => near[item] && item !== focus && rs[item] * k > (isModule(item) ? 22 : 8) && seen(item))
    .sort((a, b) => items.flow[b] - items.flow[a]);
  for (const item of order) {
    const [x, y] = at(item);
    const r = rs[item] * k;
    if (isModule(item)) write(item, x, y - r + 11, 12.5, Math.max(60, 1.7 * r));
  }
  for (const item of order) {
    if (isModule(item)) continue;
    const [x, y] = at(item);
    write(item, x, y, Math.min(13, Math.max(9.5, rs[item] * k * 0.8)), Math.max(44, 3.4 * rs[item] * k));
  }
}

// Mouse, fingers, keyboard

function under(event) {
  const { k, at } = frameOfMap();
  const box = map.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  let found = null;
  for (let item = 1; item < count; item += 1) {
    const [u, v] = at(item);
    const room = isModule(item) ? rs[item] * k : Math.max(rs[item] * k, 4);
    if (Math.hypot(x - u, y - v) <= room) found = item; // the deepest is last
  }
  return found;
}

function zoomMap(factor, x = map.clientWidth / 2, y = map.clientWidth / 2) {
  const { side, k } = frameOfMap();
  const r = Math.min(1.3, Math.max(0.002, camera.r * factor));
  const grown = side / 2 / r;
  camera = {
    x: camera.x + (x - side / 2) * (1 / k - 1 / grown), y: camera.y + (y - side / 2) * (1 / k - 1 / grown), r,
  };
  drawMapSoon();
}

const touches = new Map();
let moved = 0;

map.addEventListener("pointerdown", (event) => {
  touches.set(event.pointerId, [event.clientX, event.clientY]);
  if (touches.size === 1) moved = 0;
});

map.addEventListener("pointermove", (event) => {
  const before = touches.get(event.pointerId);
  if (!before) {
    const item = under(event);
    if (item !== hovered) {
      hovered = item;
      drawMapSoon();
    }
    showTip(item === null ? "" : describe(item), event.clientX, event.clientY);
    return;
  }
  const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
  moved += Math.abs(dx) + Math.abs(dy);
  const other = [...touches].find(([id]) => id !== event.pointerId)?.[1];
  touches.set(event.pointerId, [event.clientX, event.clientY]);
  if (other) {
    const gap = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
    const box = map.getBoundingClientRect();
    zoomMap(gap(before) / Math.max(1, gap([event.clientX, event.clientY])), other[0] - box.left, other[1] - box.top);
  } else if (event.pointerType === "mouse" || event.pointerType === "pen") {
    if (moved > 4) map.setPointerCapture(event.pointerId);
    map.classList.add("dragged");
    const { k } = frameOfMap();
    camera = { ...camera, x: camera.x - dx / k, y: camera.y - dy / k };
    showTip("");
    drawMapSoon();
  }
});

for (const kind of ["pointerup", "pointercancel"]) {
  map.addEventListener(kind, (event) => {
    const pressed = touches.delete(event.pointerId);
    map.classList.remove("dragged");
    if (kind === "pointerup" && pressed && moved <= 4) step(event);
  });
}

// One level at a time towards what was clicked; outside, one level back.
function step(event) {
  let item = under(event);
  if (event.pointerType === "touch") showTip(item === null ? "" : describe(item), event.clientX, event.clientY);
  if (item === null || !isIn(item, focus)) {
    if (focus) go(item === null ? items.parent[focus] : heads[item]);
    return;
  }
  if (item === focus) return;
  while (items.parent[item] !== focus) item = items.parent[item];
  if (isModule(item)) go(item);
}

map.addEventListener("pointerleave", () => { hovered = null; showTip(""); drawMapSoon(); });
map.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  const box = map.getBoundingClientRect();
  zoomMap(Math.exp(event.deltaY * 0.003), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

map.addEventListener("keydown", (event) => {
  const far = camera.r * 0.2;
  const moves = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
  if (event.key in moves) {
    const [dx, dy] = moves[event.key];
    camera = { ...camera, x: camera.x + dx, y: camera.y + dy };
    drawMapSoon();
  } else if (event.key === "+" || event.key === "=") zoomMap(0.75);
  else if (event.key === "-") zoomMap(1 / 0.75);
  else if (event.key === "0") moveMap(focus);
  else if (event.key === "Escape") out();
  else return;
  event.preventDefault();
});

byId("closer").addEventListener("click", () => zoomMap(0.65));
byId("farther").addEventListener("click", () => zoomMap(1 / 0.65));
byId("reset").addEventListener("click", () => moveMap(focus));
new ResizeObserver(drawMapSoon).observe(map);
