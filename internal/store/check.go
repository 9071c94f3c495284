package store

// The codes of the states, legs, kinds, sources, effects and facts in these
// queries are those of packages purchase and care; TestChecksKnowTheCodes compares them.
//
// A purchase with an "unbooked" case moved money in a way that the journal has
// no room for: staff settle it, and some checks leave it to them.
const unbooked = `EXISTS (SELECT 1 FROM care_case k WHERE k.purchase = p.id AND k.matter = 'unbooked')`

const anyCase = `EXISTS (SELECT 1 FROM care_case k WHERE k.purchase = p.id)`

// payer is the number that a purchase's money was taken from, as far as is known.
const payer = `coalesce(nullif((SELECT c.account FROM evidence c
	WHERE c.purchase = p.id AND c.leg = 1 AND c.kind = 1 ORDER BY c.version LIMIT 1), 0), p.payer_number)`

// movements counts what a partner executed by its references; evidence without one
// may be of the same movement as evidence with one.
const movements = `count(DISTINCT CASE WHEN ref <> '' THEN ref END)`

// changedSince: the purchase of a case moved on after the case was settled, and what that
// opened is not in the case yet, or changed nothing that a case is about.
const changedSince = `(EXISTS (SELECT 1 FROM care_case k WHERE k.purchase = f.purchase AND k.taken = 0)
	OR EXISTS (SELECT 1 FROM evidence e WHERE e.purchase = f.purchase AND e.at >= f.closed_at))`

