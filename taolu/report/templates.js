// The table of templates: words as they are, slots as coloured boxes, what fills them, an example.
// It is searched, sorted and turned as the word table is, a page of rows in the document at a time.

const TEMPLATE_ROWS = 12;
const SLOT_COLOURS = 4;

const patterns = data.templates;
const patternText = patterns ? patterns.parts.map((parts) => parts.map((part) => part ?? "…").join(" ")) : [];
// A template is found by its words, written with or without spaces, and by what fills its slots.
const patternFolded = patternText.map((text, row) => (
  [text, text.replaceAll(" ", ""), ...patterns.fillers[row].flat()].join("\n").toLowerCase()));
const PATTERN_COLUMNS = [
  { key: "text", label: "模版", small: "template" },
  { key: "count", label: "次数", small: "uses" },
  { key: "", label: "槽里常见的词", small: "often in the slots" },
  { key: "", label: "例", small: "example" },
];
const patternView = { search: "", sort: "", order: "desc", page: 1 };
let patternRows = [];

// The box of a slot; `number` from 0 gives its colour.
function slotBox(number, many) {
  return make("span", `slot slot-${number % SLOT_COLOURS}`, many ? String(number + 1) : "\u2002");
}

function templateLine(parts) {
  const many = parts.filter((part) => part === null).length > 1;
  let slot = 0;
  return parts.map((part) => (part === null ? slotBox(slot++, many) : make("b", "", part)));
}

function fillerLines(row) {
  const lists = patterns.fillers[row];
  return lists.map((words, slot) => make("p", "", slotBox(slot, lists.length > 1),
    words.length ? words.join(" ") : make("span", "quiet", "没有单个的词")));
}

function exampleLine(row) {
  const inside = patterns.example[row];
  if (!inside) return [make("span", "quiet", "–")];
  let slot = 0;
  return patterns.parts[row].map((part) => (part !== null ? make("b", "", part)
    : make("span", `filled slot-${slot % SLOT_COLOURS}`, inside[slot++].join(""))));
}

function templateRow(row) {
  return make("tr", "", make("td", "template", ...templateLine(patterns.parts[row])),
    make("td", "number", whole(patterns.count[row])),
    make("td", "fillers", ...fillerLines(row)),
    make("td", "example", ...exampleLine(row)));
}

function selectTemplates() {
  const wanted = patternView.search.trim().toLowerCase();
  patternRows = patternText.map((_, row) => row).filter((row) => patternFolded[row].includes(wanted));
  if (patternView.sort) {
    const column = patternView.sort === "text" ? patternText : patterns.count;
    const order = patternView.sort === "text" ? new Intl.Collator("zh-Hans-CN").compare : (a, b) => a - b;
    const sign = patternView.order === "asc" ? 1 : -1;
    patternRows.sort((a, b) => sign * order(column[a], column[b]));
  }
  showTemplates();
}

function showTemplates() {
  const pages = Math.max(1, Math.ceil(patternRows.length / TEMPLATE_ROWS));
  patternView.page = Math.max(1, Math.min(patternView.page, pages));
  const { page } = patternView;
  const from = (page - 1) * TEMPLATE_ROWS;
  const rows = patternRows.slice(from, from + TEMPLATE_ROWS);
  byId("template-table").tBodies[0].replaceChildren(...rows.map(templateRow));
  byId("template-table").hidden = !rows.length;
  byId("no-templates").hidden = rows.length > 0;
  byId("template-range").textContent = rows.length
    ? `第 ${whole(from + 1)}–${whole(from + rows.length)} 个，共 ${whole(patternRows.length)} 个` : "";
  byId("template-page").textContent = `${whole(page)} / ${whole(pages)}`;
  for (const button of byId("template-turn").querySelectorAll("button")) {
    button.disabled = button.dataset.to === "back" ? page === 1 : page === pages;
  }
  byId("template-pages").hidden = pages === 1;
  for (const head of byId("template-table").tHead.rows[0].cells) {
    if (!head.dataset.key) continue;
    const active = head.dataset.key === patternView.sort;
    head.ariaSort = active ? (patternView.order === "asc" ? "ascending" : "descending") : "none";
  }
}

// As in the word table: one way, the other way, and by use again.
function turnTemplates(key) {
  const first = key === "text" ? "asc" : "desc";
  const again = patternView.sort === key;
  if (again && patternView.order !== first) patternView.sort = "";
  else patternView.order = again ? (first === "asc" ? "desc" : "asc") : first;
  if (!again) patternView.sort = key;
  patternView.page = 1;
  selectTemplates();
}

function addTemplateHeads() {
  const heads = PATTERN_COLUMNS.map(({ key, label, small }) => {
    const head = make("th", key === "count" ? "number" : "");
    head.scope = "col";
    if (!key) head.append(make("span", "", label, make("small", "", small)));
    else {
      const button = make("button", "", label, make("small", "", small));
      button.type = "button";
      button.addEventListener("click", () => turnTemplates(key));
      head.dataset.key = key;
      head.append(button);
    }
    return head;
  });
  byId("template-table").tHead.rows[0].append(...heads);
}

function startTemplates() {
  byId("templates-note").textContent = "隔开了也总在一起的词：彩色的框是槽，谁都可以填进去。"
    + "只收进了省得回自己的模版；次数是拼全文时用了几回。";
  if (patterns.total > patternText.length) {
    byId("template-limit").textContent = `只列出用得最多的 ${whole(patternText.length)} 个模版，`
      + `共 ${whole(patterns.total)} 个；全表见 templates.tsv。`;
  }
  byId("template-search").addEventListener("input", (event) => {
    Object.assign(patternView, { search: event.target.value, page: 1 });
    selectTemplates();
  });
  const turn = (id, page) => byId(id).addEventListener("click", () => {
    patternView.page = page();
    showTemplates();
  });
  turn("template-first", () => 1);
  turn("template-previous", () => patternView.page - 1);
  turn("template-next", () => patternView.page + 1);
  turn("template-last", () => Infinity);
  addTemplateHeads();
  selectTemplates();
}

byId("templates").hidden = !patterns;
if (patterns) startTemplates();
