// Uploads a file in parts, and goes on where it broke off; without it the plain form does.
//
// data-upload        where an upload begins, of a form with a file
// data-upload-again  where it is told which part of an upload comes next
// data-uploading     what shows how far it is

const TRIES = 5;

for (const form of document.querySelectorAll("[data-upload], [data-upload-again]")) {
  form.addEventListener("submit", (event) => {
    const file = form.elements.file.files[0];
    if (!file?.size) return;
    event.preventDefault();
    upload(form, file);
  });
}

async function upload(form, file) {
  const shown = form.querySelector("[data-uploading]");
  const [bar, words] = [shown.querySelector("progress"), shown.querySelector("[role=status]")];
  const button = form.querySelector("[type=submit]");
  shown.hidden = false;
  button.disabled = true;
  const leaving = (event) => event.preventDefault();
  window.addEventListener("beforeunload", leaving);
  try {
    const begun = await begin(form, file);
    if (begun.size !== file.size) throw new Error("This is another file: it has another size.");
    for (let part = begun.next; part !== null; part = after(part, begun)) {
      bar.value = (100 * part * begun.part_bytes) / file.size;
      words.textContent = `${Math.floor(bar.value)} % of ${file.name} are uploaded.`;
      const start = part * begun.part_bytes;
      await send(form, `${begun.parts}/${part}`, file.slice(start, start + begun.part_bytes));
    }
    bar.value = 100;
    const done = await send(form, begun.complete, new URLSearchParams());
    window.removeEventListener("beforeunload", leaving);
    location.assign((await done.json()).location);
  } catch (error) {
    window.removeEventListener("beforeunload", leaving);
    words.textContent = `The upload stopped: ${error.message} Press the button to go on.`;
    button.disabled = false;
  }
}

async function begin(form, file) {
  const again = form.dataset.uploadAgain;
  if (again) return (await request(again, {})).json();
  const told = await send(form, form.dataset.upload, new URLSearchParams({ name: file.name, size: file.size }));
  const begun = await told.json();
  form.dataset.uploadAgain = begun.parts; // from now on the same upload goes on
  return begun;
}

function after(part, begun) {
  return (part + 1) * begun.part_bytes < begun.size ? part + 1 : null;
}

// Whatever fails on the way is sent again: a part that arrived twice is the same part.
async function send(form, url, body) {
  const headers = { "X-CSRFToken": form.elements.csrf_token.value };
  if (body instanceof Blob) headers["Content-Type"] = "application/octet-stream";
  for (let tried = 1; ; tried++) {
    try {
      return await request(url, { method: "POST", headers, body });
    } catch (error) {
      if (error.refused || tried === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** tried));
    }
  }
}

async function request(url, options) {
  let answer;
  try {
    answer = await fetch(url, { ...options, redirect: "error" });
  } catch {
    throw new Error("the portal can’t be reached.");
  }
  if (answer.ok) return answer;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const words = page.querySelector("main p")?.textContent.trim() ?? "it was refused.";
  throw Object.assign(new Error(words), { refused: answer.status < 500 && answer.status !== 408 });
}
