const missingLast = (sign) => (a, b) => {
  if (a === "" || b === "") return (a === "") - (b === "");
  return sign * (Number(a) - Number(b));
};
Object.assign(DataTable.ext.type.order, { "known-asc": missingLast(1), "known-desc": missingLast(-1) });
for (const sheet of document.querySelectorAll("table.sheet")) {
  const region = sheet.parentElement;
  for (const link of sheet.tHead.querySelectorAll("a")) {
    for (const kind of ["click", "keypress"]) link.addEventListener(kind, (event) => event.stopPropagation());
  }
  const table = new DataTable(sheet, {
    paging: false,
    order: [],
    autoWidth: false,
    layout: {
      topStart: "search",
      topEnd: {
        buttons: [{
          extend: "colvis",
          columns: ":not(:first-child)",
          columnText: (api, i) => DataTable.util.escapeHtml(api.column(i).header().ariaLabel),
          prefixButtons: [
            { extend: "colvisGroup", text: "all metrics", show: ":hidden" },
            { extend: "colvisRestore", text: "the usual ones" },
          ],
        }],
      },
      bottomStart: null,
      bottomEnd: null,
      bottom: "info",
    },
    language: {
      search: "Filter",
      searchPlaceholder: "part of a name",
      info: "",
      infoEmpty: "",
      infoFiltered: "_TOTAL_ of _MAX_ variants",
      zeroRecords: "no variant is called that",
      buttons: { colvis: "Columns" },
    },
  });
  const inner = sheet.closest(".dt-layout-table");
  inner.className = "";
  for (const { name, value } of [...region.attributes]) {
    inner.setAttribute(name, value);
    region.removeAttribute(name);
  }
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
