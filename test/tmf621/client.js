// Makes a client from TM Forum's published description and creates, follows and
// closes a ticket with nothing else: client.js DESCRIPTION BASE KEY PURCHASE CALLBACK. It
// waits for a line where the outcome is to come, and writes what it saw, a line each.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import readline from "node:readline";
import { generateApi } from "swagger-typescript-api";

const [input, baseUrl, key, purchase, callback] = process.argv.slice(2);
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (what) => console.log(JSON.stringify(what));

async function generated() {
  const { files } = await generateApi({ input, output: false, toJS: true, silent: true, httpClientType: "fetch" });
  const folder = mkdtempSync(join(tmpdir(), "tmf621-"));
  try {
    const file = join(folder, "client.mjs");
    writeFileSync(file, files.find((f) => f.fileExtension === ".js").fileContent);
    return await import(pathToFileURL(file));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// refused is the Error that a call must end with.
async function refused(call) {
  try {
    await call();
  } catch (answer) {
    return { status: answer.status, code: answer.error?.code };
  }
  return { status: 0, code: "it was not refused" };
}

const { Api } = await generated();
const api = new Api({ baseUrl, baseApiParams: { headers: { Authorization: "Bearer " + key } } });

const listener = (await api.hub.registerListener({ callback })).data;
say({ listener: listener.callback });

const wish = {
  description: "Paid, and nothing came", severity: "major", ticketType: "not_received", externalId: "CRM-1",
  relatedEntity: [{ id: purchase, role: "purchase", "@referredType": "ProductOrder" }],
};
const made = (await api.troubleTicket.createTroubleTicket(wish)).data;
const again = (await api.troubleTicket.createTroubleTicket(wish)).data;
say({ status: made.status, type: made.ticketType, external: made.externalId, same: again.id === made.id });

const found = await api.troubleTicket.listTroubleTicket({ limit: 5 });
say({ listed: found.data.map((each) => each.id).includes(made.id), total: found.headers.get("X-Total-Count") });

const noted = (await api.troubleTicket.patchTroubleTicket(made.id, { note: [{ text: "The customer was called" }] })).data;
const asked = (await api.troubleTicket.patchTroubleTicket(made.id, { status: "pending" })).data;
say({ notes: noted.note.map((each) => each.text), status: asked.status });
say(await refused(() => api.troubleTicket.patchTroubleTicket(made.id, { status: "closed" })));

await lines.next(); // the purchase ends
const closed = (await api.troubleTicket.patchTroubleTicket(made.id, { status: "closed" })).data;
const read = (await api.troubleTicket.retrieveTroubleTicket(made.id, { fields: "status,statusChangeReason,resolutionDate" })).data;
say({ status: closed.status, read: read.status, reason: read.statusChangeReason, resolved: Boolean(read.resolutionDate), changes: closed.statusChange.map((each) => each.status) });

say(await refused(() => api.troubleTicket.deleteTroubleTicket(made.id)));
await api.hub.unregisterListener(listener.id);
say(await refused(() => api.hub.unregisterListener(listener.id)));
