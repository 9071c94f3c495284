// Receipts in a real browser: node receipts.js {"app": URL, ...}. They are downloaded from
// the app and checked by the page as it was kept, from the disk, without a network.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { at, browser, check, codeOf, fault, plain, say, shot, text, violations } from './lib.js'

const number = '+22670112240'
const kept = {} // paths of what was downloaded

async function signIn(page, number) {
  await page.goto(at.app + '/')
  await page.fill('#number', number.replace('+226', ''))
  await page.click('main button')
  await page.waitForSelector('#code')
  await page.fill('#code', await codeOf(number))
  await page.click('main form[action="/signin"] button')
  await page.waitForSelector('.nav')
}

// keep clicks on what is downloaded and keeps it under its own name.
async function keep(page, selector, name) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.click(selector)])
  const file = path.join(at.dir, name || download.suggestedFilename())
  await download.saveAs(file)
  return file
}

// offline opens the page that was kept, with no network at all.
async function offline(open, options = {}) {
  const page = await open({ offline: true, ...options })
  await page.goto(pathToFileURL(kept.page).href)
  return page
}

async function give(page, ...files) {
  await page.setInputFiles('#file', files)
  await page.click('#form button')
  await page.waitForFunction((n) => document.querySelectorAll('.result').length === n, files.length)
}

// proven waits until the log has signed the entry: a page that is opened a moment later says so.
async function proven(page) {
  for (let tries = 0; tries < 40; tries++) {
    if (plain(await text(page, 'main')).includes('Inscrit et prouvé')) return
    await page.waitForTimeout(500)
    await page.reload()
  }
  throw new Error('the log does not sign the purchase')
}

// drawn keeps pictures of the code as this browser draws it, each larger than the last.
async function drawn(page) {
  for (const size of [485, 679, 776, 970, 1164]) {
    const url = await page.evaluate((size) => {
      const canvas = document.createElement('canvas')
      canvas.width = canvas.height = size
      canvas.getContext('2d').drawImage(document.querySelector('.qr'), 0, 0, size, size)
      return canvas.toDataURL('image/png')
    }, size)
    fs.writeFileSync(path.join(at.dir, `code-${size}.png`), Buffer.from(url.split(',')[1], 'base64'))
  }
}

await check('download a receipt at each stage, and the page that checks them', async (open) => {
  const page = await open()
  kept.checkpoint = await (await fetch(at.api + '/log/checkpoint')).text()
  await signIn(page, number)
  await fault(at.charging, { operation: 'credit', kind: 'delay', delay_ms: 3000, next: 1 })
  await page.goto(at.app + '/buy')
  await page.fill('#amount', '1 050')
  await page.click('#buy > button, #buy button:not([name])')
  await page.click('button[value=confirm]')
  await page.waitForURL('**/purchases/*')
  const purchase = page.url()
  await page.click('a:has-text("Reçu")') // there is one as soon as it is paid
  await page.waitForURL('**/receipt')
  kept.promise = await keep(page, 'a[href$="receipt.txt"]')
  assert.match(fs.readFileSync(kept.promise, 'utf8'), /\noutcome pending\n/)
  await page.goto(purchase)
  await page.waitForSelector('.state.good')
  await page.click('a:has-text("Reçu")')
  await proven(page)
  await page.waitForFunction(() => document.querySelector('.qr').naturalWidth > 0)
  await drawn(page)
  kept.outcome = await keep(page, 'a[href$="receipt.txt"]')
  kept.shared = await keep(page, 'a[href$="receipt.txt?shared"]', 'shared.txt')
  assert.match(fs.readFileSync(kept.outcome, 'utf8'), /\noutcome credited /)
  assert.match(fs.readFileSync(kept.outcome, 'utf8'), /\nsalt /)
  assert.doesNotMatch(fs.readFileSync(kept.shared, 'utf8'), /\nsalt /)
  assert.deepEqual(await violations(page), [])
  await shot(page, 'receipt-phone')
  await page.setViewportSize({ width: 1280, height: 900 })
  await shot(page, 'receipt-desktop')
  await page.setViewportSize({ width: 360, height: 740 })
  const pdf = await page.request.get(purchase + '/receipt.pdf')
  fs.writeFileSync(path.join(at.dir, 'receipt.pdf'), await pdf.body())
  await page.click('a:has-text("Vérifier ce reçu")')
  await page.waitForSelector('.result.good')
  assert.equal(new URL(page.url()).pathname, '/receipts')
  await shot(page, 'check-online')
  kept.link = page.url()
  kept.page = await keep(page, 'a[download]')
  const keys = await (await fetch(at.app + '/receipts/keys')).text()
  assert.match(keys, /^tenu-demo\+[0-9a-f]{8}\+/m)
  assert.match(keys, /^log tenu\.invalid\/[0-9a-f]{12}\+[0-9a-f]{8}\+/m)
  fs.writeFileSync(path.join(at.dir, 'keys'), keys)
  // A stream of events that is left behind is an Event on the console.
  assert.deepEqual(page.problems.filter((p) => p !== 'Event'), [])
})

