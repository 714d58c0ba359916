// A small use of the service in TypeScript, with the types that openapi-typescript makes; see test_typescript.py.
import createClient from "openapi-fetch";
import type { components, paths } from "./ears.d.ts";

const ears = createClient<paths>({ baseUrl: process.argv[2] });

const page = await ears.GET("/v1/gallery/items", { params: { query: { limit: 1, side: ["left"] } } });
if (page.error) throw new Error(page.error.error.message);
const item: components["schemas"]["Item"] = page.data.items[0];

const stored = await ears.GET("/v1/gallery/items/{item_id}/vectors", { params: { path: { item_id: item.id } } });
if (stored.error) throw new Error(stored.error.error.message);

const found = await ears.POST("/v1/search", {
  body: { embedding: stored.data.embedding, space_id: stored.data.space_id, k: 1 },
});
if (found.error) throw new Error(found.error.error.message);
const similarity: number = found.data.hits[0].similarity;
console.log(found.data.hits[0].item_id === item.id, similarity > 0.999);

// @ts-expect-error  an unknown parameter
await ears.GET("/v1/gallery/items", { params: { query: { limits: 1 } } });
// @ts-expect-error  a wrong type
const wrong: string = similarity;
