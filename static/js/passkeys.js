// Has the browser make or use a passkey when a form is sent, and sends what came of it in the form.
//
// data-passkey              "create" or "get"
// data-passkey-options      what the server asks for, as JSON
// data-passkey-failed       shown when nothing came of it
// data-passkey-unsupported  shown when the browser has no passkeys
// data-passkey-off          shown where this module does not run

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.querySelector("[data-passkey-off]").hidden = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (form.reportValidity()) send(form);
  });
}

async function send(form) {
  const fault = await fill(form);
  for (const name of ["failed", "unsupported"]) {
    form.querySelector(`[data-passkey-${name}]`).hidden = name !== fault;
  }
  if (!fault) form.submit();
}

async function fill(form) {
  if (!window.PublicKeyCredential?.parseCreationOptionsFromJSON) return "unsupported";
  const options = JSON.parse(form.dataset.passkeyOptions);
  try {
    const credential = form.dataset.passkey === "create"
      ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
      : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
    form.querySelector("[name=credential]").value = JSON.stringify(credential.toJSON());
    return null;
  } catch {
    return "failed";
  }
}
