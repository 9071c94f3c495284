package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tenu/internal/care"
	"tenu/internal/person"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
	"tenu/internal/voice/centre"
)

// untoldColumns are not told to anybody, whoever asks: hashes of codes, keys of browsers, and the
// digest by which a wish is known again.
var untoldColumns = []string{"purchase.digest", "one_time_code.hash", "push_subscription.key", "push_subscription.secret"}

// chosenBy are numbers of others that whoever has the number in another column chose or typed: they may see them whole.
var chosenBy = map[string]string{"purchase.recipient": "payer_number", "favourite.recipient": "number", "report.meant": "number"}

// codeWords tell what codes mean.
var codeWords = map[string]func(int64) string{
	"purchase.state":     func(n int64) string { return purchase.State(n).String() },
	"attempt.leg":        func(n int64) string { return purchase.Leg(n).String() },
	"evidence.leg":       func(n int64) string { return purchase.Leg(n).String() },
	"evidence.source":    func(n int64) string { return purchase.Source(n).String() },
	"evidence.kind":      func(n int64) string { return purchase.Kind(n).String() },
	"posting.leg":        func(n int64) string { return purchase.Leg(n).String() },
	"posting.effect":     func(n int64) string { return purchase.Effect(n).String() },
	"notice.fact":        func(n int64) string { return purchase.Fact(n).String() },
	"case_file.status":   func(n int64) string { return care.Status(n).String() },
	"request.stage":      func(n int64) string { return care.Stage(n).String() },
	"callback.state":     func(n int64) string { return care.State(n).String() },
	"case_entry.by_kind": func(n int64) string { return care.ActorKind(n).String() },
	"agent.state":        func(n int64) string { return centre.State(n).String() },
}

// ExportOf is everything that is held of a number: the rows that are linked to it, and where else it is
// mentioned. Instants are written as RFC 3339, amounts in minor units. Numbers of
// others are masked, but for those that the number chose itself. It is read table by table, not of one instant.
func (s *Store) ExportOf(ctx context.Context, forms *person.Forms, now purchase.Instant) (*person.Export, error) {
	x := &person.Export{Number: forms.Number.String(), At: now.String(), Sections: []person.Section{}}
	sections := map[string]*exported{}
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		sub, err := s.subject(ctx, tx, forms.Number, now)
		if err != nil {
			return err
		}
		clear(sections)
		for i := range holdings {
			h := &holdings[i]
			for _, link := range h.links() {
				if err := s.exportLinked(ctx, tx, sections, h, link, sub); err != nil {
					return fmt.Errorf("%s: %w", h.table, err)
				}
			}
		}
		return s.exportSessions(ctx, tx, sections, forms.Number)
	})
	if err == nil {
		err = s.lookThrough(ctx, forms, now, func(batch []found) error { exportFound(sections, batch); return nil }, nil)
	}
	if err == nil {
		err = s.exportStatements(ctx, sections, forms, now)
	}
	if err != nil {
		return nil, fmt.Errorf("export what is held of a number: %w", err)
	}
	for i := range holdings {
		if e := sections[holdings[i].table]; e != nil && len(e.rows) > 0 {
			x.Sections = append(x.Sections, person.Section{Kind: holdings[i].table, Rows: e.rows})
		}
	}
	return x, nil
}

// exported are the rows of one table, each once.
type exported struct {
	seen map[string]bool
	rows []map[string]any
}

func sectionOf(sections map[string]*exported, table string) *exported {
	if sections[table] == nil {
		sections[table] = &exported{seen: map[string]bool{}}
	}
	return sections[table]
}

// told are a table's columns that a person is told, its key first.
func (h *holding) told() []string {
	columns := h.keys()
	for _, column := range h.columns() {
		if !slices.Contains(columns, column) && !slices.Contains(untoldColumns, h.table+"."+column) {
			columns = append(columns, column)
		}
	}
	return columns
}

func (s *Store) exportLinked(ctx context.Context, tx *sql.Tx, sections map[string]*exported, h *holding, link [2]string, sub *subject) error {
	condition, arguments := link[0]+` = `+strconv.FormatInt(int64(sub.number), 10), []any(nil)
	if link[1] != "N" {
		if len(sub.lists[link[1]]) == 0 {
			return nil
		}
		condition, arguments = link[0]+s.db.dialect().among, []any{s.db.dialect().list(sub.lists[link[1]])}
	}
	if h.table == "incident_customer" { // its other customers are not this one
		condition += ` AND number = ` + strconv.FormatInt(int64(sub.number), 10)
	}
	return s.exportRows(ctx, tx, sectionOf(sections, h.table), h, sub.number, condition, arguments...)
}

