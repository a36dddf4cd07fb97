// Which words are alike: type one, and see those whose vectors point most nearly the same way.

const CLOSE_NAMES = 10; // words offered where the word asked for is unknown

const vectors = data.vectors;
const wordAt = vectors ? new Map(vectors.words.map((word, row) => [word, row])) : new Map();
const nearRows = vectors ? unpacked(vectors.near) : [];
const nearCosines = vectors ? unpacked(vectors.cosines) : [];
const NO_WORD = 0xffff;
let asked = null; // row of the word whose neighbours are shown

// Whole numbers of two bytes each, the lower one first.
function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return Uint16Array.from({ length: bytes.length / 2 }, (_, at) => bytes[2 * at] + 256 * bytes[2 * at + 1]);
}

function neighboursOf(row) {
  const found = [];
  for (let at = row * vectors.each; at < (row + 1) * vectors.each; at += 1) {
    if (nearRows[at] !== NO_WORD) found.push({ row: nearRows[at], cosine: nearCosines[at] / 1000 });
  }
  return found;
}

function wordButton(row, ...more) {
  const button = make("button", "near", make("span", "", vectors.words[row]), ...more);
  button.type = "button";
  button.dataset.row = row;
  return button;
}

function neighbourButton({ row, cosine }) {
  const button = wordButton(row, make("small", "", cosine.toFixed(3)));
  button.style.setProperty("--part", cosine.toFixed(3));
  return button;
}

function showNeighbours(row) {
  asked = row;
  const uses = vectors.uses ? `，用了 ${whole(vectors.uses[row])} 次` : "";
  const found = neighboursOf(row);
  byId("near-said").textContent = found.length
    ? `「${vectors.words[row]}」${uses}。上下文最像它的词，和夹角的余弦：`
    : `「${vectors.words[row]}」${uses}。没有词与它相像。`;
  byId("near-words").replaceChildren(...found.map(neighbourButton));
  markOnMap();
}

// Words that hold what was typed, the most used first.
function showUnknown(word) {
  asked = null;
  const close = [];
  for (let row = 0; row < vectors.words.length && close.length < CLOSE_NAMES; row += 1) {
    if (vectors.words[row].includes(word)) close.push(row);
  }
  const limit = vectors.total > vectors.words.length
    ? `（这里只有最常用的 ${whole(vectors.words.length)} 个，全部见 taolu show --near）` : "";
  byId("near-said").textContent = `没有「${word}」这个词的向量${limit}。${close.length ? "含有它的词：" : ""}`;
  byId("near-words").replaceChildren(...close.map((row) => wordButton(row)));
  markOnMap();
}

function askFor(word) {
  const row = wordAt.get(word);
  if (row !== undefined) showNeighbours(row);
  else showUnknown(word);
}

function askForRow(row) {
  byId("near-search").value = vectors.words[row];
  showNeighbours(row);
}

function startNeighbours() {
  const some = vectors.words.length;
  byId("vectors-note").textContent = "每个词一个向量，左右邻居相像的词，向量也相像。"
    + (vectors.total > some ? `在最常用的 ${whole(some)} 个词里找，共 ${whole(vectors.total)} 个。` : "");
  byId("near-search").addEventListener("input", (event) => {
    const word = event.target.value.trim();
    if (word) askFor(word);
  });
  byId("near-words").addEventListener("click", (event) => {
    const button = event.target.closest(".near");
    if (button) askForRow(Number(button.dataset.row));
  });
  askForRow(vectors.map ? vectors.map.row[0] : 0);
}

byId("vectors").hidden = !vectors;
