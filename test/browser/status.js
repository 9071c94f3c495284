// A copy of the status page on a host that knows nothing but files: node status.js {"base": URL,
// "cases": [{"ref", "want": [text, ...]}], ...}.
import assert from 'node:assert/strict'
import { at, browser, check, plain, say, shot, text, violations } from './lib.js'

// ask looks a reference up, and returns what is said and what was fetched for it.
async function ask(page, ref) {
  await page.waitForSelector('#ask:not([hidden])') // once its script has run
  const fetched = []
  const note = (request) => fetched.push(request.url())
  page.on('request', note)
  await page.fill('#ref', ref)
  await page.locator('#said').evaluate((e) => e.replaceChildren())
  await page.click('#ask button')
  await page.waitForSelector('#said p')
  page.off('request', note)
  return { said: plain(await text(page, '#said')), fetched }
}

await check('copy: a purchase is found by its reference', async (open) => {
  const page = await open()
  await page.goto(at.base + '/index.html')
  assert.equal(await page.locator('form').count(), 0)
  await page.click('a[href="concerned.html"]')
  for (const c of at.cases) {
    const { said, fetched } = await ask(page, c.ref)
    for (const want of c.want) assert.ok(said.includes(want), `${c.ref}: ${said}, want ${want}`)
    const names = fetched.map((u) => new URL(u).pathname)
    if (!c.none) assert.ok(names.length === 2 && names[0] === '/concerned.json' && /^\/concerned-[0-9a-f]{2}\.bin$/.test(names[1]), String(names))
    else assert.deepEqual(names, [])
    const bare = c.ref.replace(/[^0-9A-Z]/gi, '')
    assert.ok(!fetched.some((u) => u.includes(bare) || u.includes(c.ref)), 'the reference left the browser')
  }
  assert.equal(new URL(page.url()).search, '')
  const found = await violations(page)
  assert.deepEqual(found, [])
  assert.deepEqual(page.problems, [])
  await shot(page, 'status-copy')
})

await check('copy: in English, as people write references', async (open) => {
  const page = await open()
  await page.goto(at.base + '/concerned.en.html')
  const { said } = await ask(page, ' ' + at.cases[0].ref.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l'))
  assert.ok(said.includes('is affected by an incident'), said)
  assert.deepEqual(page.problems, [])
})

await check('copy: without JavaScript it says what to do instead', async (open) => {
  const page = await open({ javaScriptEnabled: false })
  await page.goto(at.base + '/concerned.html')
  const main = plain(await text(page))
  assert.ok(main.includes('JavaScript') && main.includes('attendez notre SMS') && main.includes('121'), main)
  assert.equal(await page.locator('#ask').isVisible(), false)
})

await check('copy: a list that cannot be read is said so', async (open) => {
  const page = await open()
  await page.goto(at.base + '/concerned.html')
  await page.route('**/concerned-*.bin', (route) => route.abort())
  const { said } = await ask(page, at.cases[0].ref)
  assert.ok(said.includes('ne peut pas être lue'), said)
})

say({ over: true })
await browser.close()
process.exit(0)
