// Looks again at what changes by itself.
//
// data-refresh  seconds until the next look, of an element with an id; the server's page has it as
//               long as another look is worth it

for (const part of document.querySelectorAll("[data-refresh]")) lookLater(part);

function lookLater(part) {
  const seconds = Number(part.dataset.refresh);
  if (seconds) setTimeout(() => { document.hidden ? lookLater(part) : look(part); }, seconds * 1000);
}

function look(part) {
  const request = new XMLHttpRequest();
  request.open("GET", location);
  // Parsed by the browser as an inert document, so that no string is ever made into HTML here.
  request.responseType = "document";
  request.addEventListener("loadend", () => {
    const answer = request.status === 200 && request.response?.getElementById(part.id);
    lookLater(answer ? replace(part, answer) : part);
  });
  request.send();
}

function replace(part, answer) {
  const focused = part.contains(document.activeElement) && document.activeElement.id;
  part.replaceWith(answer);
  if (focused) document.getElementById(focused)?.focus();
  document.dispatchEvent(new Event("replaced"));
  return answer;
}
