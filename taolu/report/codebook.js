"use strict";
// What every part of the page shares, and its plain parts: numbers, ledger table, passage.
// Words are only ever set as text nodes, so a word such as <b> is shown and never obeyed.

const data = JSON.parse(document.getElementById("data").textContent);
const known = data.tally.new !== null;

const STEP_NAMES = {
  characters: "字", words: "词", lexicon: "词典", templates: "模版", groups: "词群",
};

const byId = (id) => document.getElementById(id);
const whole = (number) => number.toLocaleString("en-US", { maximumFractionDigits: 0 });
const fixed = (number, digits) => (number === null ? "–" : number.toFixed(digits));
const stepName = (step) => (Object.hasOwn(STEP_NAMES, step) ? STEP_NAMES[step] : step);

function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}

// 1 234 567 is read as 123.5 万 in Chinese.
function short(number) {
  if (number >= 1e8) return `${(number / 1e8).toPrecision(4)} 亿`;
  if (number >= 1e6) return `${(number / 1e4).toFixed(1)} 万`;
  return whole(number);
}

// Bits carry a minus sign as wide as a plus.
function bits(number) {
  if (number === null) return "–";
  const size = Math.abs(number);
  const text = size >= 100 || size === 0 ? whole(size) : size.toFixed(1);
  return number < 0 ? `−${text}` : text;
}

function climb() {
  const steps = data.ledger.steps;
  if (!steps.length) return null;
  const [start, now] = [steps[0].total, steps[steps.length - 1].total];
  return { start, now, percent: start > 0 ? (100 * (start - now)) / start : 0 };
}

function showHeader() {
  const way = climb();
  const strong = (text) => make("b", "", text);
  if (!way) byId("headline").append("还没有学到什么");
  else if (way.now < way.start) {
    byId("headline").append("同样的文字，每字从 ", strong(fixed(way.start, 2)), " 比特学到 ",
      strong(fixed(way.now, 2)), " 比特，省下 ", strong(`${way.percent.toFixed(1)}%`));
  } else {
    byId("headline").append("每字 ", strong(fixed(way.now, 2)), " 比特：没有哪一步更省");
  }
  byId("sources").textContent = sourceLine();
  showTiles(way);
  showOptions();
}

function sourceLine() {
  const names = data.meta.sources;
  const more = names.length > 3 ? ` 等 ${whole(names.length)} 个来源` : "";
  const read = names.length ? `读自 ${names.slice(0, 3).join("、")}${more}` : "";
  return [read, data.meta.created].filter(Boolean).join(" · ");
}

function showTiles(way) {
  if (way) {
    const value = make("strong", "", fixed(way.start, 3));
    if (data.ledger.steps.length > 1) value.append(make("i", "", "→"), fixed(way.now, 3));
    byId("tiles").append(make("div", "tile", make("span", "", "比特 / 字 bits per character"), value));
    tile("省下 saved", `${way.percent.toFixed(1)}%`, way.percent > 0 ? "good" : "");
  }
  tile("词 words", short(data.tally.words));
  if (data.templates) tile("模版 templates", short(data.templates.total));
  if (known) tile("新词 new words", short(data.tally.new), "good");
  tile("字数 characters", short(data.meta.characters));
  tile("句数 sentences", short(data.meta.sentences));
}

function tile(label, value, kind = "") {
  const box = make("div", `tile ${kind}`.trim(), make("span", "", label), make("strong", "", value));
  byId("tiles").append(box);
}

function showOptions() {
  const { sources, options, version, alphabet } = data.meta;
  const rows = [["来源 sources", sources.join("、")], ["字表 alphabet", `${whole(alphabet)} 个不同的字`],
    ...Object.entries(options), ["taolu", version]];
  for (const [label, value] of rows) {
    if (value) byId("options").append(make("dt", "", label), make("dd", "", value));
  }
}

