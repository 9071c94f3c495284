package talk

import (
	"errors"

	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
	"tenu/internal/voice/speech"
)

// offered is how many windows a caller may go through: as many as the menus of USSD show.
const offered = 4

// callback asks when, and promises a callback. Who has one open may cancel it.
func (c *conversation) callback() error {
	open, windows, err := c.windows()
	switch {
	case err != nil:
		return c.failed("offer a callback", "failed", err)
	case open != nil:
		return c.standing(open)
	case len(windows) == 0:
		return c.noWindow()
	}
	for at := 0; ; at = (at + 1) % len(windows) {
		pressed, err := c.ask("windows", c.window(windows[at]), "012")
		switch {
		case err != nil || pressed == '0':
			return err
		case pressed == '1':
			return c.accept(windows[at])
		}
	}
}

// windows are those that are free, or the number's open callback.
func (c *conversation) windows() (open *care.Callback, windows []purchase.Instant, err error) {
	ctx, done := c.act()
	defer done()
	calls, err := c.cfg.Care.Callbacks(ctx, c.number, 1)
	if err != nil {
		return nil, nil, err
	}
	if len(calls) > 0 && calls[0].State == care.Promised {
		return &calls[0], nil, nil
	}
	windows, err = c.cfg.Care.Windows(ctx, offered)
	return nil, windows, err
}

// accept promises a callback in a window that the caller chose.
func (c *conversation) accept(at purchase.Instant) error {
	kept, added, err := c.promise(at)
	switch {
	case errors.Is(err, care.ErrFull), errors.Is(err, care.ErrWindow):
		if err := c.say("window_taken", nil); err != nil {
			return err
		}
		return c.callback()
	case err != nil:
		return c.failed("promise a callback", unsure(err), err)
	}
	return c.promised(&kept, added)
}

// promise promises a callback in a window, and tells it by SMS. One that stands already is told again.
func (c *conversation) promise(at purchase.Instant) (kept care.Callback, added bool, err error) {
	ctx, done := c.act()
	defer done()
	kept, added, err = c.cfg.Care.Promise(ctx, care.Callback{Number: c.number, Purchase: c.call.Purchase, Case: c.call.Case, WindowAt: at,
		Channel: channel, Language: c.call.Language, At: c.call.Queued}) // who waited keeps the place
	if err != nil {
		return kept, false, err
	}
	if err := c.cfg.Care.Confirm(ctx, kept.ID); err != nil { // there will be one before the call
		c.cfg.Log.Warn("a callback is not confirmed", "call", c.call.ID, "callback", kept.ID, "error", err)
	}
	return kept, added, nil
}

// promiseFirst promises a callback in the first window that has room; care.ErrFull when none has.
func (c *conversation) promiseFirst() (kept care.Callback, added bool, err error) {
	open, windows, err := c.windows()
	switch {
	case err != nil:
		return kept, false, err
	case open != nil:
		return *open, false, nil
	}
	for _, at := range windows {
		kept, added, err = c.promise(at)
		if !errors.Is(err, care.ErrFull) && !errors.Is(err, care.ErrWindow) { // otherwise taken a moment ago
			return kept, added, err
		}
	}
	return kept, false, care.ErrFull
}

// promised says what was promised, in this call or in an earlier one.
func (c *conversation) promised(kept *care.Callback, added bool) error {
	c.call.Release, c.call.Callback = centre.Promised, kept.ID
	if err := c.sayPromised(kept, added); err != nil {
		return err
	}
	return c.more()
}

func (c *conversation) sayPromised(kept *care.Callback, added bool) error {
	if added {
		return c.say("promised", c.window(kept.WindowAt))
	}
	return c.say("promised_known", c.window(kept.WindowAt))
}

// first promises a callback in place of waiting.
func (c *conversation) first() error {
	kept, added, err := c.promiseFirst()
	switch {
	case errors.Is(err, care.ErrFull):
		return c.noWindow()
	case err != nil:
		return c.failed("promise a callback", unsure(err), err)
	}
	return c.promised(&kept, added)
}

// standing says what was promised before, and cancels it if the caller wants that.
func (c *conversation) standing(open *care.Callback) error {
	c.call.Release, c.call.Callback = centre.Promised, open.ID
	if err := c.sayPromised(open, false); err != nil {
		return err
	}
	pressed, err := c.ask("promised_keep", nil, "03")
	if err != nil || pressed == '0' {
		return err
	}
	ctx, done := c.act()
	defer done()
	if _, err := c.cfg.Care.Cancel(ctx, open.ID, c.number); err != nil {
		return c.failed("cancel a callback", unsure(err), err)
	}
	c.call.Release = centre.Informed
	return c.say("cancelled", nil)
}

// noWindow notes the wish in the case when no callback can be promised.
func (c *conversation) noWindow() error {
	var err error
	if v := c.found.view; v != nil {
		_, err = c.note(care.Report{Purchase: v.ID, Matter: care.MatterOther})
	} else {
		_, err = c.open()
	}
	if err != nil {
		return c.failed("note a wish for a callback", unsure(err), err)
	}
	if err := c.say("no_window", nil); err != nil {
		return err
	}
	return c.more()
}

// window is a callback's in the places of a phrase.
func (c *conversation) window(at purchase.Instant) values {
	from := c.local(at)
	return values{"Date": speech.Date(from), "From": speech.Clock(from), "Till": speech.Clock(from.Add(care.Window))}
}

// overload tells that all lines are taken. A number that is vouched for is promised a callback
// meanwhile; others hear how they get one.
func (c *conversation) overload() error {
	c.call.Release = centre.Overload
	if c.number == 0 {
		if err := c.all("overload", "overload_how"); err != nil {
			return err
		}
		return c.goodbye()
	}
	c.chosenBefore()
	type outcome struct {
		kept  care.Callback
		added bool
		err   error
	}
	promised := make(chan outcome, 1)
	go func() {
		kept, added, err := c.promiseFirst()
		promised <- outcome{kept, added, err}
	}()
	err := c.say("overload", nil)
	got := <-promised
	c.call.Callback = got.kept.ID
	if err != nil {
		return err
	}
	if got.err != nil {
		c.cfg.Log.Warn("a caller beyond the lines is promised nothing", "call", c.call.ID, "error", got.err)
		err = c.say("overload_how", nil)
	} else {
		err = c.sayPromised(&got.kept, got.added)
	}
	if err != nil {
		return err
	}
	return c.goodbye()
}
