/* Reads and checks receipts: the same form, the same reasons and the same lines as
   package receipt in Go, which a test compares it with. It asks nothing of any network. */
var receipts = (function () {
  'use strict'
  var HEADER = 'tenu receipt v1', MAX = 4096
  var DIGITS = { XOF: 0, XAF: 0, GNF: 0, NGN: 2, GHS: 2, SLE: 2, LRD: 2, GMD: 2 }
  var LARGEST = '9223372036854775807'

  function Refusal (reason, line, found) { this.reason = reason; this.line = line; this.found = found }

  function bytesOf (binary) {
    var out = new Uint8Array(binary.length)
    for (var i = 0; i < out.length; i++) out[i] = binary.charCodeAt(i)
    return out
  }
  function binaryOf (bytes) {
    var out = ''
    for (var i = 0; i < bytes.length; i++) out += String.fromCharCode(bytes[i])
    return out
  }
  /* base64 in its one strict form, or null */
  function unbase64 (text, padded) {
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null
    try {
      var binary = atob(text)
      var again = btoa(binary)
      return (padded ? again : again.replace(/=+$/, '')) === text ? bytesOf(binary) : null
    } catch (e) { return null }
  }
  function utf8 (text) { return new TextEncoder().encode(text) }

  /* SHA-256 (FIPS 180-4), for browsers that have it only on pages reached by HTTPS */
  var K = (function () {
    var k = [], n = 2
    for (; k.length < 64; n++) {
      for (var d = 2, prime = true; d * d <= n; d++) if (n % d === 0) { prime = false; break }
      if (prime) k.push(Math.floor((Math.cbrt(n) - Math.floor(Math.cbrt(n))) * 4294967296))
    }
    return k
  })()
  function sha256 (data) {
    var h = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19]
    var length = (data.length + 9 + 63) & ~63, m = new Uint8Array(length), view = new DataView(m.buffer), w = new Int32Array(64)
    m.set(data); m[data.length] = 0x80
    view.setUint32(length - 4, data.length * 8)
    function turn (x, n) { return x >>> n | x << 32 - n }
    for (var at = 0; at < length; at += 64) {
      for (var i = 0; i < 64; i++) {
        if (i < 16) { w[i] = view.getInt32(at + 4 * i); continue }
        var x = w[i - 15], y = w[i - 2]
        w[i] = w[i - 16] + (turn(x, 7) ^ turn(x, 18) ^ x >>> 3) + w[i - 7] + (turn(y, 17) ^ turn(y, 19) ^ y >>> 10)
      }
      var a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], z = h[7]
      for (i = 0; i < 64; i++) {
        var t = z + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (e & f ^ ~e & g) + K[i] + w[i] | 0
        var u = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + (a & b ^ a & c ^ b & c) | 0
        z = g; g = f; f = e; e = d + t | 0; d = c; c = b; b = a; a = t + u | 0
      }
      h = [h[0] + a | 0, h[1] + b | 0, h[2] + c | 0, h[3] + d | 0, h[4] + e | 0, h[5] + f | 0, h[6] + g | 0, h[7] + z | 0]
    }
    var out = new Uint8Array(32), to = new DataView(out.buffer)
    for (i = 0; i < 8; i++) to.setInt32(4 * i, h[i])
    return out
  }

  /* -1, 0 or 1: whole numbers as texts */
  function compare (a, b) {
    return a.length !== b.length ? (a.length < b.length ? -1 : 1) : a < b ? -1 : a > b ? 1 : 0
  }

  function parse (text) {
    var ended = text.charAt(text.length - 1) === '\n'
    var rest = (ended ? text.slice(0, -1) : text).split('\n'), at = 1, x = {}
    function fail (found) { throw new Refusal('malformed', at, found) }
    function next (word) {
      at++
      if (rest.length === 0) fail(word)
      var line = rest.shift()
      if (line.slice(0, word.length + 1) !== word + ' ') fail(line)
      return line.slice(word.length + 1)
    }
    function maybe (word) {
      return rest.length > 0 && rest[0].slice(0, word.length + 1) === word + ' ' ? next(word) : null
    }
    function form (value, pattern) { if (!pattern.test(value)) fail(value); return value }
    function count (value) {
      form(value, /^(0|[1-9][0-9]{0,18})$/)
      if (compare(value, LARGEST) > 0) fail(value)
      return value
    }
    function amount (word) {
      var value = next(word), parts = value.split(' ')
      if (parts.length !== 2 || !Object.prototype.hasOwnProperty.call(DIGITS, parts[1])) fail(value)
      form(parts[0], DIGITS[parts[1]] ? /^(0|[1-9][0-9]*)\.[0-9][0-9]$/ : /^(0|[1-9][0-9]*)$/)
      var minor = parts[0].replace('.', '').replace(/^0+(?=.)/, '')
      if (parts[0].length > 32 || compare(minor, LARGEST) > 0) fail(value)
      return { figure: parts[0], currency: parts[1], minor: minor, none: minor === '0' }
    }
    function octets (value, n) {
      var out = unbase64(value, false)
      if (out === null || out.length !== n) fail(value)
      return out
    }
    function time (value) {
      form(value, /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/)
      var ms = Date.parse(value)
      if (isNaN(ms) || new Date(ms).toISOString() !== value.slice(0, -1) + '.000Z' || value.slice(0, 4) === '0000') fail(value)
      return value
    }
    if (rest[0] !== HEADER) fail(rest[0])
    rest.shift()
    x.issuer = form(next('issuer'), /^[!-*,-~]{1,64}\+[0-9a-f]{8}$/)
    x.reference = form(next('reference'), /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{2}$/)
    x.entry = count(next('entry'))
    x.sequence = count(next('sequence'))
    if (x.sequence === '0') fail('0')
    x.product = form(next('product'), /^[a-z0-9_-]{1,64}$/)
    x.units = amount('units'); x.charged = amount('charged'); x.fee = amount('fee')
    x.recipient = octets(next('recipient'), 32)
    x.payer = x.recipient
    var value = maybe('payer')
    if (value !== null) {
      x.payer = octets(value, 32)
      if (binaryOf(x.payer) === binaryOf(x.recipient)) fail(value)
    }
    value = maybe('salt')
    x.salt = value === null ? null : octets(value, 16)
    value = maybe('charged-at')
    x.chargedAt = value === null ? '' : time(value)
    value = maybe('resolve-by')
    x.resolveBy = value === null ? '' : time(value)
    value = next('outcome')
    var words = value.split(' ')
    x.outcome = words[0]
    if (['pending', 'refunding', 'credited', 'refunded', 'declined'].indexOf(words[0]) < 0 || words.length !== (words[0] === 'pending' ? 1 : 2)) fail(value)
    x.at = words.length === 2 ? time(words[1]) : ''
    if ((x.outcome === 'declined') !== x.charged.none) fail(value)
    if (rest.length > 0) { at++; fail(rest[0]) }
    if (!ended) fail('')
    return x
  }

  function signature (line, at, issuer) {
    function fail (found) { throw new Refusal('malformed', at, found) }
    var parts = /^\u2014 ([^ \n]*) ([^\n]*)\n$/.exec(line)
    if (!parts) fail(line)
    var raw = unbase64(parts[2], true)
    if (raw === null || raw.length !== 68) fail(parts[2])
    var id = ''
    for (var i = 0; i < 4; i++) id += ('0' + raw[i].toString(16)).slice(-2)
    if (parts[1] + '+' + id !== issuer) fail(parts[1] + '+' + id)
    return raw.slice(4)
  }

  /* a promise of whether a key signed a text, by the browser or, where it cannot, here */
  function signed (key, text, sig) {
    function own () { return nacl.sign.detached.verify(text, sig, key) }
    var subtle = typeof crypto !== 'undefined' && crypto.subtle
    if (!subtle) return Promise.resolve(own())
    return subtle.importKey('raw', key, { name: 'Ed25519' }, false, ['verify'])
      .then(function (k) { return subtle.verify({ name: 'Ed25519' }, k, sig, text) })
      .catch(own)
  }

  /* a promise of what a receipt's bytes say; it is broken by a Refusal */
  function open (bytes, keys) {
    return Promise.resolve().then(function () {
      if (bytes.length > MAX) throw new Refusal('malformed', 0, '')
      var whole
      try { whole = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) } catch (e) {
        whole = binaryOf(bytes) // some line will be at fault
      }
      var cut = whole.indexOf('\n\n'), text = cut < 0 ? whole : whole.slice(0, cut + 1)
      var x = parse(text), at = text.split('\n').length + 1
      if (cut < 0) throw new Refusal('malformed', at, '')
      var sig = signature(whole.slice(cut + 2), at, x.issuer)
      var key = keys.filter(function (k) { return k.split('+').slice(0, 2).join('+') === x.issuer })[0]
      if (!key) throw new Refusal('unknown_key', 2, x.issuer)
      var raw = unbase64(key.split('+').slice(2).join('+'), true)
      return signed(raw.slice(1), utf8(text), sig).then(function (ok) {
        if (!ok) throw new Refusal('wrong_signature', at, x.issuer)
        return x
      })
    })
  }

  /* the receipt's bytes in what somebody has: a text, an address, or what follows its # */
  function unwrap (bytes) {
    var text = binaryOf(bytes).trim()
    var address = /^https?:\/\//.test(text)
    if (/[ \r\n]/.test(text) || !address && text === '') return bytes
    if (address) {
      var cut = text.indexOf('#')
      if (cut < 0) throw new Refusal('malformed', 0, text)
      text = text.slice(cut + 1)
    }
    var out = null
    if (/^[A-Za-z0-9_-]*$/.test(text)) out = unbase64(text.replace(/-/g, '+').replace(/_/g, '/'), false)
    if (out === null) throw new Refusal('malformed', 0, text)
    return out
  }

  /* a receipt's file taken apart: the receipt, and the proof that may follow it, or null */
  var MARK = 'c2sp.org/tlog-proof@v1'
  function split (bytes) {
    var cut = binaryOf(bytes).indexOf('\n\n' + MARK + '\n')
    return cut < 0 ? { signed: bytes, proof: null } : { signed: bytes.slice(0, cut + 1), proof: bytes.slice(cut + 2) }
  }

  var MOST = 9007199254740991, MAXPROOF = 196606
  function place (text) { return /^(0|[1-9][0-9]{0,15})$/.test(text) && +text <= MOST ? +text : -1 }
  function joined (first, left, right) {
    var out = new Uint8Array(1 + left.length + (right ? right.length : 0))
    out[0] = first; out.set(left, 1)
    if (right) out.set(right, 1 + left.length)
    return out
  }
  function half (n) { return Math.floor(n / 2) }

  /* the root that hashes lead to from a leaf (RFC 6962, section 2.1.1), or null where they are too many or too few */
  function rootOf (leaf, index, size, path) {
    var hash = sha256(joined(0, leaf)), used = 0
    for (var last = size - 1; last > 0; index = half(index), last = half(last)) {
      if (index % 2 === 0 && index === last) continue
      if (used === path.length) return null
      hash = index % 2 ? sha256(joined(1, path[used], hash)) : sha256(joined(1, hash, path[used]))
      used++
    }
    return used === path.length ? hash : null
  }

  /* a key among some by its name and ID */
  function keyOf (keys, id) {
    var text = keys.filter(function (k) { return k.split('+').slice(0, 2).join('+') === id })[0]
    return text ? unbase64(text.split('+').slice(2).join('+'), true).slice(1) : null
  }

  /* a promise of what a checkpoint signs: three lines, an empty one, and signatures, each by a key that is known */
  function head (text, trust) {
    function fail (reason, found) { throw new Refusal(reason, 0, found) }
    var cut = text.indexOf('\n\n'), body = text.slice(0, cut + 1), lines = body.split('\n'), rest = text.slice(cut + 2)
    var root = cut < 0 || lines.length !== 4 ? null : unbase64(lines[2], true), size = root && place(lines[1])
    if (!root || root.length !== 32 || size < 0 || lines[0] === '' || rest.slice(-1) !== '\n' || text.length > 65536) fail('wrong_proof', lines[0])
    var x = { log: lines[0], size: size, root: binaryOf(root), cosigned: [] }, known = false
    return rest.slice(0, -1).split('\n').reduce(function (before, line) {
      return before.then(function () {
        var m = /^\u2014 ([^ \n]+) ([A-Za-z0-9+/]+={0,2})$/.exec(line), raw = m && unbase64(m[2], true), id = ''
        if (!raw || raw.length < 4) fail('wrong_proof', line)
        for (var i = 0; i < 4; i++) id += ('0' + raw[i].toString(16)).slice(-2)
        id = m[1] + '+' + id
        var key = keyOf(trust.logs, id), sig = raw.slice(4)
        if (key) {
          if (m[1] !== x.log) fail('unknown_log', x.log)
          return (sig.length === 64 ? signed(key, utf8(body), sig) : Promise.resolve(false)).then(function (ok) {
            if (!ok) fail('wrong_proof', id)
            known = true
          })
        }
        key = keyOf(trust.witnesses, id)
        if (!key) fail(m[1] === x.log ? 'unknown_log' : 'unknown_witness', id)
        var seconds = 0
        for (i = 0; i < 8; i++) seconds = seconds * 256 + (sig[i] || 0)
        if (sig.length !== 72 || seconds > MOST) fail('wrong_proof', id)
        return signed(key, utf8('cosignature/v1\ntime ' + seconds + '\n' + body), sig.slice(8)).then(function (ok) {
          if (!ok) fail('wrong_proof', id)
          x.cosigned.push({ by: m[1], at: new Date(seconds * 1000) })
        })
      })
    }, Promise.resolve()).then(function () {
      if (!known) fail('unknown_log', x.log)
      return x
    })
  }

  var STATES = { crediting: 'pending', refunding: 'refunding', credited: 'credited', refunded: 'refunded', declined: 'declined' }
  /* where a leaf says something else than the receipt, '' for nowhere */
  function contradicts (x, begun, items) {
    var line = items.filter(function (i) { return i.charAt(0) === 's' })[0] || '', w = line.split(' ').slice(1)
    function same (time, after) { return time !== '' && /^-?[0-9]+$/.test(after) && Math.floor((begun + +after) / 1e6) * 1000 === Date.parse(time) }
    if (w.length < 10 || STATES[w[0]] !== x.outcome || w[2] !== x.charged.minor) return line || '-'
    if (!x.charged.none && (w[4] !== x.charged.currency || !same(x.chargedAt, w[5]) || !same(x.resolveBy, w[8]))) return line
    return ''
  }

  /* a promise of what the proof proves that follows a receipt; it is broken by a Refusal */
  function prove (x, bytes, trust) {
    function fail (reason, found) { throw new Refusal(reason, 0, found) }
    return Promise.resolve().then(function () {
      var text = ''
      try { text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) } catch (e) { fail('wrong_proof', '') }
      var cut = text.indexOf('\n\n'), lines = text.slice(0, cut).split('\n')
      if (cut < 0 || bytes.length > MAXPROOF || lines.length < 3 || lines.length > 66 || lines[0] !== MARK) fail('wrong_proof', lines[0])
      if (lines[1].slice(0, 6) !== 'extra ' || lines[2].slice(0, 6) !== 'index ') fail('wrong_proof', lines[1])
      var leaf = unbase64(lines[1].slice(6), true), index = place(lines[2].slice(6))
      if (!leaf || index < 0) fail('wrong_proof', lines[leaf ? 2 : 1])
      var path = lines.slice(3).map(function (line) {
        var hash = unbase64(line, true)
        if (!hash || hash.length !== 32) fail('wrong_proof', line)
        return hash
      })
      return head(text.slice(cut + 2), trust).then(function (signed) {
        var items = binaryOf(leaf).split('\n'), h = /^([prkcizl]) (0|-?[1-9][0-9]{0,18}) ([1-9][0-9]{0,18}) (0|-?[1-9][0-9]{0,18}) (0|-?[1-9][0-9]{0,18})$/.exec(items[0])
        if (!h || items.length < 2) fail('wrong_proof', items[0])
        if (h[1] !== 'p' || h[2] !== x.entry || h[3] !== x.sequence) fail('other_entry', items[0])
        var root = index < signed.size ? rootOf(leaf, index, signed.size, path) : null
        if (!root) fail('stale_checkpoint', index + ', ' + signed.size)
        if (binaryOf(root) !== signed.root) fail('wrong_proof', index + ', ' + signed.size)
        var said = contradicts(x, h[4] - h[5], items.slice(1))
        if (said) fail('contradicted', said)
        return { log: signed.log, leaf: index, size: signed.size, cosigned: signed.cosigned }
      })
    })
  }

  /* a promise of what a receipt's file says, and what the proof in it proves, null for none; trust has keys, logs and witnesses */
  function check (bytes, trust) {
    return Promise.resolve().then(function () {
      var parts = split(bytes)
      return open(unwrap(parts.signed), trust.keys).then(function (x) {
        return (parts.proof ? prove(x, parts.proof, trust) : Promise.resolve(null)).then(function (proven) { return { receipt: x, proven: proven } })
      })
    })
  }

  /* 'payer', 'recipient', 'both', or '' for neither */
  function opens (x, number) {
    var digits = utf8(number), data = new Uint8Array(16 + digits.length)
    data.set(x.salt); data.set(digits, 16)
    var c = binaryOf(sha256(data)), p = c === binaryOf(x.payer), r = c === binaryOf(x.recipient)
    return p && r ? 'both' : p ? 'payer' : r ? 'recipient' : ''
  }

  /* whether a receipt is of the same purchase as another, and older */
  function older (x, than) {
    return x.entry === than.entry && x.reference === than.reference && x.issuer.split('+')[0] === than.issuer.split('+')[0] &&
      compare(x.sequence, than.sequence) < 0
  }

  return { check: check, opens: opens, older: older, Refusal: Refusal, utf8: utf8, sha256: sha256 }
})()
if (typeof module !== 'undefined') module.exports = receipts
