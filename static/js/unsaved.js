// Asks before a page with unsaved text is left.
//
// data-unsaved  on a form: from the first change on, leaving asks
// data-changed  something was typed before already

for (const form of document.querySelectorAll("form[data-unsaved]")) {
  let changed = "changed" in form.dataset;
  form.addEventListener("input", () => { changed = true; });
  form.addEventListener("submit", () => { changed = false; });
  addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
}
