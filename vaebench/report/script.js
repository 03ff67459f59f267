"use strict";
for (const table of document.querySelectorAll("table.sheet")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, column) => {
    if (column === 0) return row.cells[0].textContent.trim();
    const last = column === heads.length - 1;
    const failed = row.querySelector(".failed") !== null;
    const text = last ? [...row.cells].at(-1).dataset.value : failed ? "" : row.cells[column].dataset.value;
    return text === "" ? NaN : Number(text);
  };
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      const sign = up ? 1 : -1;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        if (typeof x === "string") return sign * x.localeCompare(y);
        if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
        return sign * (x - y);
      });
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...rows);
    });
  });
}
for (const box of document.querySelectorAll("input[data-extra]")) {
  const show = () => document.getElementById(box.dataset.extra).classList.toggle("all", box.checked);
  box.addEventListener("change", show);
  show();
}
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.addEventListener("click", async () => {
    const code = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
    }
  });
}
