// Validates answers and events against TM Forum's published description, line by
// line: {method, path, status, body} or {event}. Each gets one line back: "ok", or what is wrong.
import readline from "node:readline";
import Ajv from "ajv";
import formats from "ajv-formats";
import { read, strict } from "./spec.js";

const description = strict(read(process.argv[2]));
const ajv = new Ajv({ strict: false, allErrors: true });
formats(ajv);
ajv.addFormat("float", { type: "number", validate: Number.isFinite });
ajv.addSchema(description, "description");

function against(pointer, document) {
  const validate = ajv.getSchema("description" + pointer);
  if (!validate) return "there is no " + pointer;
  return validate(document) ? "ok" : ajv.errorsText(validate.errors);
}

const escaped = (text) => encodeURIComponent(text.replaceAll("~", "~0").replaceAll("/", "~1"));

function judge({ method, path, status, body, event }) {
  if (event) return against("#/definitions/" + event.eventType, event);
  const responses = description.paths[path]?.[method.toLowerCase()]?.responses;
  if (!responses) return status === 405 ? against("#/definitions/Error", body) : "there is no such operation";
  const response = responses[status];
  if (!response) return status >= 400 ? against("#/definitions/Error", body) : "there is no such answer";
  if (!response.schema) return body === undefined ? "ok" : "there is a body";
  return against(`#/paths/${escaped(path)}/${method.toLowerCase()}/responses/${status}/schema`, body);
}

for await (const line of readline.createInterface({ input: process.stdin })) console.log(judge(JSON.parse(line)));
