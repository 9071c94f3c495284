package sandbox

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// statementHead names the columns of a statement's lines.
var statementHead = []string{"reference", "key", "leg", "number", "amount", "currency", "product", "original", "at"}

// errCut ends a statement in the middle.
var errCut = errors.New("statement is cut")

// WriteStatement writes what moved from an instant until before another as CSV:
// a record "statement" with the partner's name and the period, a record of
// column names, one record per movement, and one record "total" per currency
// with the number of lines and the sum of their amounts. Each line may be hit
// by a fault of the statement.
func (c *core) WriteStatement(ctx context.Context, to io.Writer, from, until purchase.Instant) error {
	s := statement{core: c, csv: csv.NewWriter(to), totals: map[string]*total{}}
	_ = s.csv.Write([]string{"statement", c.Name, from.String(), until.String()}) // Error tells below
	_ = s.csv.Write(statementHead)
	err := c.book.Moved(ctx, from, until, s.add)
	switch {
	case errors.Is(err, errCut):
	case err != nil:
		return fmt.Errorf("write statement: %w", err)
	default:
		s.end()
	}
	s.csv.Flush()
	if err := s.csv.Error(); err != nil {
		return fmt.Errorf("write statement: %w", err)
	}
	return nil
}

type total struct{ lines, amount int64 }

// statement is one being written.
type statement struct {
	*core
	csv    *csv.Writer
	totals map[string]*total
	held   []string // a line that comes after the next one
}

func (s *statement) add(m Movement) error {
	hits := s.faults.Draw("statement", m.Number)
	at := m.Moved.Time().Format(time.RFC3339Nano)
	if hits.Has(StatementZone) {
		at = m.Moved.Time().In(time.FixedZone("", 3600)).Format(time.RFC3339Nano)
	}
	switch {
	case hits.Has(StatementPartial):
		return errCut
	case hits.Has(StatementMissing):
		return nil
	case hits.Has(StatementDifferent):
		m.Amount++
	}
	line := s.line(m, at)
	if hits.Has(StatementDisorder) && s.held == nil {
		s.held = line
		return nil
	}
	lines := [][]string{line}
	if s.held != nil {
		lines, s.held = append(lines, s.held), nil
	}
	if hits.Has(StatementTwice) {
		lines = append(lines, s.line(m, at))
	}
	if hits.Has(StatementExtra) {
		m.Ref, m.Key = s.book.page.prefix+strconv.FormatInt(9_000_000_000+m.Seq, 10), ""
		lines = append(lines, s.line(m, at))
	}
	for _, l := range lines {
		if err := s.csv.Write(l); err != nil {
			return err
		}
	}
	return nil
}

// line formats a movement and counts it.
func (s *statement) line(m Movement, at string) []string {
	t := s.totals[m.Currency]
	if t == nil {
		t = &total{}
		s.totals[m.Currency] = t
	}
	t.lines++
	t.amount += m.Amount
	return []string{m.Ref, m.Key, m.Leg, m.Number, decimal(m.Amount, m.Currency), m.Currency, m.Product, m.Original, at}
}

func (s *statement) end() {
	if s.held != nil {
		_ = s.csv.Write(s.held) // Error tells
	}
	currencies := make([]string, 0, len(s.totals))
	for currency := range s.totals {
		currencies = append(currencies, currency)
	}
	slices.Sort(currencies)
	if len(currencies) == 0 { // or nobody could tell it from one that is cut
		_ = s.csv.Write([]string{"total", "", "0", "0"})
	}
	for _, currency := range currencies {
		t := s.totals[currency]
		_ = s.csv.Write([]string{"total", currency, strconv.FormatInt(t.lines, 10), decimal(t.amount, currency)})
	}
}

func decimal(minor int64, currency string) string {
	return money.Amount{Minor: minor, Currency: money.Currency(currency)}.Decimal()
}

// period reads from and to of a query, in RFC 3339; without them it is all of time so far.
func (c *core) period(r *http.Request) (from, until purchase.Instant, err error) {
	until = c.Clock.Now() + 1
	for name, into := range map[string]*purchase.Instant{"from": &from, "to": &until} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return 0, 0, fmt.Errorf("%s must be a time in RFC 3339", name)
		}
		*into = purchase.At(t)
	}
	return from, until, nil
}

func (c *core) showStatement(w http.ResponseWriter, r *http.Request) {
	from, until, err := c.period(r)
	if err != nil {
		writeProblem(w, http.StatusBadRequest, err)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	if err := c.WriteStatement(r.Context(), w, from, until); err != nil {
		cut() // the status is gone already
	}
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9]+`)

// FileStatement writes the statement of a period into the statement directory
// and returns the file's name. The file appears whole or not at all.
func (c *core) FileStatement(ctx context.Context, from, until purchase.Instant) (string, error) {
	if c.StatementDir == "" {
		return "", errors.New("file statement: no directory is configured")
	}
	const stamp = "20060102T150405Z"
	name := unfit.ReplaceAllString(c.Name, "-") + "-" + from.Time().Format(stamp) + "-" + until.Time().Format(stamp) + ".csv"
	file, err := os.CreateTemp(c.StatementDir, ".statement-*")
	if err != nil {
		return "", fmt.Errorf("file statement: %w", err)
	}
	buffer := bufio.NewWriter(file)
	err = errors.Join(c.WriteStatement(ctx, buffer, from, until), buffer.Flush(), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(c.StatementDir, name))
	}
	if err != nil {
		return "", fmt.Errorf("file statement: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return name, nil
}

func (c *core) fileStatement(w http.ResponseWriter, r *http.Request) {
	from, until, err := c.period(r)
	if err != nil {
		writeProblem(w, http.StatusBadRequest, err)
		return
	}
	name, err := c.FileStatement(r.Context(), from, until)
	if err != nil {
		writeProblem(w, http.StatusInternalServerError, err)
		return
	}
	writeJSON(w, http.StatusCreated, struct {
		File string `json:"file"`
	}{name})
}
