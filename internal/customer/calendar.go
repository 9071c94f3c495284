package customer

import (
	"time"

	"tenu/internal/purchase"
)

// Calendar writes instants as customers read them.
type Calendar struct {
	Now      purchase.Instant
	Location *time.Location
}

// Today reports whether an instant is of the same day.
func (c Calendar) Today(at purchase.Instant) bool {
	now, then := c.Now.Time().In(c.Location), at.Time().In(c.Location)
	return then.Year() == now.Year() && then.YearDay() == now.YearDay()
}

// Time is a time of today, or with its day of another; "" for the zero instant.
func (c Calendar) Time(at purchase.Instant) string {
	then := at.Time().In(c.Location)
	switch {
	case at == 0:
		return ""
	case c.Today(at):
		return then.Format("15:04")
	case then.Year() == c.Now.Time().In(c.Location).Year():
		return then.Format("02/01 15:04")
	}
	return then.Format("02/01/2006 15:04")
}

// Moment is when a purchase got where it stands, or by when it leaves it.
func (v *View) Moment() purchase.Instant {
	switch v.Stage {
	case Asking:
		return v.ApproveBy
	case Paid:
		return v.DeliverBy
	case Late:
		return v.ResolveBy
	case Refunding:
		return v.RefundBy
	case Done, Back, Declined, Unconfirmed:
		return v.ClosedAt
	}
	return v.CreatedAt
}
