"use strict";
// What the views of a network share: the items of the tree, their colours, and where we are in it.
// Names are only ever set as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const items = data.items;
const count = items.parent.length;
const byId = (id) => document.getElementById(id);
const whole = (number) => number.toLocaleString("en-US", { maximumFractionDigits: 0 });
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const dark = matchMedia("(prefers-color-scheme: dark)");
const still = matchMedia("(prefers-reduced-motion: reduce)");

const level = new Array(count).fill(0);
const children = items.parent.map(() => []);
const below = new Array(count).fill(0); // levels below, nodes included
const heads = new Array(count).fill(0); // the module of the first level that each item is in
for (let item = 1; item < count; item += 1) {
  const parent = items.parent[item];
  children[parent].push(item);
  level[item] = level[parent] + 1;
  heads[item] = parent === 0 ? item : heads[parent];
}
for (let item = count - 1; item > 0; item -= 1) {
  below[items.parent[item]] = Math.max(below[items.parent[item]], below[item] + 1);
}
const isModule = (item) => items.size[item] > 0;

function make(tag, name, ...parts) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...parts);
  return element;
}

function percent(value) {
  return value >= 0.0995 ? `${(100 * value).toFixed(1)}%` : `${(100 * value).toPrecision(2)}%`;
}

function steps(item) {
  const leave = items.leave[item];
  if (!leave) return "∞";
  const stay = items.flow[item] / leave;
  return stay < 1000 ? stay.toFixed(1) : whole(stay);
}

const title = (item) => (item === 0 ? "全部 all" : items.name[item]);

function describe(item) {
  const parts = [title(item)];
  if (item && isModule(item)) parts.push(`模块 ${items.path[item]}`);
  parts.push(`流量 ${percent(items.flow[item])}`);
  if (isModule(item)) parts.push(`${whole(items.size[item])} 个节点`);
  if (item && isModule(item)) parts.push(`一次停留 ${steps(item)} 步`);
  return parts.join(" · ");
}

// Neighbours on the first ring are far apart in hue; what is inside keeps close to its module. Many
// small modules would make a grey of all hues: they have that of their direction in the picture, and
// where all are small, they stand on the ring in this order.
const SMALL = 0.006;
const hues = new Array(count).fill(0);
const direction = (item) => (Math.atan2(items.y[item], items.x[item]) * 180) / Math.PI;
const isSmall = (item) => children[0].length > 24 && items.flow[item] < SMALL * items.flow[0];
children[0].forEach((item, at) => {
  hues[item] = isSmall(item) ? (direction(item) + 450) % 360 : (172 + at * 137.508) % 360;
});
const around = children[0].length && isSmall(children[0][0])
  ? [...children[0]].sort((a, b) => hues[a] - hues[b]) : children[0];
for (let item = 1; item < count; item += 1) {
  const inside = children[item].filter(isModule);
  inside.forEach((child, at) => {
    const spread = inside.length > 1 ? ((0.5 + at * 0.618034) % 1) - 0.5 : 0;
    hues[child] = hues[item] + (70 * spread) / level[item];
  });
  for (const child of children[item]) if (!isModule(child)) hues[child] = hues[item];
}

// In the dark, lines have to be lighter than faces.
function shade(item, alpha = 1, lift = 0) {
  const odd = children[0].length > 8 && children[0].length < 100 && (item - 1) % 2 ? 0.035 : 0;
  const depth = Math.min(level[item] - 1, 3) + (isModule(item) ? 0 : 0.4);
  const light = dark.matches ? 0.53 + lift + odd - 0.035 * depth : 0.76 - odd + 0.035 * depth;
  const chroma = (dark.matches ? 0.095 : 0.115) - 0.012 * depth;
  const strength = alpha < 1 ? ` / ${alpha}` : "";
  return `oklch(${light.toFixed(3)} ${chroma.toFixed(3)} ${hues[item].toFixed(1)}${strength})`;
}

// Where we are

let focus = 0;
const followers = [];

function go(item, quiet = false) {
  focus = item;
  for (const follow of followers) follow(item);
  if (!quiet) history.replaceState(null, "", item ? `#${items.path[item]}` : "#");
}

function wanted() {
  const asked = decodeURIComponent(location.hash.slice(1));
  const found = asked ? items.path.indexOf(asked) : 0;
  return found > 0 && isModule(found) ? found : 0;
}

function isIn(item, module) {
  while (item > module) item = items.parent[item];
  return item === module;
}

function showCrumbs() {
  const way = [];
  for (let item = focus; item >= 0; item = items.parent[item]) way.unshift(item);
  const parts = way.map((item) => {
    const button = make("button", "", item ? `${items.path[item]}  ${items.name[item]}` : "全部 all");
    button.type = "button";
    if (item === focus) button.setAttribute("aria-current", "location");
    button.addEventListener("click", () => go(item));
    return button;
  });
  byId("crumbs").replaceChildren(...parts.flatMap((part, at) => (at ? [make("span", "", "›"), part] : [part])));
}
followers.push(showCrumbs);