function showLedger() {
  const { steps, tried } = data.ledger;
  const body = byId("ledger-table").tBodies[0];
  steps.forEach((step, at) => {
    body.append(ledgerRow(step, at ? steps[at - 1].total - step.total : null));
  });
  // A step tried is measured against where the climb ended: what taking it now would cost.
  const end = steps.length ? steps[steps.length - 1].total : null;
  for (const step of tried) body.append(ledgerRow(step, end === null ? null : end - step.total, true));
  byId("ledger-note").textContent = tried.length
    ? "灰色斜纹：试过而未采用的步骤 (tried, not taken)；它的“省下”相对最终合计，负数就是多花的。" : "";
}

function ledgerRow(step, saved, tried = false) {
  const label = make("td", "", stepName(step.step), " ");
  if (stepName(step.step) !== step.step) label.append(make("small", "", step.step));
  if (tried) label.append(make("span", "tag", "未采用"));
  const change = make("td", saved > 0 ? "number good" : "number", signed(saved));
  const cell = (text) => make("td", "number", text);
  return make("tr", tried ? "tried" : "", label, cell(whole(step.learned)), cell(fixed(step.text, 3)),
    cell(fixed(step.codebook, 3)), cell(make("b", "", fixed(step.total, 3))), change);
}

function signed(number) {
  if (number === null) return "–";
  return number < 0 ? `−${(-number).toFixed(3)}` : number.toFixed(3);
}

function showPassage() {
  const { units, row, sentences } = data.passage;
  byId("passage").hidden = !sentences.length;
  byId("passage-note").textContent = `一块颜色是一个词，移上去或点一下，看它的次数和省下的比特。${
    known ? "下划线：新词。" : ""}`;
  const place = new Map(row.map((unit, at) => [unit, at]));
  for (const sentence of sentences) {
    const line = make("p", "sentence");
    let odd = false;
    for (const unit of sentence) {
      const mark = /^[\p{P}\p{S}\s]*$/u.test(units[unit]);
      const chip = make("span", mark ? "unit" : odd ? "unit word odd" : "unit word", units[unit]);
      chip.dataset.row = place.get(unit) ?? "";
      if (isFresh(place.get(unit), units[unit]) && !mark) chip.classList.add("fresh");
      // A long unit, an address say, may break over lines; a word stays in one piece.
      if ([...units[unit]].length <= 8) chip.classList.add("whole");
      if (!mark) odd = !odd;
      line.append(chip);
    }
    byId("sentences").append(line);
  }
  for (const kind of ["pointerover", "click"]) {
    byId("sentences").addEventListener(kind, (event) => {
      const chip = event.target.closest(".word");
      tipOver(chip, chip && tipText(chip));
    });
  }
  byId("sentences").addEventListener("pointerleave", () => tipOver(null));
}

function isFresh(row, word) {
  return known && row !== undefined && [...word].length > 1 && !data.passage.known[row];
}

// A note above an element; without one the note goes.
function tipOver(element, text) {
  const tip = byId("tip");
  tip.hidden = !element;
  if (!element) return;
  tip.textContent = text;
  const box = element.getClientRects()[0];
  const left = box.left + box.width / 2 - tip.offsetWidth / 2;
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${window.scrollX + Math.max(8, Math.min(left, room))}px`;
  tip.style.top = `${window.scrollY + box.top - tip.offsetHeight - 6}px`;
}

function tipText(chip) {
  if (chip.dataset.row === "") return `${chip.textContent} · 不在码本里`;
  const at = Number(chip.dataset.row);
  const { count, saved_bits: saved } = data.passage;
  const parts = [chip.textContent, `${whole(count[at])} 次`];
  if ([...chip.textContent].length > 1) parts.push(`省下 ${bits(saved[at])} 比特`);
  if (isFresh(at, chip.textContent)) parts.push("新词");
  return parts.join(" · ");
}

showHeader();
showLedger();
showPassage();
