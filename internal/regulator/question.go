package regulator

import (
	"context"
	"strings"
	"unicode"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// The bounds of questions and answers, in characters.
const (
	MaxSubject = 120
	MaxText    = 4000
)

// tidied is a text of people's without control characters, but for the ends of lines; "" when it is too long.
func tidied(text string, most int) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return -1
		}
		return r
	}, text))
	if len([]rune(text)) > most {
		return ""
	}
	return text
}

// Ask keeps a question of a regulator's to the operator, who answers before it is due. It returns ErrText where something is
// missing or too long, or due in the past.
func (d *Desk) Ask(ctx context.Context, by auth.StaffID, subject, text string, due purchase.Instant) (Question, error) {
	q := Question{At: d.cfg.Clock.Now(), By: by, DueAt: due, Subject: tidied(strings.ReplaceAll(subject, "\n", " "), MaxSubject), Text: tidied(text, MaxText)}
	if q.Subject == "" || q.Text == "" || due <= q.At {
		return Question{}, ErrText
	}
	id, err := d.cfg.Store.Ask(ctx, q)
	q.ID = id
	return q, err
}

// Answer keeps the operator's answer. It is given once.
func (d *Desk) Answer(ctx context.Context, id int64, by auth.StaffID, text string) error {
	q := Question{ID: id, AnsweredAt: d.cfg.Clock.Now(), AnsweredBy: by, Answer: tidied(text, MaxText)}
	if q.Answer == "" {
		return ErrText
	}
	return d.cfg.Store.Answer(ctx, q)
}

// Questions returns questions, newest first.
func (d *Desk) Questions(ctx context.Context) ([]Question, error) {
	return d.cfg.Store.Questions(ctx, 500)
}
