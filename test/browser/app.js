// The customers' pages in a real browser: node app.js {"app": URL, ...}. It writes a
// line of JSON for each check: {"name", "error"}, and {"over": true} at the end.
import assert from 'node:assert/strict'
import { at, browser, check, codeOf, fault, plain, say, shot, text, violations } from './lib.js'

async function signIn(page, number) {
  await page.goto(at.app + '/')
  await page.fill('#number', number.replace('+226', ''))
  await page.click('main button')
  await page.waitForSelector('#code')
  await page.fill('#code', await codeOf(number))
  await page.click('main form[action="/signin"] button')
  await page.waitForSelector('.nav')
}

// buy fills in the form and confirms, and returns on the page of the purchase.
async function buy(page, { amount, product, other, payWith } = {}) {
  await page.goto(at.app + '/buy')
  if (other) {
    await page.check('input[name=for][value=other]')
    await page.fill('#other', other)
  }
  if (product) await page.check(`input[name=product][value="${product}"]`)
  if (amount) await page.fill('#amount', amount)
  if (payWith) await page.check(`input[name=pay_with][value="${payWith}"]`)
  await page.click('#buy > button, #buy button:not([name])')
  await page.waitForURL('**/checkout/*')
}

async function confirm(page) {
  await page.click('button[value=confirm]')
  await page.waitForURL('**/purchases/*')
}

await check('buy and see it credited', async (open) => {
  const page = await open()
  await signIn(page, '+22670112233')
  await fault(at.charging, { operation: 'credit', kind: 'delay', delay_ms: 2500, next: 1 })
  await buy(page, { amount: '1 050' })
  const recap = plain(await text(page))
  for (const part of ['70 11 22 33', '1 000 F CFA', '50 F CFA', '1 050 F CFA', 'Frais', 'Total']) assert.ok(recap.includes(part), `recap lacks ${part}: ${recap}`)
  await shot(page, 'recap')
  await confirm(page)
  await page.evaluate(() => { window.notReloaded = true })
  assert.ok(/En cours|En attente/.test(await text(page)), await text(page))
  await shot(page, 'under-way')
  await page.waitForSelector('.state.good')
  assert.ok((await text(page)).includes('Crédité'))
  assert.ok(await page.evaluate(() => window.notReloaded), 'the page was loaded again')
  await shot(page, 'credited')
  await page.goto(at.app + '/')
  assert.ok((await text(page)).includes('Crédité'))
  await shot(page, 'home')
  assert.deepEqual(page.problems, [])
})


await check('charging fails: under way with a deadline, then refunded, with a case', async (open) => {
  const page = await open()
  await signIn(page, '+22670112234')
  await fault(at.charging, { operation: 'credit', kind: 'lose_request', next: 50 })
  await buy(page, { amount: '1 050' })
  await confirm(page)
  await page.evaluate(() => { window.notReloaded = true })
  await page.waitForSelector('.state:has-text("En cours")')
  assert.match(await text(page), /avant \d\d:\d\d/)
  await page.waitForSelector('.state.bad') // late
  const late = await text(page)
  assert.match(late, /Crédit ou remboursement avant \d\d/)
  assert.ok(late.includes('Dossier ouvert'), late)
  await shot(page, 'late')
  await page.waitForSelector('.state:has-text("Remboursé")')
  const back = await text(page)
  assert.ok(back.includes('Dossier ouvert') && plain(back).includes('1 050 F CFA rendus'), back)
  assert.ok(await page.evaluate(() => window.notReloaded), 'the page was loaded again')
  await page.waitForSelector('a:has-text("Reçu")')
  await shot(page, 'refunded')
  await page.goto(at.app + '/help')
  assert.ok((await text(page)).includes('Mes dossiers'))
  await fetch(at.charging + '/faults', { method: 'DELETE' })
  assert.deepEqual(page.problems, [])
})

await check('without JavaScript', async (open) => {
  const page = await open({ javaScriptEnabled: false })
  await signIn(page, '+22670112235')
  await fault(at.charging, { operation: 'credit', kind: 'delay', delay_ms: 1500, next: 1 })
  await buy(page, { amount: '1050' })
  await page.click('button[value=confirm]')
  await page.waitForURL('**/purchases/*', { timeout: 15000 }) // by its own reload
  await page.waitForSelector('.state.good')
  await fault(at.charging, { operation: 'credit', kind: 'lose_request', next: 50 })
  await buy(page, { amount: '500' })
  await page.click('button[value=confirm]')
  await page.waitForSelector('.state:has-text("En cours")')
  assert.match(await text(page), /avant \d\d:\d\d/)
  await page.waitForSelector('.state:has-text("Remboursé")')
  assert.ok((await text(page)).includes('Dossier ouvert'))
  await fetch(at.charging + '/faults', { method: 'DELETE' })
})