func (s *Store) exportRows(ctx context.Context, tx *sql.Tx, into *exported, h *holding, number purchase.MSISDN, condition string, arguments ...any) error {
	columns := h.told()
	return each(ctx, tx, func(rows *sql.Rows) error {
		values, err := scanAny(rows, len(columns))
		if err != nil {
			return err
		}
		key := fmt.Sprint(values[:len(h.keys())]...)
		if into.seen[key] {
			return nil
		}
		if err := s.openRow(h, columns, values, values[:len(h.keys())]); err != nil {
			return err
		}
		into.seen[key] = true
		into.rows = append(into.rows, h.row(columns, values, number))
		return nil
	}, `SELECT `+strings.Join(columns, `, `)+` FROM `+h.table+` WHERE `+condition+` ORDER BY `+strings.Join(h.keys(), `, `), arguments...)
}

// row is a row as a person is told it.
func (h *holding) row(columns []string, values []any, number purchase.MSISDN) map[string]any {
	stored, row := map[string]any{}, map[string]any{}
	for i, column := range columns {
		stored[column] = values[i]
	}
	for column, value := range stored {
		word := codeWords[h.table+"."+column]
		n, isNumber := value.(int64)
		switch {
		case value == nil:
		case isNumber && slices.Contains(h.numbers(), column):
			row[column] = h.shown(stored, column, purchase.MSISDN(n), number)
		case isNumber && word != nil:
			row[column] = word(n)
		case isNumber && instantColumn(column):
			row[column] = ""
			if n != 0 {
				row[column] = purchase.Instant(n).String()
			}
		default:
			row[column] = value
		}
	}
	return row
}

// shown is a number in a row: whole to whom it belongs, and to who chose it.
func (h *holding) shown(stored map[string]any, column string, n, number purchase.MSISDN) string {
	by, chosen := chosenBy[h.table+"."+column]
	switch {
	case n == 0:
		return ""
	case n == number, chosen && stored[by] == int64(number):
		return n.String()
	}
	return n.Masked()
}

// instantColumn reports whether a column holds microseconds since 1970.
func instantColumn(column string) bool {
	switch column {
	case "at", "till", "since", "began", "dropped_began", "deliver_by", "resolve_by", "refund_by", "answer_by", "watch_till", "owner_till":
		return true
	}
	return strings.HasSuffix(column, "_at")
}

// exportSessions tells of the browsers that the number is signed in at.
func (s *Store) exportSessions(ctx context.Context, tx *sql.Tx, sections map[string]*exported, number purchase.MSISDN) error {
	into := sectionOf(sections, "session")
	return each(ctx, tx, func(rows *sql.Rows) error {
		var till purchase.Instant
		err := rows.Scan(&till)
		into.rows = append(into.rows, map[string]any{"till": till.String()})
		return err
	}, `SELECT till FROM session WHERE data = $1 ORDER BY till`, binary.BigEndian.AppendUint64(nil, uint64(number))) //nolint:gosec // as package web writes it
}

// exportFound tells of rows that are another's, or nobody's, and hold the number: which they are, and where it
// stands. What else they say is not this number's.
func exportFound(sections map[string]*exported, batch []found) {
	for i := range batch {
		h := batch[i].h
		into := sectionOf(sections, h.table)
		if key := fmt.Sprint(batch[i].key...); !into.seen[key] {
			row := map[string]any{"mentioned_in": batch[i].in}
			for j, column := range h.keys() {
				row[column] = batch[i].key[j]
			}
			into.seen[key] = true
			into.rows = append(into.rows, row)
		}
	}
}

// exportStatements tells the lines of partners' statements that hold the number.
func (s *Store) exportStatements(ctx context.Context, sections map[string]*exported, forms *person.Forms, now purchase.Instant) error {
	into := sectionOf(sections, "statement_part")
	return s.eachPart(ctx, now, func(statement int64, _ int, lines []byte) error {
		_, err := reconcile.Rewrite(lines, func(l *reconcile.Line) bool {
			if l.Number == forms.Number || forms.In(l.Key+"|"+l.Ref+"|"+l.Original+"|"+l.Product) {
				into.rows = append(into.rows, map[string]any{"statement": statement, "line": l.Place, "purchase": int64(l.Purchase), "number": l.Number.String(),
					"amount": l.Amount.Minor, "currency": string(l.Amount.Currency), "product": l.Product, "ref": l.Ref, "at": l.At.String()})
			}
			return false
		})
		return err
	})
}
