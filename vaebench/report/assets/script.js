const make = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// The tables.

const missingLast = (sign) => (a, b) => {
  if (a === "" || b === "") return (a === "") - (b === "");
  return sign * (Number(a) - Number(b));
};
Object.assign(DataTable.ext.type.order, { "known-asc": missingLast(1), "known-desc": missingLast(-1) });
const sheets = all("table.sheet").map((sheet) => {
  const region = sheet.parentElement;
  for (const link of all("a", sheet.tHead)) {
    for (const kind of ["click", "keypress"]) link.addEventListener(kind, (event) => event.stopPropagation());
  }
  const heads = [...sheet.tHead.rows[0].cells].map((head) => ({
    name: head.dataset.name,
    title: head.ariaLabel,
    group: head.dataset.group,
    usual: !head.classList.contains("extra"),
  }));
  const table = new DataTable(sheet, {
    paging: false,
    order: [],
    autoWidth: false,
    layout: { topStart: () => filterOf(), topEnd: () => menuOf(heads), bottomStart: null, bottomEnd: null, bottom: "info" },
    language: { info: "", infoEmpty: "", infoFiltered: "_TOTAL_ of _MAX_ variants", zeroRecords: "no variant is called that" },
  });
  const inner = sheet.closest(".dt-layout-table");
  inner.className = "";
  for (const { name, value } of [...region.attributes]) {
    inner.setAttribute(name, value);
    region.removeAttribute(name);
  }
  table.search.fixed("variants", (text, data, i) => matches(table.row(i).node()));
  table.on("order", () => sorted(table, heads));
  return { table, heads };
});

// What is shown: parts of names, columns that differ from the usual ones, the order, the place. It is
// the same for all tables, and is kept in the address.

const view = { filter: "", show: [], hide: [], sort: "", at: "" };
const labels = new Map(all("table.sheet tbody tr").map((row) => [row.dataset.row, row.cells[0].dataset.search.toLowerCase()]));
let applying = false;

function matches(element) {
  const words = view.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const label = labels.get(element.dataset.row) ?? "";
  return !words.length || words.some((word) => label.includes(word));
}

function visible({ name, usual }) {
  return usual ? !view.hide.includes(name) : view.show.includes(name);
}

function choose(heads, wanted) {
  for (const head of heads) {
    for (const list of ["show", "hide"]) view[list] = view[list].filter((name) => name !== head.name);
    if (wanted(head) !== head.usual) view[head.usual ? "hide" : "show"].push(head.name);
  }
  apply();
}

function sorted(table, heads) {
  if (applying) return;
  const [[column, direction] = []] = table.order();
  view.sort = direction ? `${heads[column].name} ${direction}` : "";
  apply();
}

function apply() {
  applying = true;
  const [name, direction] = view.sort.split(" ");
  for (const { table, heads } of sheets) {
    heads.forEach((head, i) => {
      if (i && table.column(i).visible() !== visible(head)) table.column(i).visible(visible(head));
    });
    const column = heads.findIndex((head) => head.name === name);
    const order = column >= 0 && ["asc", "desc"].includes(direction) ? [[column, direction]] : [];
    if (JSON.stringify(table.order()) !== JSON.stringify(order)) table.order(order);
    table.draw();
    const cells = all("tbody td[data-tip]", table.table().node());
    cells.forEach((cell, i) => { cell.tabIndex = i ? -1 : 0; });
  }
  const filtering = view.filter.trim() !== "";
  document.documentElement.classList.toggle("filtering", filtering);
  for (const element of all("[data-row]")) {
    if (element.closest("table.sheet")) continue;
    const shown = matches(element);
    if (element.closest(".card")) element.classList.toggle("faint", !shown);
    else element.toggleAttribute("hidden", !shown);
  }
  for (const drawings of all(".drawings")) {
    for (const { dataset, firstElementChild } of all(".legend .grey", drawings)) {
      for (const artist of all(`svg [data-row="${dataset.row}"]`, drawings)) {
        artist.classList.toggle("lit", filtering);
        artist.style.setProperty("--row", firstElementChild.style.color);
      }
    }
  }
  for (const input of all(".filter input")) if (input.value !== view.filter) input.value = view.filter;
  for (const box of all(".columns input[type=checkbox]")) box.checked = visible({ name: box.value, usual: box.dataset.usual === "true" });
  applying = false;
  keep();
}

function keep() {
  const kept = new URLSearchParams(Object.entries(view).flatMap(([name, value]) =>
    [value].flat().filter(Boolean).map((each) => [name, each])));
  const hash = kept.size ? `#${kept}` : location.pathname + location.search;
  if (location.hash !== `#${kept}`) try { history.replaceState(null, "", hash); } catch { /* a frame without an address */ }
}

function restore() {
  const known = new URLSearchParams(location.hash.slice(1));
  const plain = ![...known.keys()].some((name) => name in view && known.get(name));
  for (const name of Object.keys(view)) view[name] = Array.isArray(view[name]) ? known.getAll(name) : known.get(name) ?? "";
  if (plain) view.at = location.hash.slice(1);
  const at = view.at;
  apply();
  if (at) go(at);
}

