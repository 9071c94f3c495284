// An XML-RPC client: reads lines of {"url", "user", "password", "method",
// "members"} and writes lines of {"result"}, {"fault"} or {"error"}. A member
// {"$date": "..."} is a date.
'use strict'
const readline = require('node:readline')
const xmlrpc = require('xmlrpc')

function dates(value) {
  if (Array.isArray(value)) return value.map(dates)
  if (value === null || typeof value !== 'object') return value
  if ('$date' in value) return new Date(value.$date)
  return Object.fromEntries(Object.entries(value).map(([name, v]) => [name, dates(v)]))
}

const write = (answer) => process.stdout.write(JSON.stringify(answer) + '\n')

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const { url, user, password, method, members } = JSON.parse(line)
  const client = xmlrpc.createClient({ url, basic_auth: user && { user, pass: password } })
  client.methodCall(method, [dates(members)], (error, result) => {
    if (!error) return write({ result })
    if (error.faultCode !== undefined) return write({ fault: error.faultCode })
    write({ error: String(error) })
  })
})
