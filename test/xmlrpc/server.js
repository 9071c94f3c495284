// An XML-RPC server with a small prepaid system behind it: every subscriber has
// 5000 on the main account. It writes its port on the first line, and for every
// line that it reads the calls so far. It ends with its input.
'use strict'
const readline = require('node:readline')
const xmlrpc = require('xmlrpc')

const calls = []
const accounts = new Map() // number -> { main, dedicated: Map(id -> value) }
const bundles = { D1G: { id: 21, value: 1024 } }

function account(number) {
  if (!accounts.has(number)) accounts.set(number, { main: 5000, dedicated: new Map() })
  return accounts.get(number)
}

function dedicated(a) {
  return [...a.dedicated].map(([id, value]) => ({
    dedicatedAccountID: id,
    dedicatedAccountValue1: String(value),
    expiryDate: new Date(Date.UTC(2037, 0, 1, 12)),
  }))
}

const stated = (a) => ({
  serviceClassCurrent: 1,
  accountValue1: String(a.main),
  dedicatedAccountInformation: dedicated(a),
})

const methods = {
  Refill(m) {
    const a = account(m.subscriberNumber)
    const before = stated(a)
    const bundle = bundles[m.refillProfileID]
    if (bundle) a.dedicated.set(bundle.id, (a.dedicated.get(bundle.id) || 0) + bundle.value)
    else a.main += Number(m.transactionAmount)
    return {
      responseCode: 0,
      masterAccountNumber: m.subscriberNumber,
      currency1: m.transactionCurrency,
      accountBeforeRefill: before,
      accountAfterRefill: stated(a),
    }
  },
  UpdateBalanceAndDate(m) {
    const a = account(m.subscriberNumber)
    for (const d of m.dedicatedAccountUpdateInformation || []) {
      const value = (a.dedicated.get(d.dedicatedAccountID) || 0) + Number(d.adjustmentAmountRelative)
      if (value < 0) return { responseCode: 106 }
      a.dedicated.set(d.dedicatedAccountID, value)
    }
    const main = a.main + Number(m.adjustmentAmountRelative || 0)
    if (main < 0) return { responseCode: 124 }
    a.main = main
    return { responseCode: 0, currency1: m.transactionCurrency, accountValue1: String(a.main) }
  },
  GetBalanceAndDate(m) {
    return { responseCode: 0, currency1: 'XOF', languageIDCurrent: 1, ...stated(account(m.subscriberNumber)) }
  },
  GetAccountDetails(m) {
    const asked = (m.requestedInformationFlags || {}).requestMasterAccountBalanceFlag === true
    return { responseCode: 0, languageIDCurrent: 1, ...(asked ? stated(account(m.subscriberNumber)) : {}) }
  },
}

const server = xmlrpc.createServer({ host: '127.0.0.1', port: 0 }, () => {
  process.stdout.write(server.httpServer.address().port + '\n')
})
for (const [name, run] of Object.entries(methods)) {
  server.on(name, (error, params, callback) => {
    const members = params[0]
    calls.push({ method: name, members, dated: members.originTimeStamp instanceof Date })
    callback(null, { ...run(members), originTransactionID: members.originTransactionID })
  })
}

readline.createInterface({ input: process.stdin })
  .on('line', () => process.stdout.write(JSON.stringify(calls) + '\n'))
  .on('close', () => process.exit(0))
