"use strict";
// Signing in by passkey, and adding one (W3C Web Authentication, level 3: JSON forms).
if (window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON) {
  for (const form of document.querySelectorAll("[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", async (e) => {
      if (form.elements.answer.value) return;
      e.preventDefault();
      delete form.dataset.sent;
      const options = JSON.parse(form.querySelector("[data-options]").value).publicKey;
      try {
        const made = form.dataset.passkey === "get"
          ? await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) })
          : await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
        form.elements.answer.value = JSON.stringify(made.toJSON());
        form.submit();
      } catch { /* the person said no */ }
    });
  }
}
