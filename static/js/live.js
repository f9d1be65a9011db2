// Asks the server about a field while it is typed, and shows what it says.
//
// data-live         where to ask
// data-live-method  "post" sends the whole form in the body, otherwise fields go into the URL
// data-live-with    names of those fields
// data-live-into    id of the element whose content the answer replaces

const PAUSE_MILLISECONDS = 250;

for (const field of document.querySelectorAll("[data-live]")) {
  const into = document.getElementById(field.dataset.liveInto);
  let pause;
  let request;
  field.addEventListener("input", () => {
    clearTimeout(pause);
    request?.abort();
    pause = setTimeout(() => { request = ask(field, into); }, PAUSE_MILLISECONDS);
  });
}

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
