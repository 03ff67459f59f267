const box = document.getElementById("filter");
const rows = [...document.querySelectorAll(".index tbody tr")];
const texts = rows.map((row) => row.textContent.toLowerCase());
const show = () => {
  const words = box.value.toLowerCase().split(/\s+/);
  rows.forEach((row, i) => { row.hidden = !words.every((word) => texts[i].includes(word)); });
};
box.hidden = rows.length < 2;
box.addEventListener("input", show);
show();
