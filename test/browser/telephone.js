// What agents see of the telephone line, in a real browser: node telephone.js {"console": URL, "line": URL, ...}.
import assert from 'node:assert/strict'
import { at, browser, check, plain, say, shot, text, violations } from './lib.js'

const number = '+22670112255'
const tablet = { viewport: { width: 1024, height: 768 }, colorScheme: 'dark' }

async function enter(page, login) {
  await page.goto(at.console + '/')
  await page.fill('#login', login)
  await page.fill('#password', at.password)
  await page.click('main form[action="/signin"] button')
  await page.waitForSelector('.top nav')
}

// line lets a call wait for an agent, be taken, or end.
async function line(what, call, from = '') {
  const answer = await fetch(`${at.line}/${what}?` + new URLSearchParams({ call, number: from }))
  assert.ok(answer.ok, `${what}: ` + (await answer.text()))
}

async function whole(page, name) {
  assert.deepEqual(await violations(page), [], 'axe on ' + name)
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than the screen`)
  await shot(page, name)
}

const state = (page, word, options) => page.waitForSelector(`#telephone:has-text("${word}")`, options)

async function signOn(page, extension) {
  await page.fill('#extension', extension)
  await page.press('#extension', 'Enter')
  await state(page, 'Prêt')
}

await check('an agent takes calls, and the customer on the line opens by itself', async (open) => {
  const awa = await open()
  await enter(awa, 'awa')
  await whole(awa, 'telephone-away')
  await awa.fill('#extension', '<b>')
  assert.ok(await awa.evaluate(() => document.querySelector('#extension').matches(':invalid')))
  await signOn(awa, '17')
  assert.equal(new URL(awa.url()).pathname, '/queue') // the page stayed
  await whole(awa, 'telephone-ready')
  const moussa = await open()
  await enter(moussa, 'moussa')
  await moussa.fill('#extension', '17')
  await moussa.click('button[value=sign]')
  await moussa.waitForSelector('#telephone [role=alert]:has-text("déjà pris")')

  await line('wait', 'c-1', number)
  await state(awa, 'Ça sonne', { timeout: 2000 })
  await whole(awa, 'telephone-ringing')
  assert.equal(new URL(awa.url()).pathname, '/queue') // until the call is taken
  await line('take', 'c-1')
  await awa.waitForURL('**/customers/*', { timeout: 2000 })
  await state(awa, 'En communication')
  assert.ok(plain(await text(awa, 'h1')).includes('70 11 22 55'))
  await awa.waitForSelector('#purchases [data-row]')
  await whole(awa, 'telephone-talking')
  await awa.goto(at.console + '/calls') // where the agent goes, the page stays
  await state(awa, 'En communication')
  await awa.waitForTimeout(700)
  assert.equal(new URL(awa.url()).pathname, '/calls')
  await whole(awa, 'telephone-calls')
  await awa.keyboard.press('o')
  await awa.waitForURL('**/customers/*')

  const fatou = await open()
  await enter(fatou, 'fatou')
  await fatou.goto(at.console + '/board')
  await fatou.waitForSelector('#telephones:has-text("En communication")')
  await line('over', 'c-1')
  await state(awa, "Après l'appel", { timeout: 2000 })
  const left = Number(/\d+/.exec(await text(awa, '[data-left]'))[0])
  await awa.waitForFunction((left) => Number(/\d+/.exec(document.querySelector('[data-left]').textContent)[0]) < left, left)
  await awa.reload()
  await awa.waitForSelector('#heard:has-text("avec Awa")')
  await whole(awa, 'telephone-wrapping')
  await awa.click('button[value=done]')
  await state(awa, 'Prêt')
  assert.equal(await awa.evaluate(() => document.activeElement.value), 'pause') // the keyboard stays in the bar

  await fatou.waitForSelector('#telephones:has-text("Prêt")')
  await fatou.waitForSelector('.uplot')
  await whole(fatou, 'telephone-board')
  await fatou.click('#telephones button')
  await fatou.waitForSelector('.note.good')
  await state(awa, 'En pause', { timeout: 2000 })
  assert.equal(await moussa.locator('.caller').count(), 0)
  assert.deepEqual([...awa.problems, ...moussa.problems, ...fatou.problems].filter((p) => p !== 'Event'), [])
})

await check('who writes a note loses nothing to a call', async (open) => {
  const awa = await open()
  await enter(awa, 'awa')
  await signOn(awa, '17')
  await line('wait', 'c-2', number)
  await line('take', 'c-2')
  await awa.waitForURL('**/customers/*')
  await line('over', 'c-2')
  await state(awa, "Après l'appel")
  await awa.fill('#casedetail', 'Ce que Awa écrit')
  await awa.click('button[value=done]')
  await state(awa, 'Prêt')
  assert.equal(await awa.inputValue('#casedetail'), 'Ce que Awa écrit')
  const other = '+22670112256'
  await awa.focus('#casedetail')
  await line('wait', 'c-3', other)
  await line('take', 'c-3')
  await state(awa, 'En communication')
  await awa.waitForTimeout(700)
  assert.ok(decodeURIComponent(awa.url()).endsWith(number))
  assert.equal(await awa.inputValue('#casedetail'), 'Ce que Awa écrit')
  const [beside] = await Promise.all([awa.context().waitForEvent('page'), awa.keyboard.press('Alt+o')])
  await beside.waitForLoadState()
  assert.ok(plain(await text(beside, 'h1')).includes('70 11 22 56'))
  assert.equal(await awa.inputValue('#casedetail'), 'Ce que Awa écrit')
  await line('over', 'c-3')
  await state(awa, "Après l'appel")
  await awa.click('button[value=pause]')
  await state(awa, 'En pause')
  assert.equal(await awa.inputValue('#casedetail'), 'Ce que Awa écrit')
  assert.deepEqual(awa.problems.filter((p) => p !== 'Event'), [])
})

await check('without scripts, in the dark, on a tablet, in English', async (open) => {
  const plainly = await open({ javaScriptEnabled: false })
  await enter(plainly, 'moussa')
  await plainly.goto(at.console + '/macros')
  await plainly.fill('#extension', '18')
  await plainly.click('button[value=sign]')
  await plainly.waitForSelector('#telephone:has-text("Prêt")')
  assert.equal(new URL(plainly.url()).pathname, '/macros')
  await line('wait', 'c-4', number)
  await plainly.reload()
  await plainly.click('[data-caller]')
  await plainly.waitForURL('**/customers/*')
  assert.ok(plain(await text(plainly, 'h1')).includes('70 11 22 55'))

  const page = await open(tablet)
  await enter(page, 'moussa')
  await whole(page, 'telephone-tablet-ringing')
  await page.click('.me a')
  await page.click('button[lang=en]')
  await page.waitForSelector('#telephone:has-text("Ringing")')
  await line('take', 'c-4')
  await page.waitForURL('**/customers/*')
  await whole(page, 'telephone-tablet-talking')
  await line('over', 'c-4')
  await page.waitForSelector('#telephone:has-text("After the call")')
  await page.goto(at.console + '/keys')
  await whole(page, 'telephone-tablet-wrapping')
  await page.click('button[value=pause]')
  await page.waitForSelector('#telephone:has-text("Paused")')
  await whole(page, 'telephone-tablet-paused')
  await page.goto(at.console + '/account')
  await page.click('button[lang=fr]')
  await page.waitForSelector('text=Mon compte')
  const fatou = await open(tablet)
  await enter(fatou, 'fatou')
  await fatou.goto(at.console + '/board')
  await fatou.waitForSelector('.uplot')
  await whole(fatou, 'telephone-tablet-board')
  assert.deepEqual([...page.problems, ...fatou.problems].filter((p) => p !== 'Event'), [])
})

say({ over: true })
await browser.close()
process.exit(0)
