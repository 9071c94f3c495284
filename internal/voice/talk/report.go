package talk

import (
	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/voice/centre"
)

// report asks what is wrong with the last purchase, and takes it down. The same again is the
// same report.
func (c *conversation) report() error {
	v := c.found.view
	if v == nil {
		return c.reported(c.open())
	}
	pressed, err := c.ask("matters", nil, "012345")
	if err != nil || pressed == '0' {
		return err
	}
	r := care.Report{Purchase: v.ID, Matter: care.Matters[pressed-'1']}
	if r.Matter == care.MatterNotReceived && (v.Stage == customer.Asking || v.Stage == customer.Declined || v.Stage == customer.Back) {
		key, said := c.state(v) // nothing was taken, or all was given back
		return c.say(key, said)
	}
	if r.Matter == care.MatterWrongNumber {
		if r.Meant, err = c.entered("meant"); err != nil {
			return err
		}
	}
	return c.reported(c.note(r))
}

// reported says what became of a report.
func (c *conversation) reported(added bool, err error) error {
	if err != nil {
		return c.failed("take a report down", unsure(err), err)
	}
	key := "reported"
	switch {
	case !added:
		key = "report_known"
	case c.found.view != nil && c.found.view.CaseRef != "":
		key = "report_added"
	}
	if err := c.say(key, nil); err != nil {
		return err
	}
	return c.more()
}

// note takes a report of the number down.
func (c *conversation) note(r care.Report) (added bool, err error) {
	ctx, done := c.act()
	defer done()
	r.Number, r.Channel = c.number, channel
	_, added, err = c.cfg.Care.Report(ctx, r)
	if err == nil {
		c.call.Release = centre.Reported
	}
	return added, err
}

// open opens a case of the number that is about no purchase, or finds the one that is open.
func (c *conversation) open() (added bool, err error) {
	ctx, done := c.act()
	defer done()
	file, added, err := c.cfg.Care.Open(ctx, care.Actor{Kind: care.ByCustomer},
		care.NewCase{Number: c.number, Matter: care.MatterOther, Channel: channel, Language: c.call.Language})
	if err == nil {
		c.call.Release, c.call.Case = centre.Reported, file.ID
	}
	return added, err
}
