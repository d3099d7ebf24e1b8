"use strict";

// No validator badge, no configuration from the address bar: nothing but this server is asked for anything.
SwaggerUIBundle({
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#api",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  queryConfigEnabled: false,
  tryItOutEnabled: true,
  validatorUrl: null,
});
