package talk

import (
	"context"
	"slices"
	"time"

	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/incident"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
	"tenu/internal/voice/speech"
)

// finding is what is known of a number.
type finding struct {
	err      error // nothing is known
	choices  customer.Choices
	view     *customer.View     // the last purchase, nil for none
	incident *incident.Incident // that affects it or, without one, the number's service
	first    bool               // a promise to call was broken
}

// looking is a look at a number that goes on while something else is said.
type looking struct {
	c     *conversation
	done  chan finding
	found finding
	over  bool
}

// look begins to look at a number.
func (c *conversation) look(number purchase.MSISDN) *looking {
	l := &looking{c: c, done: make(chan finding, 1), found: finding{err: context.DeadlineExceeded}}
	go func() {
		ctx, done := context.WithTimeout(c.ctx, c.cfg.Patience)
		defer done()
		l.done <- c.find(ctx, number)
	}()
	return l
}

// wait waits for what is found.
func (l *looking) wait(within time.Duration) {
	if l.over {
		return
	}
	select {
	case l.found = <-l.done:
		l.over = true
	case <-l.c.cfg.Clock.After(within):
	case <-l.c.ctx.Done():
	}
}

// lookAgain looks at the number as it is now.
func (c *conversation) lookAgain() {
	looked := c.look(c.number)
	looked.wait(c.cfg.Patience)
	c.found = looked.found
}

// find reads what is known of a number. What is less than the purchase may be missing.
func (t *Talk) find(ctx context.Context, number purchase.MSISDN) (f finding) {
	var err error
	if f.choices, err = t.cfg.Customers.Choices(ctx, number); err != nil {
		return finding{err: err}
	}
	views, err := t.cfg.Customers.Last(ctx, number, 0, 1)
	if err != nil {
		return finding{err: err, choices: f.choices}
	}
	if len(views) > 0 {
		f.view = &views[0]
	}
	if f.incident, err = t.affecting(ctx, number, f.view); err != nil {
		t.cfg.Log.Warn("a caller is not told of incidents", "error", err)
	}
	calls, err := t.cfg.Care.Callbacks(ctx, number, 1)
	if err != nil {
		t.cfg.Log.Warn("a caller's promises are not known", "error", err)
	}
	f.first = len(calls) > 0 && (calls[0].State == care.Broken || calls[0].State == care.Promised && calls[0].Follows != 0)
	return f
}

// mostIncidents bounds the open incidents that are looked at.
const mostIncidents = 100

// affecting is the incident that a purchase is affected by as long as it has no outcome, or that
// the service of a number without purchases is; nil for none.
func (t *Talk) affecting(ctx context.Context, number purchase.MSISDN, v *customer.View) (*incident.Incident, error) {
	q := incident.Query{Open: true, Limit: mostIncidents}
	if v != nil {
		if v.Final() {
			return nil, nil
		}
		var err error
		if q.IDs, err = t.cfg.Incidents.Affects(ctx, v.ID); err != nil || len(q.IDs) == 0 {
			return nil, err
		}
	}
	open, err := t.cfg.Incidents.Incidents(ctx, q)
	if err != nil {
		return nil, err
	}
	serves := t.cfg.Serves(number)
	for i := range open {
		in := &open[i]
		if (in.Status == incident.Ongoing || in.Status == incident.Recovering) && (v != nil || slices.Contains(serves, in.Series)) {
			return in, nil
		}
	}
	return nil, nil
}

// tell tells where the number's last purchase stands and, during an incident, what that is. Then it
// ends the call, unless the caller wants to choose.
func (c *conversation) tell() error {
	f := &c.found
	if f.err != nil {
		return c.failed("read where a purchase stands", "unread", f.err)
	}
	if f.view != nil {
		c.call.Purchase = f.view.ID
		if id, err := c.cfg.Care.ParseCase(f.view.CaseRef); err == nil {
			c.call.Case = id
		}
	}
	key, v := c.state(f.view)
	if err := c.say(key, v); err != nil {
		return err
	}
	if f.view != nil && f.view.Payer && f.view.Case && !f.view.Final() && f.incident == nil {
		if err := c.say("case_open", nil); err != nil {
			return err
		}
	}
	if c.call.Release == centre.Abandoned {
		c.call.Release = centre.Informed
	}
	if f.incident == nil {
		return nil
	}
	return c.announce(f.incident)
}

// announce tells of an incident, opens the case of the purchase, and releases the line.
func (c *conversation) announce(in *incident.Incident) error {
	c.call.Incident = in.ID.String()
	if err := c.say("incident", values{"Since": c.moment(in.Since)}); err != nil {
		return err
	}
	if in.ExpectedAt > c.cfg.Clock.Now() {
		if err := c.say("incident_till", values{"Till": c.moment(in.ExpectedAt)}); err != nil {
			return err
		}
	}
	if c.found.view == nil {
		if err := c.say("incident_none", nil); err != nil {
			return err
		}
		return c.more()
	}
	added, err := c.note(care.Report{Purchase: c.found.view.ID, Matter: care.MatterNotReceived})
	switch {
	case err != nil:
		err = c.failed("open the case of an incident", unsure(err), err)
	case added && c.found.view.CaseRef == "":
		err = c.say("incident_case", nil)
	default:
		err = c.say("incident_known", nil)
	}
	if err != nil {
		return err
	}
	return c.more()
}

// state is the phrase that tells where a purchase stands.
func (c *conversation) state(v *customer.View) (string, values) {
	if v == nil {
		return "nothing", nil
	}
	at := c.local(v.CreatedAt)
	said := values{"Date": speech.Date(at), "Time": speech.Clock(at)}
	if !v.Payer {
		return received(v.Stage), said
	}
	said["Amount"] = speech.Amount(v.Total)
	now := c.cfg.Clock.Now()
	till := v.ResolveBy
	if v.Stage == customer.Refunding && v.RefundBy != 0 {
		till = v.RefundBy
	}
	said["Till"] = c.moment(till)
	switch {
	case till > now || v.Final() || v.Stage == customer.Asking || v.Stage == customer.Unconfirmed:
		return string(v.Stage), said
	case v.Stage == customer.Refunding:
		return "refund_late", said
	}
	return "overdue", said
}

// received is where a purchase stands in the words for who receives it and did not pay.
func received(s customer.Stage) string {
	switch s {
	case customer.Asking:
		return "gift_asked"
	case customer.Paid, customer.Late:
		return "gift_paid"
	case customer.Done:
		return "gift_credited"
	case customer.Refunding, customer.Back, customer.Declined, customer.Unconfirmed:
	}
	return "gift_over"
}
