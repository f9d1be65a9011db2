// Shows the OpenAPI document, and lets a reader try what it describes against this portal.

const place = document.getElementById("docs");

SwaggerUIBundle({
  domNode: place,
  url: place.dataset.document,
  deepLinking: true,
  defaultModelsExpandDepth: -1,
  supportedSubmitMethods: ["get", "put", "post", "delete"],
  validatorUrl: null,
  // By whatever name this portal was reached: the document has PUBLIC_URL alone.
  requestInterceptor: (request) => {
    const { pathname, search } = new URL(request.url, location.href);
    return Object.assign(request, { url: pathname + search });
  },
  // The page has a main part already.
  onComplete: () => place.querySelector("main")?.setAttribute("role", "none"),
});
