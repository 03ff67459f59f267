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
for (const table of document.querySelectorAll("table.sheet")) {
  const boxes = [...document.querySelectorAll(`input[data-table="${table.id}"]`)];
  const all = document.querySelector(`input[data-extra="${table.id}"]`);
  const usual = boxes.map((box) => box.checked);
  table.classList.add("chosen");
  const show = () => {
    const shown = boxes.filter((box) => box.checked).length;
    for (const row of table.rows) {
      const failed = row.querySelector(".failed");
      if (failed === null) {
        for (const box of boxes) row.cells[Number(box.dataset.column)].hidden = !box.checked;
      } else {
        failed.hidden = shown === 0;
        failed.colSpan = Math.max(1, shown);
      }
    }
    if (all !== null) all.checked = shown === boxes.length;
  };
  for (const box of boxes) box.addEventListener("change", show);
  all?.addEventListener("change", () => {
    boxes.forEach((box, i) => { box.checked = all.checked || usual[i]; });
    show();
  });
  show();
}
for (const field of document.querySelectorAll("input[data-filter]")) {
  const rows = [...document.getElementById(field.dataset.filter).tBodies[0].rows];
  const count = document.getElementById(`${field.dataset.filter}-count`);
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
    const left = rows.filter((row) => !row.hidden).length;
    count.textContent = wanted === "" ? "" : `${left} of ${rows.length}`;
  });
}
for (const group of document.querySelectorAll(".tabs")) {
  const panels = [...group.querySelectorAll(".panel")];
  const list = document.createElement("div");
  list.setAttribute("role", "tablist");
  const tabs = panels.map((panel) => {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.id = `${panel.id}-tab`;
    tab.textContent = panel.dataset.title;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    list.append(tab);
    return tab;
  });
  const choose = (chosen) => {
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === chosen));
      tab.tabIndex = i === chosen ? 0 : -1;
      panels[i].hidden = i !== chosen;
    });
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => choose(i));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step === undefined) return;
      const next = (i + step + tabs.length) % tabs.length;
      choose(next);
      tabs[next].focus();
      event.preventDefault();
    });
  });
  group.classList.add("ready");
  group.prepend(list);
  choose(0);
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
