/* The page that checks receipts: texts, and what is shown. */
(function () {
  'use strict'
  var data = JSON.parse(document.getElementById('data').textContent)
  var texts = {
    fr: {
      other: 'English', title: 'Vérifier un reçu', file: 'Fichiers de reçus', text: "ou le texte d'un reçu, ou son adresse", number: 'Votre numéro (facultatif)',
      intro: "Cette page dit si un reçu vient vraiment de l'émetteur, et si quelqu'un y a changé quelque chose. Elle travaille sans réseau et n'envoie rien.",
      number_hint: 'Pour savoir si le reçu parle de ce numéro.', check: 'Vérifier', save: 'Garder cette page', keys: "Clés de l'émetteur",
      keys_hint: "Un reçu est vérifié avec ces clés. Comparez-les avec celles que l'émetteur publie.",
      good: 'Reçu authentique', stale: 'Reçu authentique, mais ancien', bad: 'Reçu refusé', nothing: "Donnez un fichier ou un texte.",
      newer: 'Un reçu plus récent du même achat dit : {x}.', reference: 'Référence', product: 'Produit', units: 'Valeur', charged: 'Débité', fee: 'dont frais', paid: 'Débité le',
      by: 'Crédit ou remboursement avant', outcome: 'Résultat', issuer: 'Signé par', sequence: "Reçu n°",
      pending: 'payé, crédit en cours', refunding: 'remboursement avant le {t}', credited: 'crédité le {t}', refunded: 'remboursé le {t}', declined: "rien n'a été débité ({t})",
      log_keys: 'Clés du registre où chaque achat est inscrit, et de ses témoins', log: 'Au registre', proven: 'entrée {n}, prouvée', unproven: "pas encore prouvé : redemandez ce reçu dans quelques secondes", seen: 'vu par {x}',
      wrong_proof: 'La preuve du registre qui suit ce reçu a été changée, ou ne mène pas à ce que le registre a signé : « {x} ».', unknown_log: "La preuve vient d'un registre que cette page ne connaît pas : {x}.",
      unknown_witness: 'La preuve est contresignée par une clé que cette page ne connaît pas : {x}.', other_entry: "La preuve est celle d'une autre entrée du registre : « {x} ».",
      stale_checkpoint: "La preuve et la signature du registre ne sont pas du même moment (entrée et taille : {x}).", contradicted: 'Le registre dit autre chose que ce reçu : « {x} ».',
      both: 'Ce numéro a payé et reçu.', payer: 'Ce numéro a payé.', recipient: 'Ce numéro a reçu.', neither: "Ce reçu ne parle pas de ce numéro.", no_salt: 'Ce reçu est une copie à montrer : on ne peut pas en retrouver les numéros.',
      malformed: "Ce n'est pas un reçu, ou il a été changé : ligne {n}, « {x} ».", malformed_whole: "Ce n'est pas un reçu : « {x} ».", missing: 'Il manque quelque chose à la ligne {n}.', long: "C'est trop long pour un reçu.",
      unknown_key: "Cette page ne connaît pas la clé {x} : le reçu n'est pas de cet émetteur, ou cette page est trop vieille.", wrong_signature: "Le texte a été changé : la signature de {x} ne va pas avec lui."
    },
    en: {
      other: 'Français', title: 'Check a receipt', file: 'Files of receipts', text: "or a receipt's text, or its address", number: 'Your number (optional)',
      intro: 'This page tells whether a receipt really comes from its issuer, and whether anybody changed anything in it. It works without a network and sends nothing.',
      number_hint: 'To know whether the receipt is about this number.', check: 'Check', save: 'Keep this page', keys: "The issuer's keys",
      keys_hint: 'A receipt is checked by these keys. Compare them with those that the issuer publishes.',
      good: 'Genuine receipt', stale: 'Genuine receipt, but an old one', bad: 'Receipt refused', nothing: 'Give a file or a text.',
      newer: 'A newer receipt of the same purchase says: {x}.', reference: 'Reference', product: 'Product', units: 'Value', charged: 'Charged', fee: 'of it fees', paid: 'Charged on',
      by: 'Credit or refund before', outcome: 'Outcome', issuer: 'Signed by', sequence: 'Receipt no.',
      pending: 'paid, credit under way', refunding: 'refund before {t}', credited: 'credited on {t}', refunded: 'refunded on {t}', declined: 'nothing was charged ({t})',
      log_keys: 'Keys of the log in which each purchase is an entry, and of its witnesses', log: 'In the log', proven: 'entry {n}, proven', unproven: 'not proven yet: ask for this receipt again in some seconds', seen: 'seen by {x}',
      wrong_proof: "The log's proof that follows this receipt was changed, or does not lead to what the log signed: “{x}”.", unknown_log: 'The proof is of a log that this page does not know: {x}.',
      unknown_witness: 'The proof is cosigned by a key that this page does not know: {x}.', other_entry: 'The proof is of another entry of the log: “{x}”.',
      stale_checkpoint: "The proof and the log's signature are not of the same time (entry and size: {x}).", contradicted: 'The log says something else than this receipt: “{x}”.',
      both: 'This number paid and received.', payer: 'This number paid.', recipient: 'This number received.', neither: 'This receipt is not about this number.', no_salt: 'This receipt is a copy to be shown: nobody can tell its numbers.',
      malformed: 'This is no receipt, or it was changed: line {n}, “{x}”.', malformed_whole: 'This is no receipt: “{x}”.', missing: 'Something is missing in line {n}.', long: 'This is too long for a receipt.',
      unknown_key: 'This page does not know the key {x}: the receipt is not by this issuer, or this page is too old.', wrong_signature: 'The text was changed: the signature by {x} does not go with it.'
    }
  }
  var language = /^fr/i.test(navigator.language || 'fr') ? 'fr' : 'en'
  var shown = [] // what was checked last: {name, receipt} or {name, refusal}

  function say (key, n, x) {
    return texts[language][key].replace('{n}', n).replace('{x}', function () { return x }).replace('{t}', function () { return x })
  }
  function element (name, text, kind) {
    var e = document.createElement(name)
    if (text) e.textContent = text
    if (kind) e.className = kind
    return e
  }
  function short (text) { return text.length > 60 ? text.slice(0, 60) + '…' : text }
  function when (text) { return new Date(text).toLocaleString(language === 'fr' ? 'fr-FR' : 'en-GB', { timeZone: data.zone, dateStyle: 'medium', timeStyle: 'medium' }) }
  function amount (a) { return a.figure.replace(/\B(?=(\d{3})+(?!\d))/g, '\u00a0') + '\u00a0' + a.currency }
  function outcome (x) { return say(x.outcome, '', x.at && when(x.at)) }

  function heading (key, drawing) {
    var h = element('h2'), svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg'), path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
    svg.setAttribute('viewBox', '0 0 24 24'); svg.setAttribute('aria-hidden', 'true'); path.setAttribute('d', drawing)
    svg.appendChild(path); h.appendChild(svg); h.appendChild(document.createTextNode(say(key)))
    return h
  }
  function logged (p) {
    if (!data.logs.length) return ''
    if (!p) return say('unproven')
    return [say('proven', p.leaf)].concat(p.cosigned.map(function (c) { return say('seen', '', c.by + ', ' + when(c.at)) })).join(' · ')
  }
  function genuine (x, proven) {
    var newest = shown.filter(function (s) { return s.receipt && receipts.older(x, s.receipt) })
      .sort(function (a, b) { return receipts.older(a.receipt, b.receipt) ? 1 : -1 })[0]
    var box = element('section', '', 'result ' + (newest ? 'stale' : 'good'))
    box.appendChild(heading(newest ? 'stale' : 'good', newest ? 'M12 7v5l3.500 2M21 12a9 9 0 1 1-18 0a9 9 0 0 1 18 0' : 'M4 12.500 9.500 18 20 6.500'))
    if (newest) box.appendChild(element('p', say('newer', '', outcome(newest.receipt))))
    var number = document.getElementById('number').value.replace(/\D/g, '').replace(/^00/, '')
    if (number && !x.salt) box.appendChild(element('p', say('no_salt')))
    if (number && x.salt) {
      var role = receipts.opens(x, number) || receipts.opens(x, data.prefix + number)
      box.appendChild(element('p', say(role || 'neither'), role ? '' : 'mismatch'))
    }
    var list = element('dl')
    function row (key, value) { if (value) { list.appendChild(element('dt', say(key))); list.appendChild(element('dd', value)) } }
    row('outcome', outcome(x)); row('reference', x.reference); row('product', x.product); row('units', amount(x.units)); row('charged', amount(x.charged)); row('fee', amount(x.fee))
    row('paid', x.chargedAt && when(x.chargedAt)); row('by', x.resolveBy && when(x.resolveBy)); row('sequence', x.sequence); row('issuer', x.issuer); row('log', logged(proven))
    box.appendChild(list)
    return box
  }
  function refused (r) {
    var box = element('section', '', 'result bad'), text
    box.appendChild(heading('bad', 'M6 6l12 12M18 6 6 18'))
    if (r.reason !== 'malformed') text = say(r.reason, r.line, short(r.found || ''))
    else if (r.line) text = say(r.found ? 'malformed' : 'missing', r.line, short(r.found || ''))
    else text = r.found ? say('malformed_whole', 0, short(r.found)) : say('long')
    box.appendChild(element('p', text))
    box.setAttribute('data-reason', r.reason); box.setAttribute('data-line', r.line)
    return box
  }
  function show () {
    var results = document.getElementById('results')
    results.textContent = ''
    shown.forEach(function (s) {
      var box = s.receipt ? genuine(s.receipt, s.proven) : s.refusal ? refused(s.refusal) : element('p', say('nothing'))
      if (s.name && shown.length > 1) box.insertBefore(element('p', s.name, 'hint'), box.firstChild)
      results.appendChild(box)
    })
  }
  function checked (name, bytes) {
    return receipts.check(bytes, data)
      .then(function (x) { return { name: name, receipt: x.receipt, proven: x.proven } }, function (e) {
        if (!(e instanceof receipts.Refusal)) throw e
        return { name: name, refusal: e }
      })
  }
  function read (file) {
    return new Promise(function (done, broken) {
      var r = new FileReader()
      r.onload = function () { done(checked(file.name, new Uint8Array(r.result))) }
      r.onerror = function () { broken(r.error) }
      r.readAsArrayBuffer(file.slice(0, 1 << 20))
    })
  }
  function check () {
    var files = [].slice.call(document.getElementById('file').files), text = document.getElementById('text').value
    var all = files.slice(0, 100).map(read)
    // A form's text has no space at its end that its owner sees; a receipt ends its line.
    if (text.trim()) all.push(checked('', receipts.utf8(/^tenu receipt /.test(text.trim()) ? text.trim() + '\n' : text)))
    return Promise.all(all).then(function (list) { shown = list.length ? list : [{}]; show() })
  }
  function speak () {
    document.documentElement.lang = language
    document.title = say('title') + ' · ' + data.brand
    ;[].forEach.call(document.querySelectorAll('[data-t]'), function (e) { e.textContent = say(e.getAttribute('data-t')) })
    var other = document.getElementById('language')
    other.textContent = say('other'); other.lang = language === 'fr' ? 'en' : 'fr'
    show()
  }
  function arrive () {
    if (location.hash.length < 2) return
    document.getElementById('text').value = location.hash.slice(1)
    check()
  }
  document.getElementById('language').addEventListener('click', function () { language = language === 'fr' ? 'en' : 'fr'; speak() })
  document.getElementById('form').addEventListener('submit', function (e) { e.preventDefault(); check() })
  document.getElementById('file').addEventListener('change', check)
  window.addEventListener('hashchange', arrive)
  speak()
  arrive()
})()
