// The word table: search, sort, filter, pages. Only one page of rows is ever in the document, so
// the length of the table costs nothing; the view stands in the address and can be shared.

const PAGE_ROWS = 25;

const table = data.words;
table.length = table.word.map((word) => [...word].length);
const folded = table.word.map((word) => word.toLowerCase());
const mostSaved = table.saved_bits.reduce((most, value) => Math.max(most, value ?? 0), 0);

const COLUMNS = [
  { key: "word", label: "词", small: "word", cell: wordCell },
  { key: "length", label: "字数", small: "length", text: whole },
  { key: "count", label: "次数", small: "count", text: whole },
  { key: "cohesion", label: "凝聚度", small: "cohesion, nats", text: (value) => fixed(value, 2) },
  { key: "left_entropy", label: "左熵", small: "left, bits", text: (value) => fixed(value, 2) },
  { key: "right_entropy", label: "右熵", small: "right, bits", text: (value) => fixed(value, 2) },
  { key: "saved_bits", label: "省下", small: "saved, bits", cell: savedCell },
  { key: "known", label: "词典", small: "known", cell: knownCell },
].filter((column) => column.key !== "known" || known);

const CSV_COLUMNS = ["word", "count", "cohesion", "left_entropy", "right_entropy", "saved_bits", "known"];

let view = readView();
let shown = [];

function readView() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const sort = asked.get("sort");
  return {
    search: asked.get("search") ?? "",
    sort: COLUMNS.some((column) => column.key === sort) ? sort : "",
    order: asked.get("order") === "asc" ? "asc" : "desc",
    single: asked.get("single") === "1",
    fresh: known && asked.get("new") === "1",
    page: Math.max(1, Math.floor(Number(asked.get("page"))) || 1),
  };
}

function writeView() {
  const told = new URLSearchParams();
  if (view.search) told.set("search", view.search);
  if (view.sort) {
    told.set("sort", view.sort);
    told.set("order", view.order);
  }
  if (view.single) told.set("single", "1");
  if (view.fresh) told.set("new", "1");
  if (view.page > 1) told.set("page", view.page);
  // A view that says nothing leaves a clean address; the fragment never leaves the machine.
  history.replaceState(null, "", `#${told}`);
}

function change(part) {
  view = { ...view, page: 1, ...part };
  select();
  writeView();
}

function select() {
  shown = sorted(table.word.map((_, row) => row).filter(isWanted));
  showPage();
}

function isWanted(row) {
  return (view.single || table.length[row] > 1)
    && (!view.fresh || (!table.known[row] && table.length[row] > 1))
    && folded[row].includes(view.search.toLowerCase());
}

function sorted(rows) {
  if (!view.sort) return rows;
  const column = table[view.sort];
  const sign = view.order === "asc" ? 1 : -1;
  const order = view.sort === "word" ? new Intl.Collator("zh-Hans-CN").compare : (a, b) => a - b;
  const missing = rows.filter((row) => column[row] === null);
  const present = rows.filter((row) => column[row] !== null);
  return [...present.sort((a, b) => sign * order(column[a], column[b])), ...missing];
}

function showPage() {
  const pages = Math.max(1, Math.ceil(shown.length / PAGE_ROWS));
  view.page = Math.min(view.page, pages);
  const from = (view.page - 1) * PAGE_ROWS;
  const rows = shown.slice(from, from + PAGE_ROWS);
  byId("word-table").tBodies[0].replaceChildren(...rows.map(wordRow));
  byId("word-table").hidden = !rows.length;
  byId("no-words").hidden = rows.length > 0;
  byId("no-words").textContent = data.tally.words || table.word.length
    ? "没有这样的词。换一个查找，或放宽筛选。" : "这段文字里没有学到词。";
  byId("range").textContent = rows.length
    ? `第 ${whole(from + 1)}–${whole(from + rows.length)} 个，共 ${whole(shown.length)} 个` : "";
  byId("page").textContent = `${whole(view.page)} / ${whole(pages)}`;
  for (const id of ["first", "previous"]) byId(id).disabled = view.page === 1;
  for (const id of ["next", "last"]) byId(id).disabled = view.page === pages;
  byId("download").disabled = !shown.length;
  document.querySelector(".pages").hidden = pages === 1 && !rows.length;
  showOrder();
}