// checks are in the order of docs/invariants.md.
var checks = []check{
	{"L1", `SELECT x.purchase, '', 'a posting of leg ' || x.leg || ' moves ' || coalesce(c.currency, 'nothing known') || ' into ' || coalesce(d.currency, 'nothing known')
		FROM posting x LEFT JOIN account d ON d.id = x.debit LEFT JOIN account c ON c.id = x.credit
		WHERE d.currency IS NULL OR c.currency IS NULL OR d.currency <> c.currency`},
	{"L1", `SELECT 0, '', s.currency || ' is out of balance by ' || s.amount
		FROM (SELECT a.currency, sum(b.amount) AS amount FROM balance b JOIN account a ON a.id = b.account GROUP BY a.currency) s
		WHERE s.amount <> 0`},
	{"L3", `SELECT 0, coalesce(a.name || ' ' || a.currency, 'number ' || s.account), 'the balance is ' || s.stored || ', the postings come to ' || s.posted
		FROM (SELECT account, sum(stored) AS stored, sum(posted) AS posted FROM (
			SELECT account, amount AS stored, 0 AS posted FROM balance
			UNION ALL SELECT debit, 0, sum(amount) FROM posting GROUP BY debit
			UNION ALL SELECT credit, 0, -sum(amount) FROM posting GROUP BY credit) m GROUP BY account) s
		LEFT JOIN account a ON a.id = s.account WHERE s.stored <> s.posted OR a.id IS NULL`},
	{"L4", `SELECT purchase, '', 'leg ' || leg || ' is posted ' || count(*) || ' times with effect ' || effect
		FROM posting GROUP BY purchase, leg, effect HAVING count(*) > 1`},
	{"L5", `SELECT id, '', 'impossible amounts: total ' || total || ', fee ' || fee || ', units ' || units || ', charged ' || charged || ', held ' || held
		FROM purchase WHERE total <= 0 OR fee < 0 OR fee >= total OR units <= 0 OR charged < 0 OR held < 0 OR held > charged`},
	{"L5", `SELECT purchase, '', 'a posting moves ' || amount FROM posting WHERE amount <= 0 OR debit = credit`},
	{"L6", `SELECT x.purchase, '', 'a posting of leg ' || x.leg || ' with effect ' || x.effect || ' rests on no evidence'
		FROM posting x LEFT JOIN evidence e ON e.purchase = x.purchase AND e.version = x.version AND e.leg = x.leg AND e.kind IN (1, 8)
		WHERE e.purchase IS NULL`},
	{"L7", `SELECT p.id, '', 'the charge posted is ' || coalesce(x.amount, 0) || ', the charge recorded ' || p.charged
		FROM purchase p LEFT JOIN posting x ON x.purchase = p.id AND x.leg = 1 AND x.effect = 1
		WHERE p.charged <> coalesce(x.amount, 0)`},
	{"L7", `SELECT p.id, '', 'it holds ' || p.held || ', by its postings ' || coalesce(s.held, 0)
		FROM purchase p LEFT JOIN (SELECT purchase,
			sum(CASE WHEN credit IN {holding} THEN amount ELSE 0 END) - sum(CASE WHEN debit IN {holding} THEN amount ELSE 0 END) AS held
			FROM posting WHERE NOT (leg = 1 AND effect IN (4, 9)) GROUP BY purchase) s ON s.purchase = p.id
		WHERE p.held <> coalesce(s.held, 0)`},
	{"L7", `SELECT p.id, '', 'its charge is held in the wrong account' FROM purchase p JOIN posting x ON x.purchase = p.id AND x.leg = 1 AND x.effect = 1
		WHERE p.orphan = 0 AND x.credit NOT IN {held} OR p.orphan = 1 AND x.credit NOT IN {orphans}`},
	{"L7", `SELECT p.id, '', 'it holds ' || p.held || ' in state ' || p.state FROM purchase p
		WHERE p.held <> 0 AND p.state NOT IN (2, 4) AND NOT ` + unbooked},
	{"L7", `SELECT 0, 'held ' || s.currency, 'the balance is ' || s.booked || ', the purchases hold ' || s.held
		FROM (SELECT currency, sum(held) AS held, sum(booked) AS booked FROM (
			SELECT charged_currency AS currency, held, 0 AS booked FROM purchase WHERE held <> 0 AND orphan = 0
			UNION ALL SELECT a.currency, 0, -b.amount FROM balance b JOIN account a ON a.id = b.account WHERE a.id IN {held}) m
			GROUP BY currency) s WHERE s.held <> s.booked`},
	{"L7", `SELECT 0, 'orphans ' || s.currency, 'the balances are ' || s.booked || ', the purchases are owed ' || s.held
		FROM (SELECT currency, sum(held) AS held, sum(booked) AS booked FROM (
			SELECT charged_currency AS currency, held, 0 AS booked FROM purchase WHERE held <> 0 AND orphan = 1
			UNION ALL SELECT a.currency, x.amount, 0 FROM posting x JOIN account a ON a.id = x.credit WHERE x.leg = 1 AND x.effect = 4
			UNION ALL SELECT a.currency, -x.amount, 0 FROM posting x JOIN account a ON a.id = x.debit WHERE x.leg = 1 AND x.effect = 9
			UNION ALL SELECT a.currency, 0, -b.amount FROM balance b JOIN account a ON a.id = b.account WHERE a.id IN {orphans}) m
			GROUP BY currency) s WHERE s.held <> s.booked`},
	{"P1", `SELECT p.id, '', 'it is credited without evidence of that credit' FROM purchase p
		LEFT JOIN posting x ON x.purchase = p.id AND x.leg = 2 AND x.effect = 1
		LEFT JOIN evidence e ON e.purchase = p.id AND e.version = x.version AND e.leg = 2 AND e.kind = 1
			AND e.amount = p.units AND e.currency = p.currency AND e.account IN (0, p.recipient)
		LEFT JOIN posting u ON u.purchase = p.id AND u.leg = 2 AND u.effect = 7
		WHERE p.state = 3 AND (e.purchase IS NULL OR u.purchase IS NOT NULL)`},
	{"P2", `SELECT p.id, '', 'charged, and neither credited nor refunded by its deadline nor in exposure with a case' FROM purchase p
		WHERE p.state IN (2, 4) AND p.resolve_by < {now} AND NOT (p.exposed = 1 AND ` + anyCase + `)`},
	{"P3", `SELECT p.id, '', m.times || ' credits, and no case' FROM
		(SELECT purchase, ` + movements + ` AS times FROM evidence WHERE leg = 2 AND kind = 1 GROUP BY purchase HAVING ` + movements + ` > 1) m
		JOIN purchase p ON p.id = m.purchase WHERE p.exposed = 0 OR NOT EXISTS (SELECT 1 FROM care_case k WHERE k.purchase = p.id
			AND k.matter IN ('second_credit', 'late_credit', 'wrong_credit', 'unbooked'))`},
	{"P4", `SELECT p.id, '', m.times || ' refunds, and no case' FROM
		(SELECT purchase, ` + movements + ` AS times FROM evidence WHERE leg = 3 AND kind = 1 GROUP BY purchase HAVING ` + movements + ` > 1) m
		JOIN purchase p ON p.id = m.purchase WHERE p.exposed = 0 OR NOT EXISTS (SELECT 1 FROM care_case k WHERE k.purchase = p.id
			AND k.matter IN ('second_refund', 'wrong_refund', 'refund_reversed', 'charge_reversed', 'unbooked'))`},
	{"P5", `SELECT p.id, '', 'credited and refunded, and not in exposure with a case' FROM (SELECT purchase,
			sum(CASE WHEN credit IN {delivered} THEN amount WHEN debit IN {delivered} THEN -amount ELSE 0 END) AS delivered,
			sum(CASE WHEN leg = 1 AND effect = 9 THEN 0 WHEN credit IN {wallet} THEN amount WHEN debit IN {wallet} AND leg <> 1 THEN -amount ELSE 0 END) AS given,
			sum(CASE WHEN debit IN {exposure} THEN 1 ELSE 0 END) AS exposures
			FROM posting GROUP BY purchase) m
		JOIN purchase p ON p.id = m.purchase WHERE m.delivered > 0 AND m.given > 0
			AND (p.exposed = 0 OR NOT ` + anyCase + ` OR m.exposures = 0 AND NOT ` + unbooked + `)`},
	{"P5", `SELECT p.id, '', 'in exposure without a case' FROM purchase p WHERE p.exposed = 1 AND NOT ` + anyCase},
	{"P6", `SELECT p.id, '', 'charged ' || p.charged || ', refunded ' || coalesce(m.given, 0) FROM purchase p
		LEFT JOIN (SELECT purchase, sum(CASE WHEN debit IN {holding} AND credit IN {wallet} AND NOT (leg = 1 AND effect = 9) THEN amount
				WHEN leg = 3 AND debit IN {wallet} AND credit IN {holding} THEN -amount ELSE 0 END) AS given
			FROM posting GROUP BY purchase) m ON m.purchase = p.id
		WHERE p.state = 5 AND p.charged <> coalesce(m.given, 0) AND NOT ` + unbooked},
	{"P6", `SELECT x.purchase, '', 'refunded to another instrument than was charged' FROM posting x
		JOIN posting c ON c.purchase = x.purchase AND c.leg = 1 AND c.effect = 1
		WHERE x.leg = 3 AND x.debit IN {holding} AND x.credit <> c.debit`},
	{"P6", `SELECT p.id, '', 'refunded to another number than was charged' FROM evidence e JOIN purchase p ON p.id = e.purchase
		WHERE e.leg = 3 AND e.kind = 1 AND e.account NOT IN (0, ` + payer + `)
			AND NOT EXISTS (SELECT 1 FROM care_case k WHERE k.purchase = p.id AND k.matter IN ('wrong_refund', 'second_refund'))`},
	{"P7", `SELECT p.id, '', 'refunded without evidence' FROM purchase p WHERE p.state = 5 AND NOT EXISTS
		(SELECT 1 FROM evidence e WHERE e.purchase = p.id AND (e.leg = 3 AND e.kind = 1 OR e.leg = 1 AND e.kind = 8))`},
	{"P7", `SELECT id, '', 'final and never closed' FROM purchase WHERE state IN (3, 5, 6) AND closed_at = 0`},
	{"P7", `SELECT m.purchase, '', 'a row of ' || m.name || ' of version ' || m.version || ' was written by no change of the purchase' FROM (
			SELECT purchase, version, 'attempt' AS name FROM attempt UNION ALL SELECT purchase, version, 'evidence' FROM evidence
			UNION ALL SELECT purchase, version, 'posting' FROM posting UNION ALL SELECT purchase, version, 'notice' FROM notice
			UNION ALL SELECT purchase, version, 'care_case' FROM care_case) m
		LEFT JOIN purchase p ON p.id = m.purchase WHERE p.id IS NULL OR m.version < 1 OR m.version > p.version`},
	{"P8", `SELECT min(id), '', count(*) || ' purchases under one client key' FROM purchase GROUP BY client, client_key HAVING count(*) > 1`},
	{"P10", `SELECT e.purchase, '', 'an answer for leg ' || e.leg || ', which was never attempted' FROM evidence e
		LEFT JOIN attempt a ON a.purchase = e.purchase AND a.leg = e.leg AND a.try = 1 AND a.version < e.version
		WHERE e.source IN (1, 3, 4, 6) AND a.purchase IS NULL`},
	{"P10", `SELECT p.id, '', 'no attempt of the leg that its state waits for' FROM purchase p
		LEFT JOIN attempt a ON a.purchase = p.id AND a.try = 1 AND a.leg = CASE WHEN p.state = 2 THEN 2 ELSE 1 END
		WHERE a.purchase IS NULL`},
	{"P10", `SELECT purchase, '', 'attempts of leg ' || leg || ' are missing' FROM attempt
		GROUP BY purchase, leg HAVING count(*) <> max(try)`},
	{"P11", `SELECT p.id, '', 'written under epoch ' || p.epoch || ', which is no lease' FROM purchase p
		LEFT JOIN lease l ON l.epoch = p.epoch WHERE l.epoch IS NULL`},
	{"P13", `SELECT id, '', 'open without a due time' FROM purchase WHERE due_at = 0 AND state NOT IN (3, 5, 6)`},
	{"P13", `SELECT id, '', 'charged and without a deadline' FROM purchase WHERE state IN (2, 4) AND resolve_by = 0`},
	{"P13", `SELECT p.id, '', 'it is open, and not listed so for its lease' FROM purchase p
		LEFT JOIN open_purchase o ON o.purchase = p.id AND o.epoch = p.epoch WHERE p.due_at <> 0 AND o.purchase IS NULL`},
	{"P13", `SELECT o.purchase, '', 'it is listed as open for a lease that it is not open under' FROM open_purchase o
		LEFT JOIN purchase p ON p.id = o.purchase AND p.epoch = o.epoch AND p.due_at <> 0 WHERE p.id IS NULL`},
	{"P15", `SELECT p.id, '', m.times || ' reversals, and no case' FROM
		(SELECT purchase, ` + movements + ` AS times FROM evidence WHERE leg = 4 AND kind = 1 GROUP BY purchase HAVING ` + movements + ` > 1) m
		JOIN purchase p ON p.id = m.purchase WHERE p.exposed = 0 OR NOT EXISTS (SELECT 1 FROM care_case k WHERE k.purchase = p.id
			AND k.matter IN ('wrong_reversal', 'unbooked'))`},
	{"P15", `SELECT a.purchase, '', 'a reversal was tried of what was not credited before' FROM attempt a
		LEFT JOIN posting x ON x.purchase = a.purchase AND x.leg = 2 AND x.effect = 1 AND x.version < a.version
		WHERE a.leg = 4 AND x.purchase IS NULL`},
	{"N1", `SELECT n.purchase, '', 'fact ' || n.fact || ' was told outside of a change' FROM notice n
		JOIN purchase p ON p.id = n.purchase WHERE (p.told >> n.fact) & 1 = 0`},
	{"N2", `SELECT n.purchase, '', 'told to be credited without being so' FROM notice n
		LEFT JOIN posting x ON x.purchase = n.purchase AND x.version = n.version AND x.leg = 2 AND x.effect = 1
		WHERE n.fact IN (1, 2) AND x.purchase IS NULL`},
	{"N2", `SELECT x.purchase, '', 'credited without being told' FROM posting x
		LEFT JOIN notice n ON n.purchase = x.purchase AND n.fact = 1 AND n.version = x.version
		WHERE x.leg = 2 AND x.effect = 1 AND n.purchase IS NULL`},
	{"N3", `SELECT purchase, '', 'fact ' || fact || ' was told ' || count(*) || ' times' FROM notice
		GROUP BY purchase, fact, to_number HAVING count(*) > 1`},
	{"N4", `SELECT x.purchase, '', 'the credit was taken back, and nobody told' FROM posting x
		LEFT JOIN notice n ON n.purchase = x.purchase AND n.fact = 7
		WHERE x.leg = 2 AND x.effect = 7 AND x.credit IN {holding} AND n.purchase IS NULL`},
	{"N4", `SELECT x.purchase, '', 'the units were taken back, and nobody told' FROM posting x
		LEFT JOIN notice n ON n.purchase = x.purchase AND n.fact = 11 AND n.version = x.version
		WHERE x.leg = 4 AND x.effect = 1 AND n.purchase IS NULL`},
	{"N4", `SELECT p.id, '', 'charged after the decline, and nobody told' FROM purchase p
		LEFT JOIN notice n ON n.purchase = p.id AND n.fact = 8
		WHERE p.orphan = 1 AND n.purchase IS NULL AND ` + payer + ` = p.payer_number`},
	{"C1", `SELECT r.purchase, '', 'request ' || r.id || ' gave goodwill, and there is no such purchase' FROM request r
		LEFT JOIN purchase p ON p.id = r.result WHERE r.kind = 'goodwill' AND r.stage = 4 AND p.id IS NULL`},
	{"C2", `SELECT purchase, '', 'request ' || id || ' was decided by its maker' FROM request WHERE maker <> 0 AND checker = maker`},
	{"C6", `SELECT f.purchase, '', 'case ' || f.id || ' was settled with outcome ' || f.outcome || ', and the purchase is ' ||
			coalesce('in state ' || p.state || ' and holds ' || p.held, 'not there')
		FROM case_file f LEFT JOIN purchase p ON p.id = f.purchase WHERE f.status = 3 AND f.purchase <> 0
			AND (p.id IS NULL OR p.held <> 0 OR f.outcome <> CASE p.state WHEN 3 THEN 1 WHEN 5 THEN 2 WHEN 6 THEN 3 ELSE 0 END)
			AND NOT ` + changedSince},
	{"C7", `SELECT 0, '', 'callback ' || id || ' is open and never due' FROM callback WHERE state = 1 AND due_at = 0 AND version > 1`},
	{"C7", `SELECT 0, '', 'callback ' || id || ' ended, and nobody knows when' FROM callback WHERE state <> 1 AND closed_at = 0`},
	{"C7", `SELECT 0, '', 'callback ' || c.id || ' was kept without an attempt that was answered' FROM callback c
		WHERE c.state = 2 AND c.version > 1 AND NOT EXISTS (SELECT 1 FROM callback_attempt a WHERE a.callback = c.id AND a.ring = 2)`},
	{"C7", `SELECT 0, '', 'callback ' || c.id || ' makes good what was not broken' FROM callback c
		LEFT JOIN callback b ON b.id = c.follows AND b.state = 4 WHERE c.follows <> 0 AND b.id IS NULL`},
	{"I1", `SELECT 0, '', count(*) || ' incidents of ' || name || ' are open' FROM incident WHERE status <> 4 GROUP BY dimension, name HAVING count(*) > 1`},
	{"I1", `SELECT 0, '', count(*) || ' pauses of ' || name || ' last' FROM sales_pause WHERE ended_at = 0 GROUP BY dimension, name HAVING count(*) > 1`},
	{"I2", `SELECT p.id, '', 'incident ' || n.id || ' is closed, and the purchase is in state ' || p.state FROM incident n
		JOIN incident_purchase i ON i.incident = n.id JOIN purchase p ON p.id = i.purchase WHERE n.status = 4 AND ` + unsettled + `
			AND NOT EXISTS (SELECT 1 FROM evidence e WHERE e.purchase = p.id AND e.at >= n.closed_at)`},
	{"I3", `SELECT 0, '', 'message ' || min(id) || ' of an incident was sent ' || count(*) || ' times' FROM care_message
		WHERE once LIKE 'incident-%' GROUP BY once HAVING count(*) > 1`},
	{"I3", `SELECT c.purchase, '', 'its customer counts as told of incident ' || c.incident || ', and there is no such message' FROM incident_customer c
		LEFT JOIN care_message m ON m.once = 'incident-' || c.incident || '-told' || CASE c.told_round WHEN 0 THEN '' ELSE '.' || c.told_round END || '-' || c.number
		WHERE c.told_at <> 0 AND m.id IS NULL`},
	{"I3", `SELECT c.purchase, '', 'its customer was told of the end of incident ' || c.incident || ', and of nothing before' FROM incident_customer c
		WHERE c.ended_at <> 0 AND c.told_at = 0`},
	{"I3", `SELECT c.purchase, '', 'its customer was harmed again ' || c.round || ' times by incident ' || c.incident || ', which was opened again less often, or was not told of another first'
		FROM incident_customer c WHERE c.told_round > c.round OR c.told_round < c.round AND (c.told_at = 0 OR c.ended_at <> 0)
			OR c.round > (SELECT count(*) FROM incident_entry e WHERE e.incident = c.incident AND e.event = 'again')`},
	{"I4", `SELECT i.purchase, '', 'linked to incident ' || i.incident || ', which is of another series, or it was never charged' FROM incident_purchase i
		LEFT JOIN incident n ON n.id = i.incident LEFT JOIN purchase p ON p.id = i.purchase
		WHERE n.id IS NULL OR p.id IS NULL OR p.charged_at = 0 OR CASE n.dimension WHEN 1 THEN p.product <> n.name
			WHEN 2 THEN p.provider <> n.name AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.purchase = p.id AND a.leg = 2 AND a.partner = n.name)
			WHEN 3 THEN p.payer <> n.name WHEN 4 THEN p.channel <> n.name ELSE 1 = 0 END`},
	{"I4", `SELECT purchase, '', 'linked to ' || count(*) || ' incidents' FROM incident_purchase GROUP BY purchase HAVING count(*) > 1`},
	{"I5", `SELECT i.purchase, '', 'linked to incident ' || i.incident || ', and its customer is not one of those' FROM incident_purchase i
		JOIN purchase p ON p.id = i.purchase LEFT JOIN incident_customer c ON c.incident = i.incident AND c.number = i.number
		WHERE c.number IS NULL OR i.number <> p.payer_number OR i.round NOT BETWEEN 0 AND c.round`},
}
