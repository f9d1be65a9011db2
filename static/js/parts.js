// Replaces a part of the page in place of loading all of it anew.
//
// data-part    an element with an id, whose own links and GET forms lead to the same page: the
//              answer's element of this id takes its place, and the URL follows
// data-choose  a field whose form is sent when something else is chosen in it
// data-ticked  says how many checkboxes of a table are ticked, and with none what data-none has
// data-later   where an element with an id gets what it says, once the page is there

let running;

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-part] a");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.origin !== location.origin || link.pathname !== location.pathname) return;
  event.preventDefault();
  load(link.closest("[data-part]"), new URL(link.href));
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  const part = form.closest("[data-part]");
  const url = new URL(event.submitter?.formAction || form.action);
  if (!part || form.method !== "get" || url.pathname !== location.pathname) return;
  event.preventDefault();
  url.search = new URLSearchParams([...new FormData(form, event.submitter)].filter(([, value]) => value));
  load(part, url);
});

document.addEventListener("change", (event) => {
  const field = event.target;
  if (field.matches("[data-part] [data-choose]") && (field.value || field.matches("select"))) field.form.requestSubmit();
});

document.addEventListener("change", ({ target }) => {
  const told = target.closest(".boxed")?.querySelector("[data-ticked]");
  if (!told || target.type !== "checkbox") return;
  const count = target.closest(".boxed").querySelectorAll("tbody input:checked").length;
  told.firstChild.data = count ? `${count} ${told.dataset.ticked}` : told.dataset.none;
});

addEventListener("popstate", () => location.reload());

lookLater();

function load(part, url) {
  running?.abort();
  running = ask(url, (answer, from) => {
    const found = answer?.getElementById(part.id);
    if (!found) return location.assign(url);
    const focused = document.activeElement?.id;
    part.replaceWith(found);
    document.title = answer.title;
    history.pushState(null, "", from || url);
    (found.querySelector("[autofocus]") || (focused && document.getElementById(focused)) || found.querySelector("[data-choose]"))?.focus();
    document.dispatchEvent(new Event("replaced"));
    lookLater();
  });
}

function lookLater() {
  for (const part of document.querySelectorAll("[data-later]")) {
    const url = part.dataset.later;
    delete part.dataset.later;
    ask(url, (answer) => {
      const found = answer?.getElementById(part.id);
      if (found) part.replaceChildren(...found.childNodes);
    });
  }
}

function ask(url, done) {
  const request = new XMLHttpRequest();
  request.open("GET", url);
  // Parsed by the browser as an inert document, so that no string is ever made into HTML here.
  request.responseType = "document";
  request.addEventListener("load", () => done(request.response, request.responseURL));
  request.send();
  return request;
}