await check('genuine from the disk, without a network', async (open) => {
  const page = await offline(open)
  await give(page, kept.outcome)
  const said = plain(await text(page, '.result'))
  for (const part of ['entrée', 'prouvée', 'Reçu authentique', 'crédité le', '1 050 XOF', '50 XOF', 'tenu-demo+']) assert.ok(said.includes(part), `it lacks ${part}: ${said}`)
  await page.fill('#number', number)
  await page.click('#form button')
  await page.waitForSelector('.result:has-text("Ce numéro a payé et reçu.")')
  await shot(page, 'check-good')
  await page.fill('#number', '70 11 22 41')
  await page.click('#form button')
  await page.waitForSelector('.result:has-text("ne parle pas de ce numéro")')
  await give(page, kept.shared)
  await page.waitForSelector('.result:has-text("copie à montrer")')
  await page.setInputFiles('#file', [])
  await page.fill('#text', kept.link)
  await page.click('#form button')
  await page.waitForSelector('.result.good')
  await page.fill('#text', fs.readFileSync(kept.outcome, 'utf8'))
  await page.click('#form button')
  await page.waitForSelector('.result.good')
  assert.deepEqual(page.problems, [])
})

await check('one flipped bit is refused', async (open) => {
  const page = await offline(open)
  const genuine = fs.readFileSync(kept.outcome)
  const reasons = {}
  for (let bit = 3; bit < genuine.length * 8; bit += 149) {
    const bad = Buffer.from(genuine)
    bad[bit >> 3] ^= 1 << (bit & 7)
    await give(page, { name: 'bad.txt', mimeType: 'text/plain', buffer: bad })
    const box = page.locator('.result')
    assert.ok(/\bbad\b/.test(await box.getAttribute('class')), `bit ${bit} is accepted`)
    reasons[await box.getAttribute('data-reason')] = true
  }
  assert.ok(reasons.malformed && reasons.wrong_signature && reasons.wrong_proof, JSON.stringify(reasons))
  const dearer = Buffer.from(genuine.toString().replace('charged 1050', 'charged 9050'))
  await give(page, { name: 'dearer.txt', mimeType: 'text/plain', buffer: dearer })
  await page.waitForSelector('.result:has-text("Le texte a été changé")')
  await shot(page, 'check-bad')
  assert.deepEqual(page.problems, [])
})

await check('a proof of something else is refused, and says why', async (open) => {
  const page = await offline(open)
  const genuine = fs.readFileSync(kept.outcome, 'utf8')
  const [receipt, proof] = genuine.split('\n\nc2sp.org/tlog-proof@v1\n').map((part, n) => n ? 'c2sp.org/tlog-proof@v1\n' + part : part + '\n')
  assert.ok(proof, 'the receipt comes without a proof')
  const promise = fs.readFileSync(kept.promise, 'utf8').split('\n\nc2sp.org/tlog-proof@v1\n')[0].replace(/\n*$/, '\n')
  const origin = /\n\n(.*)\n/.exec(proof)[1]
  for (const [reason, text] of [
    ['other_entry', promise + '\n' + proof],
    ['unknown_log', receipt + '\n' + proof.replaceAll(origin, 'other.example/log')],
    ['stale_checkpoint', receipt + '\n' + proof.slice(0, proof.indexOf('\n\n') + 2) + kept.checkpoint],
    ['wrong_proof', receipt + '\n' + proof.replace(/\nindex (\d+)/, (_, n) => '\nindex ' + (+n ^ 1))],
    ['unknown_witness', genuine + '— witness.example ' + Buffer.alloc(76, 1).toString('base64') + '\n']
  ]) {
    await give(page, { name: reason + '.txt', mimeType: 'text/plain', buffer: Buffer.from(text) })
    assert.equal(await page.locator('.result').getAttribute('data-reason'), reason)
    await shot(page, 'check-' + reason)
  }
  await give(page, { name: 'bare.txt', mimeType: 'text/plain', buffer: Buffer.from(receipt) })
  await page.waitForSelector('.result.good:has-text("pas encore prouvé")')
  assert.deepEqual(page.problems, [])
})