function go(id) {
  const target = document.getElementById(id);
  if (!target) return;
  for (let each = target; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
  for (const each of all(".aimed")) each.classList.remove("aimed");
  target.classList.add("aimed");
  target.scrollIntoView();
  view.at = id;
  keep();
}

function filterOf() {
  const input = make("input", { type: "search", placeholder: "parts of names", autocomplete: "off", spellcheck: "false" });
  input.addEventListener("input", () => { view.filter = input.value; apply(); });
  return make("label", { class: "filter" }, "Filter", input);
}

function menuOf(heads) {
  const search = make("input", { type: "search", placeholder: "search columns", "aria-label": "Search columns" });
  const box = (head) => {
    const input = make("input", { type: "checkbox", value: head.name, "data-usual": head.usual });
    input.addEventListener("change", () => choose([head], () => input.checked));
    return make("label", {}, input, ` ${head.title}`);
  };
  const rest = heads.slice(1);
  const groups = [...new Set(rest.map((head) => head.group))].map((group) =>
    make("fieldset", {}, make("legend", {}, group), ...rest.filter((head) => head.group === group).map(box)));
  const button = (text, wanted) => {
    const made = make("button", { type: "button" }, text);
    made.addEventListener("click", () => choose(rest, wanted));
    return made;
  };
  const panel = make("div", { class: "panel", hidden: "" }, search,
    make("p", {}, button("all", () => true), button("the usual ones", (head) => head.usual)), ...groups);
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const group of groups) {
      const boxes = all("label", group);
      for (const label of boxes) label.hidden = !words.every((word) => label.textContent.toLowerCase().includes(word));
      group.hidden = boxes.every((label) => label.hidden);
    }
  });
  const opener = make("button", { type: "button", "aria-expanded": "false" }, "Columns ▾");
  const open = (wanted) => {
    panel.hidden = !wanted;
    opener.setAttribute("aria-expanded", String(wanted));
    if (wanted) search.focus();
  };
  opener.addEventListener("click", () => open(panel.hidden));
  const menu = make("div", { class: "columns" }, opener, panel);
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || panel.hidden) return;
    open(false);
    opener.focus();
  });
  document.addEventListener("pointerdown", (event) => { if (!menu.contains(event.target)) open(false); });
  return menu;
}

// Explanations, by pointer, touch and keyboard.

const tip = make("div", { role: "tooltip", id: "tip", hidden: "" });
document.body.append(tip);
let explained = null;

function explain(element) {
  explained?.removeAttribute("aria-describedby");
  explained = element;
  tip.hidden = !element;
  if (!element) return;
  tip.textContent = element.dataset.tip;
  const { left, right, top, bottom } = element.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = tip;
  const room = document.documentElement.clientWidth;
  const x = Math.max(8, Math.min((left + right - width) / 2, room - width - 8));
  const y = bottom + height + 12 < innerHeight || top < height + 12 ? bottom + 6 : top - height - 6;
  tip.style.left = `${x + scrollX}px`;
  tip.style.top = `${y + scrollY}px`;
  element.setAttribute("aria-describedby", "tip");
}

for (const element of all("main [title]")) {
  element.dataset.tip = element.title;
  element.removeAttribute("title");
}
for (const link of all("sup a")) link.dataset.tip = document.getElementById(link.hash.slice(1))?.textContent ?? "";
const explainable = (event) => event.target.closest?.("[data-tip]") ?? null;
document.addEventListener("pointerover", (event) => { if (event.pointerType === "mouse") explain(explainable(event)); });
document.addEventListener("click", (event) => explain(explainable(event)));
document.addEventListener("focusin", (event) => explain(explainable(event)));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") explain(null);
  const cell = document.activeElement;
  const [down, right] = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key] ?? [];
  if (down === undefined || !cell.matches("td[data-tip]")) return;
  const rows = [...cell.closest("tbody").rows];
  const row = rows[rows.indexOf(cell.parentElement) + down];
  const next = row?.cells[cell.cellIndex + right];
  event.preventDefault();
  if (!next?.dataset.tip) return;
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});

// Pictures: a tab for each kind, and of many variants the first ones.

for (const group of all(".tabs")) {
  const panels = all(".panel", group);
  const list = make("div", { role: "tablist" });
  const tabs = panels.map((panel) => {
    const tab = make("button", { type: "button", id: `${panel.id}-tab`, role: "tab", "aria-controls": panel.id }, panel.dataset.title);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    list.append(tab);
    const later = all(".later", panel);
    if (later.length > 1) {
      const more = make("button", { type: "button", class: "rest" }, `${later.length} more`);
      more.addEventListener("click", () => { group.classList.add("whole"); later[0].scrollIntoView({ block: "nearest" }); });
      panel.append(more);
    } else later[0]?.classList.remove("later");
    return tab;
  });
  const select = (chosen) => {
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === chosen));
      tab.tabIndex = i === chosen ? 0 : -1;
      panels[i].hidden = i !== chosen;
    });
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => select(i));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step === undefined) return;
      const next = (i + step + tabs.length) % tabs.length;
      select(next);
      tabs[next].focus();
      event.preventDefault();
    });
  });
  group.classList.add("ready");
  group.prepend(list);
  select(0);
}

// The address.

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='#']");
  if (!link) return;
  event.preventDefault();
  go(link.hash.slice(1));
});
addEventListener("hashchange", restore);
addEventListener("beforeprint", () => { for (const each of all("details.printed")) each.open = true; });
let settled = 0;
addEventListener("scroll", () => {
  clearTimeout(settled);
  settled = setTimeout(() => {
    // Where a link led stays in the address while it is in view.
    const aimed = document.querySelector(".aimed:not(main > section)")?.getBoundingClientRect();
    if (aimed && aimed.bottom > 0 && aimed.top < innerHeight) return;
    const passed = all("main > section[id]").filter((section) => section.getBoundingClientRect().top < innerHeight / 3);
    const first = document.querySelector("main > section[id]");
    const last = passed.at(-1);
    view.at = last && last !== first ? last.id : "";
    keep();
  }, 250);
}, { passive: true });
restore();

for (const button of all("button[data-copy]")) {
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
