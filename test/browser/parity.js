// What the page that checks receipts makes of a receipt: node parity.js CORE NACL KEY...
// reads receipts in base64, one a line, and writes for each {"reason", "line"} and what it says.
import fs from 'node:fs'
import readline from 'node:readline'
import vm from 'node:vm'

const [core, nacl, ...keys] = process.argv.slice(2)
// Without WebCrypto, so that what the page brings along is what is compared.
const world = vm.createContext({ TextEncoder, TextDecoder, atob, btoa, Uint8Array })
world.self = world
vm.runInContext(fs.readFileSync(nacl, 'utf8') + '\n' + fs.readFileSync(core, 'utf8'), world)

for await (const line of readline.createInterface({ input: process.stdin })) {
  let answer
  try {
    const bytes = world.receipts.unwrap(world.receipts.split(new Uint8Array(Buffer.from(line, 'base64'))))
    const x = await world.receipts.open(bytes, keys)
    answer = { reference: x.reference, sequence: x.sequence, outcome: x.outcome, at: x.at, charged: x.charged.figure + ' ' + x.charged.currency, payer: x.salt ? world.receipts.opens(x, '22670112233') : '-' }
  } catch (e) {
    if (!e.reason) throw e
    answer = { reason: e.reason, line: e.line }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
