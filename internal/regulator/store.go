package regulator

import (
	"context"
	"errors"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// Errors that callers branch on.
var (
	// ErrNotFound: there is no such day, report, file or question.
	ErrNotFound = errors.New("regulator: not found")
	// ErrPublished: the month's report is published, and never changes.
	ErrPublished = errors.New("regulator: published before")
	// ErrOpen: the period is not over and summed up yet.
	ErrOpen = errors.New("regulator: not over yet")
	// ErrAnswered: the question has its answer.
	ErrAnswered = errors.New("regulator: answered before")
	// ErrPeriod: no such period, or one that is too long.
	ErrPeriod = errors.New("regulator: no such period")
	// ErrText: a text is missing or too long, or a time is not to come.
	ErrText = errors.New("regulator: text missing or too long")
)

// Store keeps days, publications and questions, and sums up. What a method changed is durable on return. Errors wrap
// purchase.ErrUnavailable when nothing was changed and the call may be repeated.
type Store interface {
	// Begin returns when the first purchase was made, zero for none.
	Begin(ctx context.Context) (purchase.Instant, error)
	// Flows sums up what happened in a time, gifts of a payer left out. How it stands at the end is not told. What is
	// read is bounded by what happened in the time.
	Flows(ctx context.Context, s Span, house string) (Figures, error)
	// Moved returns what is held and in exposure at the end of a time of the purchases that something happened to
	// in it, those with nothing any more too.
	Moved(ctx context.Context, s Span, house string) ([]Item, error)

	// CloseDay keeps a day with what changed in its items. When the day is kept already, nothing is changed.
	CloseDay(ctx context.Context, d Day, changed []Item) error
	// Correct adds a correction. Of two of one day at one instant the first stays.
	Correct(ctx context.Context, c Correction, changed []Item) error
	// LastDay returns the newest day, ErrNotFound when there is none.
	LastDay(ctx context.Context) (Day, error)
	// Days returns the days that begin in a time, oldest first.
	Days(ctx context.Context, s Span) ([]Day, error)
	// Corrections returns those of days from one to another, both included, oldest first.
	Corrections(ctx context.Context, from, till string) ([]Correction, error)
	// ItemsAt returns what was held and in exposure at the end of a day, by what is known now.
	ItemsAt(ctx context.Context, day string) ([]Item, error)

	// Publish keeps a month's report with its files, or returns ErrPublished.
	Publish(ctx context.Context, p Publication, files []File) error
	// Publications returns the published months, newest first, without their files.
	Publications(ctx context.Context) ([]Publication, error)
	// PublicationFiles returns the files of a published month without what is in them.
	PublicationFiles(ctx context.Context, month string) ([]File, error)
	// PublicationFile returns a file, or ErrNotFound.
	PublicationFile(ctx context.Context, month, name string) (File, error)

	// Ask keeps a question, and returns its identity.
	Ask(ctx context.Context, q Question) (int64, error)
	// Answer keeps the answer to a question, or returns ErrNotFound or ErrAnswered.
	Answer(ctx context.Context, q Question) error
	// Questions returns questions, newest first.
	Questions(ctx context.Context, limit int) ([]Question, error)
}

// Day is what happened on one day of the country, summed up once.
type Day struct {
	Day      string // 2024-07-09
	Zone     string
	Span     Span
	ClosedAt purchase.Instant
	Figures  Figures
	Digest   string // SHA-256 of the figures as JSON, in hexadecimal
}

// Correction is what was found out later about a day.
type Correction struct {
	Day     string
	At      purchase.Instant
	Figures Figures // as they are right
	Changed []Change
	Digest  string
}

// Change is a figure that a correction changed.
type Change struct {
	Figure string `json:"figure"`
	Was    string `json:"was"`
	Is     string `json:"is"`
}

// Publication is the report of a month, as it was published.
type Publication struct {
	Month     string // 2024-07
	At        purchase.Instant
	By        auth.StaffID // 0 for the system
	Version   string       // of the software
	Head      string       // of the log
	Profile   string
	Data      string // JSON
	Digest    string // SHA-256 of the data, in hexadecimal
	Signature string // Ed25519 of the digest, in hexadecimal
}

// File is one form of a publication.
type File struct {
	Name   string
	Type   string
	Digest string // SHA-256, in hexadecimal
	Data   []byte
}

// Question is what a regulator asks the operator.
type Question struct {
	ID         int64
	At         purchase.Instant
	By         auth.StaffID
	DueAt      purchase.Instant
	Subject    string
	Text       string
	AnsweredAt purchase.Instant
	AnsweredBy auth.StaffID
	Answer     string
}

// Late reports whether a question was, or is, not answered in time.
func (q *Question) Late(now purchase.Instant) bool {
	if q.AnsweredAt != 0 {
		return q.AnsweredAt > q.DueAt
	}
	return now > q.DueAt
}
