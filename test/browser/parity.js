// What the page that checks receipts makes of a receipt: node parity.js CORE NACL TRUST, with the keys in JSON,
// reads receipts in base64, one a line, and writes for each {"reason", "line"} and what it says.
import fs from 'node:fs'
import readline from 'node:readline'
import vm from 'node:vm'

const [core, nacl, known] = process.argv.slice(2)
const trust = JSON.parse(known)
// Without WebCrypto, so that what the page brings along is what is compared.
const world = vm.createContext({ TextEncoder, TextDecoder, atob, btoa, Uint8Array })
world.self = world
vm.runInContext(fs.readFileSync(nacl, 'utf8') + '\n' + fs.readFileSync(core, 'utf8'), world)

for await (const line of readline.createInterface({ input: process.stdin })) {
  let answer
  try {
    const { receipt: x, proven } = await world.receipts.check(new Uint8Array(Buffer.from(line, 'base64')), trust)
    const seen = proven ? proven.cosigned.map((c) => ' ' + c.by + ' ' + c.at.toISOString().slice(0, 19) + 'Z').join('') : ''
    answer = { proven: proven ? proven.log + ' ' + proven.leaf + ' of ' + proven.size + seen : '', reference: x.reference, sequence: x.sequence, outcome: x.outcome, at: x.at, charged: x.charged.figure + ' ' + x.charged.currency, payer: x.salt ? world.receipts.opens(x, '22670112233') : '-' }
  } catch (e) {
    if (!e.reason) throw e
    answer = { reason: e.reason, line: e.line }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