await check('an older receipt is known to be older', async (open) => {
  const page = await offline(open, { viewport: { width: 1280, height: 900 } })
  await give(page, kept.promise, kept.outcome)
  assert.match(await text(page, '.result.stale'), /Un reçu plus récent du même achat dit : crédité/)
  assert.equal(await page.locator('.result.good').count(), 1)
  await shot(page, 'check-stale-desktop')
})

await check('browsers without Ed25519 of their own', async (open) => {
  const page = await open({ offline: true })
  await page.addInitScript(() => Object.defineProperty(Crypto.prototype, 'subtle', { value: undefined }))
  await page.goto(pathToFileURL(kept.page).href)
  assert.equal(await page.evaluate(() => crypto.subtle), undefined)
  await give(page, kept.outcome)
  await page.waitForSelector('.result.good')
  const bad = Buffer.from(fs.readFileSync(kept.outcome, 'utf8').replace('fee 50', 'fee 40'))
  await give(page, { name: 'bad.txt', mimeType: 'text/plain', buffer: bad })
  assert.equal(await page.locator('.result').getAttribute('data-reason'), 'wrong_signature')
  assert.deepEqual(page.problems, [])
})

await check('accessible in both languages and both colour schemes', async (open) => {
  const found = []
  kept.bad = path.join(at.dir, 'bad.txt')
  fs.writeFileSync(kept.bad, 'hello')
  for (const colorScheme of ['light', 'dark']) {
    for (const locale of ['fr-BF', 'en-GB']) {
      // What looks is a script of the test's, which the page's policy would refuse.
      const page = await offline(open, { colorScheme, locale, bypassCSP: true })
      await give(page, kept.promise, kept.outcome, kept.bad)
      await page.click('summary')
      assert.equal(await page.locator('html').getAttribute('lang'), locale.slice(0, 2))
      for (const v of await violations(page)) found.push(`${locale} ${colorScheme}: ${v}`)
      await shot(page, `check-${locale.slice(0, 2)}-${colorScheme}`)
      await page.click('#language')
      assert.notEqual(await page.locator('html').getAttribute('lang'), locale.slice(0, 2))
    }
  }
  assert.deepEqual(found, [])
})

await check('staff have the copy to show', async (open) => {
  const page = await open({ viewport: { width: 1440, height: 900 } })
  await page.goto(at.console + '/')
  await page.fill('#login', 'awa')
  await page.fill('#password', at.password)
  await page.click('main form[action="/signin"] button')
  await page.waitForSelector('.top nav')
  await page.goto(at.console + '/purchases/' + path.basename(kept.outcome).slice(0, 12))
  const why = page.locator('form:has(input[type=radio][name=reason])')
  if (await why.count()) await why.locator('button').click()
  await page.click('#facts a:has-text("Reçu")')
  await page.waitForFunction(() => document.querySelector('.qr').naturalWidth > 0)
  assert.deepEqual(await violations(page), [])
  await shot(page, 'console-receipt')
  assert.equal(fs.readFileSync(await keep(page, 'a[href$="receipt.txt"]', 'staff.txt'), 'utf8').includes('\nsalt '), false)
  await page.click('a:has-text("Vérifier")')
  await page.waitForSelector('.result.good')
  assert.deepEqual(page.problems, [])
})

say({ over: true })
browser.close()