function showOrder() {
  for (const head of byId("word-table").tHead.rows[0].cells) {
    const active = head.dataset.key === view.sort;
    head.ariaSort = active ? (view.order === "asc" ? "ascending" : "descending") : "none";
  }
  byId("search").value = view.search;
  byId("single").checked = view.single;
  byId("fresh").checked = view.fresh;
}

function wordRow(row) {
  const cells = COLUMNS.map(({ key, text, cell }) => {
    const value = table[key][row];
    return cell ? cell(value, row) : make("td", "number", text(value));
  });
  return make("tr", "", ...cells);
}

function wordCell(word) {
  const cell = make("td", "", word);
  cell.title = word;
  return cell;
}

function savedCell(value) {
  const cell = make("td", "number meter", make("span", "", bits(value)));
  // A root keeps the long tail visible beside the few words that save the most.
  const part = mostSaved > 0 ? Math.sqrt(Math.max(0, value ?? 0) / mostSaved) : 0;
  cell.style.setProperty("--part", part.toFixed(4));
  return cell;
}

function knownCell(value, row) {
  if (value) return make("td", "quiet", "已有");
  return table.length[row] > 1 ? make("td", "new", "新") : make("td", "quiet", "–");
}

function addHeads() {
  const heads = COLUMNS.map(({ key, label, small }) => {
    const button = make("button", "", label, make("small", "", small));
    button.type = "button";
    button.addEventListener("click", () => turnOrder(key));
    const head = make("th", key === "word" || key === "known" ? "" : "number", button);
    head.dataset.key = key;
    head.scope = "col";
    return head;
  });
  byId("word-table").tHead.rows[0].append(...heads);
}

// First click: most first (words: from the first); second: the other way; third: by rank again.
function turnOrder(key) {
  const first = key === "word" ? "asc" : "desc";
  if (view.sort !== key) change({ sort: key, order: first });
  else if (view.order === first) change({ order: first === "asc" ? "desc" : "asc" });
  else change({ sort: "" });
}

// The byte-order mark tells spreadsheets that the file is UTF-8.
function csv() {
  const quoted = (value) => `"${String(value ?? "").replaceAll('"', '""')}"`;
  const names = CSV_COLUMNS.filter((name) => name !== "known" || known);
  const value = (name, row) => (name === "known" ? (table.known[row] ? "yes" : "no") : table[name][row]);
  const lines = shown.map((row) => names.map((name) => quoted(value(name, row))).join(","));
  return `\ufeff${[names.join(","), ...lines].join("\r\n")}\r\n`;
}

function download() {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "words.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}

function showLimit() {
  const rows = data.tally.rows;
  if (rows > table.word.length) {
    byId("limit").textContent = `只列出排名最前的 ${whole(table.word.length)} 行，共 ${whole(rows)} 行；`
      + "全表见 words.tsv。";
  }
}

function turnPage(page) {
  view.page = page;
  showPage();
  writeView();
}

function listen() {
  byId("search").addEventListener("input", (event) => change({ search: event.target.value }));
  byId("single").addEventListener("change", (event) => change({ single: event.target.checked }));
  byId("fresh").addEventListener("change", (event) => change({ fresh: event.target.checked }));
  byId("download").addEventListener("click", download);
  byId("first").addEventListener("click", () => turnPage(1));
  byId("previous").addEventListener("click", () => turnPage(view.page - 1));
  byId("next").addEventListener("click", () => turnPage(view.page + 1));
  byId("last").addEventListener("click", () => turnPage(Infinity));
  window.addEventListener("hashchange", () => {
    view = readView();
    select();
  });
}

byId("fresh-label").hidden = !known;
addHeads();
showLimit();
listen();
select();
