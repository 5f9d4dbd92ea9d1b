"use strict";
// Sorts tables, switches the matrix's measure, filters samples, saves the data. Without it the page
// still shows everything.

function sortBy(table, index, header) {
  const ascending = header.getAttribute("aria-sort") === "descending";
  for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const isText = header.classList.contains("words");
  const key = (row) => row.cells[index].dataset.sort;
  const compare = (a, b) =>
    isText ? a.localeCompare(b, undefined, { numeric: true }) : Number(a) - Number(b);
  // What has no value comes last in either direction.
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    return ascending ? compare(x, y) : compare(y, x);
  });
  table.tBodies[0].append(...rows);
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((header, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortBy(table, index, header));
    header.append(button);
  });
}

document.querySelectorAll("table.sortable").forEach(makeSortable);

const measures = document.querySelector(".measures");
if (measures) {
  measures.hidden = false;
  measures.addEventListener("change", (event) => {
    for (const cell of document.querySelectorAll("#heat td.heat")) {
      const shown = [...cell.querySelectorAll(".measure")];
      const wanted = shown.find((one) => one.dataset.measure === event.target.value);
      for (const one of shown) one.hidden = one !== (wanted ?? shown[0]);
    }
  });
}

const filters = document.getElementById("filters");
if (filters) {
  const samples = [...document.querySelectorAll(".sample")].map((element) => ({
    element,
    given: element.querySelector(".given").textContent.toLowerCase(),
    responses: [...element.querySelectorAll(".response")].map((one) => ({
      element: one,
      text: one.querySelector(".text").textContent.toLowerCase(),
    })),
  }));
  const total = samples.reduce((sum, sample) => sum + sample.responses.length, 0);

  const filter = () => {
    const designs = [...filters.querySelectorAll("[name=design]:checked")].map((box) => box.value);
    const text = document.getElementById("find").value.trim().toLowerCase();
    const onlyHacked = document.getElementById("hacked").checked;
    const more = document.getElementById("more");
    if (more && (designs.length > 0 || text || onlyHacked)) more.open = true;
    let count = 0;
    for (const sample of samples) {
      let left = 0;
      for (const response of sample.responses) {
        const data = response.element.dataset;
        const matches =
          (designs.length === 0 || designs.includes(data.design)) &&
          (!onlyHacked || "hacked" in data) &&
          (sample.given.includes(text) || response.text.includes(text));
        response.element.hidden = !matches;
        left += matches;
      }
      sample.element.hidden = left === 0;
      count += left;
    }
    document.getElementById("count").textContent = `${count} of ${total} responses`;
    document.getElementById("none").hidden = count > 0;
  };
  filters.hidden = false;
  filters.addEventListener("input", filter);
  filters.addEventListener("submit", (event) => event.preventDefault());
  filter();
}

const save = document.getElementById("save");
if (save) {
  save.hidden = false;
  save.addEventListener("click", () => {
    const record = document.getElementById("record").textContent;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([record], { type: "application/json" }));
    link.download = "report.json";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

// Paper cannot be unfolded.
const folds = [];
addEventListener("beforeprint", () => {
  folds.push(...document.querySelectorAll("details:not([open])"));
  for (const fold of folds) fold.open = true;
});
addEventListener("afterprint", () => {
  while (folds.length) folds.pop().open = false;
});