await check('one purchase, however often it is asked for', async (open) => {
  const page = await open()
  await signIn(page, '+22670112236')
  await buy(page, { amount: '700' })
  const recap = page.url()
  const second = await page.context().newPage() // two tabs
  await second.goto(recap)
  await Promise.all([page.dblclick('button[value=confirm]').catch(() => {}), second.click('button[value=confirm]')])
  await page.waitForURL('**/purchases/*')
  await second.waitForURL('**/purchases/*')
  assert.equal(page.url(), second.url())
  await page.goBack()
  await page.goBack().catch(() => {})
  await page.goto(recap) // leads to what became of it
  assert.equal(page.url(), second.url())
  await page.reload()
  await page.goto(at.app + '/purchases')
  assert.equal(await page.locator('.list > li').count(), 1)
  // The same again, a moment later, is asked about first.
  await buy(page, { amount: '700' })
  await page.click('button[value=confirm]')
  await page.waitForSelector('button[value=again]')
  await shot(page, 'asked-first')
  await page.goto(at.app + '/purchases')
  assert.equal(await page.locator('.list > li').count(), 1)
})

await check('cancelled before the charge', async (open) => {
  const page = await open()
  await signIn(page, '+22670112237')
  await buy(page, { amount: '700' })
  await page.click('button[value=confirm]')
  await shot(page, 'cancel')
  await page.click('button[value=cancel]')
  await page.waitForSelector('main:has-text("Vous avez annulé")')
  await page.goto(at.app + '/purchases')
  assert.ok((await text(page)).includes("Pas encore d'achat"))
})

await check('what is wrong stands at its field, and the rest is kept', async (open) => {
  const page = await open()
  await page.goto(at.app + '/')
  await page.fill('#number', '12 34')
  await page.click('main button')
  await page.waitForSelector('#number-wrong')
  assert.equal(await page.inputValue('#number'), '12 34')
  await shot(page, 'sign-in-wrong')
  await signIn(page, '+22670112238')
  await page.goto(at.app + '/buy')
  await page.check('input[name=for][value=other]')
  await page.fill('#other', '+33 6 12 34 56 78')
  await page.fill('#amount', '5')
  await page.click('#buy > button')
  await page.waitForSelector('#number-wrong')
  assert.equal(await page.inputValue('#amount'), '5')
  await page.fill('#other', '70445566')
  await page.click('#buy > button')
  await page.waitForSelector('#amount-wrong')
  assert.equal(await page.inputValue('#other'), '70445566')
  await shot(page, 'buy-wrong')
})

await check('help: report, callback, favourites, settings, status', async (open) => {
  const page = await open()
  await signIn(page, '+22670112239')
  await buy(page, { product: 'data-day', other: '70 44 55 66' })
  assert.ok((await text(page)).includes('70'))
  await confirm(page)
  await page.waitForSelector('.state.good')
  const reference = page.url().split('/').pop()
  await page.click('a:has-text("Signaler")')
  await page.check('input[value=wrong_number]')
  await page.click('form button')
  await page.waitForSelector('#meant-wrong')
  await page.fill('#meant', '70 44 55 67')
  await page.fill('#detail', '<script>alert(1)</script> "là"')
  await shot(page, 'report')
  await page.click('form button')
  await page.waitForURL('**/purchases/' + reference + '?reported')
  assert.ok((await text(page)).includes('<script>alert(1)</script> "là"'))
  await shot(page, 'reported')
  await page.goto(at.app + '/callback')
  await shot(page, 'callback')
  await page.click('button[value=promise]')
  await page.waitForSelector('.note.case')
  await page.goto(at.app + '/')
  assert.ok((await text(page)).includes('Rappel promis'))
  await page.goto(at.app + '/callback')
  await page.click('button[value=cancel]')
  await page.waitForSelector('.list')
  await page.goto(at.app + '/favourites')
  await page.fill('#name', 'Maman')
  await page.fill('#number', '70 44 55 66')
  await page.click('button[value=put]')
  await page.waitForSelector('.list')
  await shot(page, 'favourites')
  await page.goto(at.app + '/buy')
  assert.ok((await text(page)).includes('Maman'))
  await shot(page, 'buy')
  await page.goto(at.app + '/status')
  await page.fill('#reference', reference)
  await page.click('main form button')
  await page.waitForSelector('.note.good')
  await shot(page, 'status')
  await page.goto(at.app + '/purchases/' + reference + '/receipt')
  await page.waitForFunction(() => document.querySelector('.qr').naturalWidth > 0)
  await shot(page, 'receipt')
  const pdf = await page.request.get(at.app + '/purchases/' + reference + '/receipt.pdf')
  assert.ok((await pdf.body()).subarray(0, 5).toString() === '%PDF-')
  await page.goto(at.app + '/settings')
  await page.check('input[name=language][value=en]')
  await page.click('main form button')
  await page.waitForSelector('.note.good')
  assert.ok((await text(page)).includes('Language'))
  await shot(page, 'settings')
  assert.deepEqual(page.problems.filter((p) => !/422/.test(p)), [])
})

