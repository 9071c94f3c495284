package reconcile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Lines without a key of ours are matched by the partner's own reference first,
// and then by number, amount and time. Both sides are sorted for it as lines are.

// refOrder begins a record with what lines and movements are joined by.
func refOrder(b []byte, kind Kind, ref string) []byte {
	b = append(b, byte(kind))
	return append(append(b, ref...), 0)
}

// numberOrder likewise, for the rules.
func numberOrder(b []byte, kind Kind, number purchase.MSISDN, at purchase.Instant) []byte {
	b = append(b, byte(kind))
	b = binary.BigEndian.AppendUint64(b, uint64(number)) //nolint:gosec // a number is never negative
	return binary.BigEndian.AppendUint64(b, uint64(at))  //nolint:gosec // read as bytes
}

// The widths of the two orders' joints; that of references ends with a zero.
const numberJoint, numberWidth = 9, 17

func refJoint(b []byte) []byte {
	return b[:bytes.IndexByte(b[1:], 0)+2]
}

// encodeMovement appends a movement, and which of its executions have no line.
func encodeMovement(b []byte, m *Movement, lied []Told) []byte {
	number := func(v int64) { b = binary.AppendVarint(b, v) }
	word := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	toldAll := func(all []Told) {
		number(int64(len(all)))
		for i := range all {
			t := &all[i]
			word(t.Ref)
			number(t.Amount.Minor)
			word(string(t.Amount.Currency))
			number(int64(t.Account))
			word(t.Product)
			number(int64(t.At))
		}
	}
	for _, v := range []int64{int64(m.Purchase), int64(m.Leg), int64(m.State), m.Version, int64(m.Account), m.Amount.Minor, int64(m.Tries),
		int64(m.First), int64(m.Last), int64(m.Seen)} {
		number(v)
	}
	for _, is := range []bool{m.Denied, m.Elsewhere} {
		if is {
			number(1)
		} else {
			number(0)
		}
	}
	word(string(m.Amount.Currency))
	word(m.Product)
	toldAll(m.Done)
	toldAll(m.Undone)
	toldAll(lied)
	return b
}

// movementReader reads back what encodeMovement wrote.
type movementReader struct {
	b   []byte
	bad bool
}

func (r *movementReader) number() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *movementReader) word() string {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(len(r.b)-n) { //nolint:gosec // what was read is within it
		r.bad, r.b = true, nil
		return ""
	}
	text := string(r.b[n : n+int(v)]) //nolint:gosec // bounded above
	r.b = r.b[n+int(v):]              //nolint:gosec // bounded above
	return text
}

func (r *movementReader) told() (all []Told) {
	n := r.number()
	for ; n > 0 && !r.bad; n-- {
		var t Told
		t.Ref, t.Amount.Minor = r.word(), r.number()
		t.Amount.Currency, t.Account = money.Currency(r.word()), purchase.MSISDN(r.number())
		t.Product, t.At = r.word(), purchase.Instant(r.number())
		all = append(all, t)
	}
	return all
}

func decodeMovement(b []byte) (m Movement, lied []Told, err error) {
	r := &movementReader{b: b}
	m.Purchase, m.Leg, m.State = purchase.ID(r.number()), purchase.Leg(r.number()), purchase.State(r.number()) //nolint:gosec // written alike
	m.Version, m.Account, m.Amount.Minor, m.Tries = r.number(), purchase.MSISDN(r.number()), r.number(), int(r.number())
	m.First, m.Last, m.Seen = purchase.Instant(r.number()), purchase.Instant(r.number()), purchase.Instant(r.number())
	m.Denied, m.Elsewhere = r.number() == 1, r.number() == 1
	m.Amount.Currency, m.Product = money.Currency(r.word()), r.word()
	m.Done, m.Undone = r.told(), r.told()
	lied = r.told()
	if r.bad || len(r.b) > 0 {
		return m, nil, errRecord
	}
	return m, lied, nil
}

// pen is a stream whose next record can be looked at.
type pen struct {
	in     stream
	record []byte
	over   bool
}

