package care

import (
	"context"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// Look is one view of a customer by one of the staff, with its reason (invariant C5).
type Look struct {
	At       purchase.Instant
	Staff    auth.StaffID
	Number   purchase.MSISDN // 0 when none was looked at
	Purchase purchase.ID     // likewise
	Case     CaseID
	Reason   string
}

// Macro is a text that agents use again, in one language.
type Macro struct {
	Name     string
	Language purchase.Language
	Text     string
	Version  int64
}

// Attachment is a file of a case.
type Attachment struct {
	ID   int64 // given by the store
	Case CaseID
	At   purchase.Instant
	By   Actor
	Name string // without a path
	Type string // as its content says
	Size int
	Data []byte // only when it is read by itself
}

// The bounds of attachments.
const (
	MaxAttachment  = 2 << 20 // bytes
	MaxAttachments = 10      // of one case
)

// Figures are what is published of cases in a time.
type Figures struct {
	Opened, Settled, Withdrawn int
	ByRule                     int // settled without a person
	AnsweredInTime, Answered   int
	ResolvedInTime             int
	Open, Late                 int // now
	ByCode                     map[Code]int
}

// Share is the part of the settled cases that was settled without a person, from 0 to 1.
func (f *Figures) Share() float64 {
	if f.Settled == 0 {
		return 0
	}
	return float64(f.ByRule) / float64(f.Settled)
}

// AgentFigures are what one agent did in a time.
type AgentFigures struct {
	Staff                                     auth.StaffID
	Owned, Settled, Requests, Calls, Answered int
	Views                                     int
}

// Bucket is a piece of a figure's course over time.
type Bucket struct {
	At                                purchase.Instant
	Opened, Settled, Promised, Broken int
}

// DeskStore keeps what the console needs beside cases. What a method changed is
// durable on return.
type DeskStore interface {
	// AddLook keeps a view.
	AddLook(ctx context.Context, l Look) error
	// Looks returns views of a number (0: of any) by one of the staff (0: by anybody), newest first.
	Looks(ctx context.Context, number purchase.MSISDN, staff auth.StaffID, limit int) ([]Look, error)
	// Macros returns all macros, by name.
	Macros(ctx context.Context) ([]Macro, error)
	// PutMacro keeps a macro that has the version before m.Version, or returns ErrStale. An empty text removes it.
	PutMacro(ctx context.Context, m Macro) error
	// AddAttachment keeps a file and gives it its ID; ErrFull when the case has as many as it may.
	AddAttachment(ctx context.Context, a Attachment) (int64, error)
	// Attachments returns a case's files without their data.
	Attachments(ctx context.Context, id CaseID) ([]Attachment, error)
	// Attachment returns a file with its data, or ErrNotFound.
	Attachment(ctx context.Context, id CaseID, attachment int64) (Attachment, error)
	// AddBulk keeps a plan and gives it its ID.
	AddBulk(ctx context.Context, b Bulk) (BulkID, error)
	// MoveBulk changes a plan that has the version before b.Version and is not closed, and reports whether
	// it did: Done, Failed, Undone, ClosedAt.
	MoveBulk(ctx context.Context, b Bulk) (moved bool, err error)
	// Bulks returns the plans of one of the staff (0: of anybody) that are not closed, or were closed since an instant.
	Bulks(ctx context.Context, staff auth.StaffID, since purchase.Instant) ([]Bulk, error)
	// Figures sums up the cases of [from, till); Agents and Course likewise.
	Figures(ctx context.Context, from, till purchase.Instant) (Figures, error)
	Agents(ctx context.Context, from, till purchase.Instant) ([]AgentFigures, error)
	Course(ctx context.Context, from, till purchase.Instant, every time.Duration) ([]Bucket, error)
	// Changed returns the cases and callbacks changed since an instant, at most limit: what other nodes did.
	Changed(ctx context.Context, since purchase.Instant, limit int) ([]CaseID, error)
	// Calls returns, of those numbers that have callbacks, a figure that grows with each change of any of them.
	Calls(ctx context.Context, numbers ...purchase.MSISDN) (map[purchase.MSISDN]int64, error)
	// Versions returns the versions of those purchases that exist.
	Versions(ctx context.Context, ids ...purchase.ID) (map[purchase.ID]int64, error)
}
