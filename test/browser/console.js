// The agents' console in a real browser: node console.js {"console": URL, ...}, with
// two agents, a supervisor, an administrator, and a customer on the app.
import assert from 'node:assert/strict'
import { at, browser, check, codeOf, fault, plain, say, shot, text, violations } from './lib.js'

const phone = { viewport: { width: 360, height: 740 } }
const tablet = { viewport: { width: 1024, height: 768 } }

// enter signs one of the staff in.
async function enter(page, login) {
  await page.goto(at.console + '/')
  await page.fill('#login', login)
  await page.fill('#password', at.password)
  await page.click('main form[action="/signin"] button')
  await page.waitForSelector('.top nav')
}

// customer signs a customer in on the app.
async function customer(page, number) {
  await page.goto(at.app + '/')
  await page.fill('#number', number.replace('+226', ''))
  await page.click('main button')
  await page.waitForSelector('#code')
  await page.fill('#code', await codeOf(number))
  await page.click('main form[action="/signin"] button')
  await page.waitForSelector('.nav')
}

// buy buys airtime on the app, and returns the purchase's reference.
async function buy(page, amount, other) {
  for (let i = 0; i < 60; i++) {
    await page.goto(at.app + '/buy')
    if (other) {
      await page.check('input[name=for][value=other]')
      await page.fill('#other', other)
    }
    await page.fill('#amount', amount)
    await page.click('#buy > button, #buy button:not([name])')
    await page.waitForLoadState()
    if (page.url().includes('/checkout/')) {
      await page.click('button[value=confirm]')
      const end = page.locator('h1:has-text("Achat non fait")')
      await Promise.race([page.waitForURL('**/purchases/*', { timeout: 60000 }), end.waitFor({ timeout: 60000 })])
      if (page.url().includes('/purchases/')) return page.url().split('/').pop()
    }
    await new Promise((r) => setTimeout(r, 500)) // paused while the charging system fails
  }
  throw new Error('cannot buy: ' + (await text(page)))
}

async function inbox(number) {
  const all = await (await fetch(at.sms + '/messages?to=' + encodeURIComponent(number))).json()
  return all.map((m) => plain(m.text))
}

async function until(what, test) {
  for (let i = 0; i < 300; i++) {
    const got = await test()
    if (got) return got
    await new Promise((r) => setTimeout(r, 100))
  }
  throw new Error('never: ' + what)
}

// because gives the reason for a view, where one is asked for.
async function because(page) {
  const why = page.locator('form:has(input[type=radio][name=reason])')
  if (!(await why.count())) return
  await why.locator('button').click()
  await why.waitFor({ state: 'detached' })
}

// find searches, gives the reason if one is asked for, and arrives.
async function find(page, what) {
  await page.keyboard.press('Escape')
  await page.keyboard.press('/')
  await page.fill('#q', what)
  await page.press('#q', 'Enter')
  await page.waitForLoadState()
  await because(page)
}

const clean = async (page, name) => assert.deepEqual(await violations(page), [], 'axe on ' + name)