func (p *pen) advance() error {
	record, err := p.in.next()
	if errors.Is(err, io.EOF) {
		p.over, p.record = true, nil
		return nil
	}
	p.record = record
	return err
}

func pens(a, b *spool) (x, y *pen, err error) {
	first, err := a.sorted()
	if err != nil {
		return nil, nil, err
	}
	second, err := b.sorted()
	if err != nil {
		return nil, nil, err
	}
	x, y = &pen{in: first}, &pen{in: second}
	return x, y, errors.Join(x.advance(), y.advance())
}

// byRef matches lines and movements that have one reference of the partner's own.
func (x *matcher) byRef(ctx context.Context) error {
	if x.nKeyless == 0 {
		return nil
	}
	lines, movements, err := pens(x.keyless, x.movements)
	if err != nil {
		return err
	}
	restLines, restMovements := newSpool(x.Dir), newSpool(x.Dir)
	swap := func() {
		x.keyless.close()
		x.movements.close()
		x.keyless, x.movements = restLines, restMovements
	}
	defer swap()
	for !lines.over || !movements.over {
		if err := ctx.Err(); err != nil {
			return err
		}
		order := 0
		switch {
		case lines.over:
			order = 1
		case movements.over:
			order = -1
		default:
			order = bytes.Compare(refJoint(lines.record), refJoint(movements.record))
		}
		if order == 0 && len(refJoint(lines.record)) > 2 {
			if err := x.joinRef(lines, movements); err != nil {
				return err
			}
			continue
		}
		if order <= 0 {
			if err := aside(lines, restLines); err != nil {
				return err
			}
			continue
		}
		if err := asideMovement(movements, restMovements); err != nil {
			return err
		}
	}
	return nil
}

// joinRef judges the movement of a reference with all lines that bear it.
func (x *matcher) joinRef(lines, movements *pen) error {
	joint := bytes.Clone(refJoint(lines.record))
	var group []Line
	for !lines.over && bytes.Equal(refJoint(lines.record), joint) {
		l, err := decodeLine(lines.record[len(joint):])
		if err != nil {
			return err
		}
		if len(group) == maxGroup {
			return fmt.Errorf("line %d: more than %d lines have one reference", l.Place, maxGroup)
		}
		group = append(group, l)
		if err := lines.advance(); err != nil {
			return err
		}
	}
	m, _, err := decodeMovement(movements.record[len(joint):])
	if err != nil {
		return err
	}
	if err := movements.advance(); err != nil {
		return err
	}
	v := x.Partner.judge(&m, group, x.undone)
	x.t.ByRef += int64(v.matched)
	for _, f := range v.found {
		if err := x.report(f); err != nil {
			return err
		}
	}
	if v.missing {
		from, till := m.span(x.Span.To)
		return x.suspect(&m, v.lied, from.Add(-x.Partner.Skew), till.Add(x.Partner.Skew))
	}
	return nil
}

// aside keeps a line for the rules.
func aside(lines *pen, rest *spool) error {
	l, err := decodeLine(lines.record[len(refJoint(lines.record)):])
	if err != nil {
		return err
	}
	if err := rest.add(l.encode(numberOrder(nil, l.Kind, l.Number, l.At))); err != nil {
		return err
	}
	return lines.advance()
}

// asideMovement keeps a movement for the rules.
func asideMovement(movements *pen, rest *spool) error {
	at := len(refJoint(movements.record))
	m, lied, err := decodeMovement(movements.record[at:])
	if err != nil {
		return err
	}
	number := m.Account
	if len(lied) > 0 && lied[0].Account != 0 {
		number = lied[0].Account
	}
	if err := rest.add(encodeMovement(numberOrder(nil, kindOf(m.Leg), number, m.First), &m, lied)); err != nil {
		return err
	}
	return movements.advance()
}

// one is a movement that the rules look for a line of.
type one struct {
	m          Movement
	lied       []Told
	from, till purchase.Instant
	taken      bool
}