function showTip(text, x, y) {
  const tip = byId("tip");
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${window.scrollX + Math.max(8, Math.min(x - tip.offsetWidth / 2, room))}px`;
  const above = y - tip.offsetHeight - 12;
  tip.style.top = `${window.scrollY + (above < 4 ? y + 18 : above)}px`;
}

// Header and bars

function showHeader() {
  const { total, one_level: one } = data.bits;
  const strong = (text) => make("b", "", text);
  if (one - total > 1e-9) {
    byId("headline").append("说清走的一步，从 ", strong(one.toFixed(3)), " 比特降到 ", strong(total.toFixed(3)),
      " 比特，省下 ", strong(percent(1 - total / one)));
  } else {
    byId("headline").append("一本码本已经最短，", strong(`${one.toFixed(3)} 比特`), "一步：怎样划分都不省");
  }
  byId("sources").textContent = data.title;
  const { nodes, links, levels, tops, modules, trials } = data.tally;
  const best = Math.min(...trials);
  const hits = trials.filter((bits) => bits - best < 1e-6 * best).length;
  for (const [label, value] of [
    ["节点 nodes", whole(nodes)], ["边 links", whole(links)], ["层 levels", String(levels)],
    ["顶层模块 top modules", whole(tops)], ["全部模块 modules", whole(modules)],
    ["次数 trials", trials.length > 1 ? `${hits} / ${trials.length} 最短` : "1"],
  ]) byId("tiles").append(make("div", "tile", make("span", "", label), make("strong", "", value)));
  const rows = Object.entries(data.options);
  if (trials.length > 1) rows.push(["各次的比特 bits of each trial", trials.map((bits) => bits.toFixed(4)).join("  ")]);
  byId("details").hidden = !rows.length;
  for (const [label, value] of rows) byId("options").append(make("dt", "", label), make("dd", "", value));
}

function bar(label, total, parts, most) {
  const track = make("div", "track");
  track.style.width = `${(100 * total) / most}%`;
  for (const { value, fill, name } of parts) {
    const roomy = value / most > (matchMedia("(max-width: 560px)").matches ? 0.15 : 0.07);
    const part = make("div", "part", roomy ? value.toFixed(3) : "");
    part.style.flex = `${Math.max(value, 0)} 0 0`;
    if (!roomy) part.style.padding = "0";
    part.style.background = fill;
    part.title = `${name}：${value.toFixed(4)} 比特`;
    track.append(part);
  }
  return make("div", "bar", make("span", "", label, " ", make("strong", "", total.toFixed(4))), make("div", "", track));
}

// Codebooks of one depth share a colour; the top one names modules only.
function showBars() {
  const { total, one_level: one, depths, index, module } = data.bits;
  const most = Math.max(total, one);
  const tone = (at) => (dark.matches ? `oklch(${0.42 + 0.05 * at} 0.08 ${175 + 40 * at})` : `oklch(${0.72 + 0.04 * at} 0.1 ${175 + 40 * at})`);
  const name = (at) => (at === 0 ? "总码本 top index" : `第 ${at} 层模块的码本 depth ${at}`);
  const parts = depths.map((value, at) => ({ value, fill: tone(at), name: name(at) }));
  byId("bars").replaceChildren(
    bar("一本码本", one, [{ value: one, fill: dark.matches ? "oklch(0.42 0 0)" : "oklch(0.82 0.01 90)", name: "全部节点 all nodes" }], most),
    bar("分成模块", total, parts, most),
    make("div", "keys", ...parts.map((part) => {
      const key = make("i");
      key.style.background = part.fill;
      return make("span", "", key, `${part.name} ${part.value.toFixed(4)}`);
    })),
  );
  byId("bars-note").textContent = `只说模块的码本合计 ${index.toFixed(4)} 比特，说到节点的码本合计 ${module.toFixed(4)} 比特。`;
}

function showNote() {
  const { nodes, modules, shown_nodes: someNodes, shown_modules: some } = data.tally;
  const parts = [];
  if (someNodes < nodes || some < modules) {
    parts.push(`网络太大，只画流量最大的 ${whole(some)} 个模块（共 ${whole(modules)} 个）、${whole(someNodes)} 个节点（共 ${whole(nodes)} 个）；圈里灰色的是没有画出的。`);
  }
  if (!data.complete) parts.push("右图只画模块里最强的边；模块之间的灰带是它们之间的全部流量。");
  parts.push("右图里圆的面积随流量而大；拖动移位，按住 Ctrl 滚轮或用按钮缩放。键盘：方向键走，回车进入，Esc 退出。");
  byId("hierarchy-note").textContent = parts.join("");
}
