package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
)

// narrow is a row of a query that selects so many numbers and then texts. It lasts until the next.
type narrow interface {
	number(i int) int64
	text(i int) []byte // counted from the first text
}

// code is a number that the schema holds within a byte.
func code(row narrow, i int) uint8 { return uint8(row.number(i)) } //nolint:gosec // a CHECK bounds it

// narrowly runs a query of numbers and texts, none of them null.
type narrowly func(query string, numbers, texts int, arguments []any, read func(narrow) error) error

// words are texts of which there are few, each kept once.
type words map[string]string

func (w words) of(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, known := w[string(b)]; known {
		return s
	}
	s := string(b)
	if len(w) < mostWords {
		w[s] = s
	}
	return s
}

// mostWords bounds the words: what comes of partners may be anything.
const mostWords = 4096

// What Movements reads: of purchases those that name the partner, and of the rest those that it has rows of.
const (
	movedPurchases = `SELECT id, state, version, payer_number, recipient, total, units, charged, payer, provider, product, currency, charged_currency FROM purchase WHERE `
	movedAttempts  = `SELECT purchase, leg, at FROM attempt WHERE purchase >= $1 AND purchase < $2 AND partner = $3 ORDER BY purchase, leg, try`
	movedEvidence  = `SELECT purchase, leg, source, kind, amount, account, at, ref, currency, product FROM evidence
		WHERE purchase >= $1 AND purchase < $2 AND partner = $3 ORDER BY purchase, version`
)

// moving gathers the movements of a range of purchases from rows that come by purchase.
type moving struct {
	partner  string
	words    words
	attempts []attemptOf
	evidence []evidenceOf
	missing  []int64 // purchases that do not name the partner any more
	rest     *moving // their rows, nil for none
	found    []reconcile.Movement
	record   purchase.Record // used again for each
}

type attemptOf struct {
	purchase purchase.ID
	leg      purchase.Leg
	at       purchase.Instant
}

type evidenceOf struct {
	purchase purchase.ID
	e        purchase.Evidence
}

// Piece is reconcile.Store.
func (s *Store) Piece(ctx context.Context, in reconcile.IDs, limit int) (till purchase.ID, err error) {
	till = in.Till
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		next, err := numbers(ctx, tx, `SELECT id FROM purchase WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 1 OFFSET $3`, int64(in.From), int64(in.Till), limit)
		if err == nil && len(next) > 0 {
			till = purchase.ID(next[0])
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("find the end of a piece: %w", err)
	}
	return till, nil
}