// amount is what it is expected to be in the statement.
func (o *one) amount() money.Amount {
	if len(o.lied) > 0 {
		return o.lied[0].Amount
	}
	return o.m.Amount
}

// loose is a line that the rules look for a movement of.
type loose struct {
	Line
	taken  bool
	detail string
}

// ruled bounds how many lines and movements of one number are compared by rules.
const ruled = 500

// summed bounds how many are added up.
const summed = 100

// byRule matches by number, amount and time.
func (x *matcher) byRule(ctx context.Context) error {
	if x.nKeyless == 0 {
		return nil
	}
	lines, movements, err := pens(x.keyless, x.movements)
	if err != nil {
		return err
	}
	for !lines.over || !movements.over {
		if err := ctx.Err(); err != nil {
			return err
		}
		joint := movements.record
		if movements.over || !lines.over && bytes.Compare(lines.record[:numberJoint], joint[:numberJoint]) < 0 {
			joint = lines.record
		}
		joint = bytes.Clone(joint[:numberJoint])
		group, err := looseOf(lines, joint)
		if err != nil {
			return err
		}
		ones, err := x.onesOf(movements, joint)
		if err != nil {
			return err
		}
		if err := x.settle(group, ones); err != nil {
			return err
		}
	}
	return nil
}

func looseOf(lines *pen, joint []byte) (group []loose, err error) {
	for !lines.over && bytes.Equal(lines.record[:numberJoint], joint) {
		l, err := decodeLine(lines.record[numberWidth:])
		if err != nil {
			return nil, err
		}
		group = append(group, loose{Line: l})
		if err := lines.advance(); err != nil {
			return nil, err
		}
		if len(group) > DefaultMaxBreaks {
			return nil, fmt.Errorf("%w (more than %d lines of one number have no key)", ErrTooMany, DefaultMaxBreaks)
		}
	}
	return group, nil
}

func (x *matcher) onesOf(movements *pen, joint []byte) (ones []one, err error) {
	for !movements.over && bytes.Equal(movements.record[:numberJoint], joint) {
		m, lied, err := decodeMovement(movements.record[numberWidth:])
		if err != nil {
			return nil, err
		}
		o := one{m: m, lied: lied}
		o.from, o.till = m.span(x.Span.To)
		ones = append(ones, o)
		if err := movements.advance(); err != nil {
			return nil, err
		}
		if len(ones) > DefaultMaxBreaks {
			return nil, fmt.Errorf("%w (more than %d movements of one number have no line)", ErrTooMany, DefaultMaxBreaks)
		}
	}
	return ones, nil
}

// settle matches the lines and movements of one number, and reports the rest.
func (x *matcher) settle(group []loose, ones []one) error {
	if len(group) > 0 && len(ones) > 0 && len(group)+len(ones) <= ruled && group[0].Number != 0 {
		if err := x.oneToOne(group, ones); err != nil {
			return err
		}
		if len(group)+len(ones) <= summed {
			x.oneToMany(group, ones)
			x.manyToOne(group, ones)
		}
	}
	for i := range group {
		l := &group[i]
		if l.taken {
			continue
		}
		f := x.Partner.unasked(nil, &l.Line)
		if l.detail != "" {
			f.Detail = l.detail
		}
		if err := x.report(f); err != nil {
			return err
		}
	}
	for i := range ones {
		o := &ones[i]
		if o.taken {
			continue
		}
		if err := x.suspect(&o.m, o.lied, o.from.Add(-x.Partner.Skew), o.till.Add(x.Partner.Skew)); err != nil {
			return err
		}
	}
	return nil
}

// near reports whether a line may be of a movement by its time.
func (x *matcher) near(l *loose, o *one) bool {
	return l.At == 0 || l.At >= o.from.Add(-x.Window) && l.At <= o.till.Add(x.Window)
}

func fits(l *loose, o *one) bool {
	return l.Amount == o.amount() && (l.Product == "" || o.m.Product == "" || l.Product == o.m.Product)
}

