// The API's description, shown by the Swagger UI that is installed beside us. It reads OpenAPI 3.0 and refuses 3.1 by its
// number alone, so it is told 3.0; /openapi.json itself stays as it is.
const described = await (await fetch("/openapi.json")).json();
window.SwaggerUIBundle({ spec: { ...described, openapi: "3.0.3" }, dom_id: "#reference", deepLinking: true, defaultModelsExpandDepth: 0 });
