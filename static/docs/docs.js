// Shows the OpenAPI document, and lets a reader try what it describes against this portal.

const place = document.getElementById("docs");

SwaggerUIBundle({
  domNode: place,
  url: place.dataset.document,
  deepLinking: true,
  defaultModelsExpandDepth: -1,
  supportedSubmitMethods: ["get", "put", "post", "delete"],
  validatorUrl: null,
  // The page has a main part already.
  onComplete: () => place.querySelector("main")?.setAttribute("role", "none"),
});