// Movements is reconcile.Store.
func (s *Store) Movements(ctx context.Context, partner string, in reconcile.IDs) (found []reconcile.Movement, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	err = s.whole(func() error {
		return s.db.narrow(ctx, func(run narrowly) error {
			m := &moving{partner: clean(partner), words: words{}}
			if err := m.read(run, in, s.db.dialect()); err != nil {
				return err
			}
			found = m.found
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read a partner's movements: %w", err)
	}
	return found, nil
}

func (m *moving) read(run narrowly, in reconcile.IDs, d *dialect) error {
	arguments := []any{int64(in.From), int64(in.Till), m.partner}
	err := run(movedAttempts, 3, 0, arguments, func(row narrow) error {
		m.attempts = append(m.attempts, attemptOf{purchase.ID(row.number(0)), purchase.Leg(code(row, 1)), purchase.Instant(row.number(2))})
		return nil
	})
	if err != nil {
		return err
	}
	if err := run(movedEvidence, 7, 3, arguments, m.said); err != nil {
		return err
	}
	if len(m.attempts) == 0 && len(m.evidence) == 0 {
		return nil
	}
	m.found = make([]reconcile.Movement, 0, max(len(m.attempts), len(m.evidence)))
	if err := run(movedPurchases+`id >= $1 AND id < $2 AND (payer = $3 OR provider = $3) ORDER BY id`, 8, 5, arguments, m.meet); err != nil {
		return err
	}
	m.skip(in.Till)
	if len(m.missing) == 0 {
		return nil
	}
	return m.others(run, d)
}

// said reads a row of evidence.
func (m *moving) said(row narrow) error {
	m.evidence = append(m.evidence, evidenceOf{purchase: purchase.ID(row.number(0))})
	e := &m.evidence[len(m.evidence)-1].e
	e.Leg, e.Source, e.Kind = purchase.Leg(code(row, 1)), purchase.Source(code(row, 2)), purchase.Kind(code(row, 3))
	e.Amount.Minor, e.Account, e.At = row.number(4), purchase.MSISDN(row.number(5)), purchase.Instant(row.number(6))
	e.Ref, e.Amount.Currency, e.Product = string(row.text(0)), money.Currency(m.words.of(row.text(1))), m.words.of(row.text(2))
	e.Partner = m.partner
	return nil
}

// next is the first purchase that rows are left of, or till.
func (m *moving) next(till purchase.ID) purchase.ID {
	if len(m.attempts) > 0 {
		till = min(till, m.attempts[0].purchase)
	}
	if len(m.evidence) > 0 {
		till = min(till, m.evidence[0].purchase)
	}
	return till
}

// take moves the rows of a purchase into the record.
func (m *moving) take(id purchase.ID) {
	r := &m.record
	r.Attempts, r.Evidence = r.Attempts[:0], r.Evidence[:0]
	for len(m.attempts) > 0 && m.attempts[0].purchase == id {
		r.Attempts = append(r.Attempts, purchase.Attempt{Leg: m.attempts[0].leg, At: m.attempts[0].at, Partner: m.partner})
		m.attempts = m.attempts[1:]
	}
	for len(m.evidence) > 0 && m.evidence[0].purchase == id {
		r.Evidence = append(r.Evidence, m.evidence[0].e)
		m.evidence = m.evidence[1:]
	}
}

// skip sets aside the rows of purchases before one that were not read.
func (m *moving) skip(till purchase.ID) {
	for id := m.next(till); id < till; id = m.next(till) {
		if m.rest == nil {
			m.rest = &moving{partner: m.partner, words: m.words}
		}
		m.missing = append(m.missing, int64(id))
		for ; len(m.attempts) > 0 && m.attempts[0].purchase == id; m.attempts = m.attempts[1:] {
			m.rest.attempts = append(m.rest.attempts, m.attempts[0])
		}
		for ; len(m.evidence) > 0 && m.evidence[0].purchase == id; m.evidence = m.evidence[1:] {
			m.rest.evidence = append(m.rest.evidence, m.evidence[0])
		}
	}
}

// meet reads a purchase, and makes its movements.
func (m *moving) meet(row narrow) error {
	id := purchase.ID(row.number(0))
	m.skip(id)
	m.take(id)
	r := &m.record
	if len(r.Attempts) == 0 && len(r.Evidence) == 0 {
		return nil
	}
	p := &r.Purchase
	p.ID, p.State, p.Version = id, purchase.State(code(row, 1)), row.number(2)
	p.PayerNumber, p.Recipient, p.Total, p.Units, p.Charged.Minor = purchase.MSISDN(row.number(3)), purchase.MSISDN(row.number(4)), row.number(5), row.number(6), row.number(7)
	p.Payer, p.Provider, p.Product = m.words.of(row.text(0)), m.words.of(row.text(1)), m.words.of(row.text(2))
	p.Currency, p.Charged.Currency = money.Currency(m.words.of(row.text(3))), money.Currency(m.words.of(row.text(4)))
	p.Legs = [len(p.Legs)]purchase.LegState{}
	if slices.ContainsFunc(r.Attempts, func(a purchase.Attempt) bool { return a.Leg == purchase.Refund }) ||
		slices.ContainsFunc(r.Evidence, func(e purchase.Evidence) bool { return e.Leg == purchase.Refund }) {
		r.Derive() // whose account was charged
	}
	m.found = reconcile.AppendMovements(m.found, r, m.partner)
	return nil
}

// others reads the purchases that do not name the partner any more, and puts their movements among the rest.
func (m *moving) others(run narrowly, d *dialect) error {
	if err := run(movedPurchases+`id`+d.among+` ORDER BY id`, 8, 5, []any{d.list(m.missing)}, m.rest.meet); err != nil {
		return err
	}
	m.found = append(m.found, m.rest.found...)
	slices.SortFunc(m.found, func(a, b reconcile.Movement) int {
		return cmp.Or(cmp.Compare(a.Purchase, b.Purchase), cmp.Compare(a.Leg, b.Leg))
	})
	return nil
}

// scanned is a narrow row of database/sql.
type scanned struct {
	numbers []int64
	texts   []sql.RawBytes
}

func (s *scanned) number(i int) int64 { return s.numbers[i] }
func (s *scanned) text(i int) []byte  { return s.texts[i] }

// narrowTx runs queries of numbers and texts in a transaction.
func narrowTx(ctx context.Context, tx *sql.Tx) narrowly {
	return func(query string, numbers, texts int, arguments []any, read func(narrow) error) error {
		row := &scanned{make([]int64, numbers), make([]sql.RawBytes, texts)}
		into := make([]any, 0, numbers+texts)
		for i := range row.numbers {
			into = append(into, &row.numbers[i])
		}
		for i := range row.texts {
			into = append(into, &row.texts[i])
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			if err := rows.Scan(into...); err != nil {
				return err
			}
			return read(row)
		}, query, arguments...)
	}
}