const pages = ['/', '/buy', '/purchases', '/help', '/callback', '/favourites', '/settings', '/status', '/offline', '/nowhere', '/elements']
await check('accessible in both languages and both colour schemes', async (open) => {
  const found = []
  let amount = 750
  for (const colorScheme of ['light', 'dark']) {
    for (const lang of ['fr', 'en']) {
      const page = await open({ colorScheme })
      const look = async (name) => { for (const v of await violations(page)) found.push(`${name} ${lang} ${colorScheme}: ${v}`) }
      await page.goto(at.app + '/?lang=' + lang)
      await look('sign in')
      await page.fill('#number', '1')
      await page.click('main button')
      await page.waitForSelector('#number-wrong')
      await look('sign in, wrong')
      await page.fill('#number', '70112239')
      await page.click('main button')
      await page.waitForSelector('#code')
      await look('code')
      await page.fill('#code', await codeOf('+22670112239'))
      await page.click('main form[action="/signin"] button')
      await page.waitForSelector('.nav')
      for (const url of pages) {
        await page.goto(at.app + url + '?lang=' + lang)
        assert.equal(await page.locator('html').getAttribute('lang'), lang)
        await look(url)
      }
      await page.goto(at.app + '/purchases')
      const reference = (await page.locator('.list a').first().getAttribute('href')).split('/').pop()
      for (const url of ['', '/receipt', '/report']) {
        await page.goto(at.app + '/purchases/' + reference + url)
        await look('/purchases/REF' + url)
      }
      await page.goto(at.app + '/buy')
      await page.fill('#amount', '1')
      await page.click('#buy > button')
      await page.waitForSelector('#amount-wrong')
      await look('buy, wrong')
      for (let cancelled = false; !cancelled;) { // what is looked at for longer than it can be cancelled is sold
        assert.ok(amount < 2000, 'never cancelled in time')
        await buy(page, { amount: String(amount += 50) })
        await look('recap')
        await page.click('button[value=confirm]')
        await look('cancel')
        await page.click('button[value=cancel]', { timeout: 1000 }).catch(() => {})
        cancelled = await Promise.race([page.waitForSelector('a[href^="/buy?again"]').then(() => true, () => false),
          page.waitForURL('**/purchases/*').then(() => false, () => false)])
      }
      await look('cancelled')
      await page.close()
    }
  }
  assert.deepEqual(found, [])
})

await check('right at 320 px and on a desktop', async (open) => {
  for (const lang of ['fr', 'en']) for (const [name, viewport] of [['small', { width: 320, height: 568 }], ['desktop', { width: 1280, height: 800 }]]) {
    const page = await open({ viewport, colorScheme: name === 'small' ? 'dark' : 'light' })
    await signIn(page, '+22670112239')
    for (const url of pages) {
      await page.goto(at.app + url + '?lang=' + lang)
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      assert.ok(over <= 0, `${url} is ${over} px too wide at ${viewport.width}`)
      if (lang === 'fr' && ['/', '/buy', '/help', '/purchases'].includes(url)) await shot(page, name + (url === '/' ? '-home' : url.replace('/', '-')))
    }
    const targets = await page.evaluate(() => [...document.querySelectorAll('a, button')].filter((e) => e.offsetParent && !e.classList.contains('skip'))
      .map((e) => e.getBoundingClientRect()).filter((r) => r.height < 24 || r.width < 24).length)
    assert.equal(targets, 0, 'targets below 24 px')
  }
})

// weigh counts the bytes that a page takes over the network.
async function weigh(page, go) {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Network.enable')
  let bytes = 0
  cdp.on('Network.loadingFinished', (e) => { bytes += e.encodedDataLength })
  await go()
  await page.waitForLoadState('networkidle')
  return bytes
}

await check('light: a page 14 KB, a first visit 60 KB', async (open) => {
  const page = await open({ serviceWorkers: 'block' })
  const first = await weigh(page, () => page.goto(at.app + '/'))
  assert.ok(first > 2000 && first <= 60 * 1024, `a first visit takes ${first} bytes`)
  const html = await fetch(at.app + '/', { headers: { 'Accept-Encoding': 'gzip' } })
  const raw = await page.request.get(at.app + '/', { headers: { 'Accept-Encoding': 'gzip' } })
  say({ name: 'weights', note: `first visit ${first} B, sign-in page ${raw.headers()['content-length']} B compressed` })
  assert.ok(html.ok && Number(raw.headers()['content-length']) <= 14 * 1024)
  await signIn(page, '+22670112239')
  for (const url of ['/', '/buy', '/purchases', '/help', '/callback', '/status']) {
    const answer = await page.request.get(at.app + url, { headers: { 'Accept-Encoding': 'gzip' } })
    assert.ok(Number(answer.headers()['content-length']) <= 14 * 1024, `${url} takes ${answer.headers()['content-length']} bytes`)
  }
})