await check('an unknown purchase opens its case, an agent asks, another approves, the customer is refunded', async (open) => {
  const app = await open(phone)
  const number = '+22670112233'
  await customer(app, number)
  await fault(at.charging, { operation: 'credit', kind: 'lose_request', next: 1000 })
  const reference = await buy(app, '1 050')
  await app.waitForSelector('.state.bad')
  const told = await until('the SMS of the case', async () => (await inbox(number)).find((m) => /ossier D-/.test(m)))
  const file = /D-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{2}/.exec(told)[0]

  const awa = await open()
  await enter(awa, 'awa')
  await shot(awa, 'console-queue')
  await find(awa, '+226 70-11.22.33')
  assert.ok(plain(await text(awa, 'h1')).includes('70 11 22 33'))
  await awa.waitForSelector('text=F CFA >> nth=0')
  await shot(awa, 'console-customer')
  await clean(awa, 'customer')
  for (const what of [reference, file.toLowerCase().replaceAll('-', ' '), told]) {
    await find(awa, what)
    assert.ok((await text(awa)).includes(reference) || (await text(awa)).includes(file), what)
  }
  await find(awa, reference)
  const sentence = plain(await text(awa, '.sentence'))
  assert.match(sentence, /Votre achat de 1 000 F CFA d'unités .* est payé \(1 050 F CFA\), pas encore crédité\. Crédit ou remboursement avant/)
  await clean(awa, 'purchase')
  await shot(awa, 'console-purchase')

  // Another agent is seen within a second, and what is typed outlives what changes.
  const moussa = await open()
  await enter(moussa, 'moussa')
  await find(moussa, reference)
  await awa.waitForSelector('#here:has-text("Moussa")', { timeout: 2000 })
  await shot(awa, 'console-presence')

  const refund = awa.locator('details.do', { hasText: 'Rembourser' })
  await refund.waitFor()
  await refund.locator('summary').click()
  await refund.locator('input[name=reason]').fill('Le client attend depuis longtemps')
  await shot(awa, 'console-ask')
  await refund.locator('button').click()
  await awa.waitForSelector('.note.good')
  await moussa.waitForSelector('#requests:has-text("À valider")', { timeout: 2000 })

  // Neither the maker nor an agent approves; a supervisor does not approve her own.
  await awa.goto(at.console + '/approvals')
  assert.ok((await text(awa)).includes("C'est votre propre demande"))
  await moussa.goto(at.console + '/approvals')
  assert.equal(await moussa.locator('button[value=approve]').count(), 0)
  const fatou = await open()
  await enter(fatou, 'fatou')
  await fatou.goto(at.console + '/approvals')
  await shot(fatou, 'console-approvals')
  await clean(fatou, 'approvals')
  await fatou.click('button[value=approve]')
  await fatou.waitForSelector('.note.good')

  await app.waitForSelector('.state:has-text("Remboursé")', { timeout: 30000 })
  await until('the SMS of the refund', async () => (await inbox(number)).some((m) => /1 050 F CFA/.test(m) && /embours/.test(m)))
  await awa.goto(at.console + '/cases/' + file)
  await until('the case is settled', async () => {
    if (/Réglé/.test(await text(awa, '#say'))) return true
    await awa.reload()
  })
  const history = plain(await text(awa, '#timeline'))
  for (const part of ['Awa Ouédraogo', 'Fatou Traoré', 'Rembours']) assert.ok(history.includes(part), `the timeline lacks ${part}: ${history}`)
  await shot(awa, 'console-case')
  await clean(awa, 'case')
  await app.goto(at.app + '/cases/' + file)
  assert.ok(plain(await text(app)).includes("l'argent a été remboursé"))
  await shot(app, 'case-of-customer')
  await clean(app, "the customer's case")
  assert.deepEqual([...awa.problems, ...fatou.problems, ...app.problems].filter((p) => p !== 'Event'), [])
  await fetch(at.charging + '/faults', { method: 'DELETE' })
})

await check('a supervisor cannot approve what she asked for', async (open) => {
  const app = await open(phone)
  await customer(app, '+22670445566')
  await buy(app, '500') // once the charging system is seen to be back
  await app.waitForSelector('.state.good', { timeout: 90000 })
  await fault(at.charging, { operation: 'credit', kind: 'lose_request', next: 1000 })
  const reference = await buy(app, '2 000')
  await app.waitForSelector('.state.bad')
  const fatou = await open()
  await enter(fatou, 'fatou')
  await find(fatou, reference)
  const refund = fatou.locator('details.do', { hasText: 'Rembourser' })
  await refund.locator('summary').click()
  await refund.locator('input[name=reason]').fill('Le client insiste')
  await refund.locator('button').click()
  await fatou.waitForSelector('.note.good')
  await fatou.goto(at.console + '/approvals')
  assert.equal(await fatou.locator('button[value=approve]').count(), 0)
  // The form is not shown; sent all the same, it is refused.
  const token = await fatou.locator('input[name=token]').first().inputValue()
  const rows = await fatou.evaluate(async (token) => {
    const answers = []
    for (let id = 1; id <= 5; id++) for (let version = 1; version <= 3; version++) {
      const a = await fetch('/approvals', { method: 'POST', redirect: 'manual', body: new URLSearchParams({ token, id, version, do: 'approve' }) })
      answers.push(a.type === 'opaqueredirect' ? 303 : a.status)
    }
    return answers
  }, token)
  assert.ok(!rows.includes(303), 'approved: ' + rows)
  const issa = await open()
  await enter(issa, 'issa')
  await issa.goto(at.console + '/approvals')
  await issa.fill('input[name=why]', 'Pas assez de preuves')
  await issa.click('button[value=refuse]')
  await issa.waitForSelector('.note.good')
  await fetch(at.charging + '/faults', { method: 'DELETE' })
  await app.waitForSelector('.state.good', { timeout: 90000 }) // the provider is back, and credits
})

await check('a callback is promised, called and kept', async (open) => {
  const awa = await open()
  await enter(awa, 'awa')
  await find(awa, '70 44 55 66')
  await awa.selectOption('#window', { index: 0 })
  await awa.fill('#callreason', 'Veut savoir où en est son achat')
  await awa.click('button[value=promise]')
  await awa.waitForSelector('#callbacks:has-text("Promis")')
  await awa.goto(at.console + '/calls')
  await shot(awa, 'console-calls')
  await clean(awa, 'calls')
})

await check('queues, notes, bulk with undo', async (open) => {
  const fatou = await open()
  await enter(fatou, 'fatou')
  await fatou.goto(at.console + '/queue?view=settled')
  await fatou.waitForSelector('[data-row]')
  await clean(fatou, 'queue')
  await find(fatou, '70 44 55 66')
  await fatou.selectOption('#matter', 'other')
  await fatou.fill('#casedetail', 'Demande une facture')
  await fatou.click('form[action$="/case"] button')
  await fatou.waitForSelector('.note.good')
  await fatou.fill('#text', 'Le client rappellera <script>alert(1)</script>')
  await fatou.click('button[value=note]')
  await fatou.waitForSelector('#timeline:has-text("<script>alert(1)</script>")')
  await fatou.setInputFiles('#file', { name: '../../reçu.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF-1.4\n%âãÏÓ\n') })
  await fatou.click('form[action$="/files"] button')
  await fatou.waitForSelector('a:has-text("reçu.pdf")')
  await fatou.setInputFiles('#file', { name: 'x.png', mimeType: 'image/png', buffer: Buffer.from('<html>') })
  await fatou.click('form[action$="/files"] button')
  await fatou.waitForSelector('text=Seulement une image')
  await fatou.goto(at.console + '/queue?view=open')
  await fatou.keyboard.press('j')
  await fatou.keyboard.press('x')
  await fatou.selectOption('#do', 'linked')
  await fatou.fill('#link', 'incident-1')
  await fatou.click('button[value=preview]')
  await fatou.waitForSelector('button[value=go]')
  await shot(fatou, 'console-preview')
  await clean(fatou, 'preview')
  await fatou.click('button[value=go]')
  await fatou.waitForSelector('#plans button')
  await shot(fatou, 'console-undo')
  await fatou.click('#plans button')
  await fatou.waitForSelector('#plans:has-text("annulé")')
  assert.deepEqual(fatou.problems.filter((p) => !/422|^Event$/.test(p)), []) // the file that was refused
})

