// Asks the server about a field while it is typed, and shows what it says.
//
// data-live         where to ask
// data-live-method  "post" sends the whole form in the body, otherwise fields go into the URL
// data-live-with    names of those fields
// data-live-into    id of the element whose content the answer replaces

const PAUSE_MILLISECONDS = 250;

const running = new WeakMap(); // of each field its pause and request

document.addEventListener("input", ({ target: field }) => {
  if (!field.dataset.live) return;
  const { pause, request } = running.get(field) ?? {};
  clearTimeout(pause);
  request?.abort();
  const started = {};
  started.pause = setTimeout(() => {
    const into = document.getElementById(field.dataset.liveInto);
    if (into && field.isConnected) started.request = ask(field, into); // else the form is gone
  }, PAUSE_MILLISECONDS);
  running.set(field, started);
});

function ask(field, into) {
  const request = new XMLHttpRequest();
  const post = field.dataset.liveMethod === "post";
  const url = new URL(field.dataset.live, location);
  if (!post) {
    for (const name of field.dataset.liveWith.split(" ")) url.searchParams.set(name, field.form.elements[name].value);
  }
  request.open(post ? "POST" : "GET", url);
  // Parsed by the browser as an inert document, so that no string is ever made into HTML here.
  request.responseType = "document";
  request.addEventListener("load", () => {
    const answer = request.status === 200 && request.response?.getElementById(into.id);
    if (answer) into.replaceChildren(...answer.childNodes);
  });
  request.send(post ? new URLSearchParams(new FormData(field.form)) : null);
  return request;
}