await check('slow: the last purchase within 5 s at 50 kbit/s and 400 ms', async (open) => {
  const page = await open()
  await signIn(page, '+22670112242')
  await buy(page, { amount: '600' })
  await confirm(page)
  await page.waitForSelector('.state.good')
  const state = await page.context().storageState()
  let took = Infinity
  for (let tries = 0; tries < 3 && took >= 5000; tries++) { // the machine may be busy with other things
    const cold = await open({ storageState: state })
    const cdp = await cold.context().newCDPSession(cold)
    await cdp.send('Network.enable')
    await cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 400, downloadThroughput: 50000 / 8, uploadThroughput: 50000 / 8 })
    await cold.goto(at.app + '/', { waitUntil: 'commit' })
    await cold.waitForSelector('.state', { state: 'visible' })
    took = await cold.evaluate(() => new Promise((seen) => new PerformanceObserver((list) => {
      for (const e of list.getEntries()) if (e.name === 'first-contentful-paint') seen(Math.round(e.startTime))
    }).observe({ type: 'paint', buffered: true })))
    await cold.close()
  }
  say({ name: 'slow network', note: `the state is painted after ${took} ms` })
  assert.ok(took < 5000, `the state is there after ${took} ms`)
})

await check('offline: the last known state, and a report that is sent once', async (open) => {
  const page = await open()
  await signIn(page, '+22670112241')
  await buy(page, { amount: '600' })
  await confirm(page)
  await page.waitForSelector('.state.good')
  await page.evaluate(() => navigator.serviceWorker.ready)
  await page.reload()
  await page.waitForTimeout(2500) // the report's page is kept ahead
  await page.goto(at.app + '/')
  await page.waitForLoadState('networkidle')
  await page.context().setOffline(true)
  await page.reload()
  assert.match(await text(page), /Vu à \d\d:\d\d/)
  assert.ok((await text(page)).includes('Crédité') && (await text(page)).includes('Pas de réseau'))
  await shot(page, 'offline')
  await page.click('main a[href^="/purchases/"]')
  await page.waitForSelector('.steps')
  assert.match(await text(page), /Vu à \d\d:\d\d/)
  await page.click('a:has-text("Signaler")')
  await page.check('input[value=not_received]')
  await page.click('form button')
  await page.waitForSelector('.note:has-text("gardé sur ce téléphone")')
  await shot(page, 'report-kept')
  await page.context().setOffline(false)
  await page.waitForSelector('.steps') // it was sent, and led to the purchase
  assert.equal(await page.evaluate(() => localStorage.getItem('reports')), '[]')
  await page.goto(at.app + '/help')
  assert.ok((await text(page)).includes('Mes dossiers'))
  await page.goto(at.app + '/purchases')
  await page.click('.list a')
  await page.waitForSelector('.steps')
  assert.equal(await page.locator('.list > li').count(), 1)
  await page.goto(at.app + '/help')
  await page.click('form[action="/signout"] button')
  await page.waitForSelector('#number')
  await page.waitForLoadState('networkidle')
  await page.context().setOffline(true)
  for (const url of ['/', '/purchases', '/help']) { // whoever has the phone next
    await page.goto(at.app + url).catch(() => {})
    const shown = await page.locator('body').innerText()
    assert.ok(!/Crédité|70.11.22.41/.test(shown), shown)
  }
})

// The last, because what is paused stays so for a while.
await check('a paused product is told before paying', async (open) => {
  const page = await open()
  await signIn(page, '+22670112240')
  await buy(page, { amount: '900' })
  const recap = page.url()
  await fault(at.charging, { operation: 'account', kind: 'outage', next: 400 })
  for (let i = 0; i < 120 && !(await text(page)).includes('momentanément indisponible'); i++) {
    await page.goto(at.app + '/')
    await page.waitForTimeout(100)
  }
  assert.ok((await text(page)).includes("momentanément indisponible, rien n'est débité"), await text(page))
  await shot(page, 'paused')
  await page.goto(recap)
  assert.ok((await text(page)).includes('débité'), await text(page))
  assert.equal(await page.locator('button[value=confirm]').count(), 0)
  await page.goto(at.app + '/status')
  await page.waitForSelector('.state.bad')
  await fetch(at.charging + '/faults', { method: 'DELETE' })
})

say({ over: true })
await browser.close()
process.exit(0)