await check('who comes second sees what changed and keeps what was typed', async (open) => {
  const awa = await open()
  const moussa = await open()
  await enter(awa, 'awa')
  await enter(moussa, 'moussa')
  for (const page of [awa, moussa]) {
    await page.goto(at.console + '/queue?view=open')
    await page.click('[data-row] a >> nth=0')
    await page.waitForLoadState()
    await because(page)
    await page.waitForSelector('#text')
  }
  await moussa.fill('#text', 'Ce que Moussa écrit')
  await awa.click('button[data-take]')
  await awa.waitForSelector('.note.good')
  await moussa.waitForSelector('#clock:has-text("Awa")', { timeout: 3000 })
  assert.equal(await moussa.inputValue('#text'), 'Ce que Moussa écrit')
  await moussa.click('button[value=note]')
  await moussa.waitForSelector('.note')
  assert.ok((await text(moussa)).includes('Ce que Moussa écrit') || (await moussa.inputValue('#text')) === 'Ce que Moussa écrit')
})

await check('every page, on a desk and a tablet, in both languages and the dark', async (open) => {
  const pages = ['/queue?view=open', '/calls', '/approvals', '/board', '/rules', '/rules/settle', '/macros', '/staff', '/staff/awa', '/audit', '/account', '/keys', '/search?q=xyz', '/nowhere']
  const issa = await open()
  await enter(issa, 'issa')
  await issa.goto(at.console + '/rules/new')
  await issa.fill('#name', 'essai')
  await issa.click('button[value=try]')
  await issa.waitForSelector('text=Essai sur 30 jours')
  await shot(issa, 'console-rule-try')
  await clean(issa, 'rule try')
  await issa.goto(at.console + '/staff')
  await issa.fill('#login', 'nouvelle')
  await issa.fill('#name', 'Nouvelle Personne')
  await issa.click('main form button')
  await issa.waitForSelector('code')
  await issa.goto(at.console + '/macros')
  await issa.fill('#name', 'patience')
  await issa.fill('#new-text', 'Merci de votre patience.')
  await issa.click('form:has(#new-text) button')
  await issa.waitForSelector('.note.good')
  for (const [where, options] of [['desk', {}], ['tablet', { ...tablet, colorScheme: 'dark' }]]) {
    const page = await open(options)
    await page.goto(at.console + '/signin')
    await clean(page, 'signin')
    await shot(page, `console-${where}-signin`)
    await enter(page, 'issa')
    for (const to of pages) {
      await page.goto(at.console + to)
      if (to === '/board') await page.waitForSelector('.uplot')
      const name = to.replace(/[^a-z]+/g, '-').replace(/^-|-$/g, '')
      await clean(page, `${where} ${to}`)
      await shot(page, `console-${where}-${name}`)
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${to} is wider than a ${where}`)
    }
    await page.goto(at.console + '/account')
    await page.click('button[lang=en]')
    await page.waitForSelector('text=My account')
    for (const to of pages) {
      await page.goto(at.console + to)
      await clean(page, `English ${to}`)
    }
    await page.goto(at.console + '/account')
    await page.click('button[lang=fr]')
    await page.waitForSelector('text=Mon compte')
    assert.deepEqual(page.problems.filter((p) => !/404|^Event$/.test(p)), [])
  }
})

await check('an incident is on every page at once, and its pages are whole', async (open) => {
  const awa = await open()
  await enter(awa, 'awa')
  await awa.goto(at.console + '/keys')
  const issa = await open()
  await enter(issa, 'issa')
  await issa.goto(at.console + '/incidents')
  await issa.click('summary:has-text("Ouvrir un incident")')
  await issa.selectOption('#open-series', 'provider ocs')
  await issa.fill('#open-reason', 'Des clients payés ne sont pas crédités.')
  await issa.check('details[open] input[name=pause]')
  await issa.check('details[open] input[name=held]')
  await issa.click('details[open] button')
  await issa.waitForSelector('.note.good')
  const incident = new URL(issa.url()).pathname
  await awa.waitForSelector('#banner .failing', { timeout: 2000 }) // without being loaded again
  for (const [where, options] of [['desk', {}], ['tablet', { ...tablet, colorScheme: 'dark' }]]) {
    const page = await open(options)
    await enter(page, 'issa')
    for (const [to, name] of [['/incidents', 'incidents'], [incident, 'incident'], ['/board', 'board-incident'], ['/queue', 'banner']]) {
      await page.goto(at.console + to)
      if (to === '/board') await page.waitForSelector('.uplot')
      await page.waitForSelector('#banner .failing')
      await clean(page, `${where} ${name}`)
      await shot(page, `console-${where}-${name}`)
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${to} is wider than a ${where}`)
    }
    assert.deepEqual(page.problems.filter((p) => !/^Event$/.test(p)), [])
  }
  await issa.click('button[value=dry]')
  await issa.waitForSelector('#dry')

  for (const [where, options] of [['phone', phone], ['desk', { colorScheme: 'dark' }]]) { // what the public reads of it
    const page = await open(options)
    const whole = async (name, on = page) => {
      await clean(on, `${where} ${name}`)
      await shot(on, `${name}-${where}`)
      assert.ok(await on.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than a ${where}`)
    }
    await page.goto(at.status)
    for (let i = 0; i < 40 && !/suspendu/.test(await text(page)); i++) {
      await page.waitForTimeout(250)
      await page.reload()
    }
    assert.match(await text(page), /suspendu/)
    await whole('status')
    await page.click('a:has-text("Suivre cet incident")')
    assert.match(await text(page), /Achats perturbés/)
    await whole('status-incident')
    await page.goto(at.status + '/history.html')
    await whole('status-history')
    assert.deepEqual(page.problems, [])
    for (const language of ['fr', 'en']) {
      const answer = await issa.request.get(`${at.console}${incident}/report.html?language=${language}`)
      assert.ok(answer.ok(), 'report: ' + answer.status())
      const paper = await open(options)
      await paper.setContent(await answer.text())
      await whole('report-' + language, paper)
    }
  }
  const pdf = await issa.request.get(`${at.console}${incident}/report.pdf?language=fr`)
  assert.equal((await pdf.body()).subarray(0, 5).toString(), '%PDF-')

  await issa.goto(at.console + '/incidents')
  await issa.fill('#pauses input[name=reason]', 'Réparé.')
  await issa.click('#pauses button[value=resume]')
  await issa.waitForSelector('.note.good')
  await issa.waitForSelector('#pauses .empty')
})

await check('who is revoked is out at the next click', async (open) => {
  const awa = await open()
  await enter(awa, 'awa')
  const issa = await open()
  await enter(issa, 'issa')
  await issa.goto(at.console + '/staff/awa')
  await issa.click('button[value=revoke]')
  await issa.waitForSelector('.note.good')
  await awa.goto(at.console + '/queue')
  await awa.waitForSelector('#password')
})

say({ over: true })
await browser.close()
process.exit(0)
