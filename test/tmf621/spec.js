// What both scripts need of TM Forum's published description.
import { readFileSync } from "node:fs";

export const read = (file) => JSON.parse(readFileSync(file, "utf8"));

// strict forbids in every object what the description does not list, so that a
// misspelt attribute is not taken for an extension.
export function strict(description) {
  for (const schema of Object.values(description.definitions)) {
    if (schema.properties) schema.additionalProperties = false;
  }
  return description;
}
