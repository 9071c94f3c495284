// The regulator's portal in a real browser: node regulator.js {"regulator": URL, ...}.
import assert from 'node:assert/strict'
import { at, browser, check, say, shot, text, violations } from './lib.js'

const sizes = { phone: { width: 360, height: 740 }, tablet: { width: 820, height: 1100 }, desktop: { width: 1440, height: 900 } }
const pages = { today: '/', period: '/period', profiles: '/profiles', incidents: '/incidents', published: '/published', definitions: '/definitions', questions: '/questions', account: '/account' }

const clean = async (page, name) => assert.deepEqual(await violations(page), [], 'axe on ' + name)

// narrow asserts that a page does not scroll sideways.
const narrow = async (page, name) => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), name + ' is wider than the screen')

async function enter(page, login) {
  await page.goto(at.regulator + '/')
  await page.fill('#login', login)
  await page.fill('#password', at.password)
  await page.click('main form[action="/signin"] button')
  await page.waitForSelector('.top nav')
}

for (const [size, viewport] of Object.entries(sizes)) {
  await check('the regulator reads every page on a ' + size, async (open) => {
    const page = await open({ viewport })
    await page.goto(at.regulator + '/')
    await clean(page, 'sign-in')
    await enter(page, 'ines')
    for (const [name, path] of Object.entries(pages)) {
      await page.goto(at.regulator + path)
      await clean(page, name)
      await narrow(page, name)
      await shot(page, `regulator-${name}-${size}`)
    }
    await page.goto(at.regulator + '/open')
    await clean(page, 'reason')
    await page.fill('#reason', 'contrôle du jour')
    await page.click('main button')
    await page.waitForSelector('td.code')
    await clean(page, 'open')
    await narrow(page, 'open')
    await shot(page, `regulator-open-${size}`)
    await page.click('td button')
    await page.waitForSelector('.timeline')
    assert.ok(!(await text(page)).includes('70112233'))
    await clean(page, 'entry')
    await narrow(page, 'entry')
    await shot(page, `regulator-entry-${size}`)
  })
}

await check('a question is asked and answered', async (open) => {
  const ines = await open()
  await enter(ines, 'ines')
  await ines.click('a[href="/questions"]')
  await ines.fill('#subject', 'Délais du 9 juillet')
  await ines.fill('#text', 'Combien de clients ont attendu plus de 24 h ?')
  await ines.click('main form button')
  await ines.waitForSelector('.note.good')
  await clean(ines, 'question')
  const issa = await open()
  await enter(issa, 'issa')
  await issa.goto(at.regulator + '/questions')
  await issa.fill('textarea', 'Aucun.')
  await issa.click('main form button')
  await issa.waitForSelector('.note.good')
  await ines.reload()
  assert.ok((await text(ines)).includes('Aucun.'))
  await shot(ines, 'regulator-answered')
})

await check('the page of today is fetched again by itself', async (open) => {
  const page = await open()
  await enter(page, 'grace')
  const before = await page.locator('.head .soft').textContent()
  await page.waitForFunction((was) => document.querySelector('.head .soft').textContent !== was, before, { timeout: 30000 })
  assert.ok((await text(page)).includes('Today'))
})

say({ over: true })
await browser.close()
process.exit(0)
