// What the browser tests share: a browser, checks that write a line of JSON each
// ({"name", "error"}), the sandbox's phone and faults, axe-core, and screenshots.
import { chromium } from 'playwright-core'
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'

export const at = JSON.parse(process.argv[2])
const axe = fs.readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')
const only = at.only && new RegExp(at.only)
export const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')

export const browser = await chromium.launch({ executablePath: at.chromium, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
process.stdin.on('end', () => browser.close().finally(() => process.exit(0)))
process.stdin.resume()

export async function check(name, run) {
  if (only && !only.test(name)) return
  const contexts = []
  const open = async (options = {}) => {
    const context = await browser.newContext({ locale: 'fr-BF', timezoneId: 'Africa/Ouagadougou', viewport: at.viewport || { width: 360, height: 740 }, ...options })
    context.setDefaultTimeout(20000)
    contexts.push(context)
    const page = await context.newPage()
    page.problems = []
    page.on('pageerror', (e) => page.problems.push(String(e)))
    // A screenshot hides the caret by a style of its own, which our policy refuses.
    page.on('console', (m) => { if (m.type() === 'error' && !(at.shots && /inline style/.test(m.text()))) page.problems.push(m.text()) })
    return page
  }
  try {
    await run(open)
    say({ name })
  } catch (e) {
    let error = String((e && e.stack) || e)
    for (const context of contexts) for (const page of context.pages()) error += `\n${page.url()}: ${await page.locator('main').innerText({ timeout: 1000 }).catch(String)}`
    say({ name, error })
  }
  for (const context of contexts) await context.close()
}

// codeOf reads the newest one-time code off a phone.
export async function codeOf(number) {
  for (let i = 0; i < 200; i++) {
    const inbox = await (await fetch(at.sms + '/messages?to=' + encodeURIComponent(number))).json()
    inbox.sort((a, b) => (a.accepted_at < b.accepted_at ? -1 : 1))
    const codes = inbox.map((m) => /code (?:est|is) (\d{6})/.exec(m.text)).filter(Boolean)
    if (codes.length > (codeOf.seen[number] || 0)) {
      codeOf.seen[number] = codes.length
      return codes.at(-1)[1]
    }
    await new Promise((r) => setTimeout(r, 50))
  }
  throw new Error('no code came to ' + number)
}
codeOf.seen = {}

export async function fault(partner, body) {
  const answer = await fetch(partner + '/faults', { method: 'POST', body: JSON.stringify(body) })
  assert.ok(answer.ok, 'fault: ' + (await answer.text()))
}

export const text = (page, selector = 'main') => page.locator(selector).innerText()
export const plain = (s) => s.replace(/[\u00a0\u202f]/g, ' ')

export async function violations(page) {
  await page.evaluate(axe)
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
  return found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`)
}

export async function shot(page, name) {
  if (at.shots) await page.screenshot({ path: path.join(at.shots, name + '.png'), fullPage: true })
}
