// Says by a reference whether a purchase is affected, from the list beside this page: the reference
// never leaves the browser. internal/status/list.go writes the list.
'use strict'
{
  const form = document.getElementById('ask')
  const field = document.getElementById('ref')
  const out = document.getElementById('said')
  const say = form.dataset
  const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

  // canonical is a reference as people write it in its ten characters, '' where it is none.
  const canonical = (text) => {
    const all = text.toUpperCase().replace(/[\s-]/g, '').replace(/O/g, '0').replace(/[IL]/g, '1')
    let sum = 0
    for (const c of all.slice(0, 9)) {
      const v = alphabet.indexOf(c)
      if (v < 0) return ''
      sum = (sum ^ v) << 1
      if (sum & 32) sum ^= 37
    }
    return all.length === 10 && alphabet[sum] === all[9] ? all : ''
  }

  const read = async (name, cache) => {
    const answer = await fetch(name, { cache, credentials: 'omit' })
    if (!answer.ok) throw new Error(name)
    return answer
  }

  // find is what the list says of a reference: 0 to 3, -1 where it is not listed.
  const find = async (ref, list) => {
    const bytes = (text) => new TextEncoder().encode(text)
    const salt = Uint8Array.from(list.salt.match(/../g), (x) => parseInt(x, 16))
    const key = await crypto.subtle.importKey('raw', bytes(ref), 'PBKDF2', false, ['deriveBits'])
    const about = new DataView(await crypto.subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt, iterations: list.rounds }, key, 40))
    const name = (about.getUint8(0) >> 2).toString(16).padStart(2, '0')
    const bucket = new DataView(await (await read(`concerned-${name}.bin`, 'no-cache')).arrayBuffer())
    for (let at = 0; at + 5 <= bucket.byteLength; at += 5) {
      if (bucket.getUint32(at) === about.getUint32(0)) return (bucket.getUint8(at + 4) ^ about.getUint8(4)) & 3
    }
    return -1
  }

  // tell shows an answer, with the look of one of the page's templates.
  const tell = (look, ...lines) => {
    const box = document.getElementById(look).content.cloneNode(true)
    const p = box.querySelector('p')
    lines.filter(Boolean).forEach((line, i) => p.append(...(i ? [document.createElement('br'), line] : [line])))
    out.replaceChildren(box)
  }

  const answer = async () => {
    const ref = canonical(field.value)
    if (!ref) return tell('bad', say.wrong)
    const shown = ref.replace(/^(.{4})(.{4})/, '$1-$2-')
    if (!window.crypto || !crypto.subtle) return tell('bad', say.insecure)
    try {
      const list = await (await read('concerned.json', 'no-cache')).json()
      const found = await find(ref, list)
      const asOf = say.asof.replace('TIME', list.as_of[document.documentElement.lang])
      if (found < 0) return tell(list.complete ? 'good' : 'so', say.no.replace('REF', shown), list.complete ? '' : say.partial, asOf)
      const state = [say.pending, say.credited, say.refunded, say.pending][found]
      tell(state === say.pending ? 'so' : 'good', say.yes.replace('REF', shown), state, asOf)
    } catch {
      tell('bad', say.later)
    }
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault()
    answer()
  })
  form.hidden = false
}
