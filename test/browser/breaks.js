// The console's pages of breaks in a real browser: node breaks.js {"console": URL, "sold": [references], ...}.
import assert from 'node:assert/strict'
import { at, browser, check, plain, say, shot, text, violations } from './lib.js'

const tablet = { viewport: { width: 1024, height: 768 } }

async function enter(page, login) {
  await page.goto(at.console + '/')
  await page.fill('#login', login)
  await page.fill('#password', at.password)
  await page.click('main form[action="/signin"] button')
  await page.waitForSelector('.top nav')
}

const clean = async (page, name) => {
  assert.deepEqual(await violations(page), [], 'axe on ' + name)
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), name + ' is wider than the screen')
}

// row opens the break of a kind.
async function row(page, kind) {
  await page.goto(at.console + '/breaks?state=all')
  await page.locator('#list tr', { hasText: kind }).first().locator('a').first().click()
  await page.waitForSelector('#advice')
}

await check('a lie is listed, shown from both sides, asked for and accepted', async (open) => {
  const awa = await open()
  await enter(awa, 'awa')
  await awa.click('.top nav a[href="/breaks"]')
  await awa.waitForSelector('#list [data-row]')
  const list = plain(await text(awa))
  for (const word of ['Annoncé, pas fait', 'Autre montant', 'Autre numéro', 'Autre produit', 'Jamais demandé', 'Règlement différent', 'Par nature', 'Qui en répond']) {
    assert.ok(list.includes(word), word + ' is not in ' + list)
  }
  await clean(awa, 'breaks')
  await shot(awa, 'breaks')
  await awa.selectOption('#cause', 'lied')
  await awa.click('.filters button')
  await awa.waitForURL('**cause=lied**')
  assert.equal(await awa.locator('#list [data-row]').count(), 1)
  await awa.click('#list [data-row] a')
  await awa.waitForSelector('#advice')
  const page = plain(await text(awa))
  for (const word of ["Son relevé n'a pas ce mouvement", 'Annoncé comme fait', 'La correction proposée peut être acceptée', at.sold[0]]) assert.ok(page.includes(word), word + ' is not in ' + page)
  assert.ok(!page.includes('70 11 22 60'), 'a whole number is shown')
  await clean(awa, 'a lie')
  await awa.fill('#reason', "Le fournisseur confirme : jamais crédité")
  await awa.click('button[value=accept]')
  await awa.waitForSelector('.note.good')
  assert.equal(await awa.locator('button[value=accept]').count(), 0) // its maker does not check it
  const where = awa.url().split('?')[0]

  const fatou = await open()
  await enter(fatou, 'fatou')
  await fatou.goto(where)
  assert.ok(plain(await text(fatou)).includes('Awa Ouédraogo demande cette correction'))
  await clean(fatou, 'what is to be checked')
  await shot(fatou, 'break-to-check')
  await fatou.fill('#reason', 'Vu le relevé')
  await fatou.click('button[value=accept]')
  await fatou.waitForSelector('.note.good')
  assert.match(plain(await text(fatou)), /Correction acceptée/)
  await shot(fatou, 'break-accepted')

  await row(fatou, 'Autre montant')
  assert.match(plain(await text(fatou, '#advice')), /reprise/)
  await clean(fatou, 'another amount')
  await shot(fatou, 'break-amount')
  await row(fatou, 'Jamais demandé')
  await fatou.fill('#reason', 'Avoir 118 du fournisseur')
  await fatou.click('button[value=resolve]')
  await fatou.waitForSelector('.note.good')
  assert.deepEqual([...awa.problems, ...fatou.problems].filter((p) => p !== 'Event'), [])
})

await check('an auditor sees all of it and decides nothing, on a desk and on a tablet', async (open) => {
  for (const [where, options] of [['desk', {}], ['tablet', tablet], ['dark', { colorScheme: 'dark' }]]) {
    const grace = await open(options)
    await enter(grace, 'grace')
    await grace.goto(at.console + '/breaks?state=all')
    await clean(grace, where + ' breaks')
    if (where !== 'desk') await shot(grace, 'breaks-' + where)
    await row(grace, 'Another number')
    assert.equal(await grace.locator('#advice form').count(), 0)
    await clean(grace, where + ' break')
    await shot(grace, 'break-number-' + where)
    await row(grace, 'Settlement differs')
    await clean(grace, where + ' settlement')
    await grace.goto(at.console + '/closes')
    const page = plain(await text(grace))
    for (const word of ['Signature holds', 'Not settled', 'Settled', '49 500', 'Positions', 'Still open']) assert.ok(page.includes(word), word + ' is not in ' + page)
    for (const i of [1, 2]) await grace.locator('#closes details summary').nth(i).click()
    await clean(grace, where + ' closes')
    await shot(grace, 'closes-' + where)
    assert.deepEqual(grace.problems.filter((p) => p !== 'Event'), [])
  }
})

say({ over: true })
await browser.close()
process.exit(0)
