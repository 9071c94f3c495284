// An SMS centre: node server.js PORT JOURNAL [KEY CERTIFICATE]. It listens on the port
// (0 for any), writes it on the first line, and keeps what it takes in the journal, so
// that it can be killed and started again. Every line that it reads is a JSON object
// that asks something of it; it answers with a line of JSON, and ends with its input.
//
//   {"messages": true}        what it took, in order
//   {"set": {...}}            how it behaves from now on: see `ways`
//   {"deliver": {...}}        brings fields of deliver_sm to one receiver; the answer's status
//   {"raw": "hex"}            writes bytes to every bind
//   {"drop": true}            cuts every connection
'use strict'
const readline = require('node:readline')
const fs = require('node:fs')
const smpp = require('smpp')

const [port, journal, key, cert] = process.argv.slice(2)
const ways = {
  silent: 0, // every so many messages are taken and not answered
  status: {}, // by destination: the command_status of the answer
  throttle: 0, // so many messages are answered with ESME_RTHROTTLED
  receipts: true,
  backwards: false, // ENROUTE is told after DELIVRD
  hex: false, // names of messages in hexadecimal in answers, in decimal in receipts
  transceivers: true, // whether bind_transceiver is known
}
const messages = fs.existsSync(journal)
  ? fs.readFileSync(journal, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line))
  : []
const sessions = new Set()
let taken = messages.length

smpp.addTLV('tenu_resend', { id: 0x1400, type: smpp.types.tlv.int8 })

// A receipt that is not taken is brought again, as a centre does.
function receipt(session, pdu, id, stat) {
  const name = ways.hex ? String(id) : 'm' + id
  const to = receiver() || session
  to.deliver_sm({
    source_addr: pdu.destination_addr,
    destination_addr: pdu.source_addr,
    esm_class: 4,
    short_message: `id:${name} sub:001 dlvrd:001 submit date:2607091200 done date:2607091201 stat:${stat} err:000 text:`,
  }, (answer) => {
    if (answer.command_status) setTimeout(receipt, 50, session, pdu, id, stat)
  })
}

const receiver = () => [...sessions].find((s) => s.receives)

function serve(session) {
  sessions.add(session)
  const gone = () => sessions.delete(session)
  session.on('close', gone)
  session.on('error', gone)
  const bind = (receives) => (pdu) => {
    if (!pdu.password || pdu.password === "wrong") return session.send(pdu.response({ command_status: smpp.ESME_RINVPASWD }))
    session.receives = receives
    session.send(pdu.response({ system_id: 'centre' }))
  }
  session.on('bind_transceiver', (pdu) =>
    ways.transceivers ? bind(true)(pdu) : session.send(pdu.response({ command_status: smpp.ESME_RINVCMDID })))
  session.on('bind_receiver', bind(true))
  session.on('bind_transmitter', bind(false))
  session.on('enquire_link', (pdu) => session.send(pdu.response()))
  session.on('unbind', (pdu) => {
    session.send(pdu.response())
    session.close()
  })
  session.on('submit_sm', (pdu) => {
    if (ways.throttle > 0) {
      ways.throttle--
      return session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }))
    }
    const status = ways.status[pdu.destination_addr]
    if (status) return session.send(pdu.response({ command_status: status }))
    const id = ++taken
    const message = {
      id: ways.hex ? String(id) : 'm' + id,
      to: pdu.destination_addr,
      from: pdu.source_addr,
      text: pdu.short_message.message,
      coding: pdu.data_coding,
      reference: pdu.user_message_reference,
      resend: Boolean(pdu.tenu_resend),
      udh: pdu.short_message.udh ? [...[].concat(pdu.short_message.udh)].map((b) => Buffer.from(b).toString('hex')) : undefined,
      op: pdu.ussd_service_op === undefined ? undefined : Number(Buffer.isBuffer(pdu.ussd_service_op) ? pdu.ussd_service_op[0] : pdu.ussd_service_op),
      session: pdu.its_session_info === undefined ? undefined : Buffer.from(pdu.its_session_info).toString('hex'),
    }
    messages.push(message)
    fs.appendFileSync(journal, JSON.stringify(message) + '\n')
    if (ways.silent && taken % ways.silent === 0) return
    session.send(pdu.response({ message_id: ways.hex ? id.toString(16).toUpperCase() : 'm' + id }))
    if (ways.receipts && pdu.registered_delivery) {
      setImmediate(() => receipt(session, pdu, id, 'DELIVRD'))
      if (ways.backwards) setImmediate(() => receipt(session, pdu, id, 'ENROUTE'))
    }
  })
}

function ask(line) {
  const asked = JSON.parse(line)
  const answer = (value) => process.stdout.write(JSON.stringify(value) + '\n')
  if (asked.messages) return answer(messages)
  if (asked.set) {
    Object.assign(ways, asked.set)
    return answer(ways)
  }
  if (asked.drop) {
    const n = sessions.size
    for (const s of sessions) s.socket.destroy()
    sessions.clear()
    return answer(n)
  }
  if (asked.raw) {
    for (const s of sessions) s.socket.write(Buffer.from(asked.raw, 'hex'))
    return answer(sessions.size)
  }
  if (asked.deliver) {
    const session = receiver()
    if (!session) return answer(-1)
    const fields = { ...asked.deliver }
    for (const key of ['its_session_info', 'sar_msg_ref_num', 'message_payload']) {
      if (typeof fields[key] === 'string') fields[key] = Buffer.from(fields[key], 'hex')
    }
    if (fields.hex) fields.short_message = Buffer.from(fields.hex, 'hex')
    delete fields.hex
    return session.deliver_sm(fields, (pdu) => answer(pdu.command_status))
  }
  answer(null)
}

const options = key ? { tls: true, key: fs.readFileSync(key), cert: fs.readFileSync(cert) } : {}
const server = smpp.createServer(options, serve)
server.listen(Number(port), '127.0.0.1', () => process.stdout.write(server.address().port + '\n'))
readline.createInterface({ input: process.stdin }).on('line', ask).on('close', () => process.exit(0))