// oneToOne matches lines and movements of one amount: first those that are told to be
// done, and then those in doubt, where it is certain which ones were executed.
func (x *matcher) oneToOne(group []loose, ones []one) error {
	slices.SortStableFunc(ones, func(a, b one) int { return int(min(max(a.till-b.till, -1), 1)) })
	for i := range group { // lines come by time: each takes the movement whose time is over first
		for j := range ones {
			if o := &ones[j]; !o.taken && len(o.lied) > 0 && fits(&group[i], o) && x.near(&group[i], o) {
				if err := x.take(&group[i], o); err != nil {
					return err
				}
				break
			}
		}
	}
	for i := range group {
		l := &group[i]
		if l.taken {
			continue
		}
		var may []int
		for j := range ones {
			if o := &ones[j]; !o.taken && len(o.lied) == 0 && fits(l, o) && x.near(l, o) {
				may = append(may, j)
			}
		}
		rivals := 0
		for k := range group {
			if r := &group[k]; !r.taken && len(may) > 0 && fits(r, &ones[may[0]]) && x.near(r, &ones[may[0]]) {
				rivals++
			}
		}
		switch {
		case len(may) > 0 && len(may) <= rivals:
			if err := x.take(l, &ones[may[0]]); err != nil {
				return err
			}
		case len(may) > 0:
			l.detail = fmt.Sprintf("it may be any of %d movements that were never answered", len(may))
		}
	}
	return nil
}

// take matches a line with a movement.
func (x *matcher) take(l *loose, o *one) error {
	l.taken, o.taken = true, true
	x.t.ByRule++
	lines := []Line{l.Line}
	m := o.m
	if len(o.lied) > 0 {
		m.Done = o.lied[:1]
	}
	v := x.Partner.judge(&m, lines, x.undone)
	for _, f := range v.found {
		if err := x.report(f); err != nil {
			return err
		}
	}
	if len(o.lied) > 1 {
		return x.suspect(&o.m, o.lied[1:], o.from.Add(-x.Partner.Skew), o.till.Add(x.Partner.Skew))
	}
	return nil
}

// run finds the only run of two or more neighbours whose amounts add up to a sum.
func runOf(n int, amount func(int) int64, free func(int) bool, sum int64) (found []int) {
	for i := range n {
		if !free(i) {
			continue
		}
		total := int64(0)
		var part []int
		for j := i; j < n && total < sum; j++ {
			if !free(j) {
				continue
			}
			total += amount(j)
			part = append(part, j)
		}
		if total == sum && len(part) > 1 {
			if found != nil {
				return nil // two ways to do it
			}
			found = part
		}
	}
	return found
}

// oneToMany matches a line with several movements that it sums up.
func (x *matcher) oneToMany(group []loose, ones []one) {
	for i := range group {
		l := &group[i]
		if l.taken {
			continue
		}
		part := runOf(len(ones), func(j int) int64 { return ones[j].amount().Minor }, func(j int) bool {
			o := &ones[j]
			return !o.taken && len(o.lied) > 0 && o.amount().Currency == l.Amount.Currency && x.near(l, o)
		}, l.Amount.Minor)
		for _, j := range part {
			l.taken, ones[j].taken = true, true
		}
		if l.taken {
			x.t.ByRule++
		}
	}
}

// manyToOne matches several lines with one movement that they are parts of.
func (x *matcher) manyToOne(group []loose, ones []one) {
	for j := range ones {
		o := &ones[j]
		if o.taken || len(o.lied) == 0 {
			continue
		}
		part := runOf(len(group), func(i int) int64 { return group[i].Amount.Minor }, func(i int) bool {
			l := &group[i]
			return !l.taken && o.amount().Currency == l.Amount.Currency && x.near(l, o)
		}, o.amount().Minor)
		for _, i := range part {
			o.taken, group[i].taken = true, true
			x.t.ByRule++
		}
	}
}

// DefaultWindow is Job.Window where nothing else is said.
const DefaultWindow = 5 * time.Minute
