package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// marshal is huma's writer of bodies. What is written all the time is written by
// hand, to the byte as encoding/json would.
func marshal(w io.Writer, v any) (err error) {
	var d document
	switch v := v.(type) {
	case Purchase:
		if v.Timeline != nil {
			d, err = d.any(v)
		} else {
			d = make(document, 0, 1<<10).purchase(&v)
		}
	case Batch:
		d, err = make(document, 0, len(v.Answers)<<10).batch(&v)
	default:
		d, err = d.any(v)
	}
	if err == nil {
		_, err = w.Write(append(d, '\n'))
	}
	return err
}

// document is JSON so far. What adds a member also adds the comma before it.
type document []byte

// any adds whatever it is.
func (d document) any(v any) (document, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return d, fmt.Errorf("write a body: %w", err)
	}
	return append(d, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...), nil
}

func (d document) batch(b *Batch) (_ document, err error) {
	d = append(d, `{"answers":[`...)
	for i := range b.Answers {
		a := &b.Answers[i]
		if i > 0 {
			d = append(d, ',')
		}
		d = append(d, '{')
		if a.Key != "" {
			d = append(d.text(`"idempotency_key":`, a.Key), ',')
		}
		d = d.whole(`"status":`, int64(a.Status))
		if a.Purchase != nil {
			d = append(d, `,"purchase":`...).purchase(a.Purchase)
		}
		if a.Problem != nil {
			if d, err = append(d, `,"problem":`...).any(a.Problem); err != nil {
				return d, err
			}
		}
		d = append(d, '}')
	}
	return append(d, `]}`...), nil
}

// purchase adds a purchase without its timeline.
func (d document) purchase(p *Purchase) document {
	return append(d.text(`{"reference":`, p.Reference).text(`,"state":`, p.State).truth(`,"final":`, p.Final).text(`,"message":`, p.Message).
		whole(`,"version":`, p.Version).text(`,"product":`, p.Product).text(`,"kind":`, p.Kind).whole(`,"offer":`, int64(p.Offer)).
		party(`,"payer":`, p.Payer).party(`,"recipient":`, p.Recipient).
		amount(`,"total":`, p.Total).amount(`,"fee":`, p.Fee).amount(`,"units":`, p.Units).
		text(`,"language":`, p.Language).text(`,"channel":`, p.Channel).
		time(`,"created_at":`, &p.CreatedAt).time(`,"charged_at":`, p.ChargedAt).time(`,"closed_at":`, p.ClosedAt).
		time(`,"deliver_by":`, p.DeliverBy).time(`,"refund_by":`, p.RefundBy).time(`,"resolve_by":`, p.ResolveBy), '}')
}

func (d document) party(name string, p Party) document {
	return append(append(d, name...).text(`{"number":`, p.Number).text(`,"partner":`, p.Partner), '}')
}

func (d document) amount(name string, a Amount) document {
	return append(append(d, name...).whole(`{"amount":`, a.Minor).text(`,"currency":`, a.Currency), '}')
}

func (d document) whole(name string, n int64) document {
	return strconv.AppendInt(append(d, name...), n, 10)
}

func (d document) truth(name string, v bool) document {
	return strconv.AppendBool(append(d, name...), v)
}

// time adds an instant, or nothing without one.
func (d document) time(name string, t *time.Time) document {
	if t == nil {
		return d
	}
	return append(t.AppendFormat(append(append(d, name...), '"'), time.RFC3339Nano), '"')
}

// text adds a text. One that needs to be escaped is encoding/json's.
func (d document) text(name, text string) document {
	d = append(d, name...)
	if escaped := strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' || r == '"' || r == '\\' || r == utf8.RuneError || r == '\u2028' || r == '\u2029'
	}); escaped {
		quoted, _ := d.any(text) // a text can always be written
		return quoted
	}
	return append(append(append(d, '"'), text...), '"')
}
